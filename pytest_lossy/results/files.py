"""Files that are whole or absent: write beside, flush to disk, rename."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pytest_lossy.errors import ResultsError

__all__ = ["read_json", "write_atomically", "write_json"]


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, so that a reader or a crash sees the old file or the new one.

    Args:
        path: of the file; its folder is made.
        data: the content.
        durable: wait until the disk has it; pictures may be lost with the power.

    Raises:
        ResultsError: the disk is full, read-only or gone.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; results are read by other users' tools
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ResultsError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another --lossy-report"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut: the file's own fsync does not cover its name."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot
            raise
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write exact builtins as JSON; NaN and infinity are refused, since JSON has neither."""
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    # A file name that is no UTF-8 arrives with lone surrogates; backslashed they are valid JSON again.
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def read_json(path: Path) -> Any:
    """Parse one JSON file.

    Raises:
        ResultsError: missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ResultsError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
    except ValueError as error:
        raise ResultsError(f"{path}: is damaged ({error}); run the tests again") from None
