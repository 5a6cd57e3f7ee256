"""The cache of encoded media under damage, full disks, wrong folders, killed writers and many processes at once.

Whatever happens, the caller gets what the codec would have made, and no file of anyone else's goes.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lossy.cache_command import cache_info, clear_cache, verify_cache
from pytest_lossy.codecs.base import Codec, Encoded
from pytest_lossy.engine import cache_entries, cache_folder
from pytest_lossy.engine.cache_entries import EntryKey, pack_entry
from pytest_lossy.engine.cache_folder import CacheFolder
from pytest_lossy.engine.media_cache import MediaCache
from pytest_lossy.errors import LossyError

ROOT = Path(__file__).parents[2]
HOUR = 3600


class Named:
    """As much of a codec as the cache asks for."""

    name = "named"

    def fingerprint(self) -> str:
        return "named(version=1)"


CODEC: Codec = Named()  # type: ignore[assignment]


def content_of(digest: str) -> list[Encoded]:
    """What the codec makes of a sample, a few hundred bytes that depend on it."""
    data = random.Random(digest).randbytes(300)
    return [Encoded(data, 8 * len(data), (2, 3, 3), 16)]


def ask(cache: MediaCache, digest: str = "d") -> None:
    """Look a sample up, or make it; the answer must be right."""
    assert list(cache.get_or_make(CODEC, digest, 5, None, lambda: content_of(digest))) == content_of(digest)


def ask_all(caches: list[MediaCache], *digests: str) -> None:
    for cache in caches:
        for digest in digests:
            ask(cache, digest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache that holds one entry."""
    ask(MediaCache(tmp_path / "cache"))
    return tmp_path / "cache"


def only_entry(folder: Path) -> Path:
    (path,) = folder.glob("??/*.media")
    return path


def assert_heals(folder: Path, *, damaged: int = 1) -> None:
    """A damaged entry is counted, replaced, and read the next time."""
    cache = MediaCache(folder)
    ask(cache)
    assert (cache.statistics["damaged"], cache.statistics["misses"], cache.statistics["stored"]) == (damaged, 1, 1)
    ask(cache)
    assert cache.statistics["hits"] == 1
    assert cache.statistics["disabled"] is None


@pytest.fixture
def no_warning() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Damaged entries


@pytest.mark.usefixtures("no_warning")
def test_an_entry_cut_anywhere_is_made_again(folder: Path) -> None:
    path = only_entry(folder)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert_heals(folder)
        assert path.read_bytes() == whole


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_byte_anywhere_is_noticed(folder: Path, data: st.DataObject) -> None:
    path = only_entry(folder)
    whole = path.read_bytes()
    changed = bytearray(whole)
    position = data.draw(st.integers(0, len(whole) - 1))
    changed[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    assert_heals(folder)
    assert path.read_bytes() == whole


def sign(content: bytes) -> bytes:
    """The same entry with the checksum that its content should have: what an attacker can do."""
    end = len(cache_entries.MAGIC) + 32
    return content[: len(cache_entries.MAGIC)] + cache_entries.hashlib.sha256(content[end:]).digest() + content[end:]


def forged(header: bytes, data: bytes = b"", size: int | None = None) -> bytes:
    length = len(header) if size is None else size
    return sign(cache_entries.MAGIC + bytes(32) + length.to_bytes(4, "little") + header + data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_forged_header_is_refused(folder: Path, data: st.DataObject) -> None:
    path = only_entry(folder)
    whole = path.read_bytes()
    start = len(cache_entries.MAGIC) + 36
    header: dict[str, Any] = json.loads(whole[start : start + int.from_bytes(whole[start - 4 : start], "little")])
    field = data.draw(st.sampled_from([*header, "row"]))
    value = data.draw(json_values)
    before = json.dumps(header)
    if field == "row":
        header["parts"][0][data.draw(st.integers(0, 5))] = value
    else:
        header[field] = value
    text = json.dumps(header)
    part = content_of("d")[0]
    if text != before:
        path.write_bytes(forged(text.encode(), part.data))
    cache = MediaCache(folder)
    found = cache.get_or_make(CODEC, "d", 5, None, lambda: [part])
    # A forger may lie about the rate and the shape, within what these may be; never about anything else.
    assert found[0].data == part.data
    values = [found[0].payload_bits, found[0].header_bits, *found[0].shape]
    assert all(type(value) is int and value >= 0 for value in values)
    clear_cache(folder)
    ask(MediaCache(folder))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 500,
        b"pytest-lossy media 1\n",
        b"pytest-lossy media 2\n" + bytes(500),
        b"\x89PNG\r\n\x1a\n" + bytes(500),
        forged(b""),
        forged(b"{}"),
        forged(b"[" * 200_000),
        forged(b'{"parts": ' + b"9" * 10_000 + b"}"),
        forged(b"\xff\xfe{}"),
        forged(b"{}", size=0xFFFFFFFF),
        forged(b"{}", size=3),
    ],
    ids=[
        *("empty", "zeros", "magic", "version", "foreign", "no-header", "no-fields", "deep", "digits", "text"),
        *("long", "beyond"),
    ],
)
@pytest.mark.usefixtures("no_warning")
def test_what_is_no_entry_is_replaced(folder: Path, content: bytes) -> None:
    path = only_entry(folder)
    path.write_bytes(content)
    assert cache_info(folder, 1).entries == 1
    assert not verify_cache(folder).sound
    assert not path.exists()
    path.write_bytes(content)
    assert_heals(folder)


