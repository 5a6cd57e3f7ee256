"""Faster ways to libjpeg-turbo: the bytes and pixels of Pillow, or Pillow itself; nvJPEG only where it is asked for."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import natural, white_noise
from PIL import Image
from pydantic import ValidationError

from pytest_lossy.codecs import jpeg as codec_module
from pytest_lossy.codecs import libjpeg
from pytest_lossy.codecs.base import Encoded, UInt8Array
from pytest_lossy.codecs.jpeg import JpegCodec, JpegOptions
from pytest_lossy.codecs.libjpeg import JpegLibrary, OpenCVJpeg, TorchvisionJpeg, gives_pillows_results
from pytest_lossy.errors import CodecError


@pytest.fixture(params=[TorchvisionJpeg, OpenCVJpeg], ids=lambda kind: kind.name, scope="module")
def library(request: pytest.FixtureRequest) -> JpegLibrary:
    try:
        found: JpegLibrary = request.param()
    except Exception as error:  # noqa: BLE001  absent or of another version
        pytest.skip(f"{request.param.name}: {error}")
    return found


def pillow(image: UInt8Array, quality: int, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality, **options)
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 80),
    width=st.integers(1, 80),
    quality=st.integers(1, 100),
    seed=st.integers(0, 9),
    noisy=st.booleans(),
    sampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    progressive=st.booleans(),
)
def test_bytes_and_pixels_are_pillows(
    library: JpegLibrary,
    height: int,
    width: int,
    quality: int,
    seed: int,
    noisy: bool,
    sampling: str,
    progressive: bool,
) -> None:
    image = np.ascontiguousarray((white_noise if noisy else natural)(height + 1, width + 1, seed)[:height, :width])
    assert library.encode(image, quality) == pillow(image, quality)
    data = pillow(image, quality, subsampling=sampling, progressive=progressive)
    assert np.array_equal(library.decode(data), np.asarray(Image.open(io.BytesIO(data))))


def test_the_probe_believes_what_is_alike(library: JpegLibrary) -> None:
    assert gives_pillows_results(library)


class Altered(TorchvisionJpeg):
    """Wrong in one place."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def encode(self, media: UInt8Array, quality: int) -> bytes:
        if self.where == "raises":
            raise RuntimeError("mine")
        data = super().encode(media, quality)
        return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:] if self.where == "byte" and quality == 90 else data

    def decode(self, data: bytes) -> UInt8Array:
        pixels = super().decode(data).copy()
        if self.where == "pixel" and pixels.shape[0] > 17:
            pixels[17, 0, 0] ^= 1
        return pixels[:-1] if self.where == "shape" else pixels


@pytest.mark.parametrize("where", ["byte", "pixel", "shape", "raises"])
def test_the_probe_finds_what_differs(where: str) -> None:
    assert not gives_pillows_results(Altered(where))


def test_nothing_is_sought_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libjpeg, "_found", [])
    with monkeypatch.context() as without:
        without.delitem(sys.modules, "torch")
        assert libjpeg.faster_library() is None
    assert libjpeg.faster_library() is libjpeg.faster_library() is not None


def test_a_library_that_differs_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libjpeg, "_found", [])
    monkeypatch.setattr(libjpeg, "_candidates", lambda: iter([Altered("byte")]))
    assert libjpeg.faster_library() is None


@pytest.mark.parametrize("level", [1, 30, 95])
def test_the_codec_gives_the_same_with_and_without(library: JpegLibrary, level: int) -> None:
    image = natural(61, 83, 4)
    image.flags.writeable = False
    found = []
    for serving in (library, None, Altered("raises")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(codec_module, "faster_library", lambda serving=serving: serving)
            encoded = JpegCodec().encode(image, level)
            pixels = JpegCodec().decode(encoded)
            found.append((encoded, pixels.tobytes(), pixels.shape, pixels.flags.writeable))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("cut", [0, 3, 200, 600, 900])
def test_damaged_data_fail_as_they_do_in_pillow(library: JpegLibrary, cut: int) -> None:
    data = JpegCodec().encode(natural(61, 83, 4), 50).data[:cut]
    outcomes = []
    for serving in (library, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(codec_module, "faster_library", lambda serving=serving: serving)
            with pytest.raises(Exception) as caught:  # noqa: PT011  whatever Pillow raises
                JpegCodec().decode(Encoded(data, 8 * cut, (61, 83, 3)))
            outcomes.append(type(caught.value))
    assert outcomes[0] is outcomes[1]


def test_views_that_are_not_contiguous_are_encoded() -> None:
    image = natural(40, 60, 5)
    assert JpegCodec().encode(image[::2, ::-1], 40).data == pillow(np.ascontiguousarray(image[::2, ::-1]), 40)


# nvJPEG


@pytest.mark.parametrize("options", [{}, {"subsampling": "4:2:0"}, {"optimize": True}, {"progressive": True}])
def test_nvjpeg_refuses_what_it_cannot_write(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=r"nvjpeg writes baseline files with 4:4:4 alone"):
        JpegOptions(**{"backend": "nvjpeg", "subsampling": "4:2:0", **options})  # type: ignore[arg-type]


def test_nvjpeg_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    codec = JpegCodec(JpegOptions(backend="nvjpeg", subsampling="4:4:4"))
    data = JpegCodec().encode(natural(16, 16, 0), 50)
    for call in (lambda: codec.encode(natural(16, 16, 0), 50), lambda: codec.decode(data), codec.fingerprint):
        with pytest.raises(CodecError, match=r"needs an NVIDIA GPU, and this process sees none; remove 'backend'"):
            call()


@pytest.mark.gpu
def test_nvjpeg_round_trip() -> None:
    codec = JpegCodec(JpegOptions(backend="nvjpeg", subsampling="4:4:4"))
    image = natural(64, 80, 1)
    encoded = codec.encode(image, 90)
    assert np.abs(codec.decode(encoded).astype(int) - image).mean() < 8
    assert "gpu=" in codec.fingerprint() != JpegCodec().fingerprint()
