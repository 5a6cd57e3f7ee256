"""Isotonic fits against scipy; retention curves from stored replicates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import isotonic_regression

from pytest_lossy.analysis.retention import isotonic, retention_curve
from pytest_lossy.results.replicates import StoredReplicates


@settings(max_examples=150, deadline=None)
@given(
    rows=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 9)),
        elements=st.floats(-2, 2) | st.sampled_from([0.0, 0.5, 1.0, np.nan]),
    )
)
def test_isotonic_is_scipys_on_what_is_known(rows: np.ndarray) -> None:
    found = isotonic(rows)
    for row, fit in zip(rows, found, strict=True):
        known = np.isfinite(row)
        assert np.isnan(fit[~known]).all()
        if known.any():
            assert fit[known] == pytest.approx(isotonic_regression(row[known], increasing=False).x, abs=1e-12)
            assert (np.diff(fit[known]) <= 1e-15).all()


def test_isotonic_keeps_what_falls_already_to_the_bit() -> None:
    falling = np.sort(np.random.default_rng(0).random((50, 8)), axis=1)[:, ::-1]
    assert np.array_equal(isotonic(falling), falling)
    assert np.array_equal(isotonic(falling[0]), falling[0])


def test_many_rows_equal_each_row_alone() -> None:
    rows = np.random.default_rng(1).normal(size=(40, 7))
    assert np.array_equal(isotonic(rows), np.stack([isotonic(row) for row in rows]))


def stored(value: float, replicates: list[float], samples: str = "s") -> StoredReplicates:
    return StoredReplicates({"m": value}, {"m": np.array(replicates)}, 10, samples)


def test_retention_of_scores_and_of_errors() -> None:
    levels = [(75.0, stored(0.4, [0.4, 0.3]), 1.0), (15.0, stored(0.2, [0.1, 0.2]), None)]
    clean = stored(0.8, [0.8, 0.6])
    score = retention_curve(levels, clean, "m", higher_is_better=True)
    error = retention_curve(levels, clean, "m", higher_is_better=False)
    assert score is not None
    assert error is not None
    assert score.point == pytest.approx([0.5, 0.25])
    assert score.replicates == pytest.approx(np.array([[0.5, 0.125], [0.5, 1 / 3]]))
    assert error.point == pytest.approx([2.0, 4.0])
    assert (score.unseen, error.unseen) == (pytest.approx(1.25), 1.0)
    assert score.log_bpp.tolist()[0] == 0.0
    assert np.isnan(score.log_bpp[1])


def test_other_samples_have_no_retention() -> None:
    levels = [(75.0, stored(0.4, [0.4, 0.3], "other"), 1.0)]
    assert retention_curve(levels, stored(0.8, [0.8, 0.6]), "m", higher_is_better=True) is None
