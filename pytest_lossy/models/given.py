"""Models that a test hands over as objects: a ``torch.nn.Module``, anything that predicts, or a finished model.

They are borrowed: once evaluated they are as they were, in training mode if they were, and on their own device.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from pytest_lossy.data.base import Context, UInt8Array
from pytest_lossy.data.maite_values import metadata_of
from pytest_lossy.errors import ModelError
from pytest_lossy.models.base import Model, Prediction
from pytest_lossy.models.callable_model import CallableModel
from pytest_lossy.models.declaration import InputSection, OutputSection
from pytest_lossy.models.network import Decode, Network, NetworkModel
from pytest_lossy.models.outputs import output_decoder
from pytest_lossy.models.preprocessing import Expects, Prepare, declared_input
from pytest_lossy.models.torch_network import BUILD_SEED

__all__ = ["adapt_model", "build_seeded", "module_digest"]


def adapt_model(
    given: Any,
    task: str,
    device: str,
    *,
    source: str,
    input: InputSection | Prepare = InputSection(),  # noqa: B008  frozen, and named as in a spec
    output: OutputSection | Decode = OutputSection(),  # noqa: B008
) -> Model:
    """Make a model of what a test hands over; closing it leaves the object as it was.

    Args:
        given: a ``torch.nn.Module``; a model of MAITE's protocols; an object with the members of
            :class:`~pytest_lossy.models.base.Model`; or a function ``(media, context) -> predictions`` or ``(media) ->
            predictions``, or an object with such a ``predict``.
        task: what a module's output means.
        device: ``cpu``, ``cuda`` or ``cuda:N``; a module whose parameters lie on several devices stays where it is.
        source: for messages.
        input: of a module: as in a spec, or a function ``(media, context) -> what the module takes``.
        output: of a module: as in a spec, or a function ``(raw output, source sizes) -> predictions``.

    Raises:
        ModelError: it is nothing of these, or ``input`` and ``output`` do not fit it.
    """
    network: Network | None = None
    if isinstance(given, torch.nn.Module):
        network = borrowed = _BorrowedModule(given, device)
        device = borrowed.device
    elif metadata_of(given) is not None and callable(given):
        from pytest_lossy.models.maite_network import MaiteNetwork

        network = MaiteNetwork(lambda: given, {}, task, source=source)
    if network is not None:
        prepare = declared_input(input, network.expects, device) if isinstance(input, InputSection) else input
        if not isinstance(output, OutputSection):
            return NetworkModel(network, prepare, output, None)
        try:
            decode = output_decoder(task, output, network.expects.scores_layout)
        except ModelError:
            raise ModelError(
                f"what a module returns for task '{task}' is not known; give {source} output=function, called with the "
                "raw output and the source sizes"
            ) from None
        return NetworkModel(network, prepare, decode, output.select)
    if input != InputSection() or output != OutputSection():
        raise ModelError(
            f"{source}: 'input' and 'output' belong to a torch.nn.Module; a {type(given).__name__} prepares its input and "
            "decodes its output itself"
        )
    if isinstance(given, Model):
        return _Borrowed(given)
    predict = getattr(given, "predict", given)
    if isinstance(given, type) or not callable(predict):
        what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
        raise ModelError(
            f"{source}: {what} is no model; hand over an instance of torch.nn.Module, or a function (media, context) -> "
            "predictions"
        )
    target = given if _takes_context(predict) else _WithoutContext(given, predict)
    return _Borrowed(CallableModel(lambda: target, {}, source=source))


def build_seeded(build: Callable[..., Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a builder so that weights it draws are the same in every process, and the caller's random numbers stay."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(BUILD_SEED)
        return build(**kwargs)


def module_digest(module: torch.nn.Module) -> str | None:
    """The SHA-256 of a module's parameters and buffers with their names; None where they cannot be read as bytes."""
    digest = hashlib.sha256()
    try:
        for name, tensor in sorted(module.state_dict().items()):
            plain = tensor.detach().cpu().contiguous()
            digest.update(f"{name}\0{plain.dtype}\0{tuple(plain.shape)}\0".encode())
            digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    except (RuntimeError, TypeError, AttributeError, NotImplementedError):
        return None  # quantised, sparse, or an extra state that is no tensor
    return digest.hexdigest()


class _BorrowedModule:
    """Runs a module in evaluation mode, without gradients, and gives it back as it was."""

    thread_safe = True

    def __init__(self, module: torch.nn.Module, device: str) -> None:
        self.expects = Expects()
        self._module = module
        self._training = {part: part.training for part in module.modules()}
        homes = {tensor.device for tensor in (*module.parameters(), *module.buffers())}
        self._home = next(iter(homes)) if len(homes) == 1 else None
        self.device = device if len(homes) < 2 else str(next(module.parameters()).device)
        self._sha256 = module_digest(module)
        self._parameters = sum(parameter.numel() for parameter in module.parameters())
        module.eval()
        try:
            if self._home is not None:
                module.to(self.device)
        except (RuntimeError, AssertionError) as error:
            self.close()
            raise ModelError(
                f"the model cannot be moved to '{device}': {error}; choose another --lossy-device"
            ) from None

    def __call__(self, inputs: Any) -> Any:
        with torch.inference_mode():
            return self._module(inputs)

    def close(self) -> None:
        for part, training in self._training.items():
            part.training = training
        if self._home is not None:
            self._module.to(self._home)

    def describe(self) -> dict[str, Any]:
        return {
            "format": "torch",
            "parameters": self._parameters,
            "device": self.device,
            "weights_sha256": self._sha256,
        }


class _Borrowed:
    """A model that is not ours to close."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def thread_safe(self) -> bool:
        return self._model.thread_safe

    def predict(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Sequence[Prediction]:
        return self._model.predict(media, context)

    def close(self) -> None:
        """Nothing: whoever made it may go on."""

    def describe(self) -> dict[str, Any]:
        return self._model.describe()


class _WithoutContext:
    """A function that looks at the media alone."""

    def __init__(self, given: Any, predict: Callable[[Sequence[UInt8Array]], Sequence[Prediction]]) -> None:
        self._predict = predict
        self.thread_safe = bool(getattr(given, "thread_safe", False))
        self._describe = getattr(given, "describe", None)

    def predict(self, media: Sequence[UInt8Array], context: Sequence[Context]) -> Sequence[Prediction]:
        return self._predict(media)

    def describe(self) -> Mapping[str, Any]:
        return self._describe() if callable(self._describe) else {}


def _takes_context(predict: Callable[..., Any]) -> bool:
    """Whether a function takes a second positional argument without a default; True where that cannot be told."""
    try:
        parameters = inspect.signature(predict).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return True
    return sum(one.default is one.empty for one in positional) > 1 or (
        len(positional) > 1 and positional[1].name == "context"
    )