@pytest.mark.usefixtures("no_warning")
def test_an_entry_under_anothers_name_is_replaced(folder: Path) -> None:
    other = EntryKey("named", "named(version=2)", "5.0", "", "d")
    content = pack_entry(other, content_of("other"))
    assert content is not None
    only_entry(folder).write_bytes(content)
    assert_heals(folder)


@pytest.mark.usefixtures("no_warning")
def test_a_huge_file_is_not_read(folder: Path) -> None:
    with only_entry(folder).open("r+b") as file:
        file.truncate(cache_entries.MAX_ENTRY_BYTES + 1)  # sparse: takes no space
    assert_heals(folder)


@pytest.mark.usefixtures("no_warning")
def test_links_and_pipes_are_replaced_and_never_followed(folder: Path, tmp_path: Path) -> None:
    path = only_entry(folder)
    precious = tmp_path / "precious"
    precious.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(precious)
    assert_heals(folder)
    path.unlink()
    os.mkfifo(path)
    assert_heals(folder)  # opening a pipe without a writer would wait for ever
    assert precious.exists()
    assert not path.is_symlink()


@pytest.mark.usefixtures("no_warning")
def test_a_folder_in_place_of_an_entry_is_left_alone(folder: Path) -> None:
    path = only_entry(folder)
    path.unlink()
    path.mkdir()
    (path / "thesis.tex").write_text("irreplaceable", encoding="utf-8")
    cache = MediaCache(folder)
    ask(cache)
    ask(cache, "another")
    ask(cache, "another")
    assert (cache.statistics["damaged"], cache.statistics["stored"], cache.statistics["hits"]) == (1, 1, 1)
    verify_cache(folder)
    clear_cache(folder)
    assert (path / "thesis.tex").read_text(encoding="utf-8") == "irreplaceable"


