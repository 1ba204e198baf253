"""The independent computation, verified by hand on tiny files."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests import oracle

REVIEWS = 'cid,review_str\n7,"good, really"\n7,bad\n9,"so\nso"\n'
COLUMNS = "invoice_number,stock_code,detail,quantity,invoice_date,unit_price,customer_id,country\n"


def compute(folder: Path, reviews: str, purchases: str) -> oracle.Oracle:
    (folder / "reviews.csv").write_text(reviews, encoding="utf-8", newline="")
    (folder / "purchases.csv").write_text(COLUMNS + purchases, encoding="utf-8", newline="")
    return oracle.compute(folder / "reviews.csv", folder / "purchases.csv")


def purchase(quantity: str, price: str, customer: str) -> str:
    return f'1,A,"cup, ""blue""",{quantity},2010-12-08 10:00:00,{price},{customer},France\n'


def test_amount_spent_is_quantity_times_price_summed_by_customer(tmp_path: Path) -> None:
    computed = compute(
        tmp_path, REVIEWS, purchase("3", "2.55", "7") + purchase("2", "0.001", "7") + purchase("1", "5", "8")
    )
    assert computed.amount_spent == {7: Decimal("7.652"), 8: Decimal(5), 9: Decimal(0)}
    assert computed.total_spent == Decimal("12.652")


def test_several_reviews_do_not_multiply_what_was_spent(tmp_path: Path) -> None:
    computed = compute(tmp_path, REVIEWS, purchase("1", "10", "7") + purchase("1", "1", "7"))
    assert computed.amount_spent[7] == 11
    assert computed.num_reviews[7] == 2


def test_num_reviews_counts_records_not_lines(tmp_path: Path) -> None:
    assert compute(tmp_path, REVIEWS, "").num_reviews == {7: 2, 9: 1}


def test_guests_are_nobody_and_count_nowhere(tmp_path: Path) -> None:
    computed = compute(tmp_path, REVIEWS, purchase("5", "100", "") + purchase("1", "2", "7"))
    assert computed.customers == {7, 9}
    assert computed.total_spent == 2


def test_cancellations_reduce_the_spend_even_below_zero(tmp_path: Path) -> None:
    computed = compute(tmp_path, REVIEWS, purchase("1", "2.5", "7") + purchase("-3", "2.5", "7"))
    assert computed.amount_spent[7] == -5


def test_customers_are_those_of_either_file(tmp_path: Path) -> None:
    computed = compute(tmp_path, REVIEWS, purchase("1", "1", "8"))
    assert computed.customers == {7, 8, 9}
    assert computed.num_reviews[8] == 0


def test_no_digit_is_lost_where_floats_would_lose_some(tmp_path: Path) -> None:
    purchases = purchase("999999999", "99999.999", "7") + purchase("1", "0.001", "7")
    assert compute(tmp_path, REVIEWS, purchases).amount_spent[7] == Decimal("99999998900000.002")


def test_top_five_are_ranked_by_amount_then_by_customer() -> None:
    amounts = {1: Decimal(3), 2: Decimal(9), 3: Decimal(3), 4: Decimal("3.001"), 5: Decimal(8), 6: Decimal(2)}
    assert oracle.top_five(amounts) == [(1, 2, 9), (2, 5, 8), (3, 4, Decimal("3.001")), (4, 1, 3), (5, 3, 3)]


def test_top_five_has_nobody_at_or_below_zero() -> None:
    assert oracle.top_five({1: 0, 2: -4, 3: 1}) == [(1, 3, 1)]


@pytest.mark.parametrize(
    "row", ["1,A,cup,1,2010-12-08 10:00:00,2.5,7\n", purchase("1", "two", "7"), purchase("1", "2", "7.0")]
)
def test_a_row_it_cannot_judge_is_an_error(tmp_path: Path, row: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        compute(tmp_path, REVIEWS, row)
