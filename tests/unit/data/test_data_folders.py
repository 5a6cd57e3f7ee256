"""folder-segmentation and camvid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from image_files import colours, pairs, save
from PIL import Image
from pydantic import ValidationError

from pytest_lossy.data.base import Dataset
from pytest_lossy.data.camvid import CAMVID_CLASSES, CamVid, CamVidOptions
from pytest_lossy.data.folder import FolderSegmentation, FolderSegmentationOptions
from pytest_lossy.data.registry import build_dataset
from pytest_lossy.errors import DataError, MissingInputError


def folder(root: Path, **options: object) -> FolderSegmentation:
    fields = {"images": "images", "labels": "labels", "classes": ("a", "b"), **options}
    return FolderSegmentation(FolderSegmentationOptions.model_validate(fields), root)


def with_labels(root: Path, labels: list[int], dtype: type = np.uint8, **options: object) -> np.ndarray:
    values = np.resize(np.array(labels, dtype), (6, 8))
    return np.asarray(folder(pairs(root, 1, labels=values), **options).load(0).target).ravel()[: len(labels)]


def test_pairs_by_stem(tmp_path: Path) -> None:
    data = folder(pairs(tmp_path))
    assert isinstance(data, Dataset)
    assert len(data) == 3
    assert [data.sample_id(index) for index in range(3)] == ["p0.png", "p1.png", "p2.png"]
    sample = data.load(1)
    assert sample.id == "p1.png"
    assert np.array_equal(sample.media, colours(seed=1))
    assert (sample.target == 1).all()
    assert sample.target.dtype == np.uint8
    assert sample.group is None
    assert sample.source is not None
    assert sample.source.format == "PNG"


def test_listing_decodes_nothing(tmp_path: Path) -> None:
    pairs(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"not an image")
    data = folder(tmp_path)
    assert (len(data), data.sample_id(0), data.group(0)) == (3, "p0.png", None)
    assert data.fingerprint()


def test_subfolders_and_suffixes(tmp_path: Path) -> None:
    save(tmp_path / "images" / "x" / "p.jpg", colours())
    save(tmp_path / "labels" / "x" / "p_gt.png", np.zeros((6, 8), np.uint8))
    data = folder(tmp_path, recursive=True, label_suffix="_gt.png")
    assert data.sample_id(0) == "x/p.jpg"
    assert data.load(0).target.shape == (6, 8)


def test_label_map_of_another_size(tmp_path: Path) -> None:
    data = folder(pairs(tmp_path, 1, labels=np.zeros((8, 6), np.uint8)))
    with pytest.raises(DataError, match=r"p0.png: the label map is 6x8, the image is 8x6; they must match"):
        data.load(0)


def test_label_map_of_the_stored_orientation(tmp_path: Path) -> None:
    pairs(tmp_path, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "images" / "p0.png", colours(), exif=exif.tobytes())
    with pytest.raises(DataError, match=r"is 6x8 \(its EXIF orientation was applied\)"):
        folder(tmp_path).load(0)


def test_colour_label_maps(tmp_path: Path) -> None:
    data = folder(pairs(tmp_path, 1, labels=colours()))
    with pytest.raises(DataError, match=r"p0.png: a label map is a grey or palette image"):
        data.load(0)


def test_unknown_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"p0.png: label 7 is none of the 2 classes; map it in 'label_map'"):
        with_labels(tmp_path, [0, 1, 7])


def test_ignored_labels_stay(tmp_path: Path) -> None:
    assert with_labels(tmp_path, [0, 1, 255]).tolist() == [0, 1, 255]


def test_16_bit_labels(tmp_path: Path) -> None:
    assert with_labels(tmp_path, [0, 1, 255], np.uint16).tolist() == [0, 1, 255]
    found = with_labels(tmp_path, [300, 1000, 255], np.uint16, label_map={300: 0, 1000: 1})
    assert found.tolist() == [0, 1, 255]


def test_a_16_bit_label_does_not_wrap_around(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 256 is none"):
        with_labels(tmp_path, [0, 256], np.uint16)


def test_label_map_translates(tmp_path: Path) -> None:
    assert with_labels(tmp_path, [7, 8, 9], label_map={7: 0, 8: 1, 9: 255}).tolist() == [0, 1, 255]


def test_labels_outside_the_map_are_errors_by_default(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="label 1 is none of the 2 classes"):
        with_labels(tmp_path, [0, 1], label_map={0: 1})


@pytest.mark.parametrize(
    ("other", "options", "expected"),
    [
        ("ignore", {}, [0, 1, 255, 255]),
        ("ignore", {"label_map": {9: 0}}, [255, 255, 0, 255]),
        (1, {}, [0, 1, 1, 255]),
        (1, {"label_map": {9: 0}}, [1, 1, 0, 255]),
        (0, {"label_map": {255: 1}}, [0, 0, 0, 1]),
    ],
)
def test_other_labels(tmp_path: Path, other: str | int, options: dict[str, object], expected: list[int]) -> None:
    assert with_labels(tmp_path, [0, 1, 9, 255], other=other, **options).tolist() == expected


@pytest.mark.parametrize(
    "options",
    [
        {"label_map": {0: 2}},
        {"label_map": {0: -1}},
        {"other": 2},
        {"other": "drop"},
        {"classes": ("a", "a")},
        {"classes": ()},
        {"label_map": {0: "road"}},
        {"missing_labels": "perhaps"},
        {"max_pixels": 0},
        {"root": "x"},
    ],
)
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        FolderSegmentationOptions.model_validate({"images": "i", "labels": "l", "classes": ("a", "b"), **options})


def test_no_class_has_the_number_that_marks_unknown_labels() -> None:
    names = tuple(map(str, range(255)))
    with pytest.raises(ValidationError, match="at most 254"):
        FolderSegmentationOptions.model_validate({"images": "i", "labels": "l", "classes": names})


def test_missing_labels_are_errors_by_default(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "labels" / "p1.png").unlink()
    with pytest.raises(MissingInputError, match=r"labels/p1.png: no such label map \(1 of 3 images have none\)"):
        folder(tmp_path)


def test_missing_labels_can_be_skipped_and_are_counted(tmp_path: Path) -> None:
    pairs(tmp_path)
    (tmp_path / "labels" / "p1.png").unlink()
    data = folder(tmp_path, missing_labels="skip")
    assert [data.sample_id(index) for index in range(len(data))] == ["p0.png", "p2.png"]
    assert data.notes == ("1 of 3 images have no label map and were left out",)


def test_skipping_all_is_an_error(tmp_path: Path) -> None:
    pairs(tmp_path)
    for path in (tmp_path / "labels").iterdir():
        path.unlink()
    with pytest.raises(MissingInputError, match="3 of 3 images have none"):
        folder(tmp_path, missing_labels="skip")


def test_one_sequence_is_one_group(tmp_path: Path) -> None:
    data = folder(pairs(tmp_path), one_sequence=True)
    assert {data.group(index) for index in range(3)} == {"sequence"}
    assert data.load(0).group == "sequence"


def test_max_pixels_reaches_the_reader(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="over the limit of 47"):
        folder(pairs(tmp_path), max_pixels=47).load(0)


def test_fingerprint_follows_what_is_loaded(tmp_path: Path) -> None:
    pairs(tmp_path)
    prints = {
        folder(tmp_path).fingerprint(),
        folder(tmp_path, classes=("a", "c")).fingerprint(),
        folder(tmp_path, label_map={0: 1, 1: 0}).fingerprint(),
        folder(tmp_path, other="ignore").fingerprint(),
    }
    assert len(prints) == 4
    assert folder(tmp_path).fingerprint() in prints
    save(tmp_path / "labels" / "p0.png", np.arange(48, dtype=np.uint8).reshape(6, 8) % 2)
    assert folder(tmp_path).fingerprint() not in prints


@pytest.mark.parametrize("name", ["images", "labels"])
def test_missing_folders_are_missing_input(tmp_path: Path, name: str) -> None:
    pairs(tmp_path)
    (tmp_path / name).rename(tmp_path / "elsewhere")
    with pytest.raises(MissingInputError, match=f"{name}: no such folder"):
        folder(tmp_path)


def test_registry_builds_relative_to_the_spec(tmp_path: Path) -> None:
    pairs(tmp_path / "here")
    options = {"images": "here/images", "labels": "here/labels", "classes": ["a", "b"]}
    assert len(build_dataset("folder-segmentation", options, tmp_path)) == 3


# CamVid


def camvid(root: Path) -> Path:
    for name in ("0016E5_07959", "0016E5_07961", "Seq05VD_f00000"):
        save(root / "val" / f"{name}.png", colours())
        save(root / "valannot" / f"{name}.png", np.resize(np.arange(12, dtype=np.uint8), (6, 8)))
    return root


def test_camvid_reads_its_classes(tmp_path: Path) -> None:
    data = CamVid(CamVidOptions(root="."), camvid(tmp_path))
    sample = data.load(0)
    assert data.classes == CAMVID_CLASSES
    assert len(CAMVID_CLASSES) == 11
    assert sorted(set(sample.target.ravel().tolist())) == [*range(11), 255]
    assert sample.id == "0016E5_07959.png"


def test_camvid_sequences_are_its_groups(tmp_path: Path) -> None:
    data = CamVid(CamVidOptions(root="."), camvid(tmp_path))
    assert [data.group(index) for index in range(3)] == ["0016E5", "0016E5", "Seq05VD"]
    assert data.load(2).group == "Seq05VD"


def test_camvid_labels_beyond_its_classes_are_errors(tmp_path: Path) -> None:
    camvid(tmp_path)
    save(tmp_path / "valannot" / "0016E5_07959.png", np.full((6, 8), 12, np.uint8))
    with pytest.raises(DataError, match="label 12 is none of the 11 classes"):
        CamVid(CamVidOptions(root="."), tmp_path).load(0)


def test_camvid_names_the_splits_that_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="test: no such folder; the splits there are val"):
        CamVid(CamVidOptions(root=".", split="test"), camvid(tmp_path))


def test_camvid_that_is_not_there_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError):
        CamVid(CamVidOptions(root="gone"), tmp_path)


def test_camvid_counts_missing_label_maps(tmp_path: Path) -> None:
    camvid(tmp_path)
    (tmp_path / "valannot" / "0016E5_07961.png").unlink()
    with pytest.raises(DataError, match=r"0016E5_07961.png: no such label map \(1 of 3 are missing\)"):
        CamVid(CamVidOptions(root="."), tmp_path)
