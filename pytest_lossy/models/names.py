"""Models by name: none is built in; hooks and the entry-point group ``pytest_lossy.models`` bring them."""

from __future__ import annotations

from pytest_lossy.registry import Registry

__all__ = ["MODELS"]

MODELS = Registry("model", "pytest_lossy.models", {})
"""Each entry is a builder, called with ``kwargs``; it returns a ``torch.nn.Module``, a
:class:`~pytest_lossy.models.base.Model`, or a function ``(media, context) -> predictions``."""
