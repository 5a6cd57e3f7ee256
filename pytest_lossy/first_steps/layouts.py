"""Data sets by their layout: which of the registered readers fits which folders. Names are looked at, no file is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pytest_lossy.data.clip_file import VIDEO_SUFFIXES
from pytest_lossy.data.images import IMAGE_SUFFIXES
from pytest_lossy.first_steps.tree import Folder, Tree

__all__ = ["FoundData", "find_data"]

_SPLITS = ("val", "valid", "validation", "test", "dev", "train")
"""Held-out data first: a model is not judged on what it has learnt from."""


@dataclass(frozen=True, slots=True)
class FoundData:
    """A data set that a spec could name."""

    task: str
    name: str
    """The registry's."""
    paths: dict[str, PurePosixPath]
    """Keyword arguments that are paths, relative to the repository."""
    kwargs: dict[str, Any]
    """The others; ``classes`` are placeholders."""
    title: str
    """For people."""

    @property
    def place(self) -> PurePosixPath:
        """Where it lies."""
        return next(iter(self.paths.values()))


def find_data(tree: Tree) -> list[FoundData]:
    """Every data set whose layout is known, the surest layouts first; one per folder and task."""
    found: dict[tuple[str, str], FoundData] = {}
    claimed: set[PurePosixPath] = set()
    for detect in _DETECTORS:
        new = [data for folder in tree if not _inside(folder.path, claimed) for data in detect(tree, folder)]
        for data in sorted(new, key=lambda data: _split_rank(data.paths.values())):
            found.setdefault((data.task, data.name), data)
        for data in new:
            claimed.update(path for key, path in data.paths.items() if path.parts and key != "annotations")
    return list(found.values())


def _inside(path: PurePosixPath, claimed: set[PurePosixPath]) -> bool:
    """Whether a folder belongs to a data set that was recognised by a surer layout."""
    return any(part in claimed for part in (path, *path.parents) if part.parts)


def _split_rank(paths: Iterable[PurePosixPath]) -> int:
    text = " ".join(path.as_posix().lower() for path in paths)
    return next((rank for rank, split in enumerate(_SPLITS) if split in text), len(_SPLITS))


def _first_split(names: Iterable[str]) -> str | None:
    """The held-out split among folder or file names."""
    known = {name.lower(): name for name in names}
    return next((known[split] for split in _SPLITS if split in known), None)


def _has(folder: Folder | None, suffixes: frozenset[str]) -> bool:
    return folder is not None and any(PurePosixPath(name).suffix.lower() in suffixes for name in folder.files)


def _below(tree: Tree, path: PurePosixPath) -> Iterator[Folder]:
    """A folder's subfolders."""
    folder = tree.get(path)
    for name in folder.folders if folder else ():
        inner = tree.get(path / name)
        if inner is not None:
            yield inner


