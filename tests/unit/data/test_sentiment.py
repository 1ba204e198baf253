"""What the generated reviews say can be read by a model that never saw the like of them."""

import csv
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from data import generate
from user_analytics.sentiment.model import Model, load_model
from user_analytics.sentiment.score import score

Probabilities = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


@pytest.fixture
def probabilities(model: Model, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Probabilities]:
    """Probability that each of some hundred generated reviews of one tone is positive; NaN: nothing to judge."""

    def of(tone: str) -> Probabilities:
        vocabulary = generate.load_vocabulary()
        only = vocabulary | {"tones": {tone: vocabulary["tones"][tone]}}
        monkeypatch.setattr(generate, "load_vocabulary", lambda: only)
        written = b"".join(generate.review_chunks(800, generate.Customers(100), seed=5)).decode()
        texts = [text for _, text in csv.reader(io.StringIO(written, newline=""), strict=True)]
        scored: Probabilities = score(model, pa.array(texts)).to_numpy(zero_copy_only=False)
        return scored

    return of


def test_praise_reads_as_positive(probabilities: Callable[[str], Probabilities]) -> None:
    assert np.mean(probabilities("positive") > 0.5) > 0.93


def test_blame_reads_as_negative(probabilities: Callable[[str], Probabilities]) -> None:
    assert np.mean(probabilities("negative") < 0.5) > 0.93


def test_denied_praise_reads_as_negative(probabilities: Callable[[str], Probabilities]) -> None:
    assert np.mean(probabilities("not_positive") < 0.5) > 0.75


def test_denied_blame_reads_as_positive(probabilities: Callable[[str], Probabilities]) -> None:
    assert np.mean(probabilities("not_negative") > 0.5) > 0.75


def test_being_of_two_minds_reads_as_neither(probabilities: Callable[[str], Probabilities]) -> None:
    assert 0.15 < np.mean(probabilities("middling") > 0.5) < 0.85


def test_there_is_nothing_to_judge_without_a_word(probabilities: Callable[[str], Probabilities]) -> None:
    assert np.isnan(probabilities("wordless")).all()
