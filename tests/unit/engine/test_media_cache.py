"""The cache of encoded media: keys, round trips, the size bound, and what its command reports and removes."""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_lossy.cache_command import cache_info, clear_cache, verify_cache
from pytest_lossy.codecs.base import Encoded, Levels, Media, UInt8Array
from pytest_lossy.codecs.registry import build_codec
from pytest_lossy.engine.cache_entries import EntryKey, entry_key, pack_entry, unpack_entry
from pytest_lossy.engine.cache_folder import CacheFolder
from pytest_lossy.engine.media_cache import (
    TOUCH_SECONDS,
    CacheStatistics,
    MediaCache,
    merge_statistics,
    worth_caching,
)
from pytest_lossy.errors import LossyError
from pytest_lossy.paths import CACHE_VARIABLE, media_cache_folder
from pytest_lossy.results.evidence import pixel_digest


class Counting:
    """A lossless codec that counts its calls; its data start with its arguments."""

    parameter = "q"
    media = Media.IMAGE
    levels = Levels(minimum=0, maximum=100, default=(50,), higher_is_more_compressed=False, integral=False)

    def __init__(self, name: str = "counting", version: str = "1", size: int = 0) -> None:
        self.name, self.version, self.size = name, version, size
        self.calls = 0
        self.asked = 0

    def encode(self, media: UInt8Array, level: float, *, fps: float | None = None) -> Encoded:
        self.calls += 1
        data = f"{self.name} {level} {fps} {media.shape} ".encode() + media.tobytes() + bytes(self.size)
        return Encoded(data, 8 * len(data), media.shape, header_bits=5)

    def decode(self, encoded: Encoded) -> UInt8Array:
        count = int(np.prod(encoded.shape))
        end = len(encoded.data) - self.size
        return np.frombuffer(encoded.data[end - count : end], np.uint8).reshape(encoded.shape)

    def fingerprint(self) -> str:
        self.asked += 1
        return f"{self.name}(version={self.version})"


def image(seed: int = 0, shape: tuple[int, ...] = (5, 4, 3)) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def ask(cache: MediaCache, codec: Counting, media: UInt8Array, level: float = 50, fps: float | None = None) -> Encoded:
    return cache.get_or_make(codec, pixel_digest(media), level, fps, lambda: [codec.encode(media, level, fps=fps)])[0]


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("??/*.media"))


# What is stored


def test_the_second_time_is_read(tmp_path: Path) -> None:
    codec, media = Counting(), image()
    first = ask(MediaCache(tmp_path / "c"), codec, media)
    other = MediaCache(tmp_path / "c")
    assert ask(other, codec, media) == first == codec.encode(media, 50)
    assert codec.calls == 2  # once for the cache, once by this test
    assert other.statistics["hits"] == 1
    assert other.statistics["misses"] == 0
    assert other.statistics["bytes_read"] == entries(tmp_path / "c")[0].stat().st_size


@pytest.mark.parametrize("shape", [(7, 5, 3), (4, 7, 5, 3)])
def test_a_real_codec_decodes_the_same(tmp_path: Path, shape: tuple[int, ...]) -> None:
    jpeg, media = build_codec("jpeg"), image(shape=shape)
    frames = media if media.ndim == 4 else media[None]
    cache = MediaCache(tmp_path / "c")
    for _ in range(2):
        parts = cache.get_or_make(jpeg, pixel_digest(media), 30, None, lambda: [jpeg.encode(one, 30) for one in frames])
        for part, frame in zip(parts, frames, strict=True):
            assert part == jpeg.encode(frame, 30)
            assert np.array_equal(jpeg.decode(part), jpeg.decode(jpeg.encode(frame, 30)))
    # The codec may say that it is not worth it; then nothing is stored, and nothing else changes.
    assert cache.statistics["hits"] == int(worth_caching(jpeg))
    assert len(entries(tmp_path / "c")) == int(worth_caching(jpeg))


