"""JPEG on an NVIDIA GPU: nvJPEG through torchvision's operators. Other bytes and other pixels than libjpeg's.

nvJPEG has its own transform and its own chroma upsampling, so that what it gives is a measurement of its own, with a
fingerprint that names the GPU. It is used only where a spec asks for it.
"""

from __future__ import annotations

import importlib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytest_lossy.codecs.base import UInt8Array
from pytest_lossy.errors import CodecError

__all__ = ["nvjpeg_decode", "nvjpeg_encode", "nvjpeg_versions"]

_RGB = 3  # of torchvision.io.ImageReadMode
_ADVICE = "remove 'backend', or run where there is one"


def nvjpeg_encode(media: UInt8Array, quality: int) -> bytes:
    """(H, W, 3), uint8, RGB, to a file with chroma at full resolution (4:4:4), the only one that torchvision writes.

    Raises:
        CodecError: there is no GPU or no nvJPEG, or it refuses the picture.
    """
    torch = _torch()
    try:
        tensor = torch.from_numpy(media.copy()).permute(2, 0, 1).contiguous().cuda()
        data: bytes = torch.ops.image.encode_jpegs_cuda([tensor], quality)[0].cpu().numpy().tobytes()
    except RuntimeError as error:
        raise _refused(error) from None
    return data


def nvjpeg_decode(data: bytes) -> UInt8Array:
    """A file to (H, W, 3), uint8, RGB.

    Raises:
        CodecError: there is no GPU or no nvJPEG, or it refuses the file.
    """
    torch = _torch()
    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    try:
        decoded = torch.ops.image.decode_jpegs_cuda([buffer], _RGB, torch.device("cuda"))[0]
    except RuntimeError as error:
        raise _refused(error) from None
    pixels: UInt8Array = decoded.permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels


def nvjpeg_versions() -> str:
    """What decides the bytes: CUDA's version, torchvision's, and the GPU.

    Raises:
        CodecError: there is no GPU or no nvJPEG.
    """
    torch = _torch()
    gpu = torch.cuda.get_device_name(torch.cuda.current_device())
    return f"cuda={torch.version.cuda},torchvision={metadata.version('torchvision')},gpu={gpu}"


def _torch() -> Any:
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise CodecError(f"jpeg: 'backend: nvjpeg' needs an NVIDIA GPU, and this process sees none; {_ADVICE}")
    if not hasattr(torch.ops.image, "encode_jpegs_cuda"):
        spec = find_spec("torchvision")
        libraries = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob("image*.so"))
        if libraries:
            torch.ops.load_library(str(libraries[0]))
        if not hasattr(torch.ops.image, "encode_jpegs_cuda"):
            raise CodecError(f"jpeg: 'backend: nvjpeg' needs a torchvision that was built with it; {_ADVICE}")
    return torch


def _refused(error: RuntimeError) -> CodecError:
    return CodecError(f"jpeg: nvJPEG says: {str(error).strip().splitlines()[0]}")
