"""Models that a test hands over as objects, which come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_lossy.errors import ModelError
from pytest_lossy.models.base import Model
from pytest_lossy.models.declaration import InputSection, OutputSection
from pytest_lossy.models.given import adapt_model, build_seeded, module_digest

IMAGES = [np.full((4, 6, 3), value, np.uint8) for value in (0, 255)]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(2)
        self.modes: list[bool] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training or torch.is_grad_enabled())
        return self.norm(self.conv(x))


def test_a_module_is_evaluated_and_comes_back_as_it_was() -> None:
    module = Net().train()
    module.norm.eval()  # a frozen part of a network in training
    before = module_digest(module)
    model = adapt_model(module, "segmentation", "cpu", source="it")
    assert isinstance(model, Model)
    found = model.predict(IMAGES, [{}, {}])
    assert [one.shape for one in found] == [(4, 6), (4, 6)]
    assert model.describe() == {"format": "torch", "parameters": 12, "device": "cpu", "weights_sha256": before}
    model.close()
    assert module.modes == [False]
    assert (module.training, module.conv.training, module.norm.training) == (True, True, False)
    assert all(one.requires_grad for one in module.parameters())
    assert module_digest(module) == before


def test_input_and_output_as_in_a_spec_or_as_functions() -> None:
    wide = adapt_model(
        Net(), "segmentation", "cpu", source="it", input=InputSection(size=(8, 8)), output=OutputSection(kind="logits")
    )
    assert wide.predict(IMAGES, [{}, {}])[0].shape == (4, 6)
    model = adapt_model(
        Net(),
        "no-such-task",
        "cpu",
        source="it",
        input=lambda media, context: torch.zeros(len(media), 3, 2, 2),
        output=lambda raw, sizes: [(tuple(one.shape), size) for one, size in zip(raw, sizes, strict=True)],
    )
    assert model.predict(IMAGES, [{}, {}]) == [((2, 2, 2), (4, 6))] * 2
    with pytest.raises(ModelError, match="what a module returns for task 'no-such-task' is not known; give it output="):
        adapt_model(Net(), "no-such-task", "cpu", source="it")


@pytest.mark.parametrize(
    "given",
    [
        lambda media: [one.mean() for one in media],
        lambda media, context: [one.mean() for one in media],
        lambda *batch: [one.mean() for one in batch[0]],
        lambda media, scale=1.0: [scale * one.mean() for one in media],
        type("Server", (), {"predict": lambda self, media: [one.mean() for one in media]})(),
        type("Server", (), {"predict": lambda self, media, context: [one.mean() for one in media]})(),
    ],
    ids=["media", "context", "star", "default", "object", "object-context"],
)
def test_whatever_predicts(given: object) -> None:
    model = adapt_model(given, "classification", "cpu", source="it")
    assert list(model.predict(IMAGES, [{}, {}])) == [0, 255]
    assert not model.thread_safe
    assert model.describe()["format"] == "callable"
    model.close()


def test_a_finished_model_is_not_closed() -> None:
    class Finished:
        thread_safe = True
        closed = False

        def predict(self, media: object, context: object) -> list[int]:
            return [1, 2]

        def close(self) -> None:
            self.closed = True

        def describe(self) -> dict[str, str]:
            return {"format": "own"}

    given = Finished()
    model = adapt_model(given, "classification", "cpu", source="it")
    assert model.thread_safe
    assert (model.predict(IMAGES, [{}, {}]), model.describe()) == ([1, 2], {"format": "own"})
    model.close()
    assert not given.closed


def test_a_model_of_maites_protocol() -> None:
    class Classifier:
        def __init__(self) -> None:
            self.metadata = {"id": "bright"}

        def __call__(self, batch: list[np.ndarray]) -> list[np.ndarray]:
            return [np.array([1 - one.mean(), one.mean()]) for one in batch]

    model = adapt_model(Classifier(), "classification", "cpu", source="it")
    assert [int(np.argmax(one)) for one in model.predict(IMAGES, [{}, {}])] == [0, 1]


def test_what_is_no_model() -> None:
    for given, message in (
        (Net, "it: the class Net is no model; hand over an instance"),
        (5, "it: int is no model"),
        ([1], "it: list is no model"),
    ):
        with pytest.raises(ModelError, match=message):
            adapt_model(given, "segmentation", "cpu", source="it")
    with pytest.raises(ModelError, match=r"'input' and 'output' belong to a torch.nn.Module; a function prepares"):
        adapt_model(lambda media: media, "segmentation", "cpu", source="it", input=InputSection(size=8))


def test_weights_are_told_apart() -> None:
    one, same = (build_seeded(Net, {}) for _ in range(2))
    state = torch.random.get_rng_state()
    assert module_digest(one) == module_digest(same)
    assert torch.equal(state, torch.random.get_rng_state())
    same.norm.running_mean[0] += 1e-7
    assert module_digest(one) != module_digest(same)
    assert module_digest(Net().to(torch.bfloat16)) is not None