def test_everything_that_changes_bytes_is_in_the_key(tmp_path: Path) -> None:
    base, media = Counting(), image()
    asked = [
        (base, media, 50, None),
        (Counting(version="2"), media, 50, None),
        (Counting(name="other"), media, 50, None),
        (base, image(1), 50, None),
        (base, media.reshape(4, 5, 3), 50, None),  # the same bytes in another shape
        (base, media, 50.000000000000007, None),  # the next float: equal in "%g"
        (base, media, 50, 25.0),
        (base, media, 50, 24000 / 1001),
    ]
    cache = MediaCache(tmp_path / "c")
    for _ in range(2):
        for codec, picture, level, fps in asked:
            assert ask(cache, codec, picture, level, fps) == codec.encode(picture, level, fps=fps)
    assert cache.statistics["misses"] == cache.statistics["hits"] == len(asked)
    assert len(entries(tmp_path / "c")) == len(asked)


def test_whole_numbers_are_the_same_level_as_their_floats() -> None:
    assert entry_key(Counting(), "d", 15, 25) == entry_key(Counting(), "d", 15.0, 25.0)


@given(st.lists(st.text(max_size=5), min_size=5, max_size=5), st.lists(st.text(max_size=5), min_size=5, max_size=5))
def test_different_keys_have_different_names(first: list[str], second: list[str]) -> None:
    assert (EntryKey(*first).name == EntryKey(*second).name) == (first == second)


def test_no_part_of_a_key_runs_into_the_next() -> None:
    assert EntryKey("a", "b", "1", "", "d").name != EntryKey("a", "b", "", "1", "d").name
    assert EntryKey("ab", "c", "1", "", "d").name != EntryKey("a", "bc", "1", "", "d").name


encoded = st.builds(
    lambda data, header, more, sides: Encoded(data, header + more, (*sides, 3), header),
    st.binary(max_size=60),
    st.integers(0, 1 << 30),
    st.integers(0, 1 << 30),
    st.lists(st.integers(1, 1000), min_size=2, max_size=3),
)


@given(st.lists(encoded, min_size=1, max_size=4), st.text(max_size=20), st.floats(allow_nan=False))
def test_entries_restore_exactly(parts: list[Encoded], fingerprint: str, level: float) -> None:
    key = EntryKey("codec", fingerprint, repr(level), "", "digest")
    content = pack_entry(key, parts)
    assert content is not None
    assert unpack_entry(content, key.name) == (key, tuple(parts))


def test_the_file_is_what_its_description_says() -> None:
    key = EntryKey("c", "f", "1.0", "", "d")
    content = pack_entry(key, [Encoded(b"DATA", 32, (1, 2, 3))])
    assert content is not None
    magic, rest = content[:21], content[21:]
    assert magic == b"pytest-lossy media 1\n"
    assert rest[:32] == hashlib.sha256(rest[32:]).digest()
    length = int.from_bytes(rest[32:36], "little")
    assert rest[36 + length :] == b"DATA"


class Richer(Encoded):
    """An Encoded that carries more than the protocol."""


@pytest.mark.parametrize(
    "part",
    [
        Richer(b"x", 8, (1, 1, 3)),
        Encoded(bytearray(b"x"), 8, (1, 1, 3)),  # type: ignore[arg-type]
        Encoded(b"x", 8.5, (1, 1, 3)),  # type: ignore[arg-type]
        Encoded(b"x", 8, (0, 1, 3)),
        Encoded(b"x", 8, (1, 1, 3), header_bits=9),
    ],
    ids=["subclass", "bytearray", "fraction", "empty", "header"],
)
def test_what_cannot_be_restored_exactly_is_not_stored(tmp_path: Path, part: Encoded) -> None:
    cache = MediaCache(tmp_path / "c")
    for _ in range(2):
        assert cache.get_or_make(Counting(), "d", 1, None, lambda: [part])[0] is part
    assert cache.statistics["stored"] == 0
    assert cache.statistics["disabled"] is None


