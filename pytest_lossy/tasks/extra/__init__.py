"""Metrics of the user's own beside a task's: objects with ``update``, ``compute`` and ``reset``, as in torchmetrics."""
