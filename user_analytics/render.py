"""Manifests of what runs on a cluster: a SparkApplication or a Job from its template in `manifests/templates`.

Airflow renders the same templates, with its `ds` and `ds_nodash` and with the fields of these models as `params`.
Both sides know the same names and refuse others.
"""

import difflib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from user_analytics import __version__
from user_analytics.errors import SettingsError
from user_analytics.mode import Mode
from user_analytics.settings import Address, HostAndPort, RetentionDays, RetentionHours

PACKAGE = Path(__file__).resolve().parent
REGISTRY = "localhost/user-analytics"
# A Kubernetes name has at most 63 characters, and ours get `-DATE-` and a random suffix of five from the cluster (or
# nine from Airflow) and then `-driver` or `-ui-svc` from the operator.
NAME_LENGTH = 63 - len("-20101208-") - 5 - len("-driver")


def _application_name(name: str) -> str:
    if "-driver" in name:
        raise ValueError("it must not contain -driver, by which the operator and Airflow tell the driver's pod")
    return name


Label = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
Subdomain = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
Name = Annotated[Label, Field(max_length=NAME_LENGTH), AfterValidator(_application_name)]
Image = Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9./_@:-]*$")]
Cpu = Annotated[str, Field(pattern=r"^([1-9][0-9]*m|[0-9]+(\.[0-9]+)?)$")]
JavaMemory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[mg]$")]
Memory = Annotated[str, Field(pattern=r"^[1-9][0-9]*[MG]i$")]
NodeSelector = dict[str, str]


class Toleration(BaseModel):
    """A toleration as Kubernetes writes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = None
    operator: Literal["Equal", "Exists"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    tolerationSeconds: int | None = None  # noqa: N815

    @model_serializer
    def _given(self) -> dict[str, object]:
        return {name: value for name, value in self if value is not None}


class Parameters(BaseModel):
    """What every manifest can be told. The defaults are those of the cluster that `kind-config.yaml` describes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    name: Name | None = Field(None, description="name in the cluster; unset = that of the application or stage")
    generate_name: bool = Field(False, description="let the cluster complete the name: `kubectl create` any number")
    namespace: Label = Field("user-analytics-jobs", description="namespace of its pods")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="when nodes fetch the image"
    )
    image_pull_secrets: list[Subdomain] = Field([], description="Secrets for a private registry")
    time_to_live_seconds: int = Field(86_400, ge=0, description="how long it stays in the cluster once it has ended")
    scratch_size: Memory = Field("2Gi", description="limit of each temporary volume")

    lake_url: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = Field(
        "s3://user-analytics", description="bucket of the lake"
    )
    lake_endpoint: Address = Field("http://minio.user-analytics.svc:9000", description="S3 API address")
    lake_region: str = Field("us-east-1", description="region of the bucket")
    lake_secret: Subdomain = Field("lake-credentials", description="Secret with access-key and secret-key")

    gcp_project: str = Field("user-analytics-local", description="BigQuery project")
    bigquery_dataset: str = Field("user_analytics", pattern=r"^\w+$", description="dataset of tables and views")
    bigquery_staging_dataset: str = Field(
        "user_analytics_staging", pattern=r"^\w+$", description="dataset of the staging tables"
    )
    bigquery_location: str = Field("US", description="location of both datasets")
    bigquery_endpoint: Address | None = Field(
        "http://bigquery-emulator.user-analytics.svc:9050", description="REST address of an emulator; null = Google's"
    )
    bigquery_grpc_endpoint: HostAndPort | None = Field(
        "bigquery-emulator.user-analytics.svc:9060", description="Storage API of an emulator (TLS); null = Google's"
    )
    bigquery_maximum_bytes_billed: int | None = Field(None, ge=1, description="limit for each query; unset = none")
    google_credentials_secret: Subdomain | None = Field(
        None, description="Secret with key.json; unset = application default credentials (Workload Identity)"
    )

    @model_validator(mode="after")
    def _emulator_is_whole(self) -> Self:
        if (self.bigquery_endpoint is None) != (self.bigquery_grpc_endpoint is None):
            raise ValueError("bigquery_endpoint and bigquery_grpc_endpoint go together")
        return self


