"""The logical date of a run as it is typed: how it is written, and that it is not after today."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer


def today() -> date:
    """The UTC day, as the logical dates are."""
    return datetime.now(UTC).date()


def parse_date(text: str) -> date:
    """A date; raises ValueError, for the person who typed it, when it is not written as YYYY-MM-DD."""
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != text:
        raise ValueError(f"{text!r} is not a date like 2010-12-08")
    return parsed


def parse_logical_date(text: str) -> date:
    """A date to run something for; raises ValueError as `parse_date` does, and for one after today.

    A mistyped year would be published, and every date until then be refused as older.
    """
    ds = parse_date(text)
    if ds > (now := today()):
        raise ValueError(
            f"{ds} is after today, {now} (UTC), and nothing is run for a day to come: give today's date or an earlier "
            "one"
        )
    return ds


def date_option(name: str, explanation: str, parse: Callable[[str], date] = parse_logical_date) -> Any:
    """An option of the command line that takes a date."""

    def parsed(text: str) -> date:
        try:
            return parse(text)
        except ValueError as error:  # whose reason typer would not tell
            raise typer.BadParameter(str(error)) from error

    return typer.Option(name, parser=parsed, metavar="YYYY-MM-DD", help=explanation)


DateOrLatestInvoiceDay = Annotated[date | None, date_option("--date", "Logical date; default: the latest invoice day.")]
