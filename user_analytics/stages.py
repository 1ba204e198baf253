"""The flow of one run on one machine, stage by stage, each named as the task that is the same stage on a cluster.

    create_bucket → [ingest_reviews, ingest_purchases] → [movie_review, user_purchase] → publish → views → report

Ingestion and Spark run as processes of their own: side by side, and gone at once when the run stops.
"""

import os
import shutil
import sys
from collections.abc import Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args

from user_analytics.embedded.stack import Part, embedded_parts, embedded_stack
from user_analytics.embedded.warehouse import PROJECT, tls_directory
from user_analytics.emulator.tls import TRUSTSTORE_PASSWORD, tls_files
from user_analytics.errors import InputError, SettingsError, StackError, UserAnalyticsError
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.manifest import Table, read_raw_manifest
from user_analytics.lake.store import Store, open_store
from user_analytics.mode import Mode
from user_analytics.progress import Stage, StageProgress
from user_analytics.report.figures import Figures
from user_analytics.report.reading import read_figures
from user_analytics.sample import sample_file
from user_analytics.settings import Settings
from user_analytics.side_by_side import Program, run_side_by_side
from user_analytics.source import latest_invoice_day, load_purchases
from user_analytics.spark.submit import (
    Truststore,
    check_java,
    local_environment,
    spark_submit_command,
    temporary_directory,
)
from user_analytics.warehouse.client import open_warehouse
from user_analytics.warehouse.looker import LookerLinks, looker_links
from user_analytics.warehouse.publish import publish, refuse_wrong_order
from user_analytics.warehouse.views import create_views

NEEDS: frozenset[Part] = frozenset(get_args(Part))
# So that the reason of a failure can be found in a program's output.
LOGS_AS_JSON = {"LOG_FORMAT": "json"}
# What a run of the sample writes, and what Postgres, Spark and the emulator want besides.
MINIMUM_FREE_BYTES = 400 << 20
EXHAUSTED_BYTES = 8 << 20


@dataclass(frozen=True)
class Request:
    """What to run. `ds` None: the latest invoice day; `lookback_days` None: LOOKBACK_DAYS.

    `from_raw`: the raw data that the lake keeps of `ds`, which must be given; no source is read.
    """

    reviews: str | None = None
    purchases: Path | None = None
    ds: date | None = None
    mode: Mode = "full"
    lookback_days: int | None = None
    force: bool = False
    allow_empty: bool = False
    model_version: str | None = None
    from_raw: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run made: the figures published, and where the report and Looker Studio are."""

    figures: Figures
    report: str
    links: LookerLinks
    stages: Sequence[Stage]


class _Inputs(NamedTuple):
    """The reviews file, and the CSV to load into the embedded Postgres; None when the source is the user's own."""

    reviews: str
    purchases: Path | None


def run_stages(settings: Settings, request: Request, progress: StageProgress) -> Outcome:
    """Run all stages; raises UserAnalyticsError as soon as one fails, with everything started stopped."""
    check_java()
    inputs = None if request.from_raw else _inputs(settings, request, progress)
    _check_space(settings.run_dir)
    try:
        with ExitStack() as running:
            with progress.stage("start") as stage:
                needs = NEEDS - {"source"} if request.from_raw else NEEDS
                stage.result = _describe(settings, needs)
                complete = running.enter_context(embedded_stack(settings, needs))
            return _run(complete, request, inputs, progress)
    except (UserAnalyticsError, OSError) as error:
        if (free := _free_bytes(settings.run_dir)) < EXHAUSTED_BYTES:
            raise StackError(
                f"the disk of {settings.run_dir} is full ({free >> 20} MB free): free some space and run again. "
                f"What failed: {error}"
            ) from error
        raise


def _run(settings: Settings, request: Request, inputs: _Inputs | None, progress: StageProgress) -> Outcome:
    store = open_store(settings)
    with progress.stage("create_bucket") as stage:
        create_bucket(store)
        stage.result = store.url
    ds = _kept_raw(settings, store, request) if inputs is None else _ingest(settings, store, request, inputs, progress)
    # What an application leaves that was killed.
    shutil.rmtree(temporary_directory(settings), ignore_errors=True)
    applications = [_application(settings, store, table, ds, request) for table in get_args(Table)]
    run_side_by_side(settings.run_dir, progress, applications)
    with open_warehouse(settings) as warehouse:
        with progress.stage("publish") as stage:
            publish(warehouse, store, ds, force=request.force, allow_empty=request.allow_empty)
            stage.result = f"{settings.gcp_project}.{settings.bigquery_dataset}"
        with progress.stage("views"):
            create_views(warehouse)
        times = progress.times()  # before the report's own stage, which has no time yet
        links = looker_links(settings)
        with progress.stage("report") as stage:
            # Loading its charts takes a second, which a run that is refused at its start need not wait for.
            from user_analytics.report.write import write_page  # noqa: PLC0415

            figures = read_figures(warehouse, store, ds)
            stage.result = write_page(store, figures, links, times)
        return Outcome(figures, stage.result, links, progress.stages)


def _kept_raw(settings: Settings, store: Store, request: Request) -> date:
    """The date whose raw data is kept; raises ManifestMissing when it is not."""
    assert request.ds is not None  # noqa: S101
    read_raw_manifest(store, "movie_review", request.ds)
    purchases = read_raw_manifest(store, "user_purchase", request.ds).manifest
    _check_order(settings, request.ds, purchases.mode, request)
    return request.ds


