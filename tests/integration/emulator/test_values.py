"""Values that go in through SQL and REST come out of SQL and REST unchanged."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from google.cloud import bigquery

EXACT = [
    pytest.param("NUMERIC(8, 3)", Decimal("99999.999"), id="largest price"),
    pytest.param("NUMERIC(8, 3)", Decimal("-0.001"), id="smallest price"),
    pytest.param("NUMERIC(38, 9)", Decimal("12345678901234567890123456789.123456789"), id="long sum"),
    pytest.param("TIMESTAMP", datetime(2010, 12, 8, 23, 59, 59, 999999, UTC), id="microseconds"),
    pytest.param("TIMESTAMP", datetime(1960, 1, 1, 0, 0, 0, 1, UTC), id="before the epoch"),
    pytest.param("TIMESTAMP", datetime(2159, 12, 31, 23, 59, 59, 999999, UTC), id="last month of a partition"),
    pytest.param("DATE", date(2010, 12, 8), id="date"),
    pytest.param("INT64", 2**63 - 1, id="largest integer"),
    pytest.param("INT64", -(2**63), id="smallest integer"),
    pytest.param("FLOAT64", 0.1 + 0.2, id="float"),
    pytest.param("BOOL", True, id="true"),
    pytest.param("BOOL", None, id="null bool"),
    pytest.param("STRING", "naïve 🙂 \"quoted\" \\n 'x' <b>\t\r\n", id="text"),
    pytest.param("STRING", "", id="empty text"),
]


@pytest.mark.parametrize(("column_type", "value"), EXACT)
def test_a_value_is_stored_exactly(
    client: bigquery.Client, dataset: str, column_type: str, value: str | int | float | Decimal | bool | date | None
) -> None:
    client.query(f"CREATE TABLE {dataset}.t (v {column_type})").result()
    parameter = bigquery.ScalarQueryParameter("value", column_type.partition("(")[0], value)

    client.query(
        f"INSERT INTO {dataset}.t (v) SELECT @value",
        job_config=bigquery.QueryJobConfig(query_parameters=[parameter]),
    ).result()

    assert [row["v"] for row in client.query(f"SELECT v FROM {dataset}.t").result()] == [value]
    assert [row["v"] for row in client.list_rows(client.get_table(f"{dataset}.t"))] == [value]
