"""The views on cases small enough to compute by hand, where joining before aggregating would be wrong."""

import random
from collections.abc import Iterator, Sequence
from decimal import Decimal
from statistics import correlation
from typing import Any

import pytest

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import Purchase, Review, append_purchases, append_reviews
from tests.oracle import top_five
from user_analytics.errors import WarehouseError
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.tables import ensure_tables
from user_analytics.warehouse.view_names import (
    CORRELATION_VIEW,
    METRICS_VIEW,
    TOP_5_BY_AMOUNT_SPENT_VIEW,
    TOP_5_BY_POSITIVE_REVIEWS_VIEW,
    VIEWS,
)
from user_analytics.warehouse.views import create_views, query_view

POSITIVE, NEGATIVE, NOTHING_TO_JUDGE = 0.9, 0.1, None


@pytest.fixture(scope="module")
def shared(emulator: Emulator) -> Iterator[Warehouse]:
    """Tables and views for all tests of this file: making the views takes longer than asking them."""
    with pytest.MonkeyPatch.context() as patch, open_warehouse(settings_for(emulator, patch)) as opened:
        create_views(opened)
        yield opened


@pytest.fixture
def tables(shared: Warehouse) -> Warehouse:
    """The tables and views, empty."""
    for table in ("movie_review", "user_purchase"):
        shared.run(f"delete from `{shared.table_id(table)}` where true")
    return shared


def view(
    warehouse: Warehouse, name: str, *, reviews: Sequence[Review] = (), purchases: Sequence[Purchase] = ()
) -> list[tuple[Any, ...]]:
    """The rows of a view over these published rows."""
    append_reviews(warehouse, warehouse.table_id("movie_review"), reviews)
    append_purchases(warehouse, warehouse.table_id("user_purchase"), purchases)
    return query_view(warehouse, name).rows


class TestMetrics:
    """(customer_id, amount_spent, num_positive_reviews, num_reviews)"""

    def test_several_purchases_and_several_reviews_do_not_multiply_each_other(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            METRICS_VIEW,
            purchases=[Purchase(7, 2, "10.000"), Purchase(7, 1, "5.500"), Purchase(7, 1, "5.500")],
            reviews=[Review(7, POSITIVE), Review(7, POSITIVE), Review(7, NEGATIVE), Review(7, POSITIVE)],
        )
        assert rows == [(7, Decimal("31.000"), 3, 4)]

    def test_a_customer_of_one_table_only_has_zeros_for_the_other(self, tables: Warehouse) -> None:
        rows = view(tables, METRICS_VIEW, purchases=[Purchase(1, 1, "9.990")], reviews=[Review(2, NEGATIVE)])
        assert rows == [(1, Decimal("9.990"), 0, 0), (2, Decimal("0.000"), 0, 1)]

    def test_purchases_of_guests_stay_out(self, tables: Warehouse) -> None:
        rows = view(tables, METRICS_VIEW, purchases=[Purchase(None, 100, "1.000"), Purchase(1, 1, "2.000")])
        assert rows == [(1, Decimal("2.000"), 0, 0)]

    def test_cancellations_reduce_the_spend_even_below_zero(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            METRICS_VIEW,
            purchases=[Purchase(1, 3, "2.000"), Purchase(1, -2, "2.000"), Purchase(2, -1, "0.005")],
        )
        assert rows == [(1, Decimal("2.000"), 0, 0), (2, Decimal("-0.005"), 0, 0)]

    def test_a_review_without_verdict_counts_as_a_review_only(self, tables: Warehouse) -> None:
        rows = view(tables, METRICS_VIEW, reviews=[Review(1, NOTHING_TO_JUDGE), Review(1, POSITIVE)])
        assert rows == [(1, Decimal("0.000"), 1, 2)]

    def test_zero_prices_and_zero_quantities_make_a_customer_who_spent_nothing(self, tables: Warehouse) -> None:
        rows = view(tables, METRICS_VIEW, purchases=[Purchase(1, 5, "0.000"), Purchase(2, 0, "5.000")])
        assert rows == [(1, Decimal("0.000"), 0, 0), (2, Decimal("0.000"), 0, 0)]

    def test_the_largest_amounts_the_source_can_hold_are_summed_to_the_last_digit(self, tables: Warehouse) -> None:
        largest = Purchase(1, 2**31 - 1, "99999.999")
        rows = view(tables, METRICS_VIEW, purchases=[largest, largest, Purchase(1, 1, "0.001")])
        assert rows == [(1, 2 * largest.amount + Decimal("0.001"), 0, 0)]

    def test_customers_may_have_any_64_bit_number(self, tables: Warehouse) -> None:
        rows = view(tables, METRICS_VIEW, purchases=[Purchase(2**63 - 1)], reviews=[Review(2**63 - 1, POSITIVE)])
        assert rows == [(2**63 - 1, Decimal("1.000"), 1, 1)]

    def test_empty_tables_have_no_customers(self, tables: Warehouse) -> None:
        assert view(tables, METRICS_VIEW) == []


