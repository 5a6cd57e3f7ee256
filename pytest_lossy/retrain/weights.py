"""Writing weights as the suite ships them: safetensors, in half precision."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

__all__ = ["save_half"]


def save_half(network: nn.Module, path: Path) -> str:
    """Write a network's state in half precision and load it back, so that what follows measures what is shipped.

    Args:
        network: any; its weights are rounded in place.
        path: a ``.safetensors`` file, written atomically.

    Returns:
        the SHA-256 of the file, for the spec.
    """
    state = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(state, temporary)
    temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    temporary.replace(path)
    network.load_state_dict(
        {
            name: tensor.to(torch.float32) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(path).items()
        }
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()
