"""The data sets by name: add one here, or through the entry-point group ``pytest_lossy.data``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from pytest_lossy.data.base import Dataset
from pytest_lossy.registry import Registry

__all__ = ["DATASETS", "build_dataset", "dataset_media", "dataset_options"]

DATASETS = Registry(
    "data set",
    "pytest_lossy.data",
    {
        "ade20k": "pytest_lossy.data.ade:Ade20k",
        "camvid": "pytest_lossy.data.camvid:CamVid",
        "cityscapes": "pytest_lossy.data.cityscapes:Cityscapes",
        "clips": "pytest_lossy.data.unlabelled:Clips",
        "coco-detection": "pytest_lossy.data.coco:CocoDetection",
        "coco-pose": "pytest_lossy.data.coco:CocoPose",
        "folder-segmentation": "pytest_lossy.data.folder:FolderSegmentation",
        "imagenet": "pytest_lossy.data.imagenet:ImageNet",
        "images": "pytest_lossy.data.unlabelled:Images",
        "kinetics": "pytest_lossy.data.kinetics:Kinetics",
        "kitti-depth": "pytest_lossy.data.depth:KittiDepth",
        "mini-action": "pytest_lossy.data.mini_action:MiniAction",
        "mini-classification": "pytest_lossy.data.mini_classification:MiniClassification",
        "mini-depth": "pytest_lossy.data.mini_depth:MiniDepth",
        "mini-detection": "pytest_lossy.data.mini_detection:MiniDetection",
        "mini-pose": "pytest_lossy.data.mini_pose:MiniPose",
        "mini-segmentation": "pytest_lossy.data.mini_segmentation:MiniSegmentationData",
        "nyu-depth": "pytest_lossy.data.depth:NyuDepth",
        "nyu-depth-labelled": "pytest_lossy.data.nyu_labelled:NyuLabelled",
        "rgbd": "pytest_lossy.data.depth:RgbdFolder",
        "ucf101": "pytest_lossy.data.ucf101:Ucf101",
        "voc-detection": "pytest_lossy.data.voc:VocDetection",
        "voc-segmentation": "pytest_lossy.data.voc:VocSegmentation",
        "yolo": "pytest_lossy.data.yolo:Yolo",
    },
)
"""Each entry is a class, called as ``cls(options, base)`` where it has an ``Options`` (a pydantic model), with ``base``
the folder of the spec, to which relative paths refer; else as ``cls(**kwargs)``."""


def dataset_options(name: str) -> type[BaseModel] | None:
    """The pydantic model of a data set's keyword arguments; None where it declares none."""
    options: type[BaseModel] | None = getattr(DATASETS.load(name), "Options", None)
    return options


def dataset_media(name: str, kwargs: Mapping[str, Any]) -> Literal["stills", "clips"]:
    """What a data set holds: its class's ``media``, or what its ``media_of(options)`` says where options decide.

    Raises:
        pydantic.ValidationError: the options do not fit.
    """
    family, schema = DATASETS.load(name), dataset_options(name)
    decide = getattr(family, "media_of", None)
    if decide is not None and schema is not None:
        kind: Literal["stills", "clips"] = decide(schema(**kwargs))
    else:
        kind = getattr(family, "media", "stills")
    return kind


def build_dataset(name: str, kwargs: Mapping[str, Any], base: Path) -> Dataset:
    """Build a data set by registry name or dotted path.

    Raises:
        LossyError: the name is unknown, the options do not fit, or the data cannot be found.
    """
    family = DATASETS.load(name)
    schema = dataset_options(name)
    dataset: Dataset = family(schema(**kwargs), base) if schema else family(**kwargs)
    return dataset