class TestTopFive:
    """(rank, customer_id, value)"""

    def test_the_five_who_spent_most_come_in_order_of_their_spend(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            TOP_5_BY_AMOUNT_SPENT_VIEW,
            purchases=[Purchase(customer, customer, "1.000") for customer in (3, 1, 6, 2, 5, 4)]
            + [Purchase(1, 100, "0.100")],
            reviews=[Review(2, POSITIVE)] * 40,
        )
        assert rows == [
            (1, 1, Decimal("11.000")),
            (2, 6, Decimal("6.000")),
            (3, 5, Decimal("5.000")),
            (4, 4, Decimal("4.000")),
            (5, 3, Decimal("3.000")),
        ]

    def test_of_equal_spenders_the_lower_customer_comes_first_also_at_the_edge_of_the_five(
        self, tables: Warehouse
    ) -> None:
        rows = view(tables, TOP_5_BY_AMOUNT_SPENT_VIEW, purchases=[Purchase(customer) for customer in range(9, 2, -1)])
        assert rows == [(rank, rank + 2, Decimal("1.000")) for rank in range(1, 6)]

    def test_nobody_is_ranked_for_spending_nothing_or_less(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            TOP_5_BY_AMOUNT_SPENT_VIEW,
            purchases=[Purchase(1, 0), Purchase(2, -1), Purchase(3, 1, "0.001")],
            reviews=[Review(4, POSITIVE)],
        )
        assert rows == [(1, 3, Decimal("0.001"))]

    def test_positive_reviews_are_counted_and_not_multiplied_by_purchases(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            TOP_5_BY_POSITIVE_REVIEWS_VIEW,
            purchases=[Purchase(1), Purchase(1), Purchase(1)],
            reviews=[
                *[Review(1, POSITIVE)],
                *[Review(3, POSITIVE), Review(3, POSITIVE), Review(3, NEGATIVE)],
                *[Review(2, POSITIVE), Review(2, POSITIVE), Review(2, NOTHING_TO_JUDGE)],
                *[Review(4, NEGATIVE), Review(5, NOTHING_TO_JUDGE)],
            ],
        )
        assert rows == [(1, 2, 2), (2, 3, 2), (3, 1, 1)]


class TestCorrelation:
    """(amount_spent_vs_num_reviews, amount_spent_vs_num_positive_reviews, num_customers)"""

    def test_it_is_pearsons_over_all_customers_of_either_table(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            CORRELATION_VIEW,
            purchases=[Purchase(1, 10, "1.500"), Purchase(2, 3), Purchase(2, 4), Purchase(4, -2, "2.250")],
            reviews=[Review(1, POSITIVE), Review(1, POSITIVE), Review(2, NEGATIVE), Review(3, POSITIVE)],
        )
        spent, reviewed, positive = [15.0, 7.0, 0.0, -4.5], [2, 1, 1, 0], [2, 0, 1, 0]
        assert rows == [
            (pytest.approx(correlation(spent, reviewed)), pytest.approx(correlation(spent, positive)), 4),
        ]

    def test_no_customers_have_no_correlation(self, tables: Warehouse) -> None:
        assert view(tables, CORRELATION_VIEW) == [(None, None, 0)]

    def test_one_customer_has_no_correlation(self, tables: Warehouse) -> None:
        assert view(tables, CORRELATION_VIEW, purchases=[Purchase(1)], reviews=[Review(1)]) == [(None, None, 1)]

    def test_equal_spenders_have_no_correlation(self, tables: Warehouse) -> None:
        rows = view(
            tables, CORRELATION_VIEW, purchases=[Purchase(1), Purchase(2)], reviews=[Review(1, POSITIVE), Review(1)]
        )
        assert rows == [(None, None, 2)]

    def test_each_correlation_is_undefined_on_its_own(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            CORRELATION_VIEW,
            purchases=[Purchase(1, 2), Purchase(2, 1)],
            reviews=[Review(1, NEGATIVE), Review(1, NEGATIVE), Review(2, NEGATIVE)],
        )
        assert rows == [(1.0, None, 2)]

    def test_spending_that_has_nothing_to_do_with_reviewing_correlates_with_0(self, tables: Warehouse) -> None:
        rows = view(
            tables,
            CORRELATION_VIEW,
            purchases=[Purchase(customer, customer) for customer in (1, 2, 3)],
            reviews=[Review(1, POSITIVE), Review(3, POSITIVE)],
        )
        assert rows == [(0.0, 0.0, 3)]


