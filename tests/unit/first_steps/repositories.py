"""Small repositories in the layouts that ``init`` knows: names are what counts, few files hold anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

BUILDER = """
import torch

class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()

class Net(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()

def make_data():
    return []

def build_model(width=3) -> torch.nn.Module:
    return Net(3)
"""


def write(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def picture(root: Path, name: str, value: int = 0, mode: str = "RGB") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6, 3) if mode == "RGB" else (4, 6), value, np.uint8)).save(path)
    return path


def coco(root: Path, people: bool = False) -> None:
    names = [f"{n:03}.jpg" for n in range(3)]
    for name in names:
        picture(root, f"coco/val2017/{name}")
    category = {"id": 7, "name": "cat", **({"keypoints": ["nose"], "skeleton": []} if people else {})}
    points = {"keypoints": [1, 1, 2], "num_keypoints": 1} if people else {}
    box = {"id": 1, "image_id": 0, "category_id": 7, "bbox": [1, 1, 2, 2], "area": 4, "iscrowd": 0, **points}
    document = {
        "images": [{"id": n, "file_name": name, "width": 6, "height": 4} for n, name in enumerate(names)],
        "annotations": [box],
        "categories": [category],
    }
    write(root, f"coco/annotations/{'person_keypoints' if people else 'instances'}_val2017.json", json.dumps(document))


def voc(root: Path) -> None:
    picture(root, "VOCdevkit/VOC2012/JPEGImages/a.jpg")
    picture(root, "VOCdevkit/VOC2012/SegmentationClass/a.png", mode="L")
    size = "<size><width>6</width><height>4</height><depth>3</depth></size>"
    write(root, "VOCdevkit/VOC2012/Annotations/a.xml", f"<annotation>{size}</annotation>")
    for kind in ("Main", "Segmentation"):
        for split in ("train", "val"):
            write(root, f"VOCdevkit/VOC2012/ImageSets/{kind}/{split}.txt", "a\n")


def cityscapes(root: Path) -> None:
    picture(root, "cs/leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png")
    picture(root, "cs/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png", 7, "L")


def camvid(root: Path) -> None:
    picture(root, "CamVid/val/0016E5_07959.png")
    picture(root, "CamVid/valannot/0016E5_07959.png", 3, "L")


def yolo(root: Path, names: bool = True) -> None:
    picture(root, "street/images/val/a.jpg")
    write(root, "street/labels/val/a.txt", "4 0.5 0.5 0.2 0.2\n")
    if names:
        write(root, "street/data.yaml", "names: [a, b, c, d, e]\n")


def label_images(root: Path) -> None:
    picture(root, "plants/images/val/a.jpg")
    picture(root, "plants/masks/val/a.png", 3, "L")


def class_folders(root: Path) -> None:
    for name in ("cat", "dog"):
        picture(root, f"pets/val/{name}/a.jpg")


def rgbd(root: Path) -> None:
    picture(root, "room/frame-000.color.jpg")
    path = root / "room/frame-000.depth.png"
    Image.fromarray(np.full((4, 6), 1000, np.uint16)).save(path)


def ucf101(root: Path) -> None:
    write(root, "UCF-101/Archery/v_Archery_g01_c01.avi")
    write(root, "ucfTrainTestlist/classInd.txt", "1 Archery\n")
    write(root, "ucfTrainTestlist/testlist01.txt", "Archery/v_Archery_g01_c01.avi\n")


LAYOUTS = {
    "coco-detection": (coco, "detection"),
    "voc-detection": (voc, "detection"),
    "voc-segmentation": (voc, "segmentation"),
    "cityscapes": (cityscapes, "segmentation"),
    "camvid": (camvid, "segmentation"),
    "yolo": (yolo, "detection"),
    "folder-segmentation": (label_images, "segmentation"),
    "imagenet": (class_folders, "classification"),
    "rgbd": (rgbd, "depth"),
    "coco-pose": (lambda root: coco(root, people=True), "pose"),
}
"""Registry name -> who writes such a layout, and the task."""
