"""Any external encoder and decoder, by two command lines.

Security: a spec with a ``command`` runs the user's own programs, by design, with the rights of the test run, as a Python
test does; run specs of people whose tests you would run. No shell is involved: a template is split into arguments before
anything is filled in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import PIL
from pydantic import Field, FiniteFloat, ValidationInfo, field_validator, model_validator

from pytest_lossy.codecs.base import Encoded, Media, UInt8Array
from pytest_lossy.codecs.checks import require
from pytest_lossy.codecs.external import Template, first_line_of, run_tool, working_folder
from pytest_lossy.codecs.level_options import LevelOptions
from pytest_lossy.codecs.media_files import CLIP_FORMATS, FileFormat, file_suffix, read_media, write_media
from pytest_lossy.errors import CodecError

__all__ = ["CommandCodec", "CommandOptions"]

UNKNOWN_FPS = 25.0
"""``{fps}`` of media that state no frame rate."""

_FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # A decoder is told what a receiver knows: not the level.
    "encode": (
        ("input", "output", "level", "width", "height", "frames", "fps", "folder"),
        ("input", "output", "level"),
    ),
    "decode": (("input", "output", "width", "height", "frames", "folder"), ("input", "output")),
    "version": ((), ()),
}
"""Of each template: the fields that may occur, and those that must."""


class CommandOptions(LevelOptions):
    """What a spec sets for ``command`` beside its levels."""

    encode: Annotated[
        str,
        Field(
            description="tool {input} {output} {level}; may also use {width}, {height}, {frames}, {fps} (25 where unknown) "
            "and {folder}, a folder for the tool's own temporary files that is removed after the call"
        ),
    ]
    decode: Annotated[
        str, Field(description="tool {input} {output}; may also use {width}, {height}, {frames} and {folder}")
    ]
    parameter: Annotated[str, Field(min_length=1, description="the level's name in reports")] = "level"
    media: Annotated[
        Literal["image", "clip"],
        Field(
            description="what one call compresses; clips reach an image tool frame by frame, stills a clip tool as one frame"
        ),
    ] = "image"
    input: Annotated[
        FileFormat | None, Field(description="format of the encoder's input; default: png for images, rgb for clips")
    ] = None
    decoded: Annotated[FileFormat | None, Field(description="format of the decoder's output; default: as input")] = None
    encoded_suffix: Annotated[
        str,
        Field(
            pattern=r"^\.[A-Za-z0-9._-]+$",
            description="by which many tools choose the format; the bytes of a container count, so prefer a bare stream "
            "(.h264) to .mp4",
        ),
    ] = ".bin"
    timeout: Annotated[FiniteFloat, Field(gt=0, le=86_400, description="seconds that one call may take")] = 60.0
    version: Annotated[
        str | None,
        Field(
            description="a command that prints the tool's version, such as 'ffmpeg -version'; its first line becomes part "
            "of the fingerprint, so that results of different versions are told apart"
        ),
    ] = None

    @field_validator("encode", "decode", "version")
    @classmethod
    def _template(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            Template(text, *_FIELDS[str(info.field_name)])
        return text

    @model_validator(mode="after")
    def _fit_together(self) -> CommandOptions:
        for name, form in (("input", self.input_format), ("decoded", self.decoded_format)):
            if self.media == "clip" and form not in CLIP_FORMATS:
                raise ValueError(
                    f"{name}: '{form}' holds one picture; choose one of {', '.join(CLIP_FORMATS)} for clips"
                )
        return self

    @property
    def input_format(self) -> FileFormat:
        """``input``, or its default."""
        return self.input or ("rgb" if self.media == "clip" else "png")

    @property
    def decoded_format(self) -> FileFormat:
        """``decoded``, or its default."""
        return self.decoded or self.input_format


_UNSTATED, _UNKNOWN = "unstated", "unknown"


class CommandCodec:
    """An external tool; the level is whatever its command line makes of ``{level}``.

    The rate counts every byte of the encoded file. Whether the tool gives the same bytes again is up to its options (one
    thread, no time stamps).
    """

    Options = CommandOptions
    name = "command"

    def __init__(self, options: CommandOptions) -> None:
        self.options = options
        self.parameter = options.parameter
        self.levels = options.levels
        self.media = Media(options.media)
        self._encode = Template(options.encode, *_FIELDS["encode"])
        self._decode = Template(options.decode, *_FIELDS["decode"])

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        """Compress ``media``, (H, W, 3), or (T, H, W, 3) where ``media: clip`` is set, uint8, RGB, at ``level``.

        Raises:
            CodecError: the level is out of range, or the tool is missing, failed, took too long or wrote nothing.
        """
        require(self, media, level)
        clip = media if media.ndim == 4 else media[None]
        form, rate = self.options.input_format, fps or UNKNOWN_FPS
        more = {"level": f"{level:.10g}", "fps": f"{rate:.10g}"}
        source = write_media(clip, form, fps=rate)
        data = self._run("encode", source, file_suffix(form), self.options.encoded_suffix, clip.shape, more)
        if not data:
            raise CodecError(f"command: encode: '{self.options.encode}' wrote an empty {{output}}; correct the command")
        return Encoded(data=data, payload_bits=8 * len(data), shape=media.shape)

    def decode(self, encoded: Encoded) -> UInt8Array:
        """Return media of ``encoded.shape``, uint8, RGB.

        Raises:
            CodecError: the tool is missing, failed, took too long, or wrote something else than the source's shape.
        """
        shape = encoded.shape if len(encoded.shape) == 4 else (1, *encoded.shape)
        form = self.options.decoded_format
        data = self._run("decode", encoded.data, self.options.encoded_suffix, file_suffix(form), shape, {})
        try:
            return read_media(data, form, shape).reshape(encoded.shape)
        except ValueError as error:
            raise CodecError(
                f"command: decode: what '{self.options.decode}' wrote {error}; the decoder has to return the source's "
                f"size as '{form}'"
            ) from None

    @property
    def versioned(self) -> bool:
        """Whether the tool said its version: without it, an updated tool would be answered with what the old one wrote."""
        return self._version() not in (_UNSTATED, _UNKNOWN)

    def _version(self) -> str:
        if self.options.version is None:
            return _UNSTATED
        try:
            return first_line_of(tuple(Template(self.options.version, ()).filled({})), self.options.timeout)
        except CodecError:
            return _UNKNOWN  # encode says what is missing

    def fingerprint(self) -> str:
        """The templates, the formats, and what the tool says of its version; ``unknown`` where it says nothing."""
        options, version = self.options, self._version()
        formats = f"{options.input_format}>{options.encoded_suffix}>{options.decoded_format}"
        return (
            f"command(version={version},encode={options.encode},decode={options.decode},formats={formats},"
            f"media={options.media},pillow={PIL.__version__})"
        )

    def _run(
        self,
        name: Literal["encode", "decode"],
        data: bytes,
        suffix: str,
        out_suffix: str,
        shape: tuple[int, ...],
        more: dict[str, str],
    ) -> bytes:
        """Give ``data`` to one of the two commands and return what it writes."""
        template = self._encode if name == "encode" else self._decode
        with working_folder() as folder:
            source, target = folder / f"input{suffix}", folder / f"output{out_suffix}"
            source.write_bytes(data)
            values = {
                "input": str(source),
                "output": str(target),
                "frames": str(shape[0]),
                "height": str(shape[1]),
                "width": str(shape[2]),
                "folder": str(folder),
                **more,
            }
            run_tool(template.filled(values), folder, timeout=self.options.timeout, what=f"command: {name}")
            return _written(target, name)


def _written(target: Path, name: str) -> bytes:
    try:
        return target.read_bytes()
    except FileNotFoundError:
        raise CodecError(f"command: {name}: the tool ended well but wrote no {{output}}; correct the command") from None
