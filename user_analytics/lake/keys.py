"""Where each object of the pipeline lives, relative to the bucket.

Data files carry their attempt's uuid and are never overwritten; a manifest makes them the date's data.
"""

from datetime import date
from uuid import UUID

MANIFEST = "_manifest.json"
SPARK_EVENTS = "spark-events/"
AIRFLOW_LOGS = "airflow-logs/"  # logs.remoteFolder of charts/airflow
RAW, STAGING, QUARANTINE, MODELS = "raw/", "staging/", "quarantine/", "models/sentiment/"


def raw_prefix(table: str, ds: date) -> str:
    """Prefix of all raw objects of one table and date."""
    return f"{RAW}{table}/ds={ds.isoformat()}/"


def raw_manifest(table: str, ds: date) -> str:
    """Key of the manifest that names the date's raw data."""
    return raw_prefix(table, ds) + MANIFEST


def raw_part(table: str, ds: date, attempt: UUID, number: int) -> str:
    """Key of one Parquet part (0-based) of an attempt."""
    return f"{raw_prefix(table, ds)}part-{number:05d}-{attempt}.parquet"


def raw_original(table: str, ds: date, attempt: UUID, suffix: str) -> str:
    """Key of the source file kept as it came."""
    return f"{raw_prefix(table, ds)}original-{attempt}{suffix}"


def quarantine_part(table: str, ds: date, attempt: UUID) -> str:
    """Key of the Parquet file with an attempt's quarantined rows."""
    return f"{QUARANTINE}{table}/ds={ds.isoformat()}/rows-{attempt}.parquet"


def staging_manifest(table: str, ds: date) -> str:
    """Key of the manifest that names the date's BigQuery staging table."""
    return f"{STAGING}{table}/ds={ds.isoformat()}/{MANIFEST}"


def report_page(ds: date) -> str:
    """Key of the date's report."""
    return f"reports/ds={ds.isoformat()}/index.html"


def model_file(version: str) -> str:
    """Key of one version of the sentiment model."""
    return f"{MODELS}{version}/model.parquet"


def model_card(version: str) -> str:
    """Key of the card of one version of the sentiment model."""
    return f"{MODELS}{version}/model_card.md"


def model_plot(version: str) -> str:
    """Key of the calibration plot that the card of one version shows."""
    return f"{MODELS}{version}/calibration.svg"
