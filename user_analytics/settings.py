"""All settings of the pipeline: environment variables and `.env`, checked at start.

Everything that differs between one laptop, a kind cluster and the cloud is here and nowhere else.
A source or warehouse that is not configured is the embedded one of `make run`.
"""

import difflib
import os
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, Json, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from user_analytics.errors import SettingsError

# Variables that other software sets and that share a prefix with ours: Kubernetes service
# links of a Service `bigquery-emulator`, and the reproducible-builds convention.
FOREIGN_VARIABLES = ("BIGQUERY_EMULATOR_", "SOURCE_DATE_EPOCH")
OWN_PREFIXES = ("BIGQUERY_", "LAKE_", "PURCHASES_", "REVIEWS_", "SOURCE_")


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone of the tz database, e.g. UTC") from error
    return name


class Settings(BaseSettings):
    """Typed settings; field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    lake_url: str = Field(".run/lake", description="a directory, or s3://BUCKET on MinIO or S3")
    lake_endpoint: str = Field(
        "http://127.0.0.1:9000", pattern=r"^https?://[^/]+$", description="S3 API address for an s3:// lake"
    )
    lake_region: str = Field("us-east-1", description="region of the bucket")
    lake_access_key: SecretStr | None = Field(None, description="S3 access key")
    lake_secret_key: SecretStr | None = Field(None, description="S3 secret key")

    source_host: str | None = Field(None, description="Postgres host; unset = the embedded Postgres")
    source_port: int = Field(5432, ge=1, le=65535, description="Postgres port")
    source_database: str = Field("retail", description="Postgres database")
    source_user: str = Field("user_analytics", description="Postgres user")
    source_password: SecretStr | None = Field(None, description="Postgres password")
    source_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="libpq sslmode"
    )
    source_timezone: Annotated[str, AfterValidator(_known_timezone)] = Field(
        "UTC", description="time zone in which retail.user_purchase.invoice_date is written"
    )
    reviews_source: str | None = Field(
        None, description="reviews CSV: a path, or s3://BUCKET/KEY; unset = the sample data/movie_review.csv"
    )

    gcp_project: str | None = Field(None, description="BigQuery project; unset = the embedded emulator")
    bigquery_dataset: str = Field(
        "user_analytics", pattern=r"^\w+$", description="dataset of the published tables and views"
    )
    bigquery_staging_dataset: str = Field(
        "user_analytics_staging", pattern=r"^\w+$", description="dataset of the staging tables"
    )
    bigquery_location: str = Field("US", description="location of both datasets")
    bigquery_endpoint: str | None = Field(
        None, pattern=r"^https?://[^/]+$", description="REST address of an emulator; unset = Google's"
    )
    bigquery_grpc_endpoint: str | None = Field(
        None, pattern=r"^[^/]+:\d+$", description="Storage API host:port of an emulator (TLS)"
    )
    bigquery_labels: Json[dict[str, str]] = Field(
        '{"app":"user-analytics"}',  # type: ignore[arg-type]  # defaults are parsed too
        description="labels on every BigQuery job, as JSON",
    )
    bigquery_maximum_bytes_billed: int | None = Field(
        None, ge=1, description="limit for each BigQuery query; unset = none"
    )
    google_application_credentials: Path | None = Field(
        None, description="key file of a service account; unset = application default credentials"
    )

    max_quarantine_ratio: Decimal = Field(
        Decimal("0.01"), ge=0, le=1, description="share of quarantined source rows above which publishing stops"
    )
    lookback_days: int = Field(3, ge=0, le=3660, description="days before the date that an incremental run reads again")
    connect_timeout_seconds: float = Field(60, gt=0, description="how long to wait for a server that does not answer")
    run_dir: Path = Field(Path(".run"), description="where the embedded stack keeps its data")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, JSON otherwise"
    )


def load_settings() -> Settings:
    """Read and check all settings; raises SettingsError naming each variable at fault."""
    known = {name.upper() for name in Settings.model_fields}
    problems = [
        _unknown(name, known)
        for name in sorted(os.environ)
        if name.startswith(OWN_PREFIXES) and not name.startswith(FOREIGN_VARIABLES) and name not in known
    ]
    try:
        settings = Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in detail["loc"]).upper()
            problems.append(
                _unknown(name, known) if detail["type"] == "extra_forbidden" else f"{name}: {detail['msg']}"
            )
    if problems:
        raise SettingsError("wrong settings (environment or .env; .env.example lists all):\n  " + "\n  ".join(problems))
    return settings


def _unknown(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name}: no such setting" + (f"; did you mean {close[0]}?" if close else "")