def test_numpy_integers_are_stored_as_integers(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path / "c")
    part = Encoded(b"x", np.int64(8), (np.int32(1), 1, 3), np.int64(2))  # type: ignore[arg-type]
    cache.get_or_make(Counting(), "d", 1, None, lambda: [part])
    found = cache.get_or_make(Counting(), "d", 1, None, lambda: pytest.fail("encoded again"))[0]
    assert found == part
    assert [type(value) for value in (found.payload_bits, found.header_bits, *found.shape)] == [int] * 5


def test_what_the_codec_raises_passes_through(tmp_path: Path) -> None:
    def fail() -> list[Encoded]:
        raise LossyError("out of range")

    cache = MediaCache(tmp_path / "c")
    with pytest.raises(LossyError, match="out of range"):
        cache.get_or_make(Counting(), "d", 1, None, fail)
    assert not (tmp_path / "c").exists()


def test_a_codec_tells_its_fingerprint_once(tmp_path: Path) -> None:
    cache, codecs = MediaCache(tmp_path / "c"), [Counting(name=f"c{n}") for n in range(100)]
    for _ in range(3):
        ask(cache, codecs[0], image())
    assert codecs[0].asked == 1
    for codec in codecs:  # more codecs than are remembered: never another one's fingerprint
        assert ask(cache, codec, image()) == codec.encode(image(), 50)


# What is not worth it


def test_codecs_decide_whether_they_are_cached(tmp_path: Path) -> None:
    class Raw(Counting):
        compresses = False

    class Quick(Counting):
        cached = False

    class Slow(Raw):
        cached = True

    assert [worth_caching(kind()) for kind in (Counting, Raw, Quick, Slow)] == [True, False, False, True]
    cache, quick = MediaCache(tmp_path / "c"), Quick()
    for _ in range(2):
        ask(cache, quick, image())
    assert quick.calls == 2
    assert cache.statistics == MediaCache(tmp_path / "d").statistics
    assert not (tmp_path / "c").exists()


def test_no_room_means_no_cache(tmp_path: Path) -> None:
    codec = Counting()
    for limit in (0, 100):  # nothing at all; less than twice an entry
        cache = MediaCache(tmp_path / "c", limit)
        for _ in range(2):
            ask(cache, codec, image())
        assert cache.statistics["stored"] == 0
    assert codec.calls == 4


# The size bound


def fill(cache: MediaCache, codec: Counting, seeds: range) -> None:
    for seed in seeds:
        ask(cache, codec, image(seed))


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    folder, codec = tmp_path / "c", Counting(size=1000)
    wide = MediaCache(folder)
    fill(wide, codec, range(20))
    size = entries(folder)[0].stat().st_size
    names = {seed: entry_key(codec, pixel_digest(image(seed)), 50).name for seed in range(21)}
    files = CacheFolder(folder)
    for seed in range(20):  # used in this order, a day ago and more
        then = time.time() - 86_400 * (40 - seed)
        os.utime(files.entry(names[seed]), (then, then))
    ask(wide, codec, image(0))  # the oldest, used again
    narrow = MediaCache(folder, limit_bytes=20 * size)
    ask(narrow, codec, image(20))  # 21 entries where 20 fit: at most 18 may stay
    left = {seed for seed, name in names.items() if files.entry(name).exists()}
    assert left == {0, *range(4, 21)}
    assert narrow.statistics["evicted"] == 3
    assert narrow.statistics["bytes_evicted"] == 3 * size


def test_nothing_goes_while_it_fits(tmp_path: Path) -> None:
    folder, codec = tmp_path / "c", Counting(size=1000)
    fill(MediaCache(folder), codec, range(10))
    total = sum(path.stat().st_size for path in entries(folder))
    assert CacheFolder(folder).evict(total) == (0, 0)
    assert CacheFolder(folder).evict(total - 1)[0] == 2  # down to 90 %: 10 -> 9 is over, 8 fits
    assert len(entries(folder)) == 8


