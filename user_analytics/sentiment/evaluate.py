"""How right the probabilities are: accuracy, log loss and calibration on labelled reviews."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from user_analytics.sentiment.model import CalibrationBin, Metrics, Validation
from user_analytics.sentiment.score import POSITIVE_FROM

_BINS = 10
# Rounding keeps the model file free of the last digits, in which machines may differ.
_DIGITS = 4


def validate(probabilities: pa.DoubleArray, labels: NDArray[np.int8], sources: Sequence[str]) -> Validation:
    """Compare probabilities (NULL: not judged) with labels (1 positive, 0 negative), in all and by source.

    All three are aligned. A figure over no rows is 0.
    """
    values = probabilities.to_numpy(zero_copy_only=False)
    source = np.array(sources)
    return Validation(
        total=_metrics(values, labels),
        by_source={name: _metrics(values[source == name], labels[source == name]) for name in sorted(set(sources))},
        calibration=_calibration(values, labels),
    )


def _metrics(values: NDArray[np.float64], labels: NDArray[np.int8]) -> Metrics:
    judged = ~np.isnan(values)
    bins = _calibration(values, labels)
    gap = sum(each.rows * abs(each.mean_probability - each.positive_share) for each in bins)
    probability_of_truth = np.where(labels == 1, values, 1 - values)[judged]
    return Metrics(
        rows=len(values),
        unjudged_rows=int((~judged).sum()),
        accuracy=_mean(judged & ((values >= POSITIVE_FROM) == (labels == 1))),
        log_loss=_mean(-np.log(np.maximum(probability_of_truth, np.finfo(np.float64).tiny))),
        calibration_error=round(gap / max(1, int(judged.sum())), _DIGITS),
    )


def _calibration(values: NDArray[np.float64], labels: NDArray[np.int8]) -> list[CalibrationBin]:
    """Equal-width bins, empty ones left out (Naeini et al., AAAI 2015)."""
    judged = ~np.isnan(values)
    position = np.minimum(values[judged] * _BINS, _BINS - 1).astype(int)
    return [
        CalibrationBin(
            lowest=number / _BINS,
            rows=int((position == number).sum()),
            mean_probability=_mean(values[judged][position == number]),
            positive_share=_mean(labels[judged][position == number]),
        )
        for number in np.unique(position).tolist()
    ]


def _mean(values: NDArray[np.generic]) -> float:
    return round(float(values.mean()), _DIGITS) if len(values) else 0.0