def _coco(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    for name in folder.with_suffix(".json"):
        stem = name.removesuffix(".json")
        people = stem.startswith("person_keypoints_")
        exported = name == "_annotations.coco.json"  # Roboflow: beside the images
        if not (people or exported or stem.startswith("instances_") or folder.path.name == "annotations"):
            continue
        if stem.startswith(("captions", "stuff", "panoptic", "image_info")):
            continue
        split = stem.rpartition("_")[2]
        above = folder.path.parent
        candidates = [above / split, above / "images" / split, above / split / "images", above / "images", folder.path]
        images = next((path for path in candidates if _has(tree.get(path), IMAGE_SUFFIXES)), None)
        if images is not None:
            task, reader = ("pose", "coco-pose") if people else ("detection", "coco-detection")
            paths = {"images": images, "annotations": folder.path / name}
            yield FoundData(task, reader, paths, {}, f"COCO annotations {folder.path / name}")


def _voc(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    if not {"JPEGImages", "ImageSets"} <= set(folder.folders):
        return
    for kind, labels, task in (
        ("Main", "Annotations", "detection"),
        ("Segmentation", "SegmentationClass", "segmentation"),
    ):
        sets = tree.get(folder.path / "ImageSets" / kind)
        names = [PurePosixPath(name).stem for name in sets.with_suffix(".txt")] if sets else []
        split = _first_split(names)
        if split is not None and labels in folder.folders:
            yield FoundData(
                task, f"voc-{task}", {"root": folder.path}, {"image_set": split}, f"PASCAL VOC {folder.path}"
            )


def _cityscapes(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    images, labels = (tree.get(folder.path / name) for name in ("leftImg8bit", "gtFine"))
    if images and labels:
        split = _first_split(set(images.folders) & set(labels.folders) - {"test"})  # labels of test are all ignored
        kwargs = {"split": split} if split else {}
        yield FoundData("segmentation", "cityscapes", {"root": folder.path}, kwargs, f"Cityscapes {folder.path}")


def _camvid(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    split = _first_split(name for name in folder.folders if f"{name}annot" in folder.folders)
    if split is not None:
        yield FoundData("segmentation", "camvid", {"root": folder.path}, {"split": split}, f"CamVid {folder.path}")


def _ade20k(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    if "objectInfo150.txt" in folder.files and {"images", "annotations"} <= set(folder.folders):
        yield FoundData("segmentation", "ade20k", {"root": folder.path}, {}, f"ADE20K {folder.path}")


def _yolo(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    names = next((name for name in folder.files if name in ("data.yaml", "data.yml", "dataset.yaml")), None)
    if names is None and "images" not in folder.folders:
        return
    for images in tree:
        parts = images.path.parts
        if "images" not in parts or not _has(images, IMAGE_SUFFIXES) or folder.path not in images.path.parents:
            continue
        place = len(parts) - 1 - parts[::-1].index("images")
        labels = tree.get(PurePosixPath(*parts[:place], "labels", *parts[place + 1 :]))
        if not labels or not labels.with_suffix(".txt"):
            continue
        if names is not None:
            paths = {"images": images.path, "names": folder.path / names}
            yield FoundData("detection", "yolo", paths, {}, f"YOLO labels of {images.path}")
        elif folder.path == PurePosixPath(*parts[:place]):
            kwargs = {"classes": ["class-0"]}
            yield FoundData("detection", "yolo", {"images": images.path}, kwargs, f"YOLO labels of {images.path}")


def _ucf101(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    split = next((name for name in folder.files if name.startswith("testlist")), None)
    if split is None or "classInd.txt" not in folder.files:
        return
    beside = [one.path for one in _below(tree, folder.path.parent) if one.path != folder.path]
    root = next((path for path in beside if path.name.upper().startswith("UCF")), None)
    if root is not None:
        yield FoundData("action", "ucf101", {"root": root, "split": folder.path / split}, {}, f"UCF101 {root}")


def _rgbd(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    stems = {name.removesuffix(".depth.png") for name in folder.files if name.endswith(".depth.png")}
    if stems and any(f"{stem}.color{suffix}" in folder.files for stem in stems for suffix in (".jpg", ".png")):
        yield FoundData("depth", "rgbd", {"root": folder.path}, {}, f"RGB-D frames {folder.path}")


def _label_images(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    """Images, and beside them a folder of label images of the same stems."""
    above = next((folder.path / name for name in ("images", "imgs", "image") if name in folder.folders), None)
    if above is None:
        return
    for images in tree:
        if images.path != above and above not in images.path.parents:
            continue
        stems = {PurePosixPath(name).stem for name in images.with_suffix(*IMAGE_SUFFIXES)}
        for name in ("labels", "masks", "annotations", "gt", "annots"):
            labels = tree.get(folder.path / name / images.path.relative_to(above))
            labelled = stems & {PurePosixPath(name).stem for name in labels.with_suffix(".png")} if labels else set()
            if labels and labelled:
                kwargs: dict[str, Any] = {"classes": ["background", "object"]}
                title = f"label images {labels.path}"
                if len(labelled) < len(stems):
                    kwargs["missing_labels"] = "skip"
                    title += f", {len(stems) - len(labelled)} of {len(stems)} images without"
                yield FoundData(
                    "segmentation", "folder-segmentation", {"images": images.path, "labels": labels.path}, kwargs, title
                )
                break


def _class_folders(tree: Tree, folder: Folder) -> Iterator[FoundData]:
    """Folders named after classes, as torchvision's ImageFolder and Kinetics have them."""
    inner = list(_below(tree, folder.path))
    if len(inner) < 2 or _has(folder, IMAGE_SUFFIXES):
        return
    if folder.path.name.lower() in (*_SPLITS, "images") and all(_has(one, IMAGE_SUFFIXES) for one in inner):
        title = f"{len(inner)} class folders in {folder.path}"
        yield FoundData("classification", "imagenet", {"root": folder.path}, {}, title)
    elif all(_has(one, VIDEO_SUFFIXES) for one in inner):
        title = f"clips in {len(inner)} class folders of {folder.path}"
        yield FoundData("action", "kinetics", {"root": folder.path}, {}, title)


_DETECTORS: tuple[Callable[[Tree, Folder], Iterator[FoundData]], ...] = (
    _coco,
    _voc,
    _cityscapes,
    _camvid,
    _ade20k,
    _yolo,
    _ucf101,
    _rgbd,
    _label_images,
    _class_folders,
)
"""From the surest to the vaguest."""
