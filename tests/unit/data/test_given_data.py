"""Data that a test hands over as objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pytest_lossy.data.base import Dataset, Sample
from pytest_lossy.data.given import adapt_dataset, media_kind
from pytest_lossy.errors import DataError

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
LABELS = np.array([[0, 1, 2, 2, 255, 0]] * 4)


@pytest.mark.parametrize(
    "image",
    [IMAGE, torch.tensor(IMAGE).permute(2, 0, 1), Image.fromarray(IMAGE), np.asfortranarray(IMAGE)],
    ids=["array", "tensor", "pil", "fortran"],
)
@pytest.mark.parametrize(
    "target", [LABELS, torch.tensor(LABELS), Image.fromarray(LABELS.astype(np.uint8))], ids=["array", "tensor", "pil"]
)
def test_pairs(image: Any, target: Any) -> None:
    data = adapt_dataset([(image, target), (image, target)], "mine")
    assert isinstance(data, Dataset)
    sample = data.load(1)
    assert (sample.media == IMAGE).all()
    assert sample.media.dtype == np.uint8
    assert (np.asarray(sample.target) == LABELS).all()
    assert (data.name, data.classes, len(data), data.labelled) == ("mine", ("0", "1", "2"), 2, True)  # type: ignore[attr-defined]
    assert [data.sample_id(0), data.load(1).id] == ["000000", "000001"]
    assert media_kind(data) == "stills"


def test_clips_samples_and_lazy_sequences() -> None:
    clip = np.stack([IMAGE, IMAGE])
    assert media_kind(adapt_dataset([(torch.tensor(clip).permute(0, 3, 1, 2), 1)], "mine")) == "clips"

    class Lazy:
        classes = ("cat", "dog")

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> tuple[Any, dict[str, torch.Tensor]]:
            return Image.fromarray(IMAGE), {"boxes": torch.zeros(1, 4), "labels": torch.tensor([index])}

    data = adapt_dataset(Lazy(), "mine")
    assert data.classes == ("cat", "dog")
    target = data.load(2).target
    assert {name: value.tolist() for name, value in target.items()} == {"boxes": [[0, 0, 0, 0]], "labels": [2]}
    assert adapt_dataset(Lazy(), "mine", ["a", "b"]).classes == ("a", "b")
    samples = [Sample(name, IMAGE, 4, group="camera", tags=("night",)) for name in ("x", "y")]
    data = adapt_dataset(samples, "mine")
    assert (data.sample_id(1), data.group(1), data.load(1).tags) == ("y", "camera", ("night",))
    assert data.classes == ("0", "1", "2", "3", "4")


def test_images_alone_have_no_labels() -> None:
    data = adapt_dataset([IMAGE, IMAGE], "mine")
    assert not data.labelled  # type: ignore[attr-defined]
    assert data.load(0).target is None
    assert data.classes == ()


def test_the_fingerprint_is_that_of_the_content() -> None:
    def print_of(image: Any = IMAGE, target: Any = LABELS, classes: Any = None) -> str:
        return adapt_dataset([(image, target)], "mine", classes).fingerprint()

    other = IMAGE.copy()
    other[0, 0, 0] ^= 1
    labels = LABELS.copy()
    labels[0, 0] = 1
    assert print_of() == print_of(IMAGE.copy(), LABELS.copy())
    assert print_of() == print_of(torch.tensor(IMAGE).permute(2, 0, 1))
    assert len({print_of(), print_of(other), print_of(target=labels), print_of(classes=["a"])}) == 4
    boxes = {"labels": np.array([1]), "boxes": np.zeros((1, 4))}
    assert print_of(target=boxes) != print_of(target={**boxes, "boxes": np.ones((1, 4))})
    assert print_of(target=object()) == print_of(target=object())  # an address says nothing


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the data of mine hold no sample"),
        ("abc", "str is no sequence of samples; give Samples"),
        (iter([IMAGE]), "is no sequence of samples; .* in a list for example"),
        ({"a": 1}, "dict is no sequence"),
        ([(IMAGE / 255, LABELS)], r"item 0 of mine: an image must be uint8, .* got float64 \(4, 6, 3\); convert it"),
        ([(IMAGE[..., 0], LABELS)], r"got uint8 \(4, 6\)"),
        ([(torch.zeros(3, 4, 6), 1)], r"got torch.float32 \(3, 4, 6\)"),
        ([(torch.zeros(4, 6, 3, dtype=torch.uint8), 1)], r"a tensor \(3, H, W\), RGB, got torch.uint8"),
        ([("image.png", 1)], "got str"),
        ([(IMAGE, 1), IMAGE], r"item 1 of mine is uint8 \(4, 6, 3\); give Samples"),
        ([Sample("x", IMAGE, 1)] * 2, "two samples of mine have the id 'x'"),
    ],
)
def test_what_cannot_be_used(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        adapt_dataset(given, "mine").fingerprint()


def test_a_data_set_names_its_classes_itself() -> None:
    data = adapt_dataset([(IMAGE, LABELS)], "mine")
    assert adapt_dataset(data, "other") is data
    with pytest.raises(DataError, match=r"names its classes itself; leave classes=... out"):
        adapt_dataset(data, "other", ["a"])