@pytest.mark.parametrize("size", [100, 5_000])
def test_a_long_run_stays_near_its_limit(tmp_path: Path, size: int) -> None:
    limit = 100_000
    cache, codec = MediaCache(tmp_path / "c", limit), Counting(size=size)
    for seed in range(400):
        ask(cache, codec, image(seed))
        if seed % 20 == 0 or seed > 380:
            total = sum(path.stat().st_size for path in entries(tmp_path / "c"))
            assert total <= limit * (1 + 1 / 64) + size + 1000
    assert total > 0.85 * limit
    assert int(cache.statistics["evicted"] or 0) == 400 - len(entries(tmp_path / "c"))


def test_only_one_process_evicts(tmp_path: Path) -> None:
    from filelock import FileLock

    folder = tmp_path / "c"
    fill(MediaCache(folder), Counting(), range(5))
    with FileLock(folder / ".evict.lock"):
        assert CacheFolder(folder).evict(1) == (0, 0)
    assert CacheFolder(folder).evict(1)[0] == 5


def test_hits_are_dated_but_not_all_the_time(tmp_path: Path) -> None:
    cache, codec = MediaCache(tmp_path / "c"), Counting()
    ask(cache, codec, image())
    path = entries(tmp_path / "c")[0]
    for age, touched in ((TOUCH_SECONDS / 2, False), (TOUCH_SECONDS * 2, True), (-90_000, True)):
        then = int(time.time() - age)
        os.utime(path, (then, then))
        ask(cache, codec, image())
        assert (path.stat().st_mtime != then) == touched
    assert abs(path.stat().st_mtime - time.time()) < 60


# Figures


def test_statistics_add_up() -> None:
    one = {**MediaCache(Path("a")).statistics, "hits": 3, "bytes_read": 10}
    two = {**one, "misses": 1, "disabled": "No space left on device"}
    total = merge_statistics([one, two, two])
    assert (total["hits"], total["misses"], total["bytes_read"]) == (9, 2, 30)
    assert total["disabled"] == "No space left on device"
    assert set(total) == set(CacheStatistics.__dataclass_fields__)
    assert all(type(value) in {int, str} for value in total.values())
    assert merge_statistics([])["disabled"] is None


def test_threads_count_every_sample(tmp_path: Path) -> None:
    cache, codec = MediaCache(tmp_path / "c"), Counting()
    wrong: list[int] = []

    def work() -> None:
        for seed in [*range(30), *range(30)]:
            if ask(cache, codec, image(seed)).data != Counting().encode(image(seed), 50).data:
                wrong.append(seed)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = cache.statistics
    assert not wrong
    assert int(found["hits"] or 0) + int(found["misses"] or 0) == 4 * 60
    assert found["misses"] == found["stored"] == codec.calls
    assert len(entries(tmp_path / "c")) == 30
    assert not list((tmp_path / "c").glob("**/*.tmp"))


# The command


