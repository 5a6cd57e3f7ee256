"""Label maps from raw outputs against torch's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nets import output

from pytest_lossy.errors import ModelError
from pytest_lossy.models.network import select_output
from pytest_lossy.models.outputs import LabelMaps
from pytest_lossy.models.preprocessing import Placement

sides = st.integers(1, 20)


def whole(size: tuple[int, int]) -> Placement:
    return Placement(size, size, size)


def scores(classes: int, height: int, width: int, seed: int = 0, count: int = 1) -> torch.Tensor:
    return torch.randn((count, classes, height, width), generator=torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(
    grid=st.tuples(sides, sides),
    source=st.tuples(sides, sides),
    classes=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_scores_are_resized_and_then_compared(
    grid: tuple[int, int], source: tuple[int, int], classes: int, seed: int
) -> None:
    raw = scores(classes, *grid, seed)
    expected = F.interpolate(raw, size=source, mode="bilinear", align_corners=False).argmax(1)[0]
    found = LabelMaps(output())(raw, [whole(source)])[0]
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected.numpy())


@settings(max_examples=60, deadline=None)
@given(grid=st.tuples(sides, sides), source=st.tuples(sides, sides), seed=st.integers(0, 99))
def test_label_maps_are_resized_to_the_nearest_pixel_centre(
    grid: tuple[int, int], source: tuple[int, int], seed: int
) -> None:
    raw = torch.randint(0, 200, (1, *grid), generator=torch.Generator().manual_seed(seed))
    expected = F.interpolate(raw[None].double(), size=source, mode="nearest-exact")[0, 0].long()
    assert np.array_equal(LabelMaps(output())(raw, [whole(source)])[0], expected.numpy())


def test_padding_is_cut_off_before_resizing() -> None:
    raw = scores(3, 8, 8)
    place = Placement(source=(20, 40), content=(16, 32), canvas=(32, 32))
    expected = F.interpolate(raw[:, :, :4, :8], size=(20, 40), mode="bilinear", align_corners=False).argmax(1)[0]
    assert np.array_equal(LabelMaps(output())(raw, [place])[0], expected.numpy())
    labels = raw.argmax(1)
    nearest = F.interpolate(labels[None, :, :4, :8].double(), size=(20, 40), mode="nearest-exact")[0, 0].long()
    assert np.array_equal(LabelMaps(output())(labels, [place])[0], nearest.numpy())


def test_each_sample_has_its_own_size() -> None:
    raw = scores(3, 5, 5, count=2)
    found = LabelMaps(output())(raw, [whole((5, 5)), whole((9, 7))])
    assert [labels.shape for labels in found] == [(5, 5), (9, 7)]
    assert np.array_equal(found[0], raw[0].argmax(0).numpy())


def test_numpy_outputs_and_channel_axes_of_one() -> None:
    labels = np.arange(12, dtype=np.int64).reshape(1, 3, 4)
    for raw in (labels, labels[:, None], labels[..., None]):
        assert np.array_equal(LabelMaps(output())(raw, [whole((3, 4))])[0], labels[0])


def test_many_classes_do_not_wrap_around() -> None:
    raw = torch.zeros((1, 300, 1, 1))
    raw[0, 299] = 1
    assert LabelMaps(output())(raw, [whole((1, 1))])[0].tolist() == [[299]]
    raw = torch.zeros((1, 256, 1, 1))
    raw[0, 255] = 1
    assert LabelMaps(output())(raw, [whole((1, 1))])[0].tolist() == [[255]]


def test_class_map_translates_and_drops() -> None:
    raw = torch.tensor([[[0, 1, 2, 255]]])
    found = LabelMaps(output(class_map={0: 5, 2: 0}))(raw, [whole((1, 4))])[0]
    assert found.tolist() == [[5, 255, 0, 255]]


@pytest.mark.parametrize("class_map", [{-1: 0}, {0: 256}, {0: -1}, {70_000: 0}])
def test_class_maps_out_of_range(class_map: dict[int, int]) -> None:
    with pytest.raises(ModelError, match=r"'model.output.class_map': .* is out of range"):
        LabelMaps(output(class_map=class_map))


def test_labels_that_no_class_map_can_hold() -> None:
    with pytest.raises(ModelError, match="predicts class -3"):
        LabelMaps(output(class_map={0: 0}))(torch.tensor([[[0, -3]]]), [whole((1, 2))])
    with pytest.raises(ModelError, match="predicts class 70000"):
        LabelMaps(output(class_map={0: 0}))(torch.tensor([[[0, 70_000]]]), [whole((1, 2))])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("source", [(2, 2), (5, 5)])
def test_nan_and_infinity_are_told(value: float, source: tuple[int, int]) -> None:
    raw = scores(3, 2, 2)
    raw[0, 1, 0, 0] = value
    with pytest.raises(ModelError, match="NaN or infinite class scores; check the weights and the input range"):
        LabelMaps(output())(raw, [whole(source)])


def test_classes_that_are_ruled_out_by_minus_infinity_are_fine() -> None:
    raw = scores(3, 2, 2)
    raw[:, 2] = -float("inf")
    assert LabelMaps(output())(raw, [whole((2, 2))])[0].max() <= 1


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        (torch.zeros((2, 3, 4, 4)), "auto", r"returned \(2, 3, 4, 4\) for a batch of 1"),
        (torch.zeros((4, 4)), "auto", "for a batch of 1"),
        (torch.zeros(()), "auto", "for a batch of 1"),
        (torch.zeros((1, 1, 4, 4)), "auto", r"C >= 2, got \(1, 1, 4, 4\)"),
        (torch.zeros((1, 4, 4)), "auto", r"must be \(n, C, h, w\)"),
        (torch.zeros((1, 4, 4)), "labels", "label maps must be integers"),
        (torch.zeros((1, 3, 4, 4), dtype=torch.int64), "labels", "label maps must be integers"),
        (torch.zeros((1, 4, 4), dtype=torch.int64), "logits", r"must be \(n, C, h, w\)"),
    ],
)
def test_wrong_shapes(raw: torch.Tensor, kind: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        LabelMaps(output(kind=kind))(raw, [whole((4, 4))])


def test_half_precision_scores() -> None:
    raw = scores(3, 4, 4)
    expected = LabelMaps(output())(raw.half().float(), [whole((9, 9))])[0]
    assert np.array_equal(LabelMaps(output())(raw.half(), [whole((9, 9))])[0], expected)


@pytest.mark.parametrize(
    ("raw", "select", "expected"),
    [
        (5, None, 5),
        ([5], None, 5),
        ((5, 6), 1, 6),
        ((5, 6), -1, 6),
        ({"out": 5, "aux": 6}, None, 5),
        ({"out": 5, "aux": 6}, "aux", 6),
        ({"logits": 5}, None, 5),
    ],
)
def test_select_output(raw: object, select: int | str | None, expected: int) -> None:
    assert select_output(raw, select) == expected


@pytest.mark.parametrize(
    ("raw", "select", "message"),
    [
        (5, 0, "returns a single output; remove"),
        ((5, 6), None, r"returns 2 outputs; choose one .* \(0..1\)"),
        ((5, 6), 2, "returns 2 outputs"),
        ((5, 6), "out", "returns 2 outputs"),
        ({"a": 5, "b": 6}, None, r"returns \{a, b\}; name one"),
        ({"a": 5, "b": 6}, "c", r"returns \{a, b\}; name one"),
        ({"a": 5}, 0, r"returns \{a\}; name one"),
    ],
)
def test_selections_that_do_not_fit(raw: object, select: int | str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        select_output(raw, select)