def test_all_views_equal_a_computation_with_python_decimals_over_many_customers(tables: Warehouse) -> None:
    chance = random.Random(1)  # noqa: S311  the same rows each time
    purchases = [
        Purchase(
            chance.choice([None, *range(1, 200)]), chance.randint(-20, 200), f"{chance.randrange(10**8) / 1000:.3f}"
        )
        for _ in range(1500)
    ]
    reviews = [
        Review(chance.randint(100, 300), chance.choice([POSITIVE, NEGATIVE, NOTHING_TO_JUDGE])) for _ in range(700)
    ]
    spent: dict[int, Decimal] = {}
    for purchase in purchases:
        if purchase.customer_id is not None:
            spent[purchase.customer_id] = spent.get(purchase.customer_id, Decimal(0)) + purchase.amount
    positive = {
        cid: sum(review.cid == cid and review.positive_review is True for review in reviews) for cid in range(301)
    }
    reviewed = {cid: sum(review.cid == cid for review in reviews) for cid in range(301)}
    customers = sorted(spent.keys() | {review.cid for review in reviews})
    metrics = [(c, spent.get(c, Decimal(0)), positive.get(c, 0), reviewed.get(c, 0)) for c in customers]

    assert view(tables, METRICS_VIEW, purchases=purchases, reviews=reviews) == metrics
    assert query_view(tables, TOP_5_BY_AMOUNT_SPENT_VIEW).rows == top_five(spent)
    assert query_view(tables, TOP_5_BY_POSITIVE_REVIEWS_VIEW).rows == top_five(positive)
    amounts = [float(amount) for _, amount, _, _ in metrics]
    assert query_view(tables, CORRELATION_VIEW).rows == [
        (
            pytest.approx(correlation(amounts, [reviews for _, _, _, reviews in metrics])),
            pytest.approx(correlation(amounts, [positives for _, _, positives, _ in metrics])),
            len(customers),
        )
    ]


def test_columns_are_called_as_described(tables: Warehouse) -> None:
    assert {name: query_view(tables, name).columns for name in VIEWS} == {
        METRICS_VIEW: ["customer_id", "amount_spent", "num_positive_reviews", "num_reviews"],
        TOP_5_BY_AMOUNT_SPENT_VIEW: ["rank", "customer_id", "amount_spent"],
        TOP_5_BY_POSITIVE_REVIEWS_VIEW: ["rank", "customer_id", "num_positive_reviews"],
        CORRELATION_VIEW: [
            "amount_spent_vs_num_reviews",
            "amount_spent_vs_num_positive_reviews",
            "num_customers",
        ],
    }


def test_creating_the_views_again_replaces_them(tables: Warehouse) -> None:
    create_views(tables)
    assert view(tables, METRICS_VIEW, purchases=[Purchase(1)]) == [(1, Decimal("1.000"), 0, 0)]


def test_asking_for_a_view_that_was_never_created_says_what_to_run(warehouse: Warehouse) -> None:
    ensure_tables(warehouse)
    with pytest.raises(WarehouseError, match=r"user_behaviour_metrics_view does not exist in .* run `user-analytics"):
        query_view(warehouse, METRICS_VIEW)
