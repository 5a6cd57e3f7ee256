"""The pipeline: same bits from any number of threads, first error in order, bounded memory, prompt stops."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import FirstChannel, Pictures, pipeline
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pytest_lossy.codecs.base import Encoded, Levels, Media
from pytest_lossy.codecs.jpeg import JpegCodec
from pytest_lossy.data.base import Sample
from pytest_lossy.engine.compression import squared_error
from pytest_lossy.engine.devices import choose_device, device_names, inference_threads
from pytest_lossy.engine.measured_row import mean_psnr
from pytest_lossy.errors import CodecError, DataError, ModelError
from pytest_lossy.results.evidence import CaseEvidence


def equal(first: CaseEvidence, second: CaseEvidence) -> bool:
    if (first.ids, first.groups, first.costs) != (second.ids, second.groups, second.costs):
        return False
    return all(
        set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(first.evidence, second.evidence, strict=True)
    )


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("spilled", [True, False])
def test_threads_and_spill_change_no_bit(tmp_path: Path, threads: int, spilled: bool) -> None:
    alone = pipeline(Pictures(), FirstChannel(), threads=1, concurrent=1).evaluate(JpegCodec(), 30)
    line = pipeline(
        Pictures(),
        FirstChannel(0.002),
        threads=threads,
        concurrent=threads,
        folder=tmp_path if spilled else None,
        limit=10**9,
    )
    for _ in range(2):
        found = line.evaluate(JpegCodec(), 30)
        assert found.ids == tuple(f"p{index}" for index in range(10))
        assert equal(found, alone)
        assert found.meta == alone.meta


def test_clean_costs_nothing_and_scores_perfectly() -> None:
    found = pipeline(Pictures(4), FirstChannel()).evaluate(None, None)
    for index, (evidence, cost) in enumerate(zip(found.evidence, found.costs, strict=True)):
        classes = evidence["pairs"] // 4
        assert np.array_equal(evidence["pairs"], classes * 4 + classes)
        assert (cost.payload_bits, cost.squared_error, cost.pixels) == (0, 0, 63)
        assert found.groups[index] == (None if index % 3 else "g")
    assert found.meta == {"batch_size": 3, "notes": [], "sources": {"PNG RGB": 4}, "source_quality": {}}


def test_costs_are_those_of_the_codec() -> None:
    data, codec = Pictures(2), JpegCodec()
    found = pipeline(data, FirstChannel()).evaluate(codec, 40)
    for index, cost in enumerate(found.costs):
        media = data.load(index).media
        encoded = codec.encode(media, 40)
        assert (cost.payload_bits, cost.header_bits) == (encoded.payload_bits, encoded.header_bits)
        assert cost.squared_error == np.sum((media.astype(np.int64) - codec.decode(encoded)) ** 2)


@pytest.mark.parametrize(("batch", "sizes"), [(3, [3, 3, 3, 1]), (10, [10]), (99, [10]), (1, [1] * 10)])
def test_batches_are_cut_from_the_datas_order(batch: int, sizes: list[int]) -> None:
    model = FirstChannel()
    pipeline(Pictures(), model, batch=batch, threads=1).evaluate(None, None)
    assert model.batches == sizes


def test_progress_runs_from_the_calling_thread_to_the_end() -> None:
    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        seen.append((done, total))

    pipeline(Pictures(), FirstChannel()).evaluate(None, None, progress)
    assert seen[-1] == (10, 10)
    assert seen == sorted(seen)


@pytest.mark.parametrize("concurrent", [1, 2])
def test_inference_is_limited(concurrent: int) -> None:
    model = FirstChannel(0.005)
    pipeline(Pictures(12), model, batch=1, threads=4, concurrent=concurrent).evaluate(None, None)
    assert model.most <= concurrent


def test_samples_in_flight_are_bounded() -> None:
    data, threads, batch = Pictures(60), 3, 2
    alive: list[int] = []
    most = 0
    lock = threading.Lock()

    def loaded(index: int, sample: Sample) -> Sample:
        nonlocal most
        with lock:
            alive.append(index)
            most = max(most, len(alive))
        return sample

    model = FirstChannel(0.001)

    def scored(media: Sequence[np.ndarray]) -> None:
        with lock:
            del alive[: len(media)]

    data.change, model.before = loaded, scored
    pipeline(data, model, batch=batch, threads=threads).evaluate(None, None)
    assert most <= threads * batch


def test_results_do_not_hold_the_pixels() -> None:
    found = pipeline(Pictures(3, size=(200, 200)), FirstChannel()).evaluate(None, None)
    assert sum(array.nbytes for one in found.evidence for array in one.values()) < 1000


# Errors


def failing_at(*bad: int) -> Pictures:
    data = Pictures(12)

    def change(index: int, sample: Sample) -> Sample:
        if index in bad:
            time.sleep(0.02 * (12 - index) / 12)  # later failures come first
            raise DataError(f"p{index} is broken")
        return sample

    data.change = change
    return data


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("bad", [(0, 11), (4, 8), (3, 4, 5), (11,)])
def test_of_several_failures_the_first_in_order_is_reported(threads: int, bad: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=f"^p{bad[0]} is broken$"):
        pipeline(failing_at(*bad), FirstChannel(0.002), threads=threads).evaluate(None, None)


def test_a_failure_stops_what_has_not_begun() -> None:
    data = Pictures(300)

    def change(index: int, sample: Sample) -> Sample:
        if index == 0:
            raise DataError("broken")
        time.sleep(0.001)
        return sample

    data.change = change
    with pytest.raises(DataError):
        pipeline(data, FirstChannel(), batch=1).evaluate(None, None)
    assert sum(data.loads.values()) < 250


def test_the_pipeline_can_be_used_after_a_failure() -> None:
    data = failing_at(5)
    line = pipeline(data, FirstChannel())
    with pytest.raises(DataError):
        line.evaluate(None, None)
    data.change = lambda index, sample: sample
    assert len(line.evaluate(None, None)) == 12


class Broken(FirstChannel):
    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def predict(self, media: Sequence[np.ndarray], context: Sequence[object]) -> object:  # type: ignore[override]
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (RuntimeError("mine"), r"the model raised RuntimeError: mine"),
        (ModelError("explained"), r"^explained \[p0, p1, p2 and 1 more\]$"),
        ([], r"returned 0 predictions for 4 samples \(p0, p1, p2 and 1 more\); return one per sample"),
        ([np.zeros((9, 7), np.uint8)] * 5, "returned 5 predictions for 4 samples"),
        (None, "the model raised TypeError"),
        ([None] * 4, r"integer array, got NoneType \[p0\]"),
        ([np.zeros((9, 7), np.float32)] * 4, r"got float32 \[p0\]"),
        ([np.full((9, 7), 3)] * 4, r"class 3 is predicted but the data has classes 0..2; .* \[p0\]"),
    ],
)
def test_models_that_fail(answer: object, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        pipeline(Pictures(4), Broken(answer), batch=4).evaluate(None, None)


class BadCodec:
    name, parameter, media = "bad", "q", Media.IMAGE
    levels = Levels(0, 9, (1,), higher_is_more_compressed=True)

    def __init__(self, decoded: object) -> None:
        self.decoded = decoded

    def encode(self, media: np.ndarray, level: float, *, fps: float | None = None) -> Encoded:
        return Encoded(b"", 8, media.shape)

    def decode(self, encoded: Encoded) -> np.ndarray:
        if isinstance(self.decoded, Exception):
            raise self.decoded
        return self.decoded  # type: ignore[return-value]

    def fingerprint(self) -> str:
        return "bad"


@pytest.mark.parametrize(
    ("decoded", "message"),
    [
        (ValueError("mine"), "codec 'bad' raised ValueError: mine"),
        (CodecError("explained"), r"^explained \[p0\]$"),
        (
            np.zeros((9, 8, 3), np.uint8),
            r"codec 'bad' returned uint8 \(9, 8, 3\) for uint8 \(9, 7, 3\) \[p0\]",
        ),
        (np.zeros((9, 7, 3)), r"returned float64"),
    ],
)
def test_codecs_that_fail(decoded: object, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        pipeline(Pictures(2), FirstChannel()).evaluate(BadCodec(decoded), 1)  # type: ignore[arg-type]


# GPU memory


class SmallGpu(FirstChannel):
    def __init__(self, fits: int) -> None:
        super().__init__()
        self.before = lambda media: self._refuse(media, fits)

    def _refuse(self, media: Sequence[np.ndarray], fits: int) -> None:
        if len(media) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize(("fits", "batches"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4)])
def test_batches_that_do_not_fit_are_halved_and_noted(fits: int, batches: int) -> None:
    plain = pipeline(Pictures(), FirstChannel(), batch=8, concurrent=1).evaluate(None, None)
    model = SmallGpu(fits)
    line = pipeline(Pictures(), model, batch=8, concurrent=1)
    found = line.evaluate(None, None)
    assert equal(found, plain)
    assert found.meta["batch_size"] == batches
    assert found.meta["notes"] == [f"GPU memory ran out: batches of {batches} instead of 8"]
    model.batches.clear()
    line.evaluate(None, None)
    assert max(model.batches) == batches  # not tried again


def test_one_sample_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ModelError, match="one sample does not fit GPU memory"):
        pipeline(Pictures(), SmallGpu(0), batch=8).evaluate(None, None)


# Interrupts


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where a shell started this run in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_promptly() -> None:
    data = Pictures(500)
    model = FirstChannel(0.02)
    stopped = threading.Event()

    def interrupt() -> None:
        # Python drops an exception that is raised inside a weak reference's callback, so, as a user would, try again.
        for wait in (0.2, 0.5, 0.5):
            if not stopped.wait(wait):
                _thread.interrupt_main()

    timer = threading.Thread(target=interrupt)
    timer.start()
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        pipeline(data, model, batch=1).evaluate(None, None)
    stopped.set()
    timer.join()
    assert time.perf_counter() - started < 2
    assert sum(data.loads.values()) < 100
    loads = sum(data.loads.values())
    time.sleep(0.1)
    assert sum(data.loads.values()) == loads  # no thread goes on
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lossy")]


# Numbers


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9))
    | st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    data=st.data(),
)
def test_squared_error_is_exact(shape: tuple[int, ...], data: st.DataObject) -> None:
    first = data.draw(hnp.arrays(np.uint8, (*shape, 3)))
    second = data.draw(hnp.arrays(np.uint8, (*shape, 3)))
    expected = sum((int(a) - int(b)) ** 2 for a, b in zip(first.ravel(), second.ravel(), strict=True))
    assert squared_error(first, second) == squared_error(second, first) == expected


def test_squared_error_of_large_and_odd_arrays() -> None:
    black = np.zeros((700, 500, 3), np.uint8)
    white = np.full((500, 700, 3), 255, np.uint8).transpose(1, 0, 2)
    assert squared_error(black, white) == 255**2 * black.size
    assert squared_error(black[:, :1], white[:, :1]) == 255**2 * 700 * 3
    wide = np.zeros((1, 100_000, 3), np.uint8)
    assert squared_error(wide, wide + 1) == wide.size


def test_psnr_is_the_mean_of_decibels() -> None:
    errors, pixels = [300, 3000], [100, 100]
    expected = np.mean([10 * np.log10(255**2 / 1.0), 10 * np.log10(255**2 / 10.0)])
    assert mean_psnr(errors, pixels) == pytest.approx(expected)
    assert mean_psnr([0, 300], [100, 100]) is None
    assert mean_psnr([], []) is None


# Devices


def test_devices_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device(["auto"], 3) == "cpu"
    assert choose_device(["cpu"], 0) == "cpu"
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ModelError, match="sees 0 CUDA devices; choose another, or 'cpu'"):
            choose_device([name], 0)
    assert device_names("cpu") == ["cpu"]


def test_workers_spread_over_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("auto", "cuda"):
        assert [choose_device([name], worker) for worker in range(4)] == ["cuda:0", "cuda:1"] * 2
    assert [choose_device(["cuda:1", "cpu"], worker) for worker in range(3)] == ["cuda:1", "cpu", "cuda:1"]
    with pytest.raises(ModelError, match="--lossy-device=cuda:2: this process sees 2 CUDA devices"):
        choose_device(["cuda:2"], 0)


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr("pytest_lossy.cores.quota", lambda: None)
    assert inference_threads("cpu", 1) == (8, 8)
    assert inference_threads("cpu", 3) == (2, 2)
    assert inference_threads("cpu", 100) == (1, 1)
    assert inference_threads("cuda:0", 1) == (8, 1)
    assert inference_threads("cuda:0", 100) == (2, 1)


def test_samples_keep_their_context() -> None:
    seen: list[object] = []

    class Curious(FirstChannel):
        def predict(self, media: Sequence[np.ndarray], context: Sequence[object]) -> list[np.ndarray]:
            seen.extend(context)
            return super().predict(media, context)

    data = Pictures(4)
    data.change = lambda index, sample: replace(sample, context={"index": index})
    pipeline(data, Curious(), threads=1).evaluate(None, None)
    assert seen == [{"index": index} for index in range(4)]
