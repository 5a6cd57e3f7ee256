"""What users do today, each in a fresh process: the same model, pictures, levels, and mIoU out.

    python -m speed_parts.loops KIND FOLDER NET COUNT LEVELS THREADS

Kinds: ``plain``, Pillow in a loop with batches of 8 and the levels outside; ``albumentations``, its ImageCompression in a
DataLoader with two workers; ``maite``, NRTK's perturber of that transform in MAITE's ``evaluate``; ``nrtk``, the data sets
that ``nrtk_perturber`` makes, then ``evaluate``. The last three compress BGR, so red and blue are exchanged before and after
by hand; all of them leave torch as installed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from speed_parts import nets
from speed_parts.clock import clock, report

BATCH = 8
CLASSES = nets.CLASSES
MEAN, STD = (torch.tensor(values).reshape(3, 1, 1) for values in (nets.MEAN, nets.STD))


class Confusion:
    """Sums of pixels by true and predicted class; MAITE calls it a metric."""

    metadata = {"id": "miou"}  # noqa: RUF012  as MAITE has it

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)

    def add(self, predicted: np.ndarray[Any, Any], label: np.ndarray[Any, Any]) -> None:
        """One picture."""
        known = label < CLASSES
        flat = label[known].astype(np.int64) * CLASSES + predicted[known]
        self.counts += np.bincount(flat, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)

    def update(self, predictions: Sequence[Any], targets: Sequence[Any], metadata: Sequence[Any]) -> None:
        """One batch, as MAITE calls it."""
        for predicted, target in zip(predictions, targets, strict=True):
            self.add(predicted, target if isinstance(target, np.ndarray) else target.label)

    def compute(self) -> dict[str, float]:
        """Global mIoU over classes with ground truth."""
        hit, truth = np.diag(self.counts).astype(float), self.counts.sum(axis=1)
        kept = truth > 0
        union = truth + self.counts.sum(axis=0) - hit
        return {"miou": float(np.mean(hit[kept] / union[kept]))}


def predict(model: torch.nn.Module, pictures: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """(n, H, W) labels of n pictures (H, W, 3)."""
    tensors = [torch.from_numpy(picture).permute(2, 0, 1).float().div(255).sub(MEAN).div(STD) for picture in pictures]
    with torch.inference_mode():
        # Not argmax(1), which gives the same and takes ten times as long in current releases.
        labels: np.ndarray[Any, Any] = model(torch.stack(tensors)).max(1).indices.numpy()
    return labels


def opened(path: Path) -> np.ndarray[Any, Any]:
    """(H, W, 3) RGB."""
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def label_of(path: Path) -> np.ndarray[Any, Any]:
    """(H, W) classes."""
    with Image.open(path.parent.parent / "valannot" / path.name) as image:
        return np.array(image)


def compressed(picture: np.ndarray[Any, Any], level: int) -> np.ndarray[Any, Any]:
    """JPEG through Pillow."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=level)
    with Image.open(stream) as image:
        return np.array(image)


def plain(model: torch.nn.Module, files: Sequence[Path], levels: Sequence[int]) -> Iterator[float]:
    """The loop that a good engineer would write."""
    for level in (None, *levels):
        confusion = Confusion()
        for start in range(0, len(files), BATCH):
            batch = files[start : start + BATCH]
            pictures = [opened(path) if level is None else compressed(opened(path), level) for path in batch]
            for predicted, path in zip(predict(model, pictures), batch, strict=True):
                confusion.add(predicted, label_of(path))
        yield confusion.compute()["miou"]


class Pictures:
    """Samples of the DataLoader, and of MAITE's protocols: channels first, then."""

    metadata = {"id": "pictures"}  # noqa: RUF012  as MAITE has it

    def __init__(self, files: Sequence[Path], change: Callable[[Any], Any] | None = None, maite: bool = False) -> None:
        self.files, self.change, self.maite = files, change, maite

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        path = self.files[index]
        picture, label = opened(path), label_of(path)
        if self.change is not None:
            picture = self.change(picture)
        return (picture.transpose(2, 0, 1), label, {"id": path.name}) if self.maite else (picture, label)


def albumentations(model: torch.nn.Module, files: Sequence[Path], levels: Sequence[int]) -> Iterator[float]:
    """Its transform, always applied, in two worker processes."""
    import albumentations as library
    from torch.utils.data import DataLoader

    for level in (None, *levels):
        change = None
        if level is not None:
            transform = library.ImageCompression(quality_range=(level, level), p=1.0)
            change = _exchanged(lambda picture, transform=transform: transform(image=picture)["image"])
        loader: Any = DataLoader(
            Pictures(files, change),  # type: ignore[arg-type]
            batch_size=BATCH,
            num_workers=2,
            collate_fn=list,
        )
        confusion = Confusion()
        for batch in loader:
            for predicted, (_, label) in zip(predict(model, [one for one, _ in batch]), batch, strict=True):
                confusion.add(predicted, label)
        yield confusion.compute()["miou"]


