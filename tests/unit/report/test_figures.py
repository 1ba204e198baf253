"""Axes and groups, computed from figures."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from user_analytics.report.figures import Axis, Candidate, Dot, Spread, choose_axis, choose_examples, spend_groups


def dot(across: int, customers: int, each: str = "10", reviews: int = 1, up: int = 0) -> Dot:
    return Dot(across, up, customers, Decimal(each) * customers, reviews * customers, Decimal(each), Decimal(each))


def test_an_even_spread_gets_a_linear_axis() -> None:
    assert choose_axis(Spread(4, 30, lower_quartile=14, median=17)) == Axis(4, 30, None)


def test_a_few_very_large_values_get_a_logarithmic_axis_that_starts_at_the_bulk_of_the_values() -> None:
    assert choose_axis(Spread(-1192.2, 9407.34, lower_quartile=156, median=288)) == Axis(-1192.2, 9407.34, 100.0)


def test_a_very_negative_value_counts_as_large() -> None:
    assert choose_axis(Spread(-9000, 500, lower_quartile=20, median=100)).constant == 10.0


def test_an_axis_without_values_is_linear() -> None:
    assert choose_axis(Spread(0, 0, 0, 0)) == Axis(0, 0, None)


def test_values_below_one_do_not_make_the_constant_vanish() -> None:
    assert choose_axis(Spread(0, 5000, lower_quartile=0.001, median=0.01)).constant == 1.0


@pytest.mark.parametrize("axis", [Axis(-50, 1000, None), Axis(-50, 1000, 10.0)])
def test_positions_keep_the_order_of_values_and_zero_in_its_place(axis: Axis) -> None:
    positions = [axis.position(value) for value in (-50, -1, 0, 1, 1000)]
    assert positions == sorted(positions)
    assert positions[2] == 0


def test_a_single_value_has_a_cell_that_one_can_divide_by() -> None:
    assert Axis(5, 5, None).cell(45) == 1.0


def test_groups_of_customers_go_from_least_to_most_spent() -> None:
    groups = spend_groups([dot(2, 10, "30"), dot(0, 10, "-5", reviews=3), dot(1, 10, "7.125", reviews=2)], groups=3)

    assert [(str(group.least_spent), str(group.most_spent), group.customers) for group in groups] == [
        ("-5", "-5", 10),
        ("7.125", "7.125", 10),
        ("30", "30", 10),
    ]
    assert [group.num_reviews for group in groups] == [30, 20, 10]


def test_cells_of_one_column_stay_in_one_group() -> None:
    (group,) = spend_groups([dot(7, 1, "10", reviews=1, up=0), dot(7, 3, "12.5", reviews=9, up=5)])

    assert (group.least_spent, group.most_spent) == (Decimal(10), Decimal("12.5"))
    assert (group.customers, group.amount_spent, group.num_reviews) == (4, Decimal("47.5"), 28)


@given(
    st.lists(
        st.tuples(st.integers(-20, 20), st.integers(1, 9), st.decimals(-99, 99, places=3), st.integers(0, 9)),
        min_size=1,
    )
)
def test_no_customer_amount_or_review_is_lost_in_grouping(cells: list[tuple[int, int, Decimal, int]]) -> None:
    dots = [dot(across, customers, str(each), reviews) for across, customers, each, reviews in cells]

    groups = spend_groups(dots)

    assert len(groups) <= 5
    for column in ("customers", "amount_spent", "num_reviews"):
        assert sum(getattr(group, column) for group in groups) == sum(getattr(each, column) for each in dots)


def test_examples_are_the_first_two_texts_of_each_kind() -> None:
    candidates = [
        Candidate("least_sure", 7, 0.5, "so"),
        Candidate("least_sure", 9, 0.51, "so so"),
        Candidate("least_sure", 8, 0.52, "hm"),
        Candidate("surely_positive", 1, 0.9, "fine"),
    ]
    assert choose_examples(candidates) == [candidates[3], *candidates[:2]]


def test_no_text_is_an_example_twice() -> None:
    fine, fine_again, good = (
        Candidate("surely_positive", number, 0.9, text) for number, text in enumerate(("fine", "fine", "good"))
    )
    fine_of_another_kind = Candidate("least_sure", 1, 0.9, "fine")
    not_chosen_before = Candidate("least_sure", 4, 0.6, "well")

    candidates = [fine, fine_again, good, fine._replace(text="well"), fine_of_another_kind, not_chosen_before]
    assert choose_examples(candidates) == [fine, good, not_chosen_before]
