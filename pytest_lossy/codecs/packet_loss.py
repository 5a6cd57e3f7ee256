"""Packets of an H.264 stream that never arrive, and what a decoder makes of the rest.

The stream is cut as for RTP (RFC 6184, single NAL unit packets): every slice fits one packet, so that a lost packet takes a
part of a frame with it, and harms every later frame that refers to it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, StrictInt

from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array
from pytest_lossy.codecs.checks import require
from pytest_lossy.codecs.draws import clip_key, uniform_draws
from pytest_lossy.codecs.video.base import GopOptions, VideoCodec, VideoOptions
from pytest_lossy.codecs.video.bitstream import H264
from pytest_lossy.codecs.video.colour import Planes, to_rgb
from pytest_lossy.codecs.video.encoder import EncoderSetup, encode_packets
from pytest_lossy.codecs.video.payload import annex_b_units
from pytest_lossy.errors import CodecError

__all__ = ["PacketLossCodec", "PacketLossOptions"]

SEI, PARAMETER_SETS = 6, (7, 8)
"""Types of NAL units, ITU-T H.264, table 7-1."""
START_CODE = b"\x00\x00\x00\x01"


class PacketLossOptions(VideoOptions, GopOptions):
    """What a spec may set for ``packet-loss`` beside its levels."""

    crf: Annotated[float, Field(ge=0, le=51, description="x264's constant rate factor, the same at every level")] = 23.0
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] = (
        "medium"
    )
    packet_bytes: Annotated[
        int,
        Field(
            ge=200,
            le=65_000,
            description="the largest slice; 1400 leaves room for RTP, UDP and IP headers within Ethernet's 1500",
        ),
    ] = 1_400
    seed: Annotated[StrictInt, Field(description="of the losses")] = 0
    independent: Annotated[
        bool,
        Field(
            description="whether clips draw their losses independently, from the seed, their length and their first frame; "
            "false: from the seed and the length alone"
        ),
    ] = True


class PacketLossCodec(VideoCodec[PacketLossOptions]):
    """A stream of which ``percent`` of the packets are lost, on average, decoded with libavcodec's error concealment.

    The stream is the same at every level. What is lost is the same in every run, and nested: what is lost at 1 % is also
    lost at 2 %. Parameter sets and the first frame always arrive, for otherwise decoding would not start; a still therefore
    never suffers. A frame of which the decoder shows nothing repeats the last one; it may hold back the
    frames that follow a key frame of which nothing arrived. The rate counts what was sent, lost or not.
    """

    Options = PacketLossOptions
    name = "packet-loss"
    parameter = "percent"
    levels = Levels(minimum=0, maximum=99, default=(0.5, 1, 2, 5, 10), higher_is_more_compressed=True, integral=False)
    media = Media.CLIP
    encoder = "libx264"
    bitstream = H264

    def encoder_options(self, level: float) -> dict[str, str]:
        """Set as in a camera: no lookahead, key frames at fixed times alone; ``level`` changes nothing."""
        options = self.options
        return {
            "crf": f"{options.crf:g}",
            "preset": options.preset,
            "g": str(options.gop),
            "sc_threshold": "0",
            "bf": "0",
            "rc-lookahead": "0",
            "mbtree": "0",
            "x264-params": f"slice-max-size={options.packet_bytes}:cpu-independent=1",
        }

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Encode one clip, (T, H, W, 3), uint8, RGB, and take away ``level`` percent of its packets.

        Raises:
            CodecError: level, media or fps do not fit, or x264 does not work here.
        """
        require(self, media, level)
        sent = self._stream(self._clip(media), fps)
        draws = uniform_draws(self.options.seed, clip_key(media, independent=self.options.independent))
        arrived = []
        for index, units in enumerate(sent):
            # Every slice takes its number from the sequence, so that the numbers do not depend on the level.
            kept = [unit for unit in units if _kind(unit) in PARAMETER_SETS or 100 * next(draws) >= level]
            arrived.append(kept if index else units)
        everything = [unit for units in sent for unit in units]
        return Encoded(
            data=_pack(arrived),
            payload_bits=8 * sum(map(len, everything)),
            shape=media.shape,
            header_bits=8 * sum(len(unit) for unit in everything if _kind(unit) in PARAMETER_SETS),
        )

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return (T, H, W, 3), uint8, RGB: what arrived, concealed and repeated.

        Raises:
            CodecError: the data are damaged, or nothing can be decoded.
        """
        clip: UInt8Array = np.empty(encoded.shape, np.uint8)
        shown = set()
        for index, planes in _decoded(_unpack(encoded.data)):
            height, width = planes[0].shape
            if 0 <= index < len(clip) and height >= clip.shape[1] and width >= clip.shape[2]:
                to_rgb(planes, self.options.colour, clip[index])
                shown.add(index)
        if 0 not in shown:
            raise CodecError("packet-loss: the first frame cannot be decoded; encode the clip again")
        for index in range(len(clip)):
            if index not in shown:
                clip[index] = clip[index - 1]
        return clip

    def _stream(self, clip: UInt8Array, fps: float | None) -> list[list[bytes]]:
        """The NAL units of each frame, without start codes and SEI."""
        setup = EncoderSetup(
            self.encoder, self.encoder_options(0), self._coded_size(clip), self.options.colour, self._rate(fps)
        )
        packets = encode_packets(setup, self._planes(clip, setup.size))
        return [[unit for unit in annex_b_units(packet) if _kind(unit) != SEI] for packet in packets]


def _kind(unit: bytes) -> int:
    """``nal_unit_type``."""
    return unit[0] & 0x1F


def _decoded(stream: Sequence[Sequence[bytes]]) -> Iterator[tuple[int, Planes]]:
    """Index and planes of each frame that the decoder shows; the planes are views that hold until the next."""
    import av

    decoder: Any = av.CodecContext.create(H264.decoder, "r")
    decoder.thread_count = 1  # holes are filled by libavcodec's default: motion of the neighbours, then deblocking
    packets: list[Any] = []
    for index, units in enumerate(stream):
        if units:
            packet = av.Packet(b"".join(START_CODE + unit for unit in units))
            packet.pts = index
            packets.append(packet)
    for item in [*packets, None]:
        try:
            pictures = decoder.decode(item)
        except av.error.FFmpegError:
            continue  # nothing of this frame can be shown
        for picture in pictures:
            if picture.pts is not None:
                luma, cb, cr = (_view(plane) for plane in picture.planes)
                yield picture.pts, (luma, cb, cr)


def _view(plane: Any) -> UInt8Array:
    """(H, W), sharing the plane's memory, whose rows are longer."""
    rows: UInt8Array = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _pack(stream: Sequence[Sequence[bytes]]) -> bytes:
    """The number of units of each frame, and each unit after its length."""
    chunks = []
    for units in stream:
        chunks.append(struct.pack(">I", len(units)))
        for unit in units:
            chunks += [struct.pack(">I", len(unit)), unit]
    return b"".join(chunks)


def _unpack(data: bytes) -> list[list[bytes]]:
    stream, position = [], 0
    try:
        while position < len(data):
            (count,) = struct.unpack_from(">I", data, position)
            position += 4
            units = []
            for _ in range(count):
                (size,) = struct.unpack_from(">I", data, position)
                units.append(data[position + 4 : position + 4 + size])
                position += 4 + size
            stream.append(units)
    except struct.error:
        position = -1
    if position != len(data):
        raise CodecError("packet-loss: damaged data; encode the clip again")
    return stream
