"""Staging: the rows of one attempt in a table of their own, and then the manifest that makes them the date's."""

import operator
import socket
import tempfile
from datetime import UTC, datetime
from functools import reduce
from uuid import uuid4

import structlog
from pyspark.sql import Column, DataFrame
from pyspark.sql.functions import coalesce, lit, octet_length, struct, to_json
from pyspark.sql.types import StringType

from user_analytics import __version__
from user_analytics.errors import WarehouseError
from user_analytics.lake.manifest import RawManifest, Read, StagingManifest, write_staging_manifest
from user_analytics.lake.store import Store
from user_analytics.retries import until_reachable
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.staging import create_staging_table

# The connector insists on a credential; the emulator looks at none.
EMULATOR_TOKEN = "emulator"  # noqa: S105
# A request of the Storage Write API is at most 10 MB, of which the connector uses 95% and leaves no row out:
# https://cloud.google.com/bigquery/quotas#write-api-limits
CONNECTOR_ROW_BYTES = 9_000_000
JSON_TIMESTAMP = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"

log = structlog.get_logger()


def stage(
    rows: DataFrame, raw: Read[RawManifest], settings: Settings, store: Store, *, model_version: str | None = None
) -> StagingManifest:
    """Append `rows` to a new staging table in parallel and make it the staged data of the raw manifest's date.

    `rows` has the columns of the published table. The manifest is written last: an attempt that dies
    before it leaves a table that nobody reads. Raises WarehouseError when the table does not hold as
    many rows as the raw manifest, Unreachable when the warehouse does not answer.
    """
    manifest = raw.manifest
    attempt = uuid4()
    _await_storage_api(settings)
    with open_warehouse(settings) as warehouse:
        name = create_staging_table(warehouse, manifest.table, manifest.ds, attempt)
        log.info("staging", table=name, rows=manifest.rows, parts=len(manifest.files))
        too_large = _text_bytes(rows) > CONNECTOR_ROW_BYTES
        _append(rows.filter(~too_large), warehouse.staging_table_id(name), settings)
        if _staged_rows(warehouse, name) < manifest.rows:
            _load(rows.filter(too_large), warehouse, name)
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
    options = {"project": settings.gcp_project, "parentProject": settings.gcp_project}
    if settings.bigquery_endpoint is not None:
        options["bigQueryHttpEndpoint"] = settings.bigquery_endpoint
        options["bigQueryStorageGrpcEndpoint"] = settings.bigquery_grpc_endpoint
        options["gcpAccessToken"] = EMULATOR_TOKEN
    elif settings.google_application_credentials is not None:
        options["credentialsFile"] = str(settings.google_application_credentials)
    return {name: value for name, value in options.items() if value is not None}


def _await_storage_api(settings: Settings) -> None:
    """Wait for an emulator: the connector itself would try for twenty minutes and say nothing."""
    if settings.bigquery_grpc_endpoint is None:
        return
    host, _, port = settings.bigquery_grpc_endpoint.rpartition(":")
    until_reachable(
        "BigQuery Storage API",
        settings.bigquery_grpc_endpoint,
        settings.connect_timeout_seconds,
        lambda: socket.create_connection((host, int(port)), timeout=settings.connect_timeout_seconds).close(),
        lambda error: isinstance(error, OSError),
    )


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


def _load(rows: DataFrame, warehouse: Warehouse, name: str) -> None:
    """Append the few rows too large for the Storage Write API by a load job, which takes up to 100 MB a row."""
    lines = rows.select(to_json(struct("*"), {"timestampFormat": JSON_TIMESTAMP}).alias("line"))
    with tempfile.TemporaryFile() as file:
        file.writelines(f"{row.line}\n".encode() for row in lines.toLocalIterator())
        if file.tell():
            warehouse.append_json(warehouse.staging_table_id(name), file)


def _text_bytes(rows: DataFrame) -> Column:
    """Bytes in a row's texts; all else in it is small."""
    texts = [field.name for field in rows.schema if isinstance(field.dataType, StringType)]
    return reduce(operator.add, (coalesce(octet_length(text), lit(0)) for text in texts))


def _staged_rows(warehouse: Warehouse, name: str) -> int:
    [(count,)] = warehouse.rows(f"select count(*) from `{warehouse.staging_table_id(name)}`").rows  # noqa: S608
    return int(count)


def _check_rows(warehouse: Warehouse, name: str, expected: int) -> None:
    found = _staged_rows(warehouse, name)
    if found != expected:
        raise WarehouseError(
            f"staging table {name} holds {found} rows, its raw manifest says {expected}: run the application again"
        )
