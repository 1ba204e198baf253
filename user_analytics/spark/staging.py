"""Staging: the rows of one attempt in a table of their own, and then the manifest that makes them the date's."""

from datetime import UTC, datetime
from uuid import uuid4

import structlog
from pyspark.sql import DataFrame

from user_analytics import __version__
from user_analytics.errors import WarehouseError
from user_analytics.lake.manifest import RawManifest, Read, StagingManifest, write_staging_manifest
from user_analytics.lake.store import Store
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.staging import create_staging_table

# The connector insists on a credential; the emulator looks at none.
EMULATOR_TOKEN = "emulator"  # noqa: S105

log = structlog.get_logger()


def stage(
    rows: DataFrame, raw: Read[RawManifest], settings: Settings, store: Store, *, model_version: str | None = None
) -> StagingManifest:
    """Append `rows` to a new staging table in parallel and make it the staged data of the raw manifest's date.

    `rows` has the columns of the published table. The manifest is written last: an attempt that dies
    before it leaves a table that nobody reads. Raises WarehouseError when the table does not hold as
    many rows as the raw manifest.
    """
    manifest = raw.manifest
    attempt = uuid4()
    with open_warehouse(settings) as warehouse:
        name = create_staging_table(warehouse, manifest.table, manifest.ds, attempt)
        log.info("staging", table=name, rows=manifest.rows, parts=len(manifest.files))
        _append(rows, warehouse.staging_table_id(name), settings)
        _check_rows(warehouse, name, manifest.rows)
    staged = StagingManifest(
        table=manifest.table,
        ds=manifest.ds,
        attempt=attempt,
        staging_table=name,
        raw_digest=raw.digest,
        rows=manifest.rows,
        model_version=model_version,
        created_at=datetime.now(UTC),
        version=__version__,
    )
    write_staging_manifest(store, staged)
    log.info("staged", table=name, rows=manifest.rows)
    return staged


def connector_options(settings: Settings) -> dict[str, str]:
    """What the BigQuery connector has to be told: the project, and where an emulator is or which key file to use.

    With neither, the connector takes application default credentials.
    """
    options = {
        "project": settings.gcp_project,
        "parentProject": settings.gcp_project,
        "bigQueryHttpEndpoint": settings.bigquery_endpoint,
        "bigQueryStorageGrpcEndpoint": settings.bigquery_grpc_endpoint,
        "gcpAccessToken": EMULATOR_TOKEN if settings.bigquery_endpoint else None,
        "credentialsFile": (
            str(settings.google_application_credentials)
            if settings.google_application_credentials and not settings.bigquery_endpoint
            else None
        ),
    }
    return {name: value for name, value in options.items() if value is not None}


def _append(rows: DataFrame, table_id: str, settings: Settings) -> None:
    # Each task writes a pending stream of its own, and the driver commits those of the tasks that
    # succeeded, all at once: a task that is tried again adds no row twice.
    # https://cloud.google.com/bigquery/docs/write-api#pending_type
    (
        rows.write.format("bigquery")
        .options(**connector_options(settings))
        .option("table", table_id)
        .option("writeMethod", "direct")
        .mode("append")
        .save()
    )


def _check_rows(warehouse: Warehouse, name: str, expected: int) -> None:
    [(found,)] = warehouse.rows(f"select count(*) from `{warehouse.staging_table_id(name)}`").rows  # noqa: S608
    if found != expected:
        raise WarehouseError(
            f"staging table {name} holds {found} rows, its raw manifest says {expected}: run the application again"
        )
