"""The command line `user-analytics`: every stage as a command, and `run`, which is all of them on one machine.

Data goes to standard output, all else to standard error. Exit codes: 0 done, 1 the data or the world is
at fault (the message says which), 2 wrong usage, 128 + N stopped by signal N.

What a command alone needs it imports itself: all of it together would take every command seconds to load.
"""

import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, Never, cast, get_args

import structlog
import typer

from user_analytics.embedded.stack import embedded_parts, embedded_stack
from user_analytics.errors import ManifestMissing, ModelError, SettingsError, UserAnalyticsError
from user_analytics.lake.manifest import RawManifest, Table, raw_dates, read_raw_manifest
from user_analytics.lake.store import Store, open_store
from user_analytics.logical_date import DateOrLatestInvoiceDay, date_option, parse_date
from user_analytics.logs import configure_logging, logs_are_json
from user_analytics.mode import Mode
from user_analytics.settings import MAX_RETENTION_DAYS, MAX_RETENTION_HOURS, Settings, load_log_format, load_settings

if TYPE_CHECKING:
    from user_analytics.warehouse.client import Rows, Warehouse
log = structlog.get_logger()

app = typer.Typer(
    help="From purchases in Postgres and review files through Spark to BigQuery: what customers spend and feel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ingest = typer.Typer(help="Copy a source into the lake as the raw data of a date.", no_args_is_help=True)
quarantine = typer.Typer(help="Look at the rows that were set apart.", no_args_is_help=True)
app.add_typer(ingest, name="ingest")
app.add_typer(quarantine, name="quarantine")


Date = Annotated[date, date_option("--date", "Logical date.")]
ModeOption = Annotated[Mode, typer.Option(help="All purchases, or those of the last days only.")]
LookbackDays = Annotated[
    int | None,
    typer.Option(min=0, max=3660, help="Days before the date that incremental reads again; default LOOKBACK_DAYS."),
]
Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="How to print the rows.")]
Force = Annotated[bool, typer.Option("--force", help="Publish a full date older than the published one.")]
AllowEmpty = Annotated[
    bool,
    typer.Option("--allow-empty", help="Publish a table without rows."),
]
ModelVersion = Annotated[
    str | None, typer.Option(metavar="VERSION", help="A sentiment model of the lake; default: the packaged one.")
]


@app.command()
def run(
    *,
    reviews: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Reviews CSV, a path or s3://BUCKET/KEY; default: REVIEWS_SOURCE or the sample."
        ),
    ] = None,
    purchases: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Purchases CSV for the embedded Postgres; default: the sample.")
    ] = None,
    ds: DateOrLatestInvoiceDay = None,
    mode: ModeOption = "full",
    lookback_days: LookbackDays = None,
    force: Force = False,
    allow_empty: AllowEmpty = False,
    model_version: ModelVersion = None,
    from_raw: Annotated[
        bool, typer.Option("--from-raw", help="Publish the raw data kept of --date again; no source is read.")
    ] = False,
) -> None:
    """Run the whole pipeline on this machine."""
    from user_analytics.outcome import print_outcome
    from user_analytics.progress import StageProgress
    from user_analytics.stages import Request, run_stages

    if from_raw:
        _refuse_beside_from_raw(
            ds,
            {
                "--reviews": reviews is not None,
                "--purchases": purchases is not None,
                "--mode": mode != "full",
                "--lookback-days": lookback_days is not None,
            },
        )
    settings = _settings(logging.WARNING)  # the progress display says the rest
    if purchases is not None and "source" not in embedded_parts(settings):
        raise typer.BadParameter(
            f"SOURCE_HOST is set: purchases are read from {settings.source_host}, and nothing is loaded into a "
            "database of your own. Leave --purchases out, or unset SOURCE_HOST.",
            param_hint="--purchases",
        )
    request = Request(reviews, purchases, ds, mode, lookback_days, force, allow_empty, model_version, from_raw)
    with StageProgress() as progress:
        outcome = run_stages(settings, request, progress)
    print_outcome(outcome)


