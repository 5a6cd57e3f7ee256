"""Depth metrics against the field's formulas, written here once more on whole images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence_trips import assert_rows_are_independent, stored_and_loaded
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_lossy.tasks.base import Evidence
from pytest_lossy.tasks.depth import DepthOptions, DepthTask

Images = list[tuple[np.ndarray, np.ndarray]]

NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "silog", "delta1", "delta2", "delta3")


def depth_task(**options: Any) -> DepthTask:
    return DepthTask((), DepthOptions(**options))


def eigen_metrics(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Eigen et al. 2014, section 4, and SILog as the KITTI benchmark prints it; (n,) metres in float64."""
    threshold = np.maximum(true / predicted, predicted / true)
    d = np.log(predicted) - np.log(true)
    return {
        "abs_rel": np.mean(np.abs(true - predicted) / true),
        "sq_rel": np.mean((true - predicted) ** 2 / true),
        "rmse": np.sqrt(np.mean((true - predicted) ** 2)),
        "rmse_log": np.sqrt(np.mean(d**2)),
        "silog": 100 * np.sqrt(max(np.mean(d**2) - np.mean(d) ** 2, 0)),
        "delta1": np.mean(threshold < 1.25),
        "delta2": np.mean(threshold < 1.25**2),
        "delta3": np.mean(threshold < 1.25**3),
    }


def scored_pixels(predicted: np.ndarray, true: np.ndarray, options: DepthOptions) -> tuple[np.ndarray, np.ndarray]:
    """Mask, crop, scale, clamp: on the whole image with a mask, as evaluation scripts do."""
    predicted, true = predicted.astype(np.float64), true.astype(np.float64)
    mask = (true > (options.min_depth or 0)) & (true < (options.max_depth or np.inf))
    height, width = true.shape
    inside = np.zeros_like(mask)
    if options.crop == "none":
        inside[:] = True
    else:
        share = {
            "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
            "eigen": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
        }
        edges = (np.array(share[options.crop]) * [height, height, width, width]).astype(np.int32)
        inside[edges[0] : edges[1], edges[2] : edges[3]] = True
    mask &= inside
    if options.median_scaling and mask.any():
        predicted = predicted * np.median(true[mask]) / np.median(predicted[mask])
    if options.min_depth is not None:
        predicted = np.where(predicted < options.min_depth, options.min_depth, predicted)
    if options.max_depth is not None:
        predicted = np.where(predicted > options.max_depth, options.max_depth, predicted)
    return predicted[mask], true[mask]


def oracle(images: Images, options: DepthOptions) -> dict[str, float]:
    parts = [part for part in (scored_pixels(p, t, options) for p, t in images) if part[0].size]
    if not parts:
        return dict.fromkeys(NAMES, np.nan)
    if options.pooling == "pixel":
        return eigen_metrics(np.concatenate([p for p, _ in parts]), np.concatenate([t for _, t in parts]))
    values = [eigen_metrics(p, t) for p, t in parts]
    return {name: np.mean([value[name] for value in values]) for name in NAMES}


def evidence_of(task: DepthTask, images: Images) -> list[Evidence]:
    for prediction, target in images:
        assert task.check(prediction, target) is None
    return [task.evidence(prediction, target) for prediction, target in images]


def reduced(task: DepthTask, images: Images, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    return task.reduce(evidence_of(task, images), np.ones((1, len(images))) if weights is None else weights)


def picture(
    generator: np.random.Generator, shape: tuple[int, int], known: float, noise: float, kind: type
) -> tuple[np.ndarray, np.ndarray]:
    true = np.exp(generator.uniform(np.log(0.5), np.log(90), shape))
    predicted = true * np.exp(noise * generator.normal(size=shape) + generator.normal() * noise)
    return predicted.astype(kind), np.where(generator.random(shape) < known, true, 0).astype(kind)


@st.composite
def pictures(draw: st.DrawFn) -> Images:
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from([np.float32, np.float64]))
    images = []
    for _ in range(draw(st.integers(1, 5))):
        shape = (draw(st.integers(1, 24)), draw(st.integers(1, 24)))
        known, noise = draw(st.sampled_from([0.0, 0.1, 0.7, 1.0])), draw(st.sampled_from([0.0, 0.1, 1.0]))
        images.append(picture(generator, shape, known, noise, kind))
    return images


choices = st.fixed_dictionaries(
    {},
    optional={
        "pooling": st.sampled_from(["image", "pixel"]),
        "min_depth": st.sampled_from([1e-3, 1.0]),
        "max_depth": st.sampled_from([10.0, 80.0]),
        "crop": st.sampled_from(["none", "eigen", "garg"]),
        "median_scaling": st.booleans(),
    },
)