# Disks that refuse


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, step: str) -> None:
    """From now on one step of writing a file fails."""

    def fail(*args: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    if step == "replace":
        monkeypatch.setattr(cache_folder.os, "replace", fail)
    elif step == "mkdir":
        monkeypatch.setattr(Path, "mkdir", fail)
    else:
        whole = Path.open

        def open_or_fail(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            return fail() if "x" in mode else whole(self, mode, *args, **options)

        monkeypatch.setattr(Path, "open", open_or_fail)


@pytest.mark.parametrize("step", ["open", "replace", "mkdir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    folder = tmp_path / "cache"
    refuse(monkeypatch, number, step)
    caches = [MediaCache(folder), MediaCache(folder)]  # two models of one process
    with pytest.warns(RuntimeWarning, match="encoded media are not cached") as caught:
        ask_all(caches, "first", "second")
    assert len(caught) == 1
    assert os.strerror(number) in str(caught[0].message)
    assert str(folder) in str(caught[0].message)
    for cache in caches:
        assert (cache.statistics["stored"], cache.statistics["misses"]) == (0, 2)
        assert cache.statistics["disabled"] == os.strerror(number)
    assert not list(tmp_path.glob("**/*.tmp"))


def test_a_disk_that_fills_up_keeps_what_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MediaCache(folder)
    refuse(monkeypatch, errno.ENOSPC, "replace")
    with pytest.warns(RuntimeWarning, match="No space left"):
        ask(cache, "new")
    ask(cache)
    ask(cache, "new")
    assert (cache.statistics["hits"], cache.statistics["misses"], cache.statistics["stored"]) == (1, 2, 0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_read(folder: Path) -> None:
    shard = only_entry(folder).parent
    for path in (shard, folder):
        path.chmod(0o555)
    try:
        cache = MediaCache(folder)
        ask(cache)
        with pytest.warns(RuntimeWarning, match="cannot be written"):
            ask(cache, "new")
        assert cache.statistics["hits"] == 1
    finally:
        for path in (folder, shard):
            path.chmod(0o755)


@pytest.mark.usefixtures("no_warning")
def test_a_read_only_folder_with_damage_is_no_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = only_entry(folder)
    path.write_bytes(b"damaged")
    then = time.time() - 10 * HOUR

    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    os.utime(path, (then, then))
    monkeypatch.setattr(Path, "unlink", fail)
    monkeypatch.setattr(os, "utime", fail)
    assert verify_cache(folder).removed == 0
    assert_heals(folder)
    cache = MediaCache(folder)
    ask(cache)
    assert cache.statistics["hits"] == 1


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.write_text("a file", encoding="utf-8")
    for folder in (place, place / "below"):
        cache = MediaCache(folder)
        with pytest.warns(RuntimeWarning, match="Not a directory") as caught:
            ask_all([cache], "d", "d")
        assert len(caught) == 1
        with pytest.raises(LossyError, match="Not a directory"):
            clear_cache(folder)
    assert place.read_text(encoding="utf-8") == "a file"


# Folders of others


def test_a_mistyped_folder_loses_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = EntryKey("named", "named(version=1)", "5.0", "", "d").name
    precious = [home / "thesis.tex", home / key[:2] / f"{key}.media", home / key[:2] / f"{key}.1-01234567.tmp"]
    for path in precious:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"irreplaceable")
        os.utime(path, (1, 1))
    before = sorted(home.rglob("*"))
    cache = MediaCache(home, limit_bytes=10_000)
    with pytest.warns(RuntimeWarning, match="holds other files") as caught:
        ask_all([cache], *"01234", "d")
    assert len(caught) == 1
    assert "name an empty folder" in str(caught[0].message)
    for command in (lambda: clear_cache(home), lambda: verify_cache(home), lambda: cache_info(home, 1)):
        with pytest.raises(LossyError, match="holds other files"):
            command()
    with pytest.raises(OSError, match="holds other files"):
        CacheFolder(home).evict(1)
    assert sorted(home.rglob("*")) == before  # nothing is gone, and no tag keeps backups from the folder
    assert all(path.read_bytes() == b"irreplaceable" for path in precious)


def test_another_programs_cache_is_not_ours(tmp_path: Path) -> None:
    tag = "Signature: 8a477f597d28d172789f06886806bc55\n# of a browser\n"
    (tmp_path / "CACHEDIR.TAG").write_text(tag, encoding="utf-8")
    with pytest.warns(RuntimeWarning, match="holds other files"):
        ask(MediaCache(tmp_path))
    with pytest.raises(LossyError, match=r"CACHEDIR\.TAG"):
        clear_cache(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["CACHEDIR.TAG"]


@pytest.mark.usefixtures("no_warning")
def test_clearing_spares_what_is_not_named_like_ours(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    name = "ab" + "0" * 62
    others = [
        folder / "notes.txt",
        only_entry(folder).parent / "notes.txt",
        only_entry(folder).with_suffix(".bak"),
        folder / "zz" / f"{name}.media",
        outside / f"{name}.media",
    ]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"kept")
    (folder / "ab").symlink_to(outside)  # a link that leads out of the cache
    assert clear_cache(folder).removed == 1
    CacheFolder(folder).evict(0)
    assert all(path.read_bytes() == b"kept" for path in others)


@pytest.mark.usefixtures("no_warning")
@pytest.mark.parametrize("inside", [[], ["lost+found"]])
def test_an_empty_folder_is_taken(tmp_path: Path, inside: list[str]) -> None:
    for name in inside:
        (tmp_path / name).mkdir()
    cache = MediaCache(tmp_path)
    ask(cache)
    ask(cache)
    assert cache.statistics["hits"] == 1
    assert (tmp_path / "CACHEDIR.TAG").read_text("ascii").startswith("Signature: 8a477f597d28d172789f06886806bc55")


@pytest.mark.usefixtures("no_warning")
def test_a_cache_removed_during_the_run_comes_back(folder: Path) -> None:
    import shutil

    cache = MediaCache(folder)
    ask(cache)
    shutil.rmtree(folder)
    ask(cache)
    ask(cache)
    assert (cache.statistics["hits"], cache.statistics["misses"], cache.statistics["stored"]) == (2, 1, 1)
    assert cache_info(folder, 1).entries == 1


# Killed writers, wrong clocks

WRITER = """
import os, signal, sys
from pathlib import Path
from pytest_lossy.engine import cache_folder
from pytest_lossy.engine.media_cache import MediaCache
from tests.faults.test_media_cache_faults import ask
cache_folder.os.replace = lambda *paths: paths[1].suffix == ".media" and os.kill(os.getpid(), signal.SIGKILL)
ask(MediaCache(Path(sys.argv[1])), "killed")
"""


@pytest.mark.usefixtures("no_warning")
def test_a_killed_writer_leaves_nothing_for_long(folder: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITER, str(folder)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = folder.glob("??/*.tmp")
    assert left.stat().st_size > 300  # the whole entry was written, only its name was not given
    cache = MediaCache(folder)
    ask(cache, "killed")
    assert (cache.statistics["misses"], cache.statistics["damaged"]) == (1, 0)
    verify_cache(folder)
    assert left.exists()  # it might still have a writer
    then = time.time() - 2 * HOUR
    os.utime(left, (then, then))
    assert verify_cache(folder).sound
    assert not left.exists()


def test_an_interrupted_writer_tidies_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache_folder.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ask(MediaCache(folder), "new")
    assert not list(folder.glob("**/*.tmp"))


@pytest.mark.usefixtures("no_warning")
def test_wrong_clocks(folder: Path) -> None:
    cache = MediaCache(folder)
    for number in range(9):
        ask(cache, str(number))
    paths = sorted(folder.glob("??/*.media"))
    size = paths[0].stat().st_size
    far, past, near = time.time() + 400 * 24 * HOUR, -5.0, time.time() + 60
    for path, when in zip(paths, [far, past, near], strict=False):
        os.utime(path, (when, when))
    left = paths[0].with_name(f"{paths[0].stem}.7-01234567.tmp")
    left.write_bytes(b"")
    os.utime(left, (far, far))
    # Dates from a year ahead would never become the oldest: they count as the oldest now.
    assert CacheFolder(folder).evict(9 * size)[0] == 2
    assert [path.exists() for path in paths[:3]] == [False, False, True]
    assert not left.exists()
    info = cache_info(folder, 1)
    assert info.entries == 8


# Many processes


def hammer(folder: str, seed: int, rounds: int, limit: int) -> dict[str, Any]:
    """Ask for the same few samples in random order; entries vanish all the time."""
    cache, order = MediaCache(Path(folder), limit), random.Random(seed)
    for _ in range(rounds):
        ask(cache, str(order.randrange(40)))
    return cache.statistics


def test_processes_that_write_read_and_evict_at_once(tmp_path: Path) -> None:
    folder, rounds = tmp_path / "cache", 1500
    ask(MediaCache(tmp_path / "one"))
    size = only_entry(tmp_path / "one").stat().st_size
    limit = 20 * size + size // 2  # half of the samples fit
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [(str(folder), seed, rounds, limit) for seed in range(2)]
        found = pool.starmap(hammer, jobs)
    for one in found:
        assert one["hits"] + one["misses"] == rounds
        assert one["misses"] == one["stored"]
        assert (one["damaged"], one["disabled"]) == (0, None)
        assert one["hits"] > 0
        assert one["evicted"] > 0
    assert verify_cache(folder).sound
    total = cache_info(folder, limit).size
    assert total <= limit + 2 * size
    assert not list(folder.glob("**/*.tmp"))
    assert sum(one["stored"] - one["evicted"] for one in found) >= len(list(folder.glob("??/*.media")))
