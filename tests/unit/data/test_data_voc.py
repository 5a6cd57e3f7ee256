"""voc-detection and voc-segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_checks import assert_listing_needs_no_decoder, assert_protocol, build, groups, ids
from image_files import colours, save
from PIL import Image

from pytest_lossy.data.voc import VOC_CLASSES
from pytest_lossy.errors import DataError, MissingInputError

OBJECT = """<object><name>{name}</name><pose>Left</pose><truncated>0</truncated>{difficult}
  <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
  <bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"""
DIFFICULT = "<difficult>1</difficult>"


def thing(name: str = "dog", box: tuple[Any, ...] = (1, 1, 8, 6), difficult: str = "") -> str:
    return OBJECT.format(name=name, box=box, difficult=difficult)


def annotation(*objects: str, width: int = 8, height: int = 6) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><filename>x.jpg</filename>{size}{''.join(objects)}</annotation>"


def voc(root: Path, first: str | None = None) -> Path:
    year = root / "VOC2007"
    texts = {
        "000005": first or annotation(thing(), thing("person", (2.5, "3", 4, 5), DIFFICULT)),
        "000002": annotation(),
    }
    for index, (name, text) in enumerate(texts.items()):
        save(year / "JPEGImages" / f"{name}.jpg", colours(seed=index))
        (year / "Annotations").mkdir(exist_ok=True)
        (year / "Annotations" / f"{name}.xml").write_text(text, encoding="utf-8")
    for kind in ("Main", "Segmentation"):
        (year / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
        (year / "ImageSets" / kind / "val.txt").write_text("000005\n000002\n", encoding="utf-8")
    (year / "ImageSets" / "Main" / "dog_val.txt").write_text("000005  1\n000002 -1\n", encoding="utf-8")
    return root


def detection(root: Path, **options: Any) -> Any:
    return build("voc-detection", root, root="VOC2007", **options)


def test_boxes_count_pixels_from_0(tmp_path: Path) -> None:
    data = detection(voc(tmp_path))
    assert (len(data.classes), data.classes[11], data.classes[14]) == (20, "dog", "person")
    assert ids(data) == ["000005.jpg", "000002.jpg"]
    assert groups(data) == [None, None]
    target = data.load(0).target
    assert target["boxes"].dtype == np.float64
    assert target["boxes"].tolist() == [[0, 0, 7, 5], [1.5, 2, 3, 4]]
    assert target["area"].tolist() == [48, 2.5 * 3]
    assert target["labels"].tolist() == [11, 14]
    assert target["difficult"].tolist() == [0, 1]
    assert target["iscrowd"].tolist() == [0, 0]
    assert data.load(1).target["boxes"].shape == (0, 4)
    assert_protocol(data)
    assert_listing_needs_no_decoder("voc-detection", tmp_path, (".jpg",), root="VOC2007")


def test_boxes_as_outlines(tmp_path: Path) -> None:
    data = detection(voc(tmp_path), boxes="edges")
    target = data.load(0).target
    assert target["boxes"].tolist() == [[0, 0, 8, 6], [1.5, 2, 4, 5]]
    assert target["area"].tolist() == [48, 2.5 * 3]
    assert data.fingerprint() != detection(tmp_path).fingerprint()


def test_a_perfect_prediction_is_perfect_for_vocs_metric(tmp_path: Path) -> None:
    from pytest_lossy.tasks.registry import build_task

    data = detection(voc(tmp_path))
    task = build_task("detection", data.classes)
    evidence = []
    for index in range(2):
        target = data.load(index).target
        prediction = {**target, "scores": np.ones(len(target["labels"]))}
        assert task.check(prediction, target) is None
        evidence.append(task.evidence(prediction, target))
    assert task.reduce(evidence, np.ones((1, 2)))["voc07_ap50"].tolist() == [1]


def test_other_classes(tmp_path: Path) -> None:
    data = detection(voc(tmp_path, annotation(thing("cone"))), classes=["barrel", "cone"])
    assert data.load(0).target["labels"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>\n<object>", r"000005\.xml:2: is not valid XML"),
        (annotation(thing("dgo")), r"000005\.xml: object 1 is of class 'dgo', which is unknown; did you mean 'dog'"),
        (annotation(thing(), thing(box=(1, "x", 3, 4))), r"object 2 needs bndbox/ymin, a number, got 'x'"),
        (annotation("<object><name>dog</name></object>"), r"object 1 needs bndbox/xmin, a number, got None"),
        (annotation(thing(box=(1, "nan", 3, 4))), r"object 1 needs bndbox/ymin"),
        (annotation(thing(box=(5, 1, 3, 4))), r"object 1 has the box \(5, 1, 3, 4\), of negative size"),
        (annotation(thing(difficult="<difficult>2</difficult>")), r"object 1 has difficult '2'; it is 0 or 1"),
        (annotation(thing(box=(1, 1, 9, 6)), width=16, height=12), r"is for an image of 16x12, the image is 8x6"),
    ],
)
def test_wrong_annotations_are_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        detection(voc(tmp_path, text)).load(0)


def test_a_wrong_size_with_right_boxes_is_let_pass(tmp_path: Path) -> None:
    assert len(detection(voc(tmp_path, annotation(thing(), width=6, height=8))).load(0).target["boxes"]) == 1


def test_entities_do_not_explode(tmp_path: Path) -> None:
    levels = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = (
        f'<!DOCTYPE b [<!ENTITY a0 "{"x" * 100}">{levels}]><annotation><object><name>&a11;</name></object></annotation>'
    )
    with pytest.raises(DataError, match=r"000005\.xml:\d+: is not valid XML"):
        detection(voc(tmp_path, bomb)).load(0)


def test_image_sets(tmp_path: Path) -> None:
    voc(tmp_path)
    with pytest.raises(MissingInputError, match=r"Main/test\.txt: no such image set; the sets there are val;"):
        detection(tmp_path, image_set="test")
    with pytest.raises(DataError, match=r"dog_val\.txt:1: '000005  1' is a line of one class's image set"):
        detection(tmp_path, image_set="dog_val")
    (tmp_path / "VOC2007" / "ImageSets" / "Main" / "val.txt").write_text("000005\n000005\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"val\.txt: lists an image twice"):
        detection(tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    voc(tmp_path)
    (tmp_path / "VOC2007" / "JPEGImages" / "000002.jpg").unlink()
    with pytest.raises(MissingInputError, match=r"000002\.jpg: no such file \(1 of 2"):
        detection(tmp_path)
    (tmp_path / "VOC2007" / "Annotations" / "000005.xml").unlink()
    with pytest.raises(MissingInputError, match=r"000005\.xml: no such annotation file \(1 of 2"):
        detection(tmp_path)


def test_fingerprint_follows_the_annotations(tmp_path: Path) -> None:
    before = detection(voc(tmp_path)).fingerprint()
    voc(tmp_path, annotation(thing(), thing("person", (2.5, "3", 4, 6), DIFFICULT)))  # as many bytes
    assert detection(tmp_path).fingerprint() != before


# Segmentation


def masks(root: Path) -> Path:
    voc(root)
    values = np.resize(np.array([0, 1, 20, 255], np.uint8), (6, 8))
    for name in ("000005", "000002"):
        image = Image.fromarray(values, mode="P")
        image.putpalette([index % 256 for index in range(768)])
        save(root / "VOC2007" / "SegmentationClass" / f"{name}.png", image)
    return root


def test_masks(tmp_path: Path) -> None:
    data = build("voc-segmentation", masks(tmp_path), root="VOC2007")
    assert data.classes == ("background", *VOC_CLASSES)
    sample = data.load(0)
    assert sample.target.dtype == np.uint8
    assert sample.target[0, :4].tolist() == [0, 1, 20, 255]
    assert sample.id == "000005.jpg"
    assert_protocol(data)


def test_masks_that_are_wrong_or_missing(tmp_path: Path) -> None:
    path = masks(tmp_path) / "VOC2007" / "SegmentationClass" / "000005.png"
    save(path, np.full((6, 8), 21, np.uint8))
    with pytest.raises(DataError, match=r"000005\.png: label 21 is none of the 21 classes"):
        build("voc-segmentation", tmp_path, root="VOC2007").load(0)
    path.unlink()
    with pytest.raises(MissingInputError, match=r"000005\.png: no such mask \(1 of 2 are missing\)"):
        build("voc-segmentation", tmp_path, root="VOC2007")
