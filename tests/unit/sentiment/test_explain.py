import math
import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sentiment.conftest import packaged
from user_analytics.sentiment.explain import contributions, deciding_ngrams
from user_analytics.sentiment.score import score


def logit(text: str) -> float | None:
    found = contributions(packaged(), text)
    return packaged().bias + sum(each.logit for each in found) if found else None


def test_the_strongest_ngram_comes_first() -> None:
    strongest, *_ = contributions(packaged(), "The plot is thin, and it was a waste of time.")
    assert strongest.ngram in ("waste", "waste of", "waste of time", "a waste of")
    assert strongest.logit < 0


def test_repetitions_are_counted() -> None:
    (great,) = (each for each in contributions(packaged(), "great, great, GREAT") if each.ngram == "great")
    assert great.occurrences == 3


def test_the_five_ngrams_that_decided_are_named_with_what_each_adds_to_the_logit() -> None:
    text = "Not good, but the cast was excellent and I would watch it again."
    strongest = contributions(packaged(), text)[:5]
    assert {each.logit > 0 for each in strongest} == {True, False}

    named = deciding_ngrams(packaged(), text)

    assert named is not None
    parts = [part.rsplit(" ", 1) for part in named.split(", ")]
    assert [ngram for ngram, _ in parts] == [each.ngram for each in strongest]
    assert all(re.fullmatch(r"[+-]\d+\.\d\d", added) for _, added in parts)
    assert [float(added) for _, added in parts] == pytest.approx([each.logit for each in strongest], abs=0.0051)


@pytest.mark.parametrize("text", ["", "😀", "!", "<br /><br />"])
def test_where_there_is_nothing_to_judge_nothing_decided(text: str) -> None:
    assert contributions(packaged(), text) == []
    assert deciding_ngrams(packaged(), text) is None


PIECES = ("not", "a", "good", "bad", "great", "film", "the", "don't", "!", "?", "it's", "<br/>", "7/10", "é")
WORDS = st.deferred(lambda: st.sampled_from([*PIECES, *packaged().ngrams[::997]]))


@settings(deadline=None)
@given(st.lists(WORDS, max_size=100).map(" ".join) | st.text())
def test_contributions_and_bias_sum_up_to_what_the_kernel_says(text: str) -> None:
    (probability,) = score(packaged(), pa.array([text])).to_pylist()
    expected = logit(text)
    assert (probability is None) == (expected is None)
    if probability is not None and expected is not None:
        assert probability == pytest.approx(1 / (1 + math.exp(-expected)), abs=1e-12)
