"""Rows as text: exact, and the same bytes for the same rows."""

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal

from user_analytics.warehouse.client import Rows
from user_analytics.warehouse.views import format_rows

ROWS = Rows(
    ["customer_id", "amount_spent", "correlation", "note"],
    [
        (7, Decimal(31), 0.25, 'said "hm", left'),
        (9223372036854775807, Decimal("214748364699999.995"), None, "zwei\nZeilen – é"),
        (8, Decimal("-0.005"), -1.0, None),
    ],
)


def test_csv_has_a_header_unix_line_ends_and_money_with_3_decimals() -> None:
    assert (
        format_rows(ROWS, "csv").encode()
        == (
            "customer_id,amount_spent,correlation,note\n"
            '7,31.000,0.25,"said ""hm"", left"\n'
            '9223372036854775807,214748364699999.995,,"zwei\nZeilen – é"\n'
            "8,-0.005,-1.0,\n"
        ).encode()
    )


def test_csv_can_be_read_back_whatever_the_texts_hold() -> None:
    assert list(csv.reader(format_rows(ROWS, "csv").splitlines(keepends=True)))[2][3] == "zwei\nZeilen – é"


def test_json_keeps_money_exact_as_text_and_null_as_null() -> None:
    documents = json.loads(format_rows(ROWS, "json"))
    assert documents[1] == {
        "customer_id": 9223372036854775807,
        "amount_spent": "214748364699999.995",
        "correlation": None,
        "note": "zwei\nZeilen – é",
    }
    assert [document["amount_spent"] for document in documents] == ["31.000", "214748364699999.995", "-0.005"]


def test_money_wider_than_a_float_keeps_its_last_digit() -> None:
    rows = Rows(["amount"], [(Decimal("12345678901234567890123456789.999"),)])
    assert format_rows(rows, "csv") == "amount\n12345678901234567890123456789.999\n"


def test_times_are_iso_8601_and_truth_is_lower_case() -> None:
    rows = Rows(["at", "on", "positive"], [(datetime(2010, 12, 8, 9, 1, tzinfo=UTC), date(2010, 12, 8), True)])
    assert format_rows(rows, "csv") == "at,on,positive\n2010-12-08T09:01:00+00:00,2010-12-08,true\n"
    assert json.loads(format_rows(rows, "json")) == [
        {"at": "2010-12-08T09:01:00+00:00", "on": "2010-12-08", "positive": True}
    ]


def test_a_table_lines_up_numbers_on_the_right_and_has_no_trailing_blanks() -> None:
    rows = Rows(["name", "amount_spent"], [("[bold]", Decimal("1.5")), ("b", Decimal(-10))])
    assert format_rows(rows, "table") == (
        " name     amount_spent\n ─────────────────────\n [bold]          1.500\n b             -10.000\n"
    )


def test_no_rows_still_have_their_columns() -> None:
    empty = Rows(["rank", "customer_id"], [])
    assert format_rows(empty, "csv") == "rank,customer_id\n"
    assert format_rows(empty, "json") == "[]\n"
    assert "rank" in format_rows(empty, "table")
