"""An incremental run ends where a full load would, late rows and all; and the way back."""

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from data import generate
from tests import oracle
from tests.fixtures.command_line import CommandLine
from user_analytics.warehouse.view_names import METRICS_VIEW

# Arrives after the run of its day; 12346 is one of the twenty customers.
LATE = "999999,10001,LATE,1000,2010-12-05 17:00:00,123.457,12346,United Kingdom"


@pytest.mark.timeout(1800)
def test_an_incremental_run_with_a_late_row_ends_where_a_full_load_would_and_can_be_undone(
    command_line: CommandLine, tmp_path: Path
) -> None:
    sizes = ["--reviews=60", "--purchases=1500", "--customers=20", "--seed=3", "--days=10"]
    generate.main([*sizes, f"--output={tmp_path}"])
    reviews = tmp_path / "movie_review.csv"
    late = dict(zip(generate.PURCHASE_COLUMNS.split(","), LATE.split(","), strict=True))
    on_time = list(oracle.read(tmp_path / "user_purchase.csv"))

    def run(day: str, mode: str, arrived: Sequence[dict[str, str]]) -> Path:
        """Run on the purchases up to the day, of those that had arrived; the file of them."""
        purchases = tmp_path / f"purchases_{day}.csv"
        with purchases.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, late.keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in arrived if row["invoice_date"][:10] <= day)
        command_line("run", "--reviews", reviews, "--purchases", purchases, "--date", day, "--mode", mode)
        return purchases

    run("2010-12-05", "full", on_time)
    before = command_line.views()
    purchases = run("2010-12-08", "incremental", [*on_time, late])
    after = command_line.views()

    expected = oracle.compute(reviews, purchases)
    assert amounts(after) == {customer: f"{amount:.3f}" for customer, amount in expected.amount_spent.items()}
    assert reviews_of(after) == reviews_of(before)
    assert amounts(after) != amounts(before)

    command_line("run", "--from-raw", "--date", "2010-12-05", "--force")
    assert command_line.views() == before


def metrics(views: dict[str, str]) -> dict[int, dict[str, str]]:
    """The rows of the metrics by customer."""
    rows = csv.DictReader(views[METRICS_VIEW].splitlines(), strict=True)
    return {int(row["customer_id"]): row for row in rows}


def amounts(views: dict[str, str]) -> dict[int, str]:
    return {customer: row["amount_spent"] for customer, row in metrics(views).items()}


def reviews_of(views: dict[str, str]) -> dict[int, tuple[str, str]]:
    """How many reviews, and positive ones, each customer with a review wrote."""
    counted = {customer: (row["num_reviews"], row["num_positive_reviews"]) for customer, row in metrics(views).items()}
    return {customer: numbers for customer, numbers in counted.items() if numbers[0] != "0"}
