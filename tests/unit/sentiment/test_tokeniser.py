import pytest

from user_analytics.sentiment.tokeniser import words


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
        ("NAÏVE café", ["naïve", "café"]),
        ("", []),
        (" ' .,; <br />", []),
    ],
)
def test_words_are_lower_case_without_markup_and_punctuation(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize("text", ["don't", "DON’T", "don‘t", "don&#39;t", "don&apos;t", "don&rsquo;t", "'don't'"])
def test_a_contracted_negation_stays_one_word_however_its_apostrophe_is_written(text: str) -> None:
    assert words(text) == ["don't"]


@pytest.mark.parametrize("text", ["😀", "это фильм", "映画", "\x00", "×÷"])
def test_what_is_not_written_in_latin_letters_or_digits_has_no_words(text: str) -> None:
    assert words(text) == []
