"""Calls of a model: batches, memory, and errors that name the samples."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pytest_lossy.engine.inference
from pytest_lossy.engine.devices import copying_aside
from pytest_lossy.engine.inference import Inference
from pytest_lossy.errors import CodecError, DataError, LossyError, ModelError


class Model:
    thread_safe = True

    def __init__(self, answer: Callable[[list[Any]], Any] | None = None) -> None:
        self.sizes: list[int] = []
        self.answer = answer or (lambda media: [int(one[0, 0, 0]) for one in media])

    def predict(self, media: list[Any], context: list[Any]) -> Any:
        assert [int(one[0, 0, 0]) for one in media] == [facts["k"] for facts in context]
        self.sizes.append(len(media))
        return self.answer(media)

    def close(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {}


def inputs(count: int) -> list[tuple[str, np.ndarray, dict[str, int]]]:
    return [(f"s{index}", np.full((1, 1, 3), index, dtype=np.uint8), {"k": index}) for index in range(count)]


@given(count=st.integers(0, 20), batch=st.integers(1, 7))
@settings(deadline=None)
def test_every_input_is_answered_in_order_in_batches(count: int, batch: int) -> None:
    model = Model()
    assert Inference(model, batch, 1).predict(inputs(count)) == list(range(count))
    assert model.sizes == [min(batch, count - start) for start in range(0, count, batch)]


def test_any_iterable_of_answers_will_do() -> None:
    assert Inference(Model(lambda media: (len(media) for _ in media)), 2, 1).predict(inputs(3)) == [2, 2, 1]


def test_batches_shrink_until_they_fit() -> None:
    def answer(media: list[Any]) -> list[int]:
        if len(media) > 3:
            raise torch.OutOfMemoryError("pretend")
        return [int(one[0, 0, 0]) for one in media]

    model = Model(answer)
    inference = Inference(model, 16, 1)
    assert inference.notes() == []
    assert inference.predict(inputs(9)) == list(range(9))
    assert model.sizes == [9, 4, 2, 2, 2, 2, 1]
    assert inference.fitting == 2
    assert inference.notes() == ["GPU memory ran out: batches of 2 instead of 16"]


def test_one_sample_that_does_not_fit_is_an_error() -> None:
    def answer(media: list[Any]) -> list[int]:
        raise torch.OutOfMemoryError("pretend")

    with pytest.raises(ModelError, match=r"one sample does not fit GPU memory \(pretend\)"):
        Inference(Model(answer), 4, 1).predict(inputs(4))


@pytest.mark.parametrize(("count", "listed"), [(1, "s0"), (3, "s0, s1, s2"), (5, "s0, s1, s2 and 2 more")])
def test_errors_name_the_samples(count: int, listed: str) -> None:
    def answer(media: list[Any]) -> list[int]:
        raise ZeroDivisionError("the answer is not 42")

    with pytest.raises(ModelError) as caught:
        Inference(Model(answer), 8, 1).predict(inputs(count))
    assert "ZeroDivisionError: the answer is not 42" in str(caught.value)
    assert str(caught.value).endswith(f"on {listed}")
    with pytest.raises(ModelError, match=rf"returned 0 predictions for {count} samples \({listed}\)"):
        Inference(Model(lambda media: []), 8, 1).predict(inputs(count))


@pytest.mark.parametrize("kind", [ModelError, DataError, CodecError])
def test_our_own_errors_keep_their_kind(kind: type[LossyError]) -> None:
    def answer(media: list[Any]) -> list[int]:
        raise kind("explained")

    with pytest.raises(kind, match=r"^explained \[s0, s1\]$"):
        Inference(Model(answer), 2, 1).predict(inputs(2))


@pytest.mark.parametrize("slots", [1, 2])
def test_no_more_calls_at_once_than_allowed(slots: int) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def answer(media: list[Any]) -> list[int]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1
        return [0] * len(media)

    inference = Inference(Model(answer), 1, slots)
    threads = [threading.Thread(target=inference.predict, args=(inputs(2),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= slots


def test_a_failed_call_frees_its_slot() -> None:
    calls = iter([True, False])

    def answer(media: list[Any]) -> list[int]:
        if next(calls):
            raise ValueError("once")
        return [0]

    inference = Inference(Model(answer), 1, 1)
    with pytest.raises(ModelError):
        inference.predict(inputs(1))
    assert inference.predict(inputs(1)) == [0]


class Staged(Model):
    """Both halves of predict; the second waits until two batches have been through the first."""

    def __init__(self, stages: bool) -> None:
        super().__init__()
        self.stages, self.staged = stages, 0
        self.both_staged = threading.Event()

    def stage(self, media: list[Any], context: list[Any]) -> list[int]:
        self.staged += 1
        if self.staged == 2:
            self.both_staged.set()
        return [facts["k"] for facts in context]

    def infer(self, staged: list[int]) -> list[int]:
        assert self.both_staged.wait(30), "the second batch was not prepared beside the first one's inference"
        return staged


def test_a_batch_is_prepared_while_another_is_inferred() -> None:
    model = Staged(stages=True)
    inference = Inference(model, 1, concurrent=1)
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(inference.predict(inputs(1)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[0], [0]]
    assert model.staged == 2
    assert model.sizes == []


def test_inference_on_a_gpu_is_waited_for_before_its_input_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Stream:
        def synchronize(self) -> None:
            asked.append("waited")

    class Noted(Staged):
        def infer(self, staged: list[int]) -> list[int]:
            asked.append("inferred")
            return staged

    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream() if device == "cuda:1" else None)
    monkeypatch.setattr(pytest_lossy.engine.inference, "copying_aside", lambda device: contextlib.nullcontext())
    assert Inference(Noted(stages=True), 2, 1, "cuda:1").predict(inputs(3)) == [0, 1, 2]
    assert asked == ["inferred", "waited"] * 2


def test_a_model_that_may_not_be_staged_is_called_as_a_whole() -> None:
    model = Staged(stages=False)
    assert Inference(model, 2, 1).predict(inputs(3)) == [0, 1, 2]
    assert (model.staged, model.sizes) == (0, [2, 1])


def test_batches_shrink_until_they_can_be_staged() -> None:
    class Small(Staged):
        def stage(self, media: list[Any], context: list[Any]) -> list[int]:
            if len(media) > 3:
                raise torch.OutOfMemoryError("pretend")
            return super().stage(media, context)

    model = Small(stages=True)
    model.both_staged.set()
    inference = Inference(model, 8, 1)
    assert inference.predict(inputs(7)) == list(range(7))
    assert inference.fitting == 3


def test_work_aside_has_a_stream_for_each_thread_and_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch without a GPU has no streams: what is asked of it, and in which order."""
    asked: list[tuple[str, Any]] = []

    class Stream:
        def __init__(self, device: str) -> None:
            asked.append(("made", device))

        def synchronize(self) -> None:
            asked.append(("waited", self))

    @contextlib.contextmanager
    def entered(stream: Stream) -> Iterator[None]:
        asked.append(("entered", stream))
        yield
        asked.append(("left", stream))

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", entered)

    def work() -> None:
        for _ in range(2):
            with copying_aside("cuda:0"):
                asked.append(("work", None))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    once = ["entered", "work", "left", "waited"]
    assert [what for what, _ in asked] == ["made", *once, *once] * 2
    first, second = ({id(stream) for what, stream in part if what == "waited"} for part in (asked[:9], asked[9:]))
    assert len(first) == len(second) == 1
    assert first != second
    with copying_aside("cpu"):
        pass
    assert len(asked) == 18
