"""All settings of the pipeline: environment variables and `.env`, checked at start.

Everything that differs between one laptop, a kind cluster and the cloud is here and nowhere else.
A source or warehouse that is not configured is the embedded one of `make run`.
"""

import difflib
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, Json, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from user_analytics.errors import SettingsError
from user_analytics.logs import LogFormat

# Variables that other software sets and that share a prefix with ours: Kubernetes service
# links of a Service `bigquery-emulator`, and the reproducible-builds convention.
FOREIGN_VARIABLES = ("BIGQUERY_EMULATOR_", "SOURCE_DATE_EPOCH")
OWN_PREFIXES = ("BIGQUERY_", "LAKE_", "REVIEWS_", "SOURCE_")
# Similarity (difflib's ratio) from which another name is taken for a misspelt one of ours:
# GCP_PROJEKT and LOOKBACK_DAY are.
MISSPELT_FROM = 0.9


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone of the tz database, e.g. UTC") from error
    return name


def _address(value: str) -> str:
    # A fixed text: what is wrong with the value may be a part of a secret in it.
    if not re.fullmatch(r"https?://[A-Za-z0-9_.-]+(:\d+)?", value) or not _is_port(value.partition("://")[2]):
        raise ValueError("it must be like http://HOST:PORT, with nothing before the host or after the port")
    return value


def _host_and_port(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+:\d+", value) or not _is_port(value):
        raise ValueError("it must be like HOST:PORT, with a port from 1 to 65535")
    return value


def _is_port(address: str) -> bool:
    _, colon, port = address.partition(":")
    return not colon or 0 < int(port) < 65536


def _lake(value: str) -> str:
    is_url = "://" in value or value.startswith("s3:")
    if is_url and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("it must be a directory, or s3://BUCKET with the name of a bucket and nothing after it")
    return value


# A century: from any day of today's calendar there is a date so long ago.
MAX_RETENTION_DAYS = 36_500
MAX_RETENTION_HOURS = 24 * MAX_RETENTION_DAYS

RetentionDays = Annotated[int, Field(ge=1, le=MAX_RETENTION_DAYS)]
RetentionHours = Annotated[int, Field(ge=1, le=MAX_RETENTION_HOURS)]
Address = Annotated[str, AfterValidator(_address)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]


class LogSettings(BaseSettings):
    """The one setting that counts while the others are at fault: in which format to say so."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    log_format: LogFormat = Field("auto", description="auto: console on a terminal, JSON otherwise")


class Settings(LogSettings):
    """Typed settings; field names are the variables' names in lower case."""

    model_config = SettingsConfigDict(extra="forbid")

    lake_url: Annotated[str, AfterValidator(_lake)] = Field(
        ".run/lake", description="a directory, or s3://BUCKET on MinIO or S3"
    )
    lake_endpoint: Address = Field("http://127.0.0.1:9000", description="S3 API address for an s3:// lake")
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
        None,
        description="reviews CSV: a path, or s3://BUCKET/KEY; "
        "unset = the sample, in a `run` whose warehouse and lake are on this machine",
    )

    gcp_project: str | None = Field(None, description="BigQuery project; unset = the embedded emulator")
    bigquery_dataset: str = Field(
        "user_analytics", pattern=r"^\w+$", description="dataset of the published tables and views"
    )
    bigquery_staging_dataset: str = Field(
        "user_analytics_staging", pattern=r"^\w+$", description="dataset of the staging tables"
    )
    bigquery_location: str = Field("US", description="location of both datasets")
    bigquery_endpoint: Address | None = Field(None, description="REST address of an emulator; unset = Google's")
    bigquery_grpc_endpoint: HostAndPort | None = Field(None, description="Storage API host:port of an emulator (TLS)")
    bigquery_labels: Json[dict[str, str]] = Field(
        '{"app":"user-analytics"}',  # type: ignore[arg-type]  # defaults are parsed too
        description="labels on every BigQuery job, as JSON",
    )
    bigquery_maximum_bytes_billed: int | None = Field(
        None, ge=1, description="limit for each BigQuery query; unset = none"
    )
    google_application_credentials: Path | None = Field(
        None, description="credentials file; unset = application default credentials"
    )

    max_quarantine_ratio: Decimal = Field(
        Decimal("0.01"), ge=0, le=1, description="share of quarantined source rows above which publishing stops"
    )
    lookback_days: int = Field(3, ge=0, le=3660, description="days before the date that an incremental run reads again")
    raw_retention_days: RetentionDays | None = Field(
        None,
        description="days after which clean-up deletes raw data that is not published; unset = never",
    )
    airflow_log_retention_days: RetentionDays = Field(
        90, description="days after which clean-up deletes the logs of Airflow's tasks (`airflow-logs/` in the lake)"
    )
    leftover_retention_hours: RetentionHours = Field(
        24,
        description="hours after which clean-up deletes what failed attempts left; has to be longer than any run takes",
    )
    connect_timeout_seconds: float = Field(
        60, ge=0.1, le=86400, allow_inf_nan=False, description="how long to wait for a server that does not answer"
    )
    run_dir: Path = Field(Path(".run"), description="where the embedded stack keeps its data")

    @model_validator(mode="after")
    def _addresses_are_used(self) -> Self:
        """An address without what makes the pipeline use it would be ignored without a word."""
        emulator = (self.bigquery_endpoint, self.bigquery_grpc_endpoint)
        if self.gcp_project is None and any(emulator):
            raise ValueError("BIGQUERY_ENDPOINT and BIGQUERY_GRPC_ENDPOINT need GCP_PROJECT")
        if any(emulator) and not all(emulator):
            raise ValueError("BIGQUERY_ENDPOINT and BIGQUERY_GRPC_ENDPOINT go together")
        if self.source_host is None and self.source_password is not None:
            raise ValueError("SOURCE_PASSWORD needs SOURCE_HOST")
        return self


def load_log_format() -> LogFormat:
    """LOG_FORMAT, whatever is wrong with the other settings; auto when it is malformed itself."""
    try:
        return LogSettings().log_format  # type: ignore[call-arg]
    except (ValueError, OSError):
        return "auto"


def load_settings() -> Settings:
    """Read and check all settings; raises SettingsError naming each variable at fault."""
    known = {name.upper() for name in Settings.model_fields}
    problems = [_unknown(name, known) for name in sorted(os.environ) if _is_meant_for_us(name, known)]
    try:
        settings = Settings()  # type: ignore[call-arg]
    except (UnicodeError, OSError) as error:
        raise SettingsError(f"cannot read .env: {error}") from error
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in detail["loc"]).upper()
            problems.append(
                _unknown(name, known)
                if detail["type"] == "extra_forbidden"
                else ": ".join(filter(None, (name, detail["msg"].removeprefix("Value error, "))))
            )
    if problems:
        raise SettingsError("wrong settings (environment or .env; .env.example lists all):\n  " + "\n  ".join(problems))
    return settings


def _is_meant_for_us(name: str, known: set[str]) -> bool:
    if name in known or name.startswith(FOREIGN_VARIABLES):
        return False
    if name.startswith(OWN_PREFIXES):
        return True
    meant = difflib.get_close_matches(name, known, n=1, cutoff=MISSPELT_FROM)
    # GOOGLE_APPLICATION_CREDENTIALS_JSON and the like are names of their own.
    return bool(meant) and not name.startswith(f"{meant[0]}_")


def _unknown(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1)
    return f"{name}: no such setting" + (f"; did you mean {close[0]}?" if close else "")