def _exchanged(compress: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Exchange red and blue, compress, exchange them back."""
    return lambda picture: np.ascontiguousarray(compress(np.ascontiguousarray(picture[..., ::-1]))[..., ::-1])


class MaiteModel:
    """A model as MAITE calls it: with a batch of (3, H, W) arrays."""

    metadata = {"id": "net"}  # noqa: RUF012  as MAITE has it

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module

    def __call__(self, batch: Sequence[Any]) -> list[Any]:
        """Label maps."""
        pictures = [np.ascontiguousarray(np.asarray(picture).transpose(1, 2, 0)) for picture in batch]
        return list(predict(self.module, pictures))


def perturber(level: int) -> Any:
    """NRTK's perturber, with red and blue exchanged around it."""
    from nrtk.impls.perturb_image import AlbumentationsPerturber

    class Exchanged(AlbumentationsPerturber):
        def perturb(self, *, image: Any, boxes: Any = None, **more: Any) -> Any:
            found, boxes = super().perturb(image=np.ascontiguousarray(image[..., ::-1]), boxes=boxes, **more)
            return np.ascontiguousarray(found[..., ::-1]), boxes

    return Exchanged(perturber="ImageCompression", parameters={"quality_range": (level, level), "p": 1.0})


def maite(model: torch.nn.Module, files: Sequence[Path], levels: Sequence[int]) -> Iterator[float]:
    """MAITE's ``evaluate`` with NRTK's augmentation, batches of 8."""
    from maite.tasks import evaluate
    from nrtk.interop import MAITEImageClassificationAugmentation

    for level in (None, *levels):
        augmentation = None
        if level is not None:
            augmentation = MAITEImageClassificationAugmentation(augment=perturber(level), augment_id=f"q{level}")
        found, _, _ = evaluate(
            model=MaiteModel(model),
            metric=Confusion(),
            dataset=Pictures(files, maite=True),
            batch_size=BATCH,
            augmentation=augmentation,
        )
        yield found["miou"]


class Target:
    """A detection target that carries a label map; its one box is there because the perturber cannot do without."""

    def __init__(self, label: np.ndarray[Any, Any]) -> None:
        self.label = label
        self.boxes = np.array([[0.0, 0.0, label.shape[1], label.shape[0]]])
        self.labels, self.scores = np.zeros(1, np.int64), np.ones(1)


class Detections(Pictures):
    """:class:`Pictures` as ``nrtk_perturber`` wants them."""

    def __getitem__(self, index: int) -> Any:
        picture, label, facts = super().__getitem__(index)
        return picture, Target(label), facts


class Factory:
    """One perturber per level."""

    def __init__(self, levels: Sequence[int]) -> None:
        self.thetas = list(levels)

    def __iter__(self) -> Iterator[Any]:
        return map(perturber, self.thetas)

    def get_config(self) -> dict[str, Any]:
        """What ``nrtk_perturber`` asks."""
        return {"theta_key": "quality"}


def nrtk(model: torch.nn.Module, files: Sequence[Path], levels: Sequence[int]) -> Iterator[float]:
    """``nrtk_perturber`` makes all data sets in memory, MAITE's ``evaluate`` runs over them."""
    from maite.tasks import evaluate
    from nrtk.entrypoints import nrtk_perturber

    data: Any = Detections(files, maite=True)
    sets = [("clean", data), *nrtk_perturber(maite_dataset=data, perturber_factory=Factory(levels))]  # type: ignore[arg-type]
    labels = [Target(label_of(path)) for path in files]
    for _, one in sets:
        pictures = one if one is data else [(one[index][0], labels[index], {"id": ""}) for index in range(len(one))]
        found, _, _ = evaluate(model=MaiteModel(model), metric=Confusion(), dataset=pictures, batch_size=BATCH)
        yield found["miou"]


def main() -> None:
    """Time one kind from opening the model to the last number."""
    kind, folder, net, count, levels, threads = sys.argv[1:]
    files = sorted((Path(folder) / "val").iterdir())[: int(count)]
    torch.set_num_threads(int(threads))
    if kind in ("maite", "nrtk"):
        import nrtk.entrypoints  # noqa: F401
    if kind == "albumentations":
        import albumentations  # noqa: F401
    with clock(children=True) as found:
        model = getattr(nets, net)().eval()
        values = list(globals()[kind](model, files, [int(level) for level in levels.split(",")]))
    report(**found.as_dict(), values=values)


if __name__ == "__main__":
    main()
