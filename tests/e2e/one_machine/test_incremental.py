"""Incremental runs over different days end where one full load does, late rows and all; and the way back."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from data import generate
from tests import oracle
from tests.fixtures.command_line import CommandLine

# Arrives after the run of its day; 12346 is one of the twenty customers.
LATE = "999999,10001,LATE,1000,2010-12-05 17:00:00,123.457,12346,United Kingdom"


@pytest.mark.timeout(1800)
def test_incremental_runs_with_a_late_row_equal_a_full_load_and_can_be_undone(
    command_line: CommandLine, tmp_path: Path
) -> None:
    sizes = ["--reviews=60", "--purchases=1500", "--customers=20", "--seed=3", "--days=10"]
    generate.main([*sizes, f"--output={tmp_path}"])
    reviews = tmp_path / "movie_review.csv"
    late = dict(zip(generate.PURCHASE_COLUMNS.split(","), LATE.split(","), strict=True))
    everything = [*oracle.read(tmp_path / "user_purchase.csv"), late]

    def run(day: str, mode: str, arrived: Callable[[dict[str, str]], bool]) -> str:
        """Run on the purchases that had arrived by the day; returns the metrics as printed."""
        purchases = tmp_path / f"purchases_{day}.csv"
        with purchases.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, late.keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(row for row in everything if row["invoice_date"][:10] <= day and arrived(row))
        command_line("run", "--reviews", reviews, "--purchases", purchases, "--date", day, "--mode", mode)
        return command_line("query", "user_behaviour_metrics_view", "--format", "csv")

    before = run("2010-12-05", "full", lambda row: row is not late)
    run("2010-12-06", "incremental", lambda row: row is not late)
    incremental = run("2010-12-08", "incremental", lambda row: True)
    full = run("2010-12-08", "full", lambda row: True)
    assert incremental == full

    metrics = csv.DictReader(full.splitlines(), strict=True)
    expected = oracle.compute(reviews, tmp_path / "purchases_2010-12-08.csv")
    assert {int(row["customer_id"]): row["amount_spent"] for row in metrics} == {
        customer: f"{amount:.3f}" for customer, amount in expected.amount_spent.items()
    }

    command_line("run", "--from-raw", "--date", "2010-12-05", "--force")
    undone = command_line("query", "user_behaviour_metrics_view", "--format", "csv")
    assert undone == before != full