class SparkParameters(Parameters):
    """A SparkApplication. Sizes fit a laptop; a cluster wants larger ones and `max_executors`."""

    image: Image = Field(f"{REGISTRY}/spark:{__version__}", description="image with Spark and the applications")
    spark_version: str = Field("3.5.9", pattern=r"^\d+\.\d+\.\d+$", description="Spark in that image")
    java_options: str = Field(
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        pattern=r"^(-\S+( -\S+)*)?$",
        description="JVM options of driver and executors; these are for runs of seconds on few cores",
    )
    log_level: Literal["ERROR", "WARN", "INFO", "DEBUG"] = Field(
        "WARN", description="what Spark's own code logs; the application's messages always show"
    )
    bigquery_truststore_secret: Subdomain = Field(
        "bigquery-emulator-truststore", description="Secret with truststore.p12, by which Java trusts an emulator"
    )
    driver_cores: int = Field(1, ge=1, description="threads of the driver")
    driver_core_request: Cpu = Field("200m", description="CPU reserved for the driver")
    driver_core_limit: Cpu = Field("2", description="CPU the driver may take")
    driver_memory: JavaMemory = Field("640m", description="heap of the driver")
    driver_memory_overhead: JavaMemory = Field("512m", description="for Python and all else beside the heap")
    driver_node_selector: NodeSelector = Field({}, description="labels of nodes for the driver")
    driver_tolerations: list[Toleration] = Field([], description="taints the driver tolerates")
    executors: int = Field(1, ge=1, description="executors; with max_executors the least number")
    max_executors: int | None = Field(None, ge=1, description="dynamic allocation up to this many; unset = off")
    decommissioning: bool = Field(False, description="executors hand over their data before they go (spot nodes)")
    executor_cores: int = Field(1, ge=1, description="tasks at once in an executor")
    executor_core_request: Cpu = Field("200m", description="CPU reserved for an executor")
    executor_core_limit: Cpu = Field("2", description="CPU an executor may take")
    executor_memory: JavaMemory = Field("640m", description="heap of an executor")
    executor_memory_overhead: JavaMemory = Field("640m", description="for Python and all else beside the heap")
    executor_node_selector: NodeSelector = Field({}, description="labels of nodes for executors (spot nodes)")
    executor_tolerations: list[Toleration] = Field([], description="taints executors tolerate (spot nodes)")

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.max_executors is not None and self.max_executors < self.executors:
            raise ValueError("max_executors must be at least executors")
        return self


class MovieReview(SparkParameters):
    """Stage the reviews of a date with their sentiment."""

    model_version: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = Field(
        None, description="a sentiment model of the lake; unset = the packaged one"
    )


class UserPurchase(SparkParameters):
    """Stage the purchases of a date."""


class JobParameters(Parameters):
    """A Job that runs one stage."""

    image: Image = Field(f"{REGISTRY}/ingest:{__version__}", description="image with user-analytics")
    active_deadline_seconds: int = Field(3600, ge=1, description="how long it may take")
    cpu_request: Cpu = Field("50m", description="CPU reserved")
    cpu_limit: Cpu = Field("2", description="CPU it may take")
    memory_request: Memory = Field("256Mi", description="memory reserved")
    memory_limit: Memory = Field("1Gi", description="memory it may take")
    node_selector: NodeSelector = Field({}, description="labels of nodes")
    tolerations: list[Toleration] = Field([], description="taints it tolerates")


class CreateBucket(JobParameters):
    """Make the bucket and the folder for event logs."""


class IngestReviews(JobParameters):
    """Copy the reviews file into the lake."""

    reviews_source: Annotated[str, Field(pattern=r"^s3://[^/]+/.+$")] = Field(
        "s3://user-analytics/landing/movie_review.csv", description="the reviews CSV"
    )


class IngestPurchases(JobParameters):
    """Copy retail.user_purchase into the lake."""

    mode: Mode = Field("full", description="all purchases, or those of the last days only")
    lookback_days: Annotated[int, Field(ge=0, le=3660)] | None = Field(
        None, description="days before the date that incremental reads again; unset = LOOKBACK_DAYS' default"
    )
    source_host: Subdomain = Field("postgres.user-analytics.svc", description="Postgres host")
    source_port: int = Field(5432, ge=1, le=65535, description="Postgres port")
    source_database: str = Field("retail", description="Postgres database")
    source_user: str = Field("user_analytics", description="Postgres user")
    source_sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="libpq sslmode"
    )
    source_timezone: str = Field("UTC", description="time zone in which invoice_date is written")
    source_secret: Subdomain = Field("source-credentials", description="Secret with password")


