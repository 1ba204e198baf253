import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tests.unit.sentiment.conftest import Trained, labelled_reviews
from user_analytics.sentiment.model import load_model
from user_analytics.sentiment.score import is_positive, score

PACKAGED = load_model()


def packaged(*texts: str | None) -> list[float | None]:
    probabilities: list[float | None] = score(PACKAGED, pa.array(texts, pa.string())).to_pylist()
    return probabilities


def test_probabilities_are_those_of_a_scikit_learn_pipeline_up_to_rounding(trained: Trained) -> None:
    table = pq.read_table(trained.labelled)
    pipeline = make_pipeline(
        # The generated texts are lower case and know no mark but "!", so a plain pattern finds the same words.
        TfidfVectorizer(token_pattern=r"[a-z0-9']+|!", ngram_range=(1, 2), min_df=3, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    ).fit(table["review_str"].to_pylist(), table["label"].to_numpy())
    unseen = labelled_reviews(rows=300, seed=8)["review_str"].combine_chunks()

    expected = pipeline.predict_proba(unseen.to_pylist())[:, 1]

    assert expected.min() < 0.1
    assert expected.max() > 0.9
    np.testing.assert_allclose(score(trained.model, unseen).to_numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("text", [None, "", "   ", "😀", "это фильм", "<br /><br />", "zzzzqq", "."])
def test_a_text_with_nothing_to_judge_has_no_probability(text: str | None) -> None:
    assert packaged(text) == [None]


@pytest.mark.parametrize("text", ["good movie", "Great!", "7/10", "I loved every minute of it.", "Don’t miss it"])
def test_the_packaged_model_calls_praise_positive(text: str) -> None:
    (probability,) = packaged(text)
    assert probability is not None
    assert probability > 0.5


@pytest.mark.parametrize("text", ["not good", "2/10", "don't bother", "A waste of time.", "Nothing special. Boring."])
def test_the_packaged_model_calls_blame_negative(text: str) -> None:
    (probability,) = packaged(text)
    assert probability is not None
    assert probability < 0.5


def test_a_negation_turns_the_word_it_precedes() -> None:
    plain, negated = packaged("good", "not good")
    assert plain is not None
    assert negated is not None
    assert plain > 0.9
    assert negated < 0.2


def test_order_and_nulls_are_kept_across_internal_chunks() -> None:
    texts = ["good", None, "bad", ""] * 1000
    probabilities = packaged(*texts)
    assert probabilities == packaged("good", None, "bad", "") * 1000


def test_neighbours_in_a_batch_form_no_pair() -> None:
    assert packaged("not", "good") == [packaged("not")[0], packaged("good")[0]]


def test_an_empty_batch_gives_an_empty_batch() -> None:
    assert score(PACKAGED, pa.array([], pa.string())).equals(pa.array([], pa.float64()))


def test_a_batch_of_nulls_gives_nulls() -> None:
    assert packaged(None, None) == [None, None]


def test_a_slice_is_scored_from_its_own_start() -> None:
    texts = pa.array(["bad", None, "good"])
    assert score(PACKAGED, texts.slice(2)).to_pylist() == packaged("good")


@settings(deadline=None)
@given(texts=st.lists(st.none() | st.text() | st.text(alphabet="dul not bad!?<>&'"), max_size=5))
def test_any_text_has_a_probability_or_none_whatever_batch_it_comes_in(
    trained: Trained, texts: list[str | None]
) -> None:
    def scored(*batch: str | None) -> list[float | None]:
        probabilities: list[float | None] = score(trained.model, pa.array(batch, pa.string())).to_pylist()
        return probabilities

    together = scored(*texts)
    assert together == [scored(text)[0] for text in texts]
    assert all(probability is None or 0 <= probability <= 1 for probability in together)


def test_a_review_is_positive_from_one_half_and_unknown_without_a_probability() -> None:
    assert is_positive(pa.array([0.49999, 0.5, None, 1.0])).to_pylist() == [False, True, None, True]