def _refuse_beside_from_raw(ds: date | None, given: Mapping[str, bool]) -> None:
    if ds is None:
        raise typer.BadParameter(
            "it publishes the raw data that is kept of a date: name the date with --date.", param_hint="--from-raw"
        )
    if options := [option for option, is_given in given.items() if is_given]:
        raise typer.BadParameter(
            "--from-raw reads no source, and its mode is that of the raw data: leave this out.",
            param_hint=", ".join(options),
        )


@app.command("create-bucket")
def create_bucket_command() -> None:
    """Create the bucket and the folder for Spark's event logs."""
    from user_analytics.lake.bucket import create_bucket

    store = open_store(_settings())
    created = create_bucket(store)
    log.info("bucket ready", url=store.url, created=created)


@ingest.command("reviews")
def ingest_reviews_command(
    ds: Date,
    source: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Reviews CSV, a path or s3://BUCKET/KEY; default REVIEWS_SOURCE."),
    ] = None,
) -> None:
    """The reviews file: as it came, and as Parquet."""
    from user_analytics.ingest.reviews import ingest_reviews

    settings = _settings()
    source = source or settings.reviews_source
    if source is None:
        raise SettingsError("no reviews are named: give --source FILE, or set REVIEWS_SOURCE")
    ingest_reviews(settings, open_store(settings), ds, source=source)


@ingest.command("purchases")
def ingest_purchases_command(ds: Date, mode: ModeOption = "full", lookback_days: LookbackDays = None) -> None:
    """The table retail.user_purchase as Parquet."""
    from user_analytics.ingest.purchases import ingest_purchases

    with embedded_stack(_settings(), {"source"}) as settings:
        ingest_purchases(settings, open_store(settings), ds, mode=mode, lookback_days=lookback_days)


@app.command("publish")
def publish_command(ds: Date, force: Force = False, allow_empty: AllowEmpty = False) -> None:
    """Audit the staged tables of a date and replace the published ones, both in one transaction."""
    from user_analytics.warehouse.publish import publish

    with _warehouse() as (settings, warehouse):
        publish(warehouse, open_store(settings), ds, force=force, allow_empty=allow_empty)


@app.command()
def views() -> None:
    """Create the four views."""
    from user_analytics.warehouse.views import create_views

    with _warehouse() as (_, warehouse):
        create_views(warehouse)


@app.command()
def report(ds: Date) -> None:
    """Write the report of the published date; prints where it is."""
    from user_analytics.report.write import write_report

    with _warehouse() as (settings, warehouse):
        typer.echo(write_report(warehouse, open_store(settings), ds))


@app.command("looker-link")
def looker_link() -> None:
    """Print the links that open the data in Looker Studio: a new report, and the data source alone."""
    from user_analytics.warehouse.looker import looker_links

    links = looker_links(_settings())
    typer.echo(links.report)
    typer.echo(links.data_source)
    if links.note:
        typer.echo(links.note, err=True)


@app.command()
def status(format: Format = "table") -> None:
    """Print what was published: when, from which data, how many rows. As csv or json with every digest and name."""
    from user_analytics.warehouse.client import Rows
    from user_analytics.warehouse.publications import Publication, overview, publications

    with _warehouse(read_only=True) as (_, warehouse):
        published = publications(warehouse)
    if not published:
        typer.echo("nothing is published yet", err=True)
    whole = Rows(list(Publication._fields), list(published))
    _print(overview(published) if format == "table" else whole, format)


@app.command()
def query(
    view: Annotated[str, typer.Argument(metavar="VIEW", help="Such as user_behaviour_metrics_view.")],
    format: Format = "table",
) -> None:
    """Print the rows of a view, by its first column."""
    from user_analytics.warehouse.view_names import VIEWS
    from user_analytics.warehouse.views import query_view

    if view not in VIEWS:
        raise typer.BadParameter(f"{view!r} is not one of {', '.join(VIEWS)}", param_hint="VIEW")
    with _warehouse(read_only=True) as (_, warehouse):
        rows = query_view(warehouse, view)
    _print(rows, format)