def test_info_counts_by_codec(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    assert cache_info(folder, 1000).entries == 0
    assert not folder.exists()
    cache = MediaCache(folder)
    fill(cache, Counting(name="one", size=20_000), range(3))  # longer than what a listing reads
    fill(cache, Counting(name="two"), range(2))
    paths = entries(folder)
    os.utime(paths[0], (1e9, 1e9))
    info = cache_info(folder, 5_000_000)
    assert {name: count for name, (count, _) in info.codecs.items()} == {"one": 3, "two": 2}
    assert (info.entries, info.size) == (5, sum(path.stat().st_size for path in paths))
    assert info.oldest == 1e9
    assert info.newest == max(path.stat().st_mtime_ns for path in paths) / 1e9
    text = info.text()
    assert str(folder) in text
    assert "5.0 MB" in text
    assert "two" in text


def test_a_long_header_is_listed(tmp_path: Path) -> None:
    cache, part = MediaCache(tmp_path / "c"), Encoded(b"", 0, (1, 1, 3))
    cache.get_or_make(Counting(name="long"), "d", 1, None, lambda: [part] * 5000)
    assert cache_info(tmp_path / "c", 1).codecs.keys() == {"long"}


def test_clear_removes_what_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    cache = MediaCache(folder)
    fill(cache, Counting(name="one"), range(4))
    fill(cache, Counting(name="two"), range(3))
    old = [path for path in entries(folder) if b'"codec":"one"' in path.read_bytes()][:2]
    for path in old:
        then = time.time() - 10 * 86_400
        os.utime(path, (then, then))
    cleared = clear_cache(folder, older_than_days=5, codec="two")
    assert (cleared.removed, cleared.kept) == (0, 7)
    cleared = clear_cache(folder, older_than_days=5)
    assert (cleared.removed, cleared.kept) == (2, 5)
    assert not any(path.exists() for path in old)
    assert clear_cache(folder, codec="two").removed == 3
    assert cache_info(folder, 1).codecs.keys() == {"one"}
    assert "removed 2 entries" in clear_cache(folder).text()
    assert entries(folder) == []
    assert ask(cache, Counting(), image()) == Counting().encode(image(), 50)  # the cache goes on working
    assert len(entries(folder)) == 1


def test_verify_reads_everything_and_removes_the_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    assert verify_cache(folder).sound
    fill(MediaCache(folder), Counting(), range(6))
    good = verify_cache(folder)
    assert (good.sound, good.checked, good.damaged) == (True, 6, ())
    cut, flipped, moved, *rest = entries(folder)
    cut.write_bytes(cut.read_bytes()[:-1])
    content = bytearray(flipped.read_bytes())
    content[-1] ^= 1
    flipped.write_bytes(content)
    moved.write_bytes(rest[0].read_bytes())
    bad = verify_cache(folder)
    assert not bad.sound
    assert {path for path, _ in bad.damaged} == {cut, flipped, moved}
    assert bad.removed == 3
    assert "belongs under another name" in bad.text()
    assert entries(folder) == rest
    assert verify_cache(folder).sound


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    assert media_cache_folder() == tmp_path / "pytest-lossy" / "media"


def command(version: str | None) -> dict[str, object]:
    tool = shlex.join([sys.executable, "-c", "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"])
    options: dict[str, object] = {
        "encode": f"{tool} {{input}} {{output}} {{level}}",
        "decode": f"{tool} {{input}} {{output}}",
        "parameter": "q",
        "minimum": 1,
        "maximum": 9,
        "higher_is_more_compressed": False,
    }
    return options if version is None else {**options, "version": version}


@pytest.mark.parametrize(
    ("version", "kept"),
    [(shlex.join([sys.executable, "--version"]), True), (None, False), ("no-such-tool --version", False)],
)
def test_a_tool_without_a_version_is_never_answered_from_the_cache(
    tmp_path: Path, version: str | None, kept: bool
) -> None:
    """Its update would not change the key: old bytes would be taken for the new tool's."""
    cache, media, made = MediaCache(tmp_path / "cache"), image(), []
    alone = build_codec("command", command(version))
    for codec in (alone, build_codec("chain", {"steps": ["jpeg 80", {"codec": "command", **command(version)}]})):
        assert worth_caching(codec) is kept
        made.clear()
        for _ in range(2):
            cache.get_or_make(
                codec, pixel_digest(media), 5, None, lambda: made.append(1) or [Encoded(b"x", 8, (5, 4, 3))]
            )
        assert len(made) == (1 if kept else 2)


def test_a_chain_is_kept_where_one_step_is_worth_it() -> None:
    assert worth_caching(build_codec("chain", {"steps": ["jpeg 80", "webp"]}))
    assert not worth_caching(build_codec("chain", {"steps": ["resize 0.5", "jpeg"]}))
