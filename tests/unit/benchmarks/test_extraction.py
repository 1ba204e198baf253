"""The comparison of extractions: what it makes of the runs, and what it shows."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.extraction import Result, comparison, middle


def shown(results: dict[str, Result], rows: int) -> list[list[str]]:
    """The cells of the lines that the table prints."""
    console = Console(width=200, file=StringIO(), record=True)
    console.print(comparison(results, rows))
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines()]


def test_a_result_is_the_median_time_and_the_highest_memory_of_its_runs() -> None:
    runs = [Result(9.0, 50.0, 10, "double"), Result(1.0, 70.0, 10, "double"), Result(2.0, 60.0, 10, "double")]

    assert middle(runs) == Result(2.0, 70.0, 10, "double")


def test_runs_that_delivered_different_rows_are_no_result() -> None:
    with pytest.raises(SystemExit, match="different rows"):
        middle([Result(1.0, 50.0, 10, "double"), Result(1.0, 50.0, 9, "double")])


def test_times_are_shown_as_ratios_to_the_first() -> None:
    lines = shown({"floor": Result(0.5, 10.0, 1000, "-"), "other": Result(2.0, 99.6, 1000, "double")}, rows=1000)

    assert ["floor", "0.50", "1.0", "2,000", "10", "1,000", "-"] in lines
    assert ["other", "2.00", "4.0", "500", "100", "1,000", "double"] in lines


def test_lost_rows_are_shown_beside_those_there_were() -> None:
    lines = shown({"floor": Result(0.5, 10.0, 1000, "-"), "lossy": Result(1.0, 99.0, 710, "double")}, rows=1000)

    assert ["lossy", "1.00", "2.0", "710", "99", "710 of 1,000", "double"] in lines
