import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from user_analytics.sentiment.tokeniser import tokenise


def words(text: str) -> list[str]:
    found: list[str] = tokenise(pa.array([text])).words.to_pylist()
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A GREAT film", ["a", "great", "film"]),
        ("Great!! Why?", ["great", "!", "!", "why", "?"]),
        ("one<br /><br />two<BR>three", ["one", "two", "three"]),
        ('an <a href="x?y=z!">old</a> song', ["an", "old", "song"]),
        ("3 < 4 and 5 > 4", ["3", "4", "and", "5", "4"]),
        ("cats &amp; dogs&#8230;", ["cats", "dogs"]),
        ("7/10", ["7", "10"]),
        ("feel-good_film", ["feel", "good", "film"]),
        ("a 'feel' ''good'' film'", ["a", "feel", "good", "film"]),
        ("naïve café 😀 это фильм", ["naïve", "café", "это", "фильм"]),
        ("", []),
        (" ' .,; <br />", []),
    ],
)
def test_words_are_lower_case_without_markup_and_punctuation(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["don't", "DON’T", "don&#39;t", "don&apos;t", "'don't'"])
def test_a_contracted_negation_stays_one_word_however_its_apostrophe_is_written(text: str) -> None:
    assert words(text) == ["don't"]


def test_words_carry_the_position_of_their_text() -> None:
    rows, found = tokenise(pa.array(["skipped", "good film", None, "", "bad"]).slice(1))
    assert rows.tolist() == [0, 0, 3]
    assert found.to_pylist() == ["good", "film", "bad"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_arrow_string_type_is_taken(kind: pa.DataType) -> None:
    assert tokenise(pa.array(["Good film"]).cast(kind)).words.to_pylist() == ["good", "film"]


@settings(deadline=None)
@given(st.lists(st.none() | st.text() | st.text(alphabet="a <>b/&#39;'!?\n\0’é😀"), max_size=5))
def test_any_unicode_text_gives_words_without_separators(texts: list[str | None]) -> None:
    rows, found = tokenise(pa.array(texts, pa.string()))
    assert len(rows) == len(found)
    assert rows.tolist() == sorted(rows.tolist())
    assert all(word and not set(word) & set(" <>/&#\n\0😀’") and word == word.strip("'") for word in found.to_pylist())


@settings(deadline=None)
@given(st.lists(st.text(alphabet="a <>b/&#39;'!?\n’é"), max_size=5))
def test_a_text_has_the_same_words_alone_as_among_others(texts: list[str]) -> None:
    rows, found = tokenise(pa.array(texts, pa.string()))
    for position, text in enumerate(texts):
        assert found.filter(pa.array(rows == position)).to_pylist() == words(text)


def test_a_review_of_ten_megabytes_is_taken() -> None:
    assert len(tokenise(pa.array(["so <b " * 1_700_000])).words) == 3_400_000
