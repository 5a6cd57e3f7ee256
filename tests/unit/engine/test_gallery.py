"""Pictures of a case: how many, of which samples, and what becomes of failures."""

from __future__ import annotations

import io
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from fakes import CLASSES, FirstChannel, Pictures, pipeline

from pytest_lossy.cases import CLEAN, Case
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine import gallery
from pytest_lossy.engine.gallery import GalleryOfCase, show_samples
from pytest_lossy.engine.picture_plan import SAMPLES_PER_RUN, plan_pictures
from pytest_lossy.errors import ResultsError
from pytest_lossy.results.store import RunStore
from pytest_lossy.tasks.segmentation import SegmentationTask


def cases(models, codecs, levels):
    found = []
    for model in range(models):
        found.append(Case(f"m{model}", "segmentation", CLEAN))
        for codec in range(codecs):
            found += [
                Case(f"m{model}", "segmentation", f"c{codec}", "jpeg", "q", float(level)) for level in range(levels)
            ]
        found.append(Case(f"m{model}", "segmentation", "mix", mix="fleet"))
    return found


def test_one_curve_shows_its_most_severe_and_its_middle_level():
    assert plan_pictures(cases(1, 1, 7), 3) == {"m0@c0-q6": 3, "m0@c0-q3": 3}
    assert plan_pictures(cases(1, 1, 2), 3) == {"m0@c0-q1": 3, "m0@c0-q0": 3}
    assert plan_pictures(cases(1, 1, 1), 3) == {"m0@c0-q0": 3}
    assert plan_pictures(cases(1, 1, 7), 0) == {}
    assert plan_pictures([], 3) == {}


def test_many_curves_share_a_bounded_number():
    assert plan_pictures(cases(5, 3, 8), 3) == {f"m{m}@c{c}-q7": 2 for m in range(5) for c in range(3)}
    five = plan_pictures(cases(5, 1, 8), 3)
    assert five == {f"m{m}@c0-q{level}": 3 for m in range(5) for level in (7, 3)}
    seven = plan_pictures(cases(7, 1, 8), 3)
    assert Counter(seven.values()) == {2: 12, 3: 2}
    fifty = plan_pictures(cases(50, 3, 8), 3)
    assert sum(fifty.values()) == 30
    assert len({slug.partition("@")[0] for slug in fifty}) == 30  # each another model


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 9), st.integers(0, 4))
def test_a_plan_never_exceeds_its_bounds(models, codecs, levels, per_case):
    plan = plan_pictures(cases(models, codecs, levels), per_case)
    assert sum(plan.values()) <= SAMPLES_PER_RUN * per_case
    assert all(1 <= count <= per_case for count in plan.values())
    assert not any("clean" in slug or "mix" in slug for slug in plan)


class Setting:
    """A measured case of fake pictures: everything that :func:`show_samples` needs."""

    def __init__(self, folder, data=None, task=None, reference="labels"):
        self.store = RunStore(folder)
        self.model = FirstChannel()
        self.pipeline = pipeline(data or Pictures(12, size=(48, 64)), self.model)
        task = task or SegmentationTask(CLASSES)
        self.runtime = SimpleNamespace(
            task=task,
            pipeline=self.pipeline,
            clean_by_sample=None,
            spec=SimpleNamespace(reference=reference),
            higher_is_better=lambda: {"miou": True},
        )
        case = Case("m", "segmentation", "jpeg", "jpeg", "q", 5.0)
        codec = JpegCodec()
        self.clean = self.pipeline.evaluate(None, None)
        self.measured = GalleryOfCase("m.yaml::m::jpeg-q5", case, codec, self.pipeline.evaluate(codec, 5.0))

    def show(self, count=3):
        return show_samples(self.measured, self.clean, self.runtime, self.store, count)

    def record(self):
        return self.store.read_gallery("m@jpeg-q5")

    def files(self):
        folder = self.store.folder / "gallery"
        return {path.name: path.read_bytes() for path in folder.glob("*")} if folder.exists() else {}


def test_pictures_and_their_record_are_stored(tmp_path):
    setting = Setting(tmp_path)
    assert setting.show() == ""
    record = setting.record()
    assert [sample.kind for sample in record] == ["worst", "worst", "typical"]
    assert record[0].clean == 1.0
    assert record[0].value < record[2].value < 1.0
    assert [set(sample.pictures) for sample in record] == [
        {"source", "compressed", "difference", "clean_prediction", "prediction", "target"}
    ] * 3
    files = setting.files()
    assert {f"gallery/{name}" for name in files} == {path for one in record for path in one.pictures.values()}
    source = Image.open(io.BytesIO(files["m@jpeg-q5-1-source.webp"])).convert("RGB")
    assert source.size == (64, 48)
    shown = np.array(source).mean(axis=2).ravel()
    alike = [
        np.corrcoef(Pictures(12, size=(48, 64)).load(index).media.mean(axis=2).ravel(), shown)[0, 1]
        for index in range(12)
    ]
    assert f"p{int(np.argmax(alike))}" == record[0].sample