def _check_order(settings: Settings, ds: date, mode: Mode, request: Request) -> None:
    """Ask with a connection of its own: one kept open would idle for as long as the applications run."""
    with open_warehouse(settings) as warehouse:
        refuse_wrong_order(warehouse, ds, mode, force=request.force)


def _ingest(settings: Settings, store: Store, request: Request, inputs: _Inputs, progress: StageProgress) -> date:
    """Make the sources the raw data of a date, and return it."""
    if request.ds is not None:
        _check_order(settings, request.ds, request.mode, request)
    if inputs.purchases is not None:
        with progress.stage("load_purchases") as stage:
            stage.result = f"{load_purchases(settings, inputs.purchases):,} rows into {settings.source_database}"
    ds = request.ds or latest_invoice_day(settings)
    if request.ds is None:
        progress.note(f"DATE is not given: {ds}, the latest invoice day")
        _check_order(settings, ds, request.mode, request)
    ingestions = [
        _ingestion(settings, store, "movie_review", ["reviews", "--source", inputs.reviews], ds),
        _ingestion(settings, store, "user_purchase", ["purchases", *_mode(request)], ds),
    ]
    run_side_by_side(settings.run_dir, progress, ingestions)
    return ds


def _inputs(settings: Settings, request: Request, progress: StageProgress) -> _Inputs:
    if request.mode == "incremental" and request.purchases and not (request.reviews or settings.reviews_source):
        raise SettingsError(
            "REVIEWS is not given, and an incremental run of your own purchases would replace the published reviews "
            "by the sample's: give --reviews FILE, or set REVIEWS_SOURCE"
        )
    return _Inputs(_reviews(settings, request, progress), _purchases(settings, request, progress))


def _reviews(settings: Settings, request: Request, progress: StageProgress) -> str:
    given = request.reviews or settings.reviews_source
    if given is None:
        return _sample(settings, "movie_review", "REVIEWS", "--reviews FILE, or set REVIEWS_SOURCE", progress)
    if not given.startswith("s3://"):
        _check_file(Path(given))
    return given


def _purchases(settings: Settings, request: Request, progress: StageProgress) -> Path | None:
    if "source" not in embedded_parts(settings):
        return None
    if request.purchases is None:
        return Path(_sample(settings, "user_purchase", "PURCHASES", "--purchases FILE, or set SOURCE_HOST", progress))
    _check_file(request.purchases)
    return request.purchases


def _sample(settings: Settings, table: Table, variable: str, remedy: str, progress: StageProgress) -> str:
    """The sample instead of what is not given, for this machine alone: elsewhere it would replace data."""
    elsewhere = [] if "warehouse" in embedded_parts(settings) else [f"project {settings.gcp_project}"]
    if settings.lake_url.startswith("s3://"):
        elsewhere.append(f"the lake {settings.lake_url}")
    if elsewhere:
        raise SettingsError(
            f"{variable} is not given, and the sample does not go to {' or '.join(elsewhere)} unasked: give {remedy}"
        )
    sample = sample_file(table)
    progress.note(f"{variable} is not given: the sample, {sample}")
    return sample


def _check_file(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _describe(settings: Settings, needs: Set[Part]) -> str:
    embedded = embedded_parts(settings)
    source = "embedded Postgres" if "source" in embedded else f"Postgres at {settings.source_host}"
    endpoint = settings.bigquery_endpoint or "Google's BigQuery"
    warehouse = "BigQuery emulator" if "warehouse" in embedded else f"project {settings.gcp_project} on {endpoint}"
    return f"{source}, {warehouse}" if "source" in needs else warehouse


def _mode(request: Request) -> list[str]:
    lookback = [] if request.lookback_days is None else ["--lookback-days", str(request.lookback_days)]
    return ["--mode", request.mode, *lookback]


def _ingestion(settings: Settings, store: Store, table: Table, arguments: Sequence[str], ds: date) -> Program:
    return Program(
        f"ingest_{arguments[0]}",
        [sys.executable, "-m", "user_analytics.cli", "ingest", *arguments, "--date", ds.isoformat()],
        {**local_environment(settings, os.environ), **LOGS_AS_JSON},
        partial(_rows, store, table, ds),
    )


def _application(settings: Settings, store: Store, table: Table, ds: date, request: Request) -> Program:
    submission = spark_submit_command(
        settings,
        table,
        ds,
        truststore=_truststore(settings),
        model_version=request.model_version if table == "movie_review" else None,
    )
    return Program(
        table,
        submission.command,
        {**submission.environment, **LOGS_AS_JSON},
        partial(_rows, store, table, ds),
    )


def _rows(store: Store, table: Table, ds: date) -> str:
    """The rows that an ingestion wrote, and an application worked on."""
    manifest = read_raw_manifest(store, table, ds).manifest
    return f"{manifest.rows:,} rows, {manifest.quarantined_rows:,} quarantined"


def _truststore(settings: Settings) -> Truststore | None:
    """What Java needs to trust the embedded emulator; None when the warehouse is another."""
    if settings.gcp_project != PROJECT:
        return None
    return Truststore(tls_files(tls_directory(settings.run_dir)).truststore, TRUSTSTORE_PASSWORD)


def _check_space(run_dir: Path) -> None:
    if (free := _free_bytes(run_dir)) < MINIMUM_FREE_BYTES:
        raise StackError(
            f"the disk of {run_dir.absolute()} has only {free >> 20} MB free, and a run needs at least "
            f"{MINIMUM_FREE_BYTES >> 20} MB: free some space, or set RUN_DIR and LAKE_URL to another disk"
        )


def _free_bytes(run_dir: Path) -> int:
    directory = run_dir.absolute()
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free
