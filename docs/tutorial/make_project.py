"""Make the project of docs/tutorial.md: a detector with its weights, and 50 labelled images in COCO's format.

    python docs/tutorial/make_project.py FOLDER

The images are rendered street scenes of pytest-lossy's mini world, so that nothing is downloaded; the detector is the small
Faster R-CNN of the reference suite, which was trained on other scenes of that world.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from pytest_lossy.data.mini_detection import MiniDetection, MiniDetectionOptions

SUITE = Path(__file__).resolve().parents[2] / "model_specs"
IMAGES = 50


def coco_annotations(folder: Path) -> dict[str, Any]:
    """Write the images as PNG files below ``folder`` and return what instances_val.json of COCO would hold of them."""
    scenes = MiniDetection(MiniDetectionOptions(split="test", count=IMAGES))
    images, annotations = [], []
    for index in range(len(scenes)):
        sample = scenes.load(index)
        height, width = sample.media.shape[:2]
        name = f"{sample.id}.png"
        Image.fromarray(sample.media).save(folder / name)
        images.append({"id": index + 1, "file_name": name, "width": width, "height": height})
        target = sample.target
        for box, label, area, crowd in zip(
            target["boxes"].tolist(),
            target["labels"].tolist(),
            target["area"].tolist(),
            target["iscrowd"].tolist(),
            strict=True,
        ):
            left, top, right, bottom = box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": label + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": area,
                    "iscrowd": crowd,
                }
            )
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(scenes.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def main() -> int:
    """Write the project; what is there already stays."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    project = Path(sys.argv[1])
    images = project / "data" / "images"
    images.mkdir(parents=True, exist_ok=True)
    (project / "model_specs").mkdir(exist_ok=True)
    shutil.copy(SUITE / "faster_rcnn.py", project / "detector.py")
    shutil.copy(SUITE / "weights" / "faster-rcnn-mini.safetensors", project / "detector.safetensors")
    (project / "pytest.ini").touch()  # marks the project's root directory
    annotations = coco_annotations(images)
    (project / "data" / "annotations.json").write_text(json.dumps(annotations), encoding="utf-8")
    print(f"{project}: detector.py, detector.safetensors, {len(annotations['images'])} images, annotations.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
