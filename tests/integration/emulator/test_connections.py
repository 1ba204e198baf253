"""Requests that run at the same time get their own rows."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from google.cloud import bigquery

from tests.fixtures.emulator import Emulator
from tests.integration.emulator.conftest import Connect


def test_tables_read_at_the_same_time_are_not_mixed_up(
    client: bigquery.Client, emulator: Emulator, connect: Connect, dataset: str
) -> None:
    sizes = [100, 200, 300, 400]
    for size in sizes:
        client.query(
            f"CREATE TABLE {dataset}.t{size} AS SELECT {size} AS v FROM UNNEST(GENERATE_ARRAY(1, {size})) AS n"
        ).result()

    def read(size: int) -> list[list[int]]:
        reader, schema = connect(emulator), [bigquery.SchemaField("v", "INTEGER")]
        return [[row["v"] for row in reader.list_rows(f"{dataset}.t{size}", selected_fields=schema)] for _ in range(20)]

    with ThreadPoolExecutor(len(sizes)) as pool:
        for size, reads in zip(sizes, pool.map(read, sizes), strict=True):
            assert reads == [[size] * size] * 20


def test_a_query_of_the_past_is_refused_instead_of_answered_from_the_present(
    client: bigquery.Client, dataset: str
) -> None:
    client.query(f"CREATE TABLE {dataset}.t AS SELECT 1 AS n").result()

    with pytest.raises(Exception, match="keeps no past states"):
        client.query(
            f"SELECT * FROM {dataset}.t FOR SYSTEM_TIME AS OF TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 MINUTE)"
        ).result()
