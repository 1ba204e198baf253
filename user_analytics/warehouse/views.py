"""The views: created from `sql/bigquery/views`, queried, and their rows as text."""

import csv
import io
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

import structlog
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from user_analytics.errors import TableMissing, WarehouseError
from user_analytics.sql import render_sql
from user_analytics.warehouse.client import Rows, Warehouse
from user_analytics.warehouse.tables import ensure_tables
from user_analytics.warehouse.view_names import VIEWS

log = structlog.get_logger()


def create_views(warehouse: Warehouse) -> None:
    """Create all views or replace them by what `sql/bigquery/views` says, and tables that they lack."""
    ensure_tables(warehouse)
    dataset = f"{warehouse.project}.{warehouse.settings.bigquery_dataset}"
    for view in VIEWS:
        warehouse.run(render_sql(f"bigquery/views/{view}.sql", dataset=dataset))
    log.info("views created", dataset=dataset, views=len(VIEWS))


def query_view(warehouse: Warehouse, view: str) -> Rows:
    """All rows of one of VIEWS, sorted by its first column; raises WarehouseError when it does not exist."""
    try:
        return warehouse.rows(f"select * from `{warehouse.table_id(view)}` order by 1")  # noqa: S608  one of VIEWS
    except TableMissing as error:
        raise WarehouseError(
            f"{view} does not exist in {warehouse.settings.bigquery_dataset}: run `user-analytics publish` and "
            "`user-analytics views` first"
        ) from error


def format_rows(rows: Rows, layout: Literal["table", "csv", "json"]) -> str:
    """Rows as text that ends with a newline: the same rows give the same bytes.

    Money has 3 decimals, in JSON as a string so that no reader makes it a float. NULL is empty, in
    JSON null. Times are ISO 8601.
    """
    match layout:
        case "csv":
            return _csv(rows)
        case "json":
            documents = [dict(zip(rows.columns, map(_json_value, row), strict=True)) for row in rows.rows]
            return json.dumps(documents, indent=2, ensure_ascii=False) + "\n"
        case "table":
            return _table(rows)


def _csv(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows([_text(value) for value in row] for row in rows.rows)
    return text.getvalue()


def _table(rows: Rows) -> str:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(rows.columns):
        numeric = any(isinstance(row[index], int | float | Decimal) for row in rows.rows)
        table.add_column(column, justify="right" if numeric else "left", no_wrap=True)
    for row in rows.rows:
        table.add_row(*(_text(value) for value in row))
    text = io.StringIO()
    # As wide as it takes, so that the terminal's width changes nothing.
    Console(file=text, width=10_000, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip("\n") + "\n"


def _text(value: Any) -> str:
    simple = _json_value(value)
    if simple is None:
        return ""
    if isinstance(simple, bool):
        return str(simple).lower()
    return str(simple)


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.3f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value
