"""Numbers, dates and the strength of a correlation, as the page writes them."""

from datetime import UTC, date, datetime
from decimal import Decimal

MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
MINUS = "\N{MINUS SIGN}"


def number(value: int) -> str:
    """1234 → 1,234."""
    return f"{value:,}".replace("-", MINUS)


def money(value: Decimal) -> str:
    """To the last digit of NUMERIC(8,3): 1234.5 → 1,234.500."""
    return f"{value:,.3f}".replace("-", MINUS)


def share(part: int, whole: int) -> str:
    """Per cent with one decimal; a dash when there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else "–"


def share_with_interval(value: float, half_interval: float) -> str:
    """A share and half of its interval in per cent: 92.4 ± 0.8 %."""
    return f"{100 * value:.1f} ± {100 * half_interval:.1f} %"


def probability(value: float) -> str:
    """Three decimals, but never a certainty that the value does not have."""
    rounded = f"{value:.3f}"
    if rounded == "1.000" and value < 1:
        return "over 0.999"
    return "under 0.001" if rounded == "0.000" and value > 0 else rounded


def beginning(text: str, characters: int) -> str:
    """The text, or so much of it that it ends in … within so many characters."""
    return text if len(text) <= characters else f"{text[: characters - 1].rstrip()}…"


def coefficient(value: float | None) -> str:
    """A correlation with three decimals and its sign."""
    return "undefined" if value is None else f"{value:+.3f}".replace("-", MINUS)


def strength(value: float | None) -> str:
    """A correlation in words, by the usual bounds 0.1, 0.3 and 0.5 (Cohen, 1988, Statistical Power Analysis)."""
    if value is None:
        return "no relation can be computed"
    size = abs(value)
    if size < 0.1:
        return "no linear relation"
    degree = "weak" if size < 0.3 else "moderate" if size < 0.5 else "strong"
    return f"{degree} {'positive' if value > 0 else 'negative'} relation"


def seconds(value: float) -> str:
    """12.34 → 12.3 s; from two minutes on 2 min 05 s."""
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"


def day(value: date) -> str:
    """8 December 2010, in any locale."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def moment(value: datetime) -> str:
    """8 December 2010, 14:05 UTC."""
    utc = value.astimezone(UTC)
    return f"{day(utc)}, {utc:%H:%M} UTC"
