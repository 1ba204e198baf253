"""How right the probabilities are: accuracy, log loss and calibration on labelled reviews, over folds."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from user_analytics.sentiment.model import CalibrationBin, LengthBin, Metrics, Validation
from user_analytics.sentiment.score import POSITIVE_FROM

_BINS = 10
_LENGTHS = (0, 10, 20, 50, 100, 200, 400)
# Rounding keeps the model file free of the last digits, in which machines may differ.
_DIGITS = 4


def validate(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int8],
    sources: NDArray[np.str_],
    folds: NDArray[np.int64],
    words: NDArray[np.int64],
) -> Validation:
    """Compare probabilities (NaN: not judged) with labels (1 positive, 0 negative), in all and by source.

    All are aligned; `folds` tells which model judged a row, `words` how many the review has. A figure
    over no rows is 0.
    """
    is_right = (probabilities >= POSITIVE_FROM) == (labels == 1)
    is_right &= ~np.isnan(probabilities)
    names = [str(name) for name in np.unique(sources)]
    return Validation(
        folds=len(np.unique(folds)),
        total=_metrics(probabilities, labels, is_right, folds),
        by_source={
            name: _metrics(*(values[sources == name] for values in (probabilities, labels, is_right, folds)))
            for name in names
        },
        calibration=_calibration(probabilities, labels),
        by_length=_by_length(words, is_right),
    )


def _metrics(
    values: NDArray[np.float64], labels: NDArray[np.int8], is_right: NDArray[np.bool_], folds: NDArray[np.int64]
) -> Metrics:
    judged = ~np.isnan(values)
    gap = sum(each.rows * abs(each.mean_probability - each.positive_share) for each in _calibration(values, labels))
    probability_of_truth = np.where(labels == 1, values, 1 - values)[judged]
    by_fold = np.array([is_right[folds == fold].mean() for fold in np.unique(folds)])
    return Metrics(
        rows=len(values),
        unjudged_rows=int((~judged).sum()),
        accuracy=_mean(by_fold),
        accuracy_interval=_interval(by_fold),
        log_loss=_mean(-np.log(np.maximum(probability_of_truth, np.finfo(np.float64).tiny))),
        calibration_error=round(gap / max(1, int(judged.sum())), _DIGITS),
    )


def _interval(values: NDArray[np.float64]) -> float:
    """Half of the 95% interval of the mean, by Student's t."""
    if len(values) < 2:
        return 0.0
    return round(float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5), _DIGITS)


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


def _by_length(words: NDArray[np.int64], is_right: NDArray[np.bool_]) -> list[LengthBin]:
    position = np.digitize(words, _LENGTHS[1:])
    return [
        LengthBin(
            least_words=least,
            rows=int((position == number).sum()),
            accuracy=_mean(is_right[position == number]),
        )
        for number, least in enumerate(_LENGTHS)
        if (position == number).any()
    ]


def _mean(values: NDArray[np.generic]) -> float:
    return round(float(values.mean()), _DIGITS) if len(values) else 0.0