@settings(max_examples=150, deadline=None)
@given(images=pictures(), options=choices)
def test_metrics_equal_the_formulas(images: Images, options: dict[str, Any]) -> None:
    task = depth_task(**options)
    found, expected = reduced(task, images), oracle(images, task.options)
    assert tuple(found) == NAMES
    for name in NAMES:
        # The plain SILog formula loses half of its digits where the two means nearly cancel.
        tolerance = 1e-5 if name == "silog" else 1e-12
        assert found[name][0] == pytest.approx(expected[name], rel=1e-9, abs=tolerance, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(images=pictures(), pooling=st.sampled_from(["image", "pixel"]), data=st.data())
def test_whole_weights_equal_repeated_images(images: Images, pooling: str, data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(images), max_size=len(images)))
    task = depth_task(pooling=pooling)
    found = reduced(task, images, np.array([weights], dtype=np.float64))
    expected = oracle([one for one, weight in zip(images, weights, strict=True) for _ in range(weight)], task.options)
    for name in NAMES:
        tolerance = 1e-5 if name == "silog" else 1e-12
        assert found[name][0] == pytest.approx(expected[name], rel=1e-9, abs=tolerance, nan_ok=True), name


def random_evidence(generator: np.random.Generator, count: int) -> list[Evidence]:
    pixels = generator.integers(0, 500, count)
    return [
        {
            "pixels": np.array([size]),
            "errors": (generator.lognormal(size=(1, 5)) - [0, 0, 0, 1, 0]) * size,
            "inliers": np.sort(generator.integers(0, size + 1, (1, 3))),
        }
        for size in pixels.tolist()
    ]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 300),
    rows=st.integers(1, 40),
    seed=st.integers(0, 2**16),
    pooling=st.sampled_from(["image", "pixel"]),
)
def test_many_weightings_equal_one_by_one_bit_for_bit(count: int, rows: int, seed: int, pooling: str) -> None:
    generator = np.random.default_rng(seed)
    weights = generator.random((rows, count)) if seed % 2 else generator.integers(0, 4, (rows, count)).astype(float)
    assert_rows_are_independent(depth_task(pooling=pooling), random_evidence(generator, count), weights)


@pytest.mark.parametrize("pooling", ["image", "pixel"])
def test_a_thousand_replicates_of_a_thousand_images_are_fast_and_exact(pooling: str) -> None:
    generator = np.random.default_rng(1)
    task, evidence = depth_task(pooling=pooling), random_evidence(generator, 1000)
    weights = generator.multinomial(1000, np.full(1000, 1e-3), size=1000).astype(np.float64)
    started = time.perf_counter()
    together = task.reduce(evidence, weights)
    # Measured: 0.03 s for all eight metrics on one core; the bound leaves room for a busy machine.
    assert time.perf_counter() - started < 3
    for row in range(0, 1000, 97):
        alone = task.reduce(evidence, weights[row : row + 1])
        assert all(np.array_equal(alone[name], together[name][row : row + 1]) for name in NAMES)


def test_images_without_scored_depth_are_left_out_and_noted() -> None:
    generator = np.random.default_rng(2)
    known, unknown = (picture(generator, (6, 6), share, 0.3, np.float32) for share in (1.0, 0.0))
    for pooling in ("image", "pixel"):
        task = depth_task(pooling=pooling)
        both, one = reduced(task, [known, unknown]), reduced(task, [known])
        assert all(np.array_equal(both[name], one[name]) for name in NAMES)
        nothing = reduced(task, [known, unknown], np.array([[0.0, 5.0], [0.0, 0.0], [1.0, 0.0]]))
        assert all(np.isnan(nothing[name][:2]).all() and nothing[name][2] == one[name][0] for name in NAMES)
        assert all(np.isnan(values).all() for values in reduced(task, [unknown]).values())
    assert task.notes(evidence_of(task, [known, unknown])) == ["1 of 2 images have no scored depth and are left out"]
    assert task.notes(evidence_of(task, [known])) == []


