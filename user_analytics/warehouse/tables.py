"""The tables: created from the DDL under `sql/bigquery/tables`, in datasets that are created when missing."""

from contextlib import suppress
from typing import get_args

from user_analytics.errors import TableExists
from user_analytics.lake.manifest import Table
from user_analytics.sql import render_sql
from user_analytics.warehouse.client import Warehouse

PUBLICATIONS = "publications"
PUBLISH_LOCK = "publish_lock"
TABLES = (*get_args(Table), PUBLICATIONS, PUBLISH_LOCK)


def ensure_tables(warehouse: Warehouse) -> None:
    """Create the dataset of published tables and those of its tables that are missing; leaves the others alone.

    Raises WarehouseError when the dataset lies outside BIGQUERY_LOCATION.
    """
    warehouse.ensure_dataset(warehouse.settings.bigquery_dataset)
    for name in TABLES:
        create_table(warehouse, name, warehouse.table_id(name))


def create_table(warehouse: Warehouse, definition: str, table_id: str) -> None:
    """Create the table `table_id` as `definition` in `sql/bigquery/tables` says, unless it exists."""
    # A lookup is many times quicker than a job that finds nothing to do.
    if warehouse.table_exists(table_id):
        return
    # Two creators at once: `if not exists` does not keep the later one from finding the table at its end.
    with suppress(TableExists):
        warehouse.run(render_sql(f"bigquery/tables/{definition}.sql", table_id=table_id))