@quarantine.command("show")
def quarantine_show(
    ds: Annotated[
        date | None, date_option("--date", "Logical date; default: the latest that was ingested.", parse_date)
    ] = None,
    table: Annotated[Table | None, typer.Option(help="Only this table's rows.")] = None,
    format: Format = "table",
) -> None:
    """Print the rows of a date that were set apart, and why."""
    from user_analytics.ingest.quarantine import SCHEMA, read_quarantine
    from user_analytics.warehouse.client import Rows

    store = open_store(_settings())
    tables: tuple[Table, ...] = (table,) if table else get_args(Table)
    if ds is None:
        ds = _latest_raw_date(store, tables)
        typer.echo(f"--date is not given: {ds}, the latest that was ingested", err=True)
    rows = []
    for manifest in _raw_manifests(store, tables, ds):
        if manifest.quarantine is not None:
            quarantined = read_quarantine(store, manifest.quarantine)
            rows += [(manifest.table, *row.values()) for row in quarantined.to_pylist()]
    _print(Rows(["table", *SCHEMA.names], rows), format)


def _latest_raw_date(store: Store, tables: Iterable[Table]) -> date:
    latest = max(raw_dates(store, *tables), default=None)
    if latest is None:
        raise ManifestMissing(f"{store.url} holds no raw data of {' or '.join(tables)}: run an ingestion first")
    return latest


def _raw_manifests(store: Store, tables: Iterable[Table], ds: date) -> list[RawManifest]:
    """Those of the tables that were ingested; raises ManifestMissing when none was."""
    found, missing = [], []
    for table in tables:
        try:
            found.append(read_raw_manifest(store, table, ds).manifest)
        except ManifestMissing as error:
            missing.append(str(error))
    if not found:
        raise ManifestMissing("; ".join(missing))
    return found


@app.command()
def score(
    reviews: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV or Parquet file with the column review_str; - for standard input, a review a line.",
        ),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or Parquet file for the same rows with what the model says; needed unless FILE is -, "
            "which is answered on standard output, as CSV.",
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Also say which n-grams decided, and what each adds to the logit of being positive."
        ),
    ] = False,
    model_version: ModelVersion = None,
) -> None:
    """Say of each review in a file whether it is positive."""
    from user_analytics.sentiment.model import load_model
    from user_analytics.sentiment.score_file import Scored, score_file, score_lines

    judge: Callable[..., Scored]
    if reviews == "-":
        lines = cast("BufferedIOBase", sys.stdin.buffer)  # as every standard input is
        judge = partial(score_lines, lines=lines, name="standard input", output=output or sys.stdout.buffer)
    elif output is not None:
        judge = partial(score_file, reviews=Path(reviews), output=output)
    else:
        raise typer.BadParameter(
            f"name the CSV or Parquet file for what the model says of {reviews}: --output FILE.",
            param_hint="--output",
        )
    settings = _settings()
    scored = judge(load_model(model_version, open_store(settings)), explain=explain)
    log.info("scored", output=str(output or "standard output"), **scored._asdict())


@app.command("train")
def train_command(
    labelled: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="CSV or Parquet files with review_str, label (0 or 1) and maybe source."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the model and its card.")],
    unlabelled: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="More reviews, with review_str only: a second fit learns from them too."),
    ] = None,
) -> None:
    """Train a sentiment model on labelled reviews; prints its version."""
    try:
        from user_analytics.sentiment.train import train
    except ModuleNotFoundError as error:
        raise ModelError(
            f"training needs {error.name}, which is not installed: pip install 'user-analytics[train]'"
        ) from error

    _settings()
    typer.echo(train(labelled, output, unlabelled or []).version)


@app.command("put-model")
def put_model_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `train` wrote a model into.")],
) -> None:
    """Put a trained model and its card into the lake, where --model-version finds it; prints its version."""
    from user_analytics.sentiment.put_model import put_model

    typer.echo(put_model(open_store(_settings()), folder))


