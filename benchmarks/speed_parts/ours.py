"""Times a pytest-lossy run from inside: loaded with ``-p speed_parts.ours``.

Imports are done before the clock starts, as in the loops it is compared with; loading the model, opening the data,
bootstrap, verdicts and storing the results are inside. Drawing the report is not, nor are the pictures for it (30 samples a
run at most): nothing else draws any.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy  # noqa: F401  before the clock
import PIL.Image  # noqa: F401
import pytest
import scipy.special  # noqa: F401
import torch  # noqa: F401

import pytest_lossy.engine.casework
import pytest_lossy.engine.picture_plan
import pytest_lossy.engine.runtime
import pytest_lossy.tasks.segmentation
from speed_parts.clock import clock

pytest_lossy.engine.picture_plan.plan_pictures = lambda cases, per_case: {}


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, Any, Any]:
    """Called to run all items."""
    with clock() as found:
        result = yield
    if "PYTEST_XDIST_WORKER" not in os.environ:
        Path(os.environ["SPEED_OUT"]).write_text(json.dumps(found.as_dict()), encoding="utf-8")
    return result
