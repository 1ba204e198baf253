import math
from collections.abc import Callable

import numpy as np
import pytest

from user_analytics.sentiment.model import Validation

PROBABILITIES = np.array([0.9, 0.95, 0.2, np.nan, 0.25, 1.0])
LABELS = np.array([1, 0, 0, 1, 1, 1], dtype=np.int8)
SOURCES = np.array(["a", "a", "a", "a", "b", "b"])
FOLDS = np.array([0, 0, 1, 1, 0, 1])
WORDS = np.array([5, 12, 12, 0, 300, 900])


@pytest.fixture
def validate() -> Callable[..., Validation]:
    # scipy.stats takes half a second to load, in every process that collects tests
    from user_analytics.sentiment.evaluate import validate  # noqa: PLC0415

    return validate


@pytest.fixture
def validation(validate: Callable[..., Validation]) -> Validation:
    return validate(PROBABILITIES, LABELS, SOURCES, FOLDS, WORDS)


def test_accuracy_is_the_mean_of_the_folds_and_a_row_without_a_probability_counts_as_wrong(
    validation: Validation,
) -> None:
    assert (validation.folds, validation.total.rows, validation.total.unjudged_rows) == (2, 6, 1)
    assert validation.total.accuracy == pytest.approx((1 / 3 + 2 / 3) / 2, abs=1e-4)


def test_the_interval_of_accuracy_is_that_of_the_mean_of_the_folds(validation: Validation) -> None:
    deviation = math.sqrt(((1 / 3 - 1 / 2) ** 2 + (2 / 3 - 1 / 2) ** 2) / 1)
    assert validation.total.accuracy_interval == pytest.approx(12.7062 * deviation / math.sqrt(2), abs=1e-3)


def test_log_loss_is_over_the_judged_rows(validation: Validation) -> None:
    expected = -sum(map(math.log, [0.9, 0.05, 0.8, 0.25, 1.0])) / 5
    assert validation.total.log_loss == pytest.approx(expected, abs=1e-4)


def test_calibration_error_is_the_mean_gap_weighted_by_rows(validation: Validation) -> None:
    assert [(each.lowest, each.rows) for each in validation.calibration] == [(0.2, 2), (0.9, 3)]
    expected = (2 * abs(0.225 - 1 / 2) + 3 * abs(0.95 - 2 / 3)) / 5
    assert validation.total.calibration_error == pytest.approx(expected, abs=1e-4)


def test_each_source_has_its_own_figures(validation: Validation) -> None:
    assert {name: each.rows for name, each in validation.by_source.items()} == {"a": 4, "b": 2}
    assert validation.by_source["b"].accuracy == pytest.approx(1 / 2)


def test_accuracy_is_told_by_the_number_of_words(validation: Validation) -> None:
    assert [(each.least_words, each.rows, each.accuracy) for each in validation.by_length] == [
        (0, 2, 0.5),
        (10, 2, 0.5),
        (200, 1, 0.0),
        (400, 1, 1.0),
    ]


def test_figures_over_judged_rows_are_zero_when_nothing_was_judged(validate: Callable[..., Validation]) -> None:
    nothing = validate(np.full(2, np.nan), LABELS[:2], SOURCES[:2], FOLDS[:2], WORDS[:2]).total
    assert (nothing.accuracy, nothing.log_loss, nothing.calibration_error) == (0, 0, 0)