@app.command("render")
def render_command(
    name: Annotated[str, typer.Argument(metavar="APP", help="Such as movie-review or ingest-purchases.")],
    ds: Annotated[date, date_option("--ds", "Logical date.", parse_date)],
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A parameter (manifests/README.md lists them); may be repeated."
        ),
    ] = None,
) -> None:
    """Print the manifest of a Spark application or of a stage's Job, for kubectl."""
    from user_analytics.render import MANIFESTS, render

    if name not in MANIFESTS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(MANIFESTS)}", param_hint="APP")
    typer.echo(render(name, ds, dict(map(_name_and_value, parameters or []))), nl=False)


def _name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE", param_hint="--set")
    return name, value


@app.command("clean-up")
def clean_up_command(
    raw_retention_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_RETENTION_DAYS,
            metavar="DAYS",
            help="Also delete raw data this old that is not published; default: RAW_RETENTION_DAYS or never.",
        ),
    ] = None,
    airflow_log_retention_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_RETENTION_DAYS,
            metavar="DAYS",
            help="How old the logs of Airflow's tasks have to be; default: AIRFLOW_LOG_RETENTION_DAYS.",
        ),
    ] = None,
    leftover_retention_hours: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_RETENTION_HOURS,
            metavar="HOURS",
            help="How old what failed attempts left has to be, longer than any run takes; "
            "default: LEFTOVER_RETENTION_HOURS.",
        ),
    ] = None,
) -> None:
    """Delete what no manifest names, what failed attempts left, and Airflow's logs, once it is old enough."""
    from user_analytics.lake.airflow_logs import remove_old_airflow_logs
    from user_analytics.lake.clean_up import clean_up
    from user_analytics.lake.raw_retention import remove_old_raw
    from user_analytics.warehouse.publications import dates_in_use, publications
    from user_analytics.warehouse.staging import remove_old_staging

    now = datetime.now(UTC)
    with _warehouse() as (settings, warehouse):
        store = open_store(settings)
        if days := raw_retention_days or settings.raw_retention_days:
            remove_old_raw(store, now, timedelta(days=days), lambda: dates_in_use(publications(warehouse)))
        leftovers_until = now - timedelta(hours=leftover_retention_hours or settings.leftover_retention_hours)
        clean_up(store, leftovers_until)
        logs_days = airflow_log_retention_days or settings.airflow_log_retention_days
        remove_old_airflow_logs(store, now - timedelta(days=logs_days))
        remove_old_staging(warehouse, leftovers_until)


def main() -> Never:
    """Entry point: errors raised on purpose become a message and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _stop)
    configure_logging("auto")  # until the settings are read
    try:
        app()
    except UserAnalyticsError as error:
        _report_failure(error)
        sys.exit(error.exit_code)
    sys.exit(0)


def _stop(number: int, _frame: FrameType | None) -> Never:
    # As an exception, so that everything that was started is stopped on the way out.
    sys.exit(128 + number)


def _report_failure(error: UserAnalyticsError) -> None:
    if logs_are_json():
        log.error("failed", reason=str(error), final=error.final)
    else:
        typer.echo(f"error: {error}", err=True)


def _settings(log_level: int = logging.INFO) -> Settings:
    configure_logging(load_log_format(), log_level)  # so that what is wrong with the others is said in it
    return load_settings()


@contextmanager
def _warehouse(*, read_only: bool = False) -> Iterator[tuple[Settings, "Warehouse"]]:
    from user_analytics.warehouse.client import open_warehouse

    with (
        embedded_stack(_settings(), {"warehouse"}, read_only=read_only) as settings,
        open_warehouse(settings) as warehouse,
    ):
        yield settings, warehouse


def _print(rows: "Rows", format: Literal["table", "csv", "json"]) -> None:
    from user_analytics.warehouse.views import format_rows

    typer.echo(format_rows(rows, format), nl=False)


if __name__ == "__main__":
    main()
