"""What every task has beside its own metrics where a model was retrained: its primary metric against other models'."""

from __future__ import annotations

from pytest_lossy.tasks.base import Metric

__all__ = ["GAIN", "NAIVE", "RECOVERY", "RECOVERY_METRICS"]

RECOVERY = Metric(
    "recovery",
    "recovery",
    description="(retrained - control) / (control on clean - control) of the primary metric; the control was trained as "
    "many iterations on clean data; undefined where the control loses nothing for certain",
)
GAIN = Metric(
    "retraining_gain",
    "gain over the control",
    description="retrained - control of the primary metric, signed so that better is positive",
)
NAIVE = Metric(
    "naive_recovery",
    "naive recovery",
    description="(retrained - parent) / (parent on clean - parent): it counts mere extra training as recovery",
)
RECOVERY_METRICS = (RECOVERY, GAIN, NAIVE)
