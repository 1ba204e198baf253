"""Why a text was judged as it was: what each of its n-grams adds to the logit.

This is the definition of a score in plain Python; tests hold the compiled kernel to it.
"""

import math
from collections import Counter
from typing import NamedTuple

from user_analytics.sentiment.model import LONGEST_NGRAM, Model
from user_analytics.sentiment.tokeniser import words

DECIDING = 5
"""N-grams named as those that decided: more than these rarely change what a reader makes of a verdict."""


class Contribution(NamedTuple):
    """An n-gram of the text that the model knows, and what all its occurrences together add to the logit."""

    ngram: str
    occurrences: int
    logit: float


def contributions(model: Model, text: str) -> list[Contribution]:
    """What decided, strongest first; with the model's bias they sum up to the text's logit.

    Empty where there is nothing to judge.
    """
    found = Counter(ngram for ngram in ngrams(words(text)) if ngram in model.positions)
    tfidf = {
        ngram: (1 + math.log(occurrences)) * float(model.idf[model.positions[ngram]])
        for ngram, occurrences in found.items()
    }
    norm = math.sqrt(sum(value * value for value in tfidf.values()))
    each = [
        Contribution(ngram, found[ngram], value / norm * float(model.weights[model.positions[ngram]]))
        for ngram, value in tfidf.items()
    ]
    return sorted(each, key=lambda contribution: -abs(contribution.logit))


def deciding_ngrams(model: Model, text: str) -> str | None:
    """The strongest contributions with what each adds to the logit, as in `excellent +1.84, not -0.31`.

    At most DECIDING, strongest first; None where there is nothing to judge.
    """
    strongest = contributions(model, text)[:DECIDING]
    return ", ".join(f"{each.ngram} {each.logit:+z.2f}" for each in strongest) or None


def ngrams(text: list[str]) -> list[str]:
    """All runs of up to three neighbouring words, joined by a space."""
    return [
        " ".join(text[start : start + length])
        for length in range(1, LONGEST_NGRAM + 1)
        for start in range(len(text) - length + 1)
    ]
