"""Each fault that staged rows can have is found by its own check, with exact figures and keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import DS, NOON, Pair, Purchase, Review, ingest, prepare, stage
from user_analytics.errors import ManifestMissing, WarehouseError
from user_analytics.lake.local_store import LocalStore
from user_analytics.warehouse.audit import AuditResult, audit_staged
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.staging import read_staged

REVIEWS = [Review(10, 0.0), Review(20, 1.0), Review(30, None)]
PURCHASES = [Purchase(10, 2, "1.500"), Purchase(None, -1, "0.005", invoice_number="C2"), Purchase(20, 0, "9.000")]


@pytest.fixture(scope="module")
def warehouse(emulator: Emulator) -> Iterator[Warehouse]:
    """One staging dataset for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch, open_warehouse(settings_for(emulator, patch)) as opened:
        yield opened


class Prepared(NamedTuple):
    """Staged rows that are right, and the store with their manifests."""

    store: LocalStore
    pair: Pair


@pytest.fixture(scope="module")
def prepared(warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """REVIEWS and PURCHASES; a copy of each table is kept beside it."""
    store = LocalStore(tmp_path_factory.mktemp("prepared"))
    pair = prepare(warehouse, store, REVIEWS, PURCHASES)
    for name in pair:
        table = warehouse.staging_table_id(name)
        warehouse.run(f"create table `{table}_copy` as select * from `{table}`")
    return Prepared(store, pair)


@contextmanager
def with_fault(warehouse: Warehouse, name: str, fault: str) -> Iterator[None]:
    """The staging table with a fault made by SQL; afterwards as it was."""
    table = warehouse.staging_table_id(name)
    try:
        warehouse.run(fault.format(f"`{table}`"))
        yield
    finally:
        warehouse.run(f"delete from `{table}` where true")
        warehouse.run(f"insert into `{table}` select * from `{table}_copy`")


def audit(warehouse: Warehouse, store: LocalStore) -> AuditResult:
    """Audit what is staged for DS."""
    return audit_staged(warehouse, read_staged(store, DS))


def findings(warehouse: Warehouse, store: LocalStore, pair: Pair) -> list[str]:
    """What the audit found, without the names of the staging tables."""
    found = [str(finding) for finding in audit(warehouse, store).findings]
    return [line.replace(f" ({pair.movie_review})", "").replace(f" ({pair.user_purchase})", "") for line in found]


def test_rows_that_are_as_the_raw_manifest_says_pass_every_check(warehouse: Warehouse, prepared: Prepared) -> None:
    result = audit(warehouse, prepared.store)
    assert result.passed
    assert result.checks == [
        "movie_review keys_not_null",
        "movie_review probability_in_range",
        "movie_review review_id_unique",
        "movie_review rows",
        "movie_review sum_cid",
        "movie_review written_by_this_run",
        "user_purchase dates_in_window",
        "user_purchase keys_not_null",
        "user_purchase null_customer_ids",
        "user_purchase rows",
        "user_purchase sum_amount",
        "user_purchase sum_quantity",
        "user_purchase written_by_this_run",
    ]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "delete from {} where review_id = 2",
            ["movie_review rows: found 2, expected 3", "movie_review sum_cid: found 40, expected 60"],
        ),
        (
            "insert into {0} select * from {0} where review_id < 3",
            [
                (
                    "movie_review review_id_unique: 2 offending keys, first: review_id 1, occurrences 2; "
                    "review_id 2, occurrences 2"
                ),
                "movie_review rows: found 5, expected 3",
                "movie_review sum_cid: found 90, expected 60",
            ],
        ),
        ("update {} set cid = 21 where review_id = 2", ["movie_review sum_cid: found 61, expected 60"]),
        (
            "update {} set review_id = null where review_id = 2",
            [
                "movie_review keys_not_null: 1 offending rows, first: review_id null, cid 20, review_str_is_null false",
            ],
        ),
        (
            "update {} set review_str = null where review_id = 1",
            ["movie_review keys_not_null: 1 offending rows, first: review_id 1, cid 10, review_str_is_null true"],
        ),
        *[
            (
                f"update {{}} set positive_probability = {value} where review_id = 2",
                [
                    (
                        "movie_review probability_in_range: 1 offending rows, first: review_id 2, "
                        f"positive_probability {text}, positive_review true"
                    )
                ],
            )
            for value, text in [("1.5", "1.5"), ("-0.25", "-0.25"), ("cast('nan' as float64)", "nan"), ("null", "null")]
        ],
        (
            "update {} set positive_review = false where review_id = 3",
            [
                (
                    "movie_review probability_in_range: 1 offending rows, first: review_id 3, "
                    "positive_probability null, positive_review false"
                )
            ],
        ),
        (
            "update {} set logical_date = date '2010-12-07' where review_id = 1",
            [
                (
                    "movie_review written_by_this_run: 1 offending rows, first: review_id 1, logical_date 2010-12-07, "
                    "model_version model-1"
                )
            ],
        ),
        (
            "update {} set model_version = null where true",
            [
                "movie_review written_by_this_run: 3 offending rows, first: "
                + "; ".join(f"review_id {number}, logical_date 2010-12-08, model_version null" for number in (1, 2, 3))
            ],
        ),
    ],
)
def test_a_fault_in_staged_reviews_is_found(
    warehouse: Warehouse, prepared: Prepared, fault: str, expected: list[str]
) -> None:
    with with_fault(warehouse, prepared.pair.movie_review, fault):
        assert findings(warehouse, *prepared) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            "delete from {} where invoice_number = 'C2'",
            [
                "user_purchase null_customer_ids: found 0, expected 1",
                "user_purchase rows: found 2, expected 3",
                "user_purchase sum_amount: found 3, expected 2.995",
                "user_purchase sum_quantity: found 2, expected 1",
            ],
        ),
        (
            "update {} set unit_price = numeric '0.004' where invoice_number = 'C2'",
            ["user_purchase sum_amount: found 2.996, expected 2.995"],
        ),
        (
            "update {} set quantity = 1 where quantity = 0",
            [
                "user_purchase sum_amount: found 11.995, expected 2.995",
                "user_purchase sum_quantity: found 2, expected 1",
            ],
        ),
        (
            "update {} set customer_id = null where customer_id = 20",
            ["user_purchase null_customer_ids: found 2, expected 1"],
        ),
        (
            "update {} set stock_code = null where invoice_number = 'C2'",
            [
                (
                    "user_purchase keys_not_null: 1 offending rows, first: invoice_number C2, stock_code null, "
                    "quantity -1, invoice_date 2010-12-08 12:00:00+00:00, unit_price 0.005"
                )
            ],
        ),
        (
            "update {} set logical_date = null where invoice_number = 'C2'",
            [
                (
                    "user_purchase written_by_this_run: 1 offending rows, first: invoice_number C2, stock_code 85123A, "
                    "logical_date null"
                )
            ],
        ),
    ],
)
def test_a_fault_in_staged_purchases_is_found(
    warehouse: Warehouse, prepared: Prepared, fault: str, expected: list[str]
) -> None:
    with with_fault(warehouse, prepared.pair.user_purchase, fault):
        assert findings(warehouse, *prepared) == expected


