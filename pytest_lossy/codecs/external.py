"""Running somebody else's program: no shell, a time limit, nothing left behind."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import string
import subprocess
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pytest_lossy.errors import CodecError
from pytest_lossy.registry import did_you_mean

__all__ = ["Template", "first_line_of", "run_tool", "working_folder"]

_TAIL_BYTES, _TAIL_LINES = 2_000, 12
"""How much of a tool's last words goes into an error."""

_OUTPUT_BYTES = 65_536
"""How much of a tool's standard output is read: enough for its version."""


class Template:
    """A command line with ``{fields}``, split into arguments before anything is filled in.

    So a file name with spaces or quotes stays one argument, and no value can add another.

    Args:
        text: as in a shell, with quotes where an argument has spaces; ``{{`` and ``}}`` stand for braces.
        allowed: fields that may occur.
        needed: fields that must occur.

    Raises:
        ValueError: the quotes do not match, there is no command, or a field is unknown or missing.
    """

    def __init__(self, text: str, allowed: Collection[str], needed: Collection[str] = ()) -> None:
        try:
            self.arguments = shlex.split(text)
        except ValueError as error:
            raise ValueError(f"'{text}': {error}; quote as in a shell") from None
        if not self.arguments:
            raise ValueError("is empty; write a command, such as 'ffmpeg -i {input} {output}'")
        found = [name for argument in self.arguments for name in _fields(argument)]
        for name in found:
            if name not in allowed:
                raise ValueError(f"unknown field '{{{name}}}'; {did_you_mean(name, allowed)}")
        for name in needed:
            if name not in found:
                raise ValueError(f"'{text}' has no {{{name}}}; say where it goes")

    def filled(self, values: Mapping[str, str]) -> list[str]:
        """The arguments with every field replaced."""
        return [argument.format_map(values) for argument in self.arguments]


def _fields(argument: str) -> Iterator[str]:
    try:
        parts = list(string.Formatter().parse(argument))
    except ValueError as error:
        raise ValueError(f"'{argument}': {error}; write {{{{ and }}}} for braces") from None
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if form or conversion or not name.isidentifier():
            raise ValueError(f"'{argument}': a field is a name in braces, such as {{input}}; {{{{ and }}}} are braces")
        yield name


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A new temporary folder that is gone afterwards, whatever happened."""
    try:
        with tempfile.TemporaryDirectory(prefix="pytest-lossy-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    except OSError as error:
        raise CodecError(f"a temporary file cannot be used: {error}; free some space or set TMPDIR") from None


def run_tool(arguments: Sequence[str], folder: Path, *, timeout: float, what: str) -> bytes:
    """Run a program to its end.

    It runs in the current folder of this process, with ``folder`` as its own folder for temporary files, without input,
    and as the leader of a process group that is killed when the time is up, and when this process is interrupted.

    Args:
        arguments: the program and its arguments.
        folder: takes the program's output; removed by the caller.
        timeout: seconds.
        what: the command's name in messages.

    Returns:
        the beginning of what the program wrote to its standard output.

    Raises:
        CodecError: the program is missing, took too long or failed; its status and last words are given.
    """
    shown = shlex.join(arguments)
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(folder))}
    # Files, not pipes: a grandchild that outlives the tool would hold a pipe open for ever.
    with (folder / "stdout").open("w+b") as output, (folder / "stderr").open("w+b") as errors:
        try:
            process = subprocess.Popen(  # the user's own command, by design, and never through a shell
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise CodecError(
                f"{what}: '{arguments[0]}' was not found; install it, or correct the command '{shown}'"
            ) from None
        except (OSError, ValueError) as error:
            raise CodecError(f"{what}: '{shown}' cannot be started: {error}; correct the command") from None
        in_time = _wait(process, timeout)
        output.seek(0)
        if not in_time:
            raise CodecError(
                f"{what}: '{shown}' took longer than {timeout:g} s and was killed; raise 'timeout'{_tail(errors)}"
            )
        if process.returncode:
            raise CodecError(f"{what}: '{shown}' {_ending(process.returncode)}{_tail(errors)}")
        return output.read(_OUTPUT_BYTES)


def _wait(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Wait for the end of ``process`` or kill its group; False where the time was up."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _kill_group(process)

    # Not Popen.wait(timeout): it polls, at up to 50 ms, which is more than many tools take.
    alarm = threading.Timer(timeout, expire)
    alarm.daemon = True
    alarm.start()
    try:
        if hasattr(os, "waitid"):  # not on macOS before Python 3.13
            # The tool has ended but keeps its id until it is waited for: no other group can have it.
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            _kill_group(process)  # what it left running
        process.wait()
    finally:
        alarm.cancel()
        alarm.join()
        if process.returncode is None:  # interrupted
            _kill_group(process)
            process.wait()
    return not (expired.is_set() and process.returncode == -signal.SIGKILL)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _ending(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _tail(errors: BinaryIO) -> str:
    """The end of what the tool wrote to its standard error, as further lines of a message."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL_BYTES))
    lines = errors.read().decode(errors="replace").strip().splitlines()[-_TAIL_LINES:]
    return "".join(f"\n  | {line}" for line in lines) or "; it wrote nothing to its standard error"


@functools.lru_cache(maxsize=64)
def first_line_of(arguments: tuple[str, ...], timeout: float) -> str:
    """What a tool says of its version: the first line that it prints. Asked once per process.

    Raises:
        CodecError: the tool is missing, failed or printed nothing.
    """
    with working_folder() as folder:
        lines = (
            run_tool(arguments, folder, timeout=timeout, what="command: version").decode(errors="replace").split("\n")
        )
        said = (folder / "stderr").read_text(errors="replace").split("\n")
    first = next((line.strip() for line in [*lines, *said] if line.strip()), "")
    if not first:
        raise CodecError(f"command: version: '{shlex.join(arguments)}' printed nothing; choose another 'version'")
    return first
