"""Staging: the table that one Spark attempt fills, and the pair of them that a publish takes.

A staging table has the columns of the table it is published to and is called
`<table>__<ds without dashes>__<attempt's uuid as hex>`.
"""

import re
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from user_analytics.errors import PublishRefused
from user_analytics.lake.manifest import (
    RawManifest,
    Read,
    StagingManifest,
    Table,
    read_raw_manifest,
    read_staging_manifest,
)
from user_analytics.lake.store import Store
from user_analytics.warehouse.client import Warehouse
from user_analytics.warehouse.tables import create_table

log = structlog.get_logger()

STAGING_NAME = re.compile(r"(movie_review|user_purchase)__\d{8}__[0-9a-f]{32}")


class Staged(NamedTuple):
    """One table as staged for a date, with the raw data it was made from."""

    raw: Read[RawManifest]
    staging: Read[StagingManifest]


class StagedPair(NamedTuple):
    """What one publish takes."""

    movie_review: Staged
    user_purchase: Staged


def staging_name(table: Table, ds: date, attempt: UUID) -> str:
    """Name of the staging table of one attempt, without project and dataset."""
    return f"{table}__{ds:%Y%m%d}__{attempt.hex}"


def create_staging_table(warehouse: Warehouse, table: Table, ds: date, attempt: UUID) -> str:
    """Create the empty staging table of one attempt, and its dataset when missing.

    Returns its name in BIGQUERY_STAGING_DATASET, as the staging manifest records it.
    """
    warehouse.ensure_dataset(warehouse.settings.bigquery_staging_dataset)
    name = staging_name(table, ds, attempt)
    create_table(warehouse, table, warehouse.staging_table_id(name))
    return name


def remove_old_staging(warehouse: Warehouse, older_than: datetime) -> list[str]:
    """Delete staging tables created before `older_than` (with time zone); returns their names.

    Tables that are not named like staging tables are left alone.
    """
    old = [
        table.name
        for table in warehouse.staging_tables()
        if STAGING_NAME.fullmatch(table.name) and table.created < older_than
    ]
    for name in old:
        warehouse.delete_table(warehouse.staging_table_id(name))
        log.info("staging_removed", table=name)
    return old


def read_staged(store: Store, ds: date) -> StagedPair:
    """The manifests of both tables for a date, staging before raw.

    In this order a raw manifest that is replaced meanwhile is seen as the newer one. Raises
    ManifestMissing, CorruptObject, or PublishRefused for a manifest that contradicts itself.
    """
    return StagedPair(_read_staged(store, "movie_review", ds), _read_staged(store, "user_purchase", ds))


def _read_staged(store: Store, table: Table, ds: date) -> Staged:
    staging = read_staging_manifest(store, table, ds)
    raw = read_raw_manifest(store, table, ds)
    expected = staging_name(table, ds, staging.manifest.attempt)
    for what, manifest in (("raw", raw.manifest), ("staging", staging.manifest)):
        if (manifest.table, manifest.ds) != (table, ds):
            raise PublishRefused(
                f"the {what} manifest of {table} for {ds} in {store.url} says that it is of {manifest.table} for "
                f"{manifest.ds}: run the ingestion and the Spark application of {table} for {ds} again"
            )
    if staging.manifest.staging_table != expected:
        raise PublishRefused(
            f"the staging manifest of {table} for {ds} names {staging.manifest.staging_table}, but its attempt's "
            f"table is {expected}: run the Spark application of {table} for {ds} again"
        )
    if table == "movie_review" and staging.manifest.model_version is None:
        raise PublishRefused(
            f"the staging manifest of {table} for {ds} names no model: run its Spark application again"
        )
    return Staged(raw, staging)