class Publish(JobParameters):
    """Audit what is staged and publish it, in one transaction."""

    force: bool = Field(False, description="publish a full date older than the published one")
    allow_empty: bool = Field(False, description="publish a table without rows")
    max_quarantine_ratio: Decimal = Field(
        Decimal("0.01"), ge=0, le=1, description="share of quarantined source rows above which it stops"
    )


class Views(JobParameters):
    """Create the four views."""


class Report(JobParameters):
    """Write the report of a date."""


class LookerLink(JobParameters):
    """Print the links that open the data in Looker Studio."""


class CleanUp(JobParameters):
    """Delete what no manifest names, what failed attempts left, and raw data and logs that were kept long enough."""

    raw_retention_days: RetentionDays | None = Field(
        None, description="days after which it deletes raw data that is not published; unset = never"
    )
    airflow_log_retention_days: RetentionDays | None = Field(
        None,
        description="days after which it deletes the logs of Airflow's tasks; "
        "unset = AIRFLOW_LOG_RETENTION_DAYS' default",
    )
    leftover_retention_hours: RetentionHours | None = Field(
        None,
        description="hours after which it deletes what failed attempts left, longer than any run takes; "
        "unset = LEFTOVER_RETENTION_HOURS' default",
    )


MANIFESTS: Mapping[str, type[Parameters]] = {
    "create-bucket": CreateBucket,
    "ingest-reviews": IngestReviews,
    "ingest-purchases": IngestPurchases,
    "movie-review": MovieReview,
    "user-purchase": UserPurchase,
    "publish": Publish,
    "views": Views,
    "report": Report,
    "looker-link": LookerLink,
    "clean-up": CleanUp,
}
"""The parameters of each manifest, by its name: that of its template."""


def render(name: str, ds: date, parameters: Mapping[str, object] | None = None) -> str:
    """The manifest `name` of MANIFESTS for a date; raises SettingsError naming each parameter at fault.

    Values may be text, as from a command line: `null` unsets, and lists and mappings are JSON.
    """
    checked = check(name, parameters or {})
    return (
        _environment()
        .get_template(f"{name}.yaml")
        .render(ds=ds.isoformat(), ds_nodash=f"{ds:%Y%m%d}", params=checked.model_dump(mode="json"))
    )


def check(name: str, parameters: Mapping[str, object]) -> Parameters:
    """The parameters of a manifest, complete and checked; raises SettingsError naming each at fault."""
    model = MANIFESTS[name]
    try:
        return model.model_validate({key: _value(value) for key, value in parameters.items()})
    except ValidationError as error:
        raise SettingsError(
            f"wrong parameters of {name}:\n  "
            + "\n  ".join(_problem(detail, model) for detail in error.errors(include_url=False))
        ) from error


def templates_directory() -> Path:
    """The folder of templates: `_templates` inside an installed package, `manifests/templates` in a checkout."""
    installed = PACKAGE / "_templates"
    return installed if installed.is_dir() else PACKAGE.parent / "manifests" / "templates"


def _value(value: object) -> object:
    if value == "null":
        return None
    if isinstance(value, str) and re.match(r"[\[{]", value):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _problem(detail: Any, model: type[Parameters]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, model.model_fields, n=1) if len(detail["loc"]) == 1 else []
        return f"{name}: no such parameter" + (f"; did you mean {close[0]}?" if close else "")
    if detail["type"] == "literal_error":  # in the words of the command line
        return f"{name}: {detail['input']!r} is not one of {detail['ctx']['expected'].replace(' or ', ', ')}"
    return ": ".join(filter(None, (name, detail["msg"].removeprefix("Value error, "))))


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701  YAML is not HTML
        loader=FileSystemLoader(templates_directory()), undefined=StrictUndefined, keep_trailing_newline=True
    )
