"""Counting the n-grams of many texts: for training, where there are tens of millions."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from user_analytics.sentiment.kernel import words
from user_analytics.sentiment.model import LONGEST_NGRAM

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Counts(NamedTuple):
    """How often each n-gram (column of `matrix`, aligned with `ngrams`) occurs in each text (row)."""

    matrix: "csr_matrix"
    ngrams: NDArray[np.object_]


class _Level(NamedTuple):
    """N-grams of one length: their columns, and which of them starts at each word of the texts (-1: none)."""

    matrix: "csr_matrix"
    ngrams: NDArray[np.object_]
    starting: NDArray[np.int64]


def count_ngrams(texts: pa.LargeStringArray, minimum_rows: int) -> Counts:
    """Count all n-grams that occur in `minimum_rows` texts or more.

    An n-gram is at most as frequent as the shorter ones in it, so each length is counted among the
    frequent ones of the length before only.
    """
    from scipy.sparse import hstack  # noqa: PLC0415 - only training needs it

    split = pc.split_pattern(words(texts), " ")
    is_word = pc.not_equal(split.flatten(), "")
    rows = pc.list_parent_indices(split).filter(is_word).to_numpy()
    encoded = split.flatten().filter(is_word).dictionary_encode()
    numbers = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)

    single = _frequent(numbers, np.arange(len(numbers)), rows, len(texts), minimum_rows)
    vocabulary = encoded.dictionary.to_numpy(zero_copy_only=False)[single.ngrams.astype(np.int64)]
    levels = [single._replace(ngrams=vocabulary)]
    for length in range(2, LONGEST_NGRAM + 1):
        shorter = levels[-1]
        starts = np.arange(max(0, len(rows) - length + 1))
        last = single.starting[starts + length - 1]
        is_whole = (shorter.starting[starts] >= 0) & (last >= 0) & (rows[starts] == rows[starts + length - 1])
        starts, last = starts[is_whole], last[is_whole]
        longer = _frequent(shorter.starting[starts] * len(vocabulary) + last, starts, rows, len(texts), minimum_rows)
        before, word = np.divmod(longer.ngrams.astype(np.int64), max(1, len(vocabulary)))
        levels.append(longer._replace(ngrams=shorter.ngrams[before] + " " + vocabulary[word]))
    return Counts(
        hstack([level.matrix for level in levels], format="csr"), np.concatenate([level.ngrams for level in levels])
    )


def _frequent(
    keys: NDArray[np.int64], starts: NDArray[np.int64], rows: NDArray[np.int64], texts: int, minimum_rows: int
) -> _Level:
    """Count the n-grams with these keys, the i-th starting at word `starts[i]`; `ngrams` are the keys kept."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - only training needs it

    distinct, which = np.unique(keys, return_inverse=True)
    cells, occurrences = np.unique(rows[starts] * max(1, len(distinct)) + which, return_counts=True)
    cell_rows, cell_ngrams = np.divmod(cells, max(1, len(distinct)))
    is_frequent = np.bincount(cell_ngrams, minlength=len(distinct)) >= minimum_rows
    columns = np.where(is_frequent, np.cumsum(is_frequent) - 1, -1)

    kept = is_frequent[cell_ngrams]
    matrix = csr_matrix(
        (occurrences[kept].astype(np.float64), (cell_rows[kept], columns[cell_ngrams[kept]])),
        shape=(texts, int(is_frequent.sum())),
    )
    starting = np.full(len(rows), -1)
    starting[starts] = columns[which]
    return _Level(matrix, distinct[is_frequent].astype(object), starting)