def test_purchases_outside_the_window_of_an_incremental_extract_are_found(
    warehouse: Warehouse, store: LocalStore
) -> None:
    start, end = datetime(2010, 12, 5, tzinfo=UTC), datetime(2010, 12, 9, tzinfo=UTC)
    last = datetime(2010, 12, 8, 23, 59, 59, 999999, tzinfo=UTC)
    early = datetime(2010, 12, 4, 23, 59, 59, tzinfo=UTC)
    purchases = [
        Purchase(1, invoice_date=moment, invoice_number=name)
        for name, moment in [("first", start), ("last", last), ("early", early), ("late", end)]
    ]
    pair = prepare(warehouse, store, REVIEWS, purchases, window=(start, end))

    assert findings(warehouse, store, pair) == [
        (
            "user_purchase dates_in_window: 2 offending rows, first: "
            "invoice_number early, stock_code 85123A, invoice_date 2010-12-04 23:59:59+00:00; "
            "invoice_number late, stock_code 85123A, invoice_date 2010-12-09 00:00:00+00:00"
        )
    ]


def test_of_many_offending_keys_the_first_five_are_shown_and_all_are_counted(
    warehouse: Warehouse, store: LocalStore
) -> None:
    pair = prepare(warehouse, store, [Review(1, 7.0)] * 12, PURCHASES)
    (finding,) = findings(warehouse, store, pair)
    assert finding.startswith("movie_review probability_in_range: 12 offending rows, first: review_id 1, ")
    assert finding.count("review_id") == 5


def test_totals_wider_than_64_bits_are_compared_to_the_last_digit(warehouse: Warehouse, store: LocalStore) -> None:
    reviews = [Review(2**63 - 1)] * 3
    purchases = [*[Purchase(1, 2**31 - 1, "99999.999")] * 3, *[Purchase(1, 2**63 - 1, "0.000")] * 3]
    pair = prepare(warehouse, store, reviews, purchases)
    assert audit(warehouse, store).passed

    table = warehouse.staging_table_id(pair.user_purchase)
    warehouse.run(f"update `{table}` set unit_price = numeric '99999.998' where unit_price > 0")
    warehouse.run(f"update `{table}` set quantity = quantity - 1 where unit_price = 0")
    assert findings(warehouse, store, pair) == [
        "user_purchase sum_amount: found 644245081215098.118, expected 644245087657549.059",
        "user_purchase sum_quantity: found 27670116117006778359, expected 27670116117006778362",
    ]


def test_empty_tables_pass(warehouse: Warehouse, store: LocalStore) -> None:
    prepare(warehouse, store, [], [])
    assert audit(warehouse, store).passed


def test_a_staging_table_that_is_gone_is_named(warehouse: Warehouse, store: LocalStore) -> None:
    pair = prepare(warehouse, store, REVIEWS, PURCHASES)
    warehouse.delete_table(warehouse.staging_table_id(pair.movie_review))
    with pytest.raises(WarehouseError, match=f"Not found: Table .*{pair.movie_review}"):
        audit(warehouse, store)


def test_a_date_that_was_not_staged_says_what_to_run(warehouse: Warehouse, store: LocalStore, tmp_path: Path) -> None:
    ingest(store, REVIEWS, PURCHASES)
    with pytest.raises(ManifestMissing, match=r"staging/movie_review/ds=2010-12-08/.* run its Spark application"):
        audit(warehouse, store)


def test_rows_of_another_ingestion_than_the_manifest_describes_are_found(
    warehouse: Warehouse, store: LocalStore
) -> None:
    ingest(store, REVIEWS, PURCHASES)
    pair = stage(warehouse, store, REVIEWS, [*PURCHASES, Purchase(1, 3, "0.100", NOON)])
    assert findings(warehouse, store, pair) == [
        "user_purchase rows: found 4, expected 3",
        "user_purchase sum_amount: found 3.295, expected 2.995",
        "user_purchase sum_quantity: found 4, expected 1",
    ]
