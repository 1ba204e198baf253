"""Scoring: a batch of texts in, a batch of probabilities out.

A text's TF-IDF over the n-grams of the model it holds is (1 + ln(occurrences)) × idf, scaled to an L2 norm of 1, as
scikit-learn's TfidfTransformer(sublinear_tf=True) defines it; its logit is the bias and the sum of TF-IDF × weight.
explain.py does the same in plain Python for one text, n-gram by n-gram.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from user_analytics.sentiment.model import Model

POSITIVE_FROM = 0.5

# An array of plain strings holds no more than 2 GiB; texts of another type are copied into such arrays.
_ROWS_COPIED_AT_ONCE = 1024


def score(model: Model, texts: pa.Array) -> pa.DoubleArray:
    """The probability in [0, 1] that each text is positive, in order; `texts` is of any Arrow string type.

    NULL where there is nothing to judge: a null text, or one without any n-gram of the model.
    A text gets the same probability whatever batch it comes in. Texts of type `string` are not copied.
    """
    if texts.type == pa.string():
        return _score(model, texts)
    starts = range(0, len(texts), _ROWS_COPIED_AT_ONCE)
    chunks = [_score(model, texts.slice(start, _ROWS_COPIED_AT_ONCE).cast(pa.string())) for start in starts]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.float64())


def is_positive(probabilities: pa.DoubleArray) -> pa.BooleanArray:
    """`positive_review`: a probability of at least one half; NULL stays NULL."""
    return pc.greater_equal(probabilities, POSITIVE_FROM)


def _score(model: Model, texts: pa.StringArray) -> pa.DoubleArray:
    logits = model.table.logits(texts)
    # The logistic function, in the form that cannot overflow.
    return pa.array((1 + np.tanh(logits / 2)) / 2, mask=np.isnan(logits))
