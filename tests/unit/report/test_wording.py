"""Numbers and dates as the page writes them."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from user_analytics.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567.8"), "1,234,567.800"),
        (Decimal("-45.5"), "−45.500"),
        (Decimal("99999999999999999999.001"), "99,999,999,999,999,999,999.001"),
        (Decimal(0), "0.000"),
    ],
)
def test_money_is_exact_to_three_decimals(value: Decimal, text: str) -> None:
    assert wording.money(value) == text


def test_whole_numbers_have_separators() -> None:
    assert [wording.number(value) for value in (0, 999, 1234567, -1000)] == ["0", "999", "1,234,567", "−1,000"]


def test_a_share_of_nothing_is_a_dash() -> None:
    assert wording.share(0, 0) == "–"
    assert wording.share(1, 3) == "33.3 %"


@pytest.mark.parametrize(
    ("value", "shown", "words"),
    [
        (None, "undefined", "no relation can be computed"),
        (0.0, "+0.000", "no linear relation"),
        (-0.0999, "−0.100", "no linear relation"),
        (0.1, "+0.100", "weak positive relation"),
        (-0.3, "−0.300", "moderate negative relation"),
        (0.5, "+0.500", "strong positive relation"),
        (-1.0, "−1.000", "strong negative relation"),
    ],
)
def test_a_correlation_is_shown_with_its_sign_and_said_in_words(value: float | None, shown: str, words: str) -> None:
    assert (wording.coefficient(value), wording.strength(value)) == (shown, words)


def test_times_from_two_minutes_on_are_in_minutes() -> None:
    assert [wording.seconds(value) for value in (0.04, 119.94, 120, 3725.6)] == [
        "0.0 s",
        "119.9 s",
        "2 min 00 s",
        "62 min 06 s",
    ]


def test_moments_are_in_utc_whatever_their_time_zone() -> None:
    assert wording.day(date(2010, 12, 8)) == "8 December 2010"
    assert wording.moment(datetime(2010, 12, 9, 0, 7, 59, tzinfo=UTC)) == "9 December 2010, 00:07 UTC"
    auckland = timezone(timedelta(hours=13))
    assert wording.moment(datetime(2010, 12, 9, 0, 7, tzinfo=auckland)) == "8 December 2010, 11:07 UTC"


def test_a_probability_short_of_certainty_is_never_shown_as_certain() -> None:
    shown = [wording.probability(value) for value in (0.0, 0.0004, 0.0005001, 0.5, 0.9994, 0.99951, 1.0)]
    assert shown == ["0.000", "under 0.001", "0.001", "0.500", "0.999", "over 0.999", "1.000"]


def test_a_text_is_cut_to_a_length_that_counts_the_ellipsis() -> None:
    assert wording.beginning("ten signs.", 10) == "ten signs."
    assert wording.beginning("ten signs. and more", 10) == "ten signs…"
    assert wording.beginning("twelve signs", 8) == "twelve…"


def test_an_accuracy_has_its_interval() -> None:
    assert wording.share_with_interval(0.92446, 0.0079) == "92.4 ± 0.8 %"