def test_a_perfect_prediction() -> None:
    depth = np.random.default_rng(0).uniform(1, 80, (20, 30)).astype(np.float32)
    found = reduced(DepthTask(), [(depth, depth)])
    assert [found[name][0] for name in NAMES] == [0, 0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("pooling", ["image", "pixel"])
def test_silog_of_a_wrong_scale_is_zero_to_rounding(pooling: str) -> None:
    generator = np.random.default_rng(0)
    depths = [generator.uniform(1, 80, (5, 1 + index)) for index in range(20)]
    found = reduced(
        depth_task(pooling=pooling), [(1000 * depth, depth) for depth in depths], generator.random((50, 20))
    )
    # The plain difference of means would leave about 1e-5 of rounding here.
    assert found["silog"].max() < 1e-10
    assert found["rmse_log"] == pytest.approx(np.log(1000))


def test_median_scaling_removes_a_wrong_scale() -> None:
    predicted, true = picture(np.random.default_rng(5), (9, 9), 0.8, 0.2, np.float64)
    task = depth_task(median_scaling=True)
    first, second = reduced(task, [(predicted, true)]), reduced(task, [(7 * predicted, true)])
    assert all(first[name][0] == pytest.approx(second[name][0]) for name in NAMES)


def test_pooling_matters_where_images_differ_in_size() -> None:
    large, small = np.full((1, 9), 2.0), np.full((1, 1), 2.0)
    images = [(large, large), (2 * small, small)]
    assert reduced(depth_task(pooling="image"), images)["abs_rel"][0] == pytest.approx(0.5)
    assert reduced(depth_task(pooling="pixel"), images)["abs_rel"][0] == pytest.approx(0.1)


def test_thresholds_are_strict() -> None:
    true = np.full((1, 4), 4.0)
    found = reduced(DepthTask(), [(np.array([[5.0, 4.99, 3.2, 8.0]]), true)])
    assert found["delta1"][0] == 0.25
    assert found["delta2"][0] == 0.75


def test_range_is_strict_and_predictions_are_clamped() -> None:
    true = np.array([[1.0, 80.0, 79.0, 0.0, 2.0]], np.float32)
    predicted = np.array([[-1.0, 5.0, np.inf, 5.0, 0.0]], np.float32)
    task = depth_task(min_depth=1, max_depth=80)
    assert task.check(predicted, true) is None
    evidence = task.evidence(predicted, true)
    assert evidence["pixels"].tolist() == [2]
    assert evidence["errors"][0, 2] == (80 - 79) ** 2 + (1 - 2) ** 2


def test_nyu_crop_has_the_known_borders() -> None:
    true = np.zeros((480, 640), np.float32)
    true[45:471, 41:601] = 1
    evidence = depth_task(crop="nyu").evidence(np.ones_like(true), true)
    assert evidence["pixels"].tolist() == [(471 - 45) * (601 - 41)]


@pytest.mark.parametrize(
    ("crop", "rows", "columns"), [("garg", (153, 371), (44, 1197)), ("eigen", (124, 342), (44, 1197))]
)
def test_kitti_crops_have_the_known_borders(crop: str, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    true = np.ones((375, 1242), np.float32)
    true[rows[0] : rows[1], columns[0] : columns[1]] = 0
    task = depth_task(crop=crop)
    assert task.evidence(np.ones_like(true), true)["pixels"].tolist() == [0]
    assert task.evidence(np.ones_like(true), np.ones_like(true))["pixels"].tolist() == [
        (rows[1] - rows[0]) * (columns[1] - columns[0])
    ]


@settings(max_examples=30, deadline=None)
@given(images=pictures())
def test_evidence_depends_on_values_alone(images: Images) -> None:
    task = depth_task(median_scaling=True)
    for prediction, target in images:
        assume(target.any())
        first = task.evidence(prediction, target)
        second = task.evidence(np.asfortranarray(prediction.astype(np.float64)), np.asfortranarray(target))
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_inputs_are_not_changed() -> None:
    predicted, true = picture(np.random.default_rng(6), (8, 8), 0.5, 1.0, np.float64)
    before = predicted.copy(), true.copy()
    depth_task(min_depth=1, max_depth=10, median_scaling=True).evidence(predicted, true)
    assert np.array_equal(predicted, before[0])
    assert np.array_equal(true, before[1])


def test_evidence_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    images = [picture(generator, (7, 9), share, 0.4, np.float32) for share in (0.0, 0.5, 1.0)]
    task = DepthTask()
    evidence = evidence_of(task, images)
    assert {name: array.dtype for name, array in evidence[0].items()} == {
        "pixels": "i8",
        "errors": "f8",
        "inliers": "i8",
    }
    loaded = stored_and_loaded(evidence, tmp_path / "evidence.npz")
    weights = generator.random((4, 3))
    before, after = task.reduce(evidence, weights), task.reduce(loaded, weights)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in NAMES)
