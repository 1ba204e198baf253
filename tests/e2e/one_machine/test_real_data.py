"""The views of a run on real files, against an independent computation from the same files.

REAL_DATA is a folder with movie_review.csv (cid,review_str) and user_purchase.csv (the columns of
retail.user_purchase) that end on 2010-12-08 or before; without it this whole module is one skip.
"""

import csv
import os
import statistics
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tests import oracle
from tests.fixtures.command_line import CommandLine

if not os.environ.get("REAL_DATA"):
    pytest.skip("REAL_DATA (folder of real input files) is not set", allow_module_level=True)

REVIEWS = Path(os.environ["REAL_DATA"]).resolve() / "movie_review.csv"
PURCHASES = Path(os.environ["REAL_DATA"]).resolve() / "user_purchase.csv"

Views = dict[str, list[dict[str, str]]]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def expected() -> oracle.Oracle:
    return oracle.compute(REVIEWS, PURCHASES)


@pytest.fixture(scope="module")
def views(command_line: CommandLine) -> Views:
    """The rows of each view after a full run on the real files."""
    command_line("run", "--reviews", REVIEWS, "--purchases", PURCHASES, "--date", "2010-12-08")
    return {
        view: list(csv.DictReader(printed.splitlines(), strict=True)) for view, printed in command_line.views().items()
    }


@pytest.fixture(scope="module")
def metrics(views: Views) -> list[dict[str, str]]:
    return views["user_behaviour_metrics_view"]


def by_customer(metrics: list[dict[str, str]], column: str) -> dict[int, int]:
    return {int(row["customer_id"]): int(row[column]) for row in metrics}


def test_the_metrics_have_one_row_for_each_customer_of_either_file(
    metrics: list[dict[str, str]], expected: oracle.Oracle
) -> None:
    assert list(metrics[0]) == ["customer_id", "amount_spent", "num_positive_reviews", "num_reviews"]
    assert [row["customer_id"] for row in metrics] == [str(customer) for customer in sorted(expected.customers)]


def test_amount_spent_is_exact_to_the_last_digit(metrics: list[dict[str, str]], expected: oracle.Oracle) -> None:
    printed = {int(row["customer_id"]): row["amount_spent"] for row in metrics}
    assert printed == {customer: f"{amount:.3f}" for customer, amount in expected.amount_spent.items()}
    assert all(Decimal(printed[customer]) == amount for customer, amount in expected.amount_spent.items())


def test_the_total_spent_is_that_of_all_purchases_with_a_customer(
    metrics: list[dict[str, str]], expected: oracle.Oracle
) -> None:
    assert sum(Decimal(row["amount_spent"]) for row in metrics) == expected.total_spent


def test_num_reviews_is_the_number_of_records_of_each_customer(
    metrics: list[dict[str, str]], expected: oracle.Oracle
) -> None:
    assert by_customer(metrics, "num_reviews") == expected.num_reviews


def test_positive_reviews_are_those_that_scoring_the_file_calls_positive(
    command_line: CommandLine, metrics: list[dict[str, str]], tmp_path: Path
) -> None:
    scored = tmp_path / "scored.csv"
    command_line("score", REVIEWS, "--output", scored)
    positive: Counter[int] = Counter()
    for row in oracle.read(scored):
        positive[int(row["cid"])] += row["positive_review"] == "true"
    counted = by_customer(metrics, "num_positive_reviews")
    assert counted == {customer: positive[customer] for customer in counted}
    assert 0 < positive.total() < sum(by_customer(metrics, "num_reviews").values())


def test_the_top_customers_by_amount_spent_are_those_of_the_files(views: Views, expected: oracle.Oracle) -> None:
    assert views["top_5_customers_by_amount_spent_view"] == [
        {"rank": str(rank), "customer_id": str(customer), "amount_spent": f"{amount:.3f}"}
        for rank, customer, amount in oracle.top_five(expected.amount_spent)
    ]


def test_the_top_customers_by_positive_reviews_are_those_of_the_metrics(
    views: Views, metrics: list[dict[str, str]]
) -> None:
    assert views["top_5_customers_by_positive_reviews_view"] == [
        {"rank": str(rank), "customer_id": str(customer), "num_positive_reviews": str(number)}
        for rank, customer, number in oracle.top_five(by_customer(metrics, "num_positive_reviews"))
    ]


def test_the_correlations_are_those_of_the_metrics(views: Views, metrics: list[dict[str, str]]) -> None:
    (row,) = views["correlation_amount_spent_vs_reviews_view"]
    spent = [float(customer["amount_spent"]) for customer in metrics]
    for name in ("num_reviews", "num_positive_reviews"):
        numbers = [float(customer[name]) for customer in metrics]
        assert float(row[f"amount_spent_vs_{name}"]) == pytest.approx(statistics.correlation(spent, numbers), rel=1e-9)
    assert int(row["num_customers"]) == len(metrics)
