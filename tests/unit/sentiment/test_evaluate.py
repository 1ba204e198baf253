import math

import numpy as np
import pyarrow as pa
import pytest

from user_analytics.sentiment.evaluate import validate

PROBABILITIES = pa.array([0.9, 0.95, 0.2, None, 0.25, 1.0])
LABELS = np.array([1, 0, 0, 1, 1, 1], dtype=np.int8)
SOURCES = ["a", "a", "a", "a", "b", "b"]


def test_a_row_without_a_probability_counts_as_wrong() -> None:
    total = validate(PROBABILITIES, LABELS, SOURCES).total
    assert (total.rows, total.unjudged_rows) == (6, 1)
    assert total.accuracy == pytest.approx(3 / 6)


def test_log_loss_is_over_the_judged_rows() -> None:
    expected = -sum(map(math.log, [0.9, 0.05, 0.8, 0.25, 1.0])) / 5
    assert validate(PROBABILITIES, LABELS, SOURCES).total.log_loss == pytest.approx(expected, abs=1e-4)


def test_calibration_error_is_the_mean_gap_weighted_by_rows() -> None:
    validation = validate(PROBABILITIES, LABELS, SOURCES)
    assert [(each.lowest, each.rows) for each in validation.calibration] == [(0.2, 2), (0.9, 3)]
    expected = (2 * abs(0.225 - 1 / 2) + 3 * abs(0.95 - 2 / 3)) / 5
    assert validation.total.calibration_error == pytest.approx(expected, abs=1e-4)


def test_each_source_has_its_own_figures() -> None:
    by_source = validate(PROBABILITIES, LABELS, SOURCES).by_source
    assert {name: each.rows for name, each in by_source.items()} == {"a": 4, "b": 2}
    assert by_source["b"].accuracy == pytest.approx(1 / 2)


def test_figures_over_judged_rows_are_zero_when_nothing_was_judged() -> None:
    total = validate(pa.array([None, None], pa.float64()), LABELS[:2], SOURCES[:2]).total
    assert (total.accuracy, total.log_loss, total.calibration_error) == (0, 0, 0)
