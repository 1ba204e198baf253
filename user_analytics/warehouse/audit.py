"""The audit: staged rows against the raw manifest they were made from.

A file of `sql/bigquery/checks/` is a check of both tables, a file of its folder of a table one of that
table: a SELECT that returns nothing when the rows are right, and else the figures that differ or the
first offending keys (with their number in a column `offending_…`).
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any, NamedTuple

import structlog
from google.cloud.bigquery import ScalarQueryParameter

from user_analytics.lake.manifest import PurchaseTotals, ReviewTotals, Table
from user_analytics.sql import render_sql, sql_directory
from user_analytics.warehouse.client import Rows, Warehouse
from user_analytics.warehouse.staging import Staged, StagedPair

log = structlog.get_logger()

EXAMPLES = 5
"""How many offending keys a finding shows."""


class Finding(NamedTuple):
    """A check that failed on a staging table, with what it returned."""

    table: Table
    staging_table: str
    check: str
    offending: Rows

    def __str__(self) -> str:
        columns, rows = self.offending
        counts = [index for index, name in enumerate(columns) if name.startswith("offending_")]
        examples = "; ".join(
            ", ".join(f"{columns[index]} {_text(value)}" for index, value in enumerate(row) if index not in counts)
            for row in rows
        )
        total = "".join(f"{rows[0][index]} {columns[index].replace('_', ' ')}, first: " for index in counts)
        return f"{self.table} {self.check} ({self.staging_table}): {total}{examples}"


class AuditResult(NamedTuple):
    """The checks that ran for a date, as `<table> <check>`, and those that failed."""

    ds: date
    checks: list[str]
    findings: list[Finding]

    @property
    def passed(self) -> bool:
        """Whether no check found anything."""
        return not self.findings

    def __str__(self) -> str:
        if self.passed:
            return f"all {len(self.checks)} checks of {self.ds} passed"
        headline = (
            f"{len(self.findings)} of {len(self.checks)} checks of {self.ds} failed; the published tables are as they "
            "were, the staging tables were kept:"
        )
        return "\n  ".join([headline, *map(str, self.findings)])


def audit_staged(warehouse: Warehouse, pair: StagedPair) -> AuditResult:
    """Run all checks on a pair of staging tables; raises WarehouseError when one of them is gone."""
    checks: list[str] = []
    findings: list[Finding] = []
    for staged in pair:
        table = staged.raw.manifest.table
        files = _check_files(table)
        names = [file.stem for file in files]
        staging_table = staged.staging.manifest.staging_table
        queries = [
            render_sql(file.as_posix(), staging_table=warehouse.staging_table_id(staging_table), examples=str(EXAMPLES))
            for file in files
        ]
        results = warehouse.rows_of_each(queries, list(_parameters(staged)))
        checks += [f"{table} {name}" for name in names]
        findings += [
            Finding(table, staging_table, name, result)
            for name, result in zip(names, results, strict=True)
            if result.rows
        ]
    log.info("audited", ds=str(pair.movie_review.raw.manifest.ds), checks=len(checks), failed=len(findings))
    return AuditResult(pair.movie_review.raw.manifest.ds, checks, findings)


def _check_files(table: Table) -> list[PurePath]:
    """The checks of a table under `sql/`, in alphabetical order of their names."""
    checks = sql_directory() / "bigquery" / "checks"
    files = [*checks.glob("*.sql"), *(checks / table).glob("*.sql")]
    return [file.relative_to(sql_directory()) for file in sorted(files, key=lambda file: file.stem)]


def _parameters(staged: Staged) -> Iterator[ScalarQueryParameter]:
    raw = staged.raw.manifest
    start, end = raw.window or (None, None)
    yield ScalarQueryParameter("rows", "INT64", raw.rows)
    yield ScalarQueryParameter("ds", "DATE", raw.ds)
    yield ScalarQueryParameter("model_version", "STRING", staged.staging.manifest.model_version)
    yield ScalarQueryParameter("window_start", "TIMESTAMP", start)
    yield ScalarQueryParameter("window_end", "TIMESTAMP", end)
    match raw.control_totals:
        case ReviewTotals() as totals:
            yield ScalarQueryParameter("sum_cid", "BIGNUMERIC", Decimal(totals.sum_cid))
        case PurchaseTotals() as totals:
            yield ScalarQueryParameter("sum_quantity", "BIGNUMERIC", Decimal(totals.sum_quantity))
            yield ScalarQueryParameter("sum_amount", "NUMERIC", totals.sum_amount)
            yield ScalarQueryParameter("null_customer_ids", "INT64", totals.null_customer_ids)


def _text(value: Any) -> str:
    """A value in a message; decimals without the zeros that only the type adds."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
