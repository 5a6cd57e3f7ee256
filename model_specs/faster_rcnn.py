"""A small Faster R-CNN: torchvision's two stages on a backbone for small objects in small pictures.

After Ren, He, Girshick & Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks" (NIPS
2015), with the feature pyramid of Lin et al., "Feature Pyramid Networks for Object Detection" (CVPR 2017). Five blocks
of convolutions stand in for ResNet-50, and the pyramid begins at stride 4: half of the objects are smaller than 20
pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import MultiScaleRoIAlign

from pytest_lossy.data.base import Sample

__all__ = ["HARD", "Pyramid", "build", "loss"]

HARD = -1
"""Label of training boxes that are neither objects nor background, COCO's ``iscrowd``: torchvision's second stage leaves
negative labels out of its loss, and :class:`_Proposals` makes the first stage do so too."""

GAIN = 0.25
"""Largest relative change of brightness in training."""
SIDES = ((9, 16), (28, 48), (84, 140))
"""Anchor sides in pixels at strides 4, 8 and 16."""
RATIOS = (0.6, 1.1, 2.4)
"""Heights over widths: cars from the side, signs and vehicles from behind, people."""


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Pyramid(nn.Module):
    """Five blocks of convolutions, and a top-down path that hands context back to the finer maps.

    The 3x3 convolutions that smooth the sums in Lin et al. are left out: both stages begin with layers of their own.

    Args:
        widths: channels of the five blocks, at strides 2, 4, 4, 8 and 16.
        out_channels: of every map that comes out.
    """

    stride = 16
    """Inputs must be padded to multiples of this."""

    def __init__(self, widths: Sequence[int], out_channels: int) -> None:
        super().__init__()
        if len(widths) != 5 or min(*widths, out_channels) < 1:
            raise ValueError(
                f"widths {tuple(widths)} and out_channels {out_channels} must be five and one, all positive"
            )
        self.out_channels = out_channels
        first, second, third, fourth, fifth = widths
        self.fine = nn.Sequential(
            _convolution(3, first, 2), _convolution(first, second, 2), _convolution(second, third)
        )
        self.middle = nn.Sequential(_convolution(third, fourth, 2), _convolution(fourth, fourth))
        self.coarse = nn.Sequential(_convolution(fourth, fifth, 2), _convolution(fifth, fifth))
        self.across = nn.ModuleList(nn.Conv2d(width, out_channels, 1) for width in (third, fourth, fifth))

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Feature maps by name.

        Args:
            images: (N, 3, H, W) float32, normalised; H and W multiples of 16.

        Returns:
            ``"0"``, ``"1"``, ``"2"``: (N, out_channels, H / s, W / s) for the strides s = 4, 8, 16.

        """
        fine = self.fine(images)
        middle = self.middle(fine)
        maps = [step(x) for step, x in zip(self.across, (fine, middle, self.coarse(middle)), strict=True)]
        for level in (1, 0):
            maps[level] = maps[level] + functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
        return OrderedDict((str(level), x) for level, x in enumerate(maps))


class _Unresized(GeneralizedRCNNTransform):
    """torchvision's normalisation and padding without its resizing, which would blur what the codec left."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


class _Proposals(RegionProposalNetwork):
    """The first stage, which learns nothing from anchors whose best match is a hard box."""

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        labels, matched = super().assign_targets_to_anchors(anchors, targets)
        for kept, boxes, target in zip(labels, matched, targets, strict=True):
            hard = target["boxes"][target["labels"] == HARD]
            on_hard = (boxes[:, None] == hard[None]).all(dim=2).any(dim=1)
            kept[on_hard & (kept == 1)] = -1
        return labels, matched


def build(
    num_classes: int = 6,
    widths: Sequence[int] = (24, 32, 48, 96, 128),
    out_channels: int = 48,
    representation: int = 192,
) -> nn.Module:
    """A Faster R-CNN with random weights.

    It takes images (N, 3, H, W) or a list of (3, H, W), float32 from 0 to 1, of any size, and normalises and pads them
    itself. It returns, or is trained with, mappings of ``boxes`` (n, 4), x1, y1, x2, y2 in pixels, and ``labels`` (n,),
    where 1 is the first class: torchvision keeps 0 for the background. In training, boxes labelled ``HARD`` are ignored.

    Args:
        num_classes: without the background.
        widths: channels of the five blocks of the backbone.
        out_channels: of the pyramid's maps.
        representation: width of the second stage's two layers.

    Raises:
        ValueError: a number that is not positive, or not five widths.

    """
    if num_classes < 1 or representation < 1:
        raise ValueError(f"num_classes {num_classes} and representation {representation} must be positive")
    pyramid = Pyramid(tuple(widths), out_channels)
    anchors = AnchorGenerator(SIDES, (RATIOS,) * len(SIDES))
    names = [str(level) for level in range(len(SIDES))]
    # Regions with sides under 32 pixels are read at stride 4, those from 64 at stride 16.
    pool = MultiScaleRoIAlign(names, output_size=5, sampling_ratio=2, canonical_scale=64, canonical_level=4)
    head = RPNHead(out_channels, anchors.num_anchors_per_location()[0])
    detector = FasterRCNN(
        pyramid,
        rpn_anchor_generator=anchors,
        rpn_head=head,
        box_roi_pool=pool,
        box_head=TwoMLPHead(out_channels * 5 * 5, representation),
        box_predictor=FastRCNNPredictor(representation, num_classes + 1),
        box_batch_size_per_image=64,
        box_score_thresh=0.02,
        box_detections_per_img=60,
    )
    detector.transform = _Unresized(
        0, 0, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225], size_divisible=Pyramid.stride
    )
    detector.rpn = _Proposals(
        anchors,
        head,
        fg_iou_thresh=0.6,
        bg_iou_thresh=0.3,
        batch_size_per_image=192,
        positive_fraction=0.5,
        pre_nms_top_n={"training": 200, "testing": 200},
        post_nms_top_n={"training": 120, "testing": 100},
        nms_thresh=0.7,
    )
    for module in pyramid.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
    return detector


def loss(network: nn.Module, samples: Sequence[Sample], random: torch.Generator) -> Tensor:
    """The four losses of both stages, of frames that are mirrored and brightened or darkened at random.

    Args:
        network: as of :func:`build`, in training mode.
        samples: stills with targets of ``mini-detection``.
        random: the only source of randomness.

    """
    device = next(network.parameters()).device
    images, targets = [], []
    for sample in samples:
        flip, gain = torch.rand(2, generator=random).tolist()
        image = torch.from_numpy(sample.media.copy()).permute(2, 0, 1).float() / 255
        boxes = torch.from_numpy(sample.target["boxes"]).float()
        if flip < 0.5:
            image, boxes = image.flip(2), boxes[:, [2, 1, 0, 3]]
            boxes[:, [0, 2]] = image.shape[2] - boxes[:, [0, 2]]
        labels = torch.from_numpy(sample.target["labels"]) + 1  # torchvision keeps 0 for the background
        labels[torch.from_numpy(sample.target["iscrowd"]) == 1] = HARD
        images.append((image * (1 + GAIN * (2 * gain - 1))).clamp(0, 1).to(device))
        targets.append({"boxes": boxes.to(device), "labels": labels.to(device)})
    # torchvision chooses anchors and regions by the global generators, which must depend on the iteration alone.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(int(torch.randint(2**31, (), generator=random)))
        losses: dict[str, Tensor] = network(images, targets)
    return torch.stack(list(losses.values())).sum()