def test_the_same_case_gives_the_same_bytes(tmp_path):
    first, second = Setting(tmp_path / "a"), Setting(tmp_path / "b")
    first.show()
    second.show()
    assert first.files() == second.files() != {}
    assert first.record() == second.record()


def test_looking_again_changes_no_evidence_and_no_batch(tmp_path):
    setting = Setting(tmp_path)
    before = setting.pipeline.evaluate(setting.measured.codec, 5.0)
    setting.show()
    after = setting.pipeline.evaluate(setting.measured.codec, 5.0)
    assert [list(map(np.ndarray.tolist, item.values())) for item in before.evidence] == [
        list(map(np.ndarray.tolist, item.values())) for item in after.evidence
    ]
    assert before.meta == after.meta


def test_no_file_of_a_sample_exceeds_its_share(tmp_path):
    setting = Setting(tmp_path, Pictures(12, size=(700, 900)))  # noise: nothing compresses worse
    setting.show()
    sizes = [sum(len(setting.files()[path[8:]]) for path in one.pictures.values()) for one in setting.record()]
    assert max(sizes) <= gallery.SAMPLE_BYTES
    assert setting.record()[0].size == (900, 700)
    left, top, width, height = setting.record()[0].window
    assert 0 <= left <= 900 - width
    assert 0 <= top <= 700 - height


class Refusing(SegmentationTask):
    def draw(self, image, prediction, target):
        raise ZeroDivisionError("no ink\nsecond line")


class Silent(SegmentationTask):
    draw = None


def test_a_task_that_cannot_draw_costs_only_its_drawings(tmp_path):
    setting = Setting(tmp_path, task=Refusing(CLASSES))
    note = setting.show()
    assert "ZeroDivisionError" in note
    assert "no ink" in note
    assert "\n" not in note
    assert [set(sample.pictures) for sample in setting.record()] == [{"source", "compressed", "difference"}] * 3
    silent = Setting(tmp_path / "silent", task=Silent(CLASSES))
    assert silent.show() == ""
    assert set(silent.record()[0].pictures) == {"source", "compressed", "difference"}


def test_a_full_disk_costs_a_note(tmp_path, monkeypatch):
    setting = Setting(tmp_path)

    def full(*_):
        raise ResultsError("x.webp: cannot be written (No space left on device); free space")

    monkeypatch.setattr(setting.store, "write_picture", full)
    assert setting.show() == "no pictures of samples: x.webp: cannot be written (No space left on device); free space"
    assert setting.record() == []


def test_a_model_that_fails_when_it_is_asked_again_costs_a_note(tmp_path):
    setting = Setting(tmp_path)

    def refuse(media):
        raise RuntimeError("tired")

    setting.model.before = refuse
    assert "tired" in setting.show()
    assert setting.record() == []


def test_a_case_without_any_metric_shows_nothing(tmp_path):
    data = Pictures(4)
    data.change = lambda index, sample: replace(sample, target=np.full_like(sample.target, 255))
    setting = Setting(tmp_path, data)
    assert setting.show() == ""
    assert setting.record() == []


def test_a_damaged_record_is_no_record(tmp_path):
    setting = Setting(tmp_path)
    setting.show()
    path = tmp_path / "samples" / "m@jpeg-q5.json"
    for text in ("{", "[1]", '{"a": 1}', "3"):
        path.write_text(text)
        assert setting.record() == []


@pytest.mark.parametrize("quality", [5, 10, 20])
def test_the_codec_shows_through_the_thumbnail(quality):
    """What is seen of a codec is its own: the error that the thumbnail adds is small beside the codec's."""
    rows, columns = np.mgrid[:96, :128]
    smooth = np.stack([rows * 2, columns, (rows + columns)], axis=2).astype(np.uint8)
    picture = np.where(((rows // 9 + columns // 13) % 2 == 0)[..., None], smooth, 255 - smooth)
    codec = build_codec("jpeg")
    compressed = codec.decode(codec.encode(picture, quality, fps=None))
    encoded = gallery.encode_pixels(compressed, gallery.PIXEL_QUALITY)
    shown = np.array(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(float)
    added = ((shown - compressed) ** 2).mean()
    made = ((picture.astype(float) - compressed) ** 2).mean()
    assert added < 0.5 * made
