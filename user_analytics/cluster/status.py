"""`make cluster-status`: every part of the cluster, ready or why not; pages, and what ran and was published last.

Exit code 1 when a part is not ready, or when the publications cannot be read.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from user_analytics.cluster import servers
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.airflow import AirflowApi, airflow_api
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.connection import connected, in_words
from user_analytics.cluster.messages import say
from user_analytics.cluster.pages import Page, pages
from user_analytics.cluster.parts import STOPPED, Part, parts
from user_analytics.cluster.restore import RESUMING, unfinished
from user_analytics.cluster.runs import Run, dag_run, history, runs
from user_analytics.cluster.secrets import SERVERS
from user_analytics.cluster.sole_command import at_work
from user_analytics.errors import ClusterError, UserAnalyticsError
from user_analytics.warehouse.client import open_warehouse
from user_analytics.warehouse.publications import Publication, publications

WIDTH = 100
LAST = 5
# By their ids, as their files are called.
DAGS = ("user_analytics_dag", "user_analytics_clean_up_dag")
AIRFLOW_SECONDS = 5.0
EMULATOR = f"{SERVERS}/bigquery-emulator"
STYLES = {"completed": "green", "success": "green", "failed": "red", "submission_failed": "red", "running": "cyan"}


@dataclass
class Status:
    """What there is to say of the cluster; `unread` says why the publications could not be read.

    `command` names the one at work that stops and starts servers.
    """

    parts: list[Part]
    pages: list[Page]
    runs: list[Run]
    gone: list[Run] = field(default_factory=list)
    dags: list[Run] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    unread: str = ""
    command: str = ""
    notes: list[str] = field(default_factory=list)

    def is_ready(self) -> bool:
        """Whether every part is, every page answers, and the publications could be read."""
        return not any([self.unread, *(part.problem for part in self.parts), *(page.problem for page in self.pages)])


def read_status(api: ApiClient) -> Status:
    """Ask the cluster, its History Server, its Airflow and its warehouse."""
    core = CoreV1Api(api)
    wanted = [(namespace, chart) for chart, namespace in NAMESPACES.items()]
    there = runs(api)
    status = Status(
        parts=parts(core, AppsV1Api(api), wanted),
        pages=pages(core),
        runs=there[: 2 * LAST],
    )
    name_command_at_work(status)
    add_restore(status, api)
    add_gone(status, there)
    add_dags(status, core)
    add_publications(status, core)
    return status


def name_command_at_work(status: Status) -> None:
    """Say which command stops and starts servers now, and that it is why one is stopped."""
    command = at_work()
    if command and command.target in RESUMING:
        status.command = command.words
        theirs = {Part(f"{SERVERS}/{name}", STOPPED) for name in servers.NAMES}
        problem = f"it is stopped: {command.words}"
        status.parts = [Part(part.name, problem) if part in theirs else part for part in status.parts]


def add_restore(status: Status, api: ApiClient) -> None:
    """Add a restore that is not finished to the parts: all servers may run then, on passwords of another cluster."""
    try:
        if problem := unfinished(api):
            status.parts.append(Part("restore", problem))
    except ClusterError as error:  # as where the volumes are no folders of the node, and no restore can be
        status.notes.append(f"Whether a restore is unfinished is not known: {error}")


def add_gone(status: Status, there: Sequence[Run]) -> None:
    """Ask the History Server for the last applications beside those that are `there`, unless it is not ready."""
    page = next((page for page in status.pages if page.service == "spark-history-server"), None)
    if page is None or page.problem:
        return
    ids = {run.spark_id for run in there}
    try:
        logged = history(page.url, len(there) + LAST)
    except (OSError, ValueError) as error:
        status.notes.append(f"The History Server does not tell past runs: {error}")
    else:
        status.gone = [run for run in logged if run.spark_id not in ids][:LAST]


def add_dags(status: Status, core: CoreV1Api) -> None:
    """Ask Airflow for the last run of each of the project's DAGs, unless it is not ready."""
    page = next((page for page in status.pages if page.service == "airflow-api-server"), None)
    try:
        if page is None or page.problem:
            raise ClusterError(page.problem if page else "it has no page")
        with in_words(), airflow_api(core, AIRFLOW_SECONDS) as airflow:
            status.dags = last_dag_runs(airflow)
    except UserAnalyticsError as error:
        status.notes.append(f"Airflow does not tell the last runs of the DAGs: {str(error).splitlines()[0]}")


def last_dag_runs(airflow: AirflowApi) -> list[Run]:
    """The run of each DAG that began last, or one that is still to begin; none of a DAG that never ran."""
    found = [airflow.get(f"dags/{dag}/dagRuns", order_by="-start_date", limit=1)["dag_runs"] for dag in DAGS]
    return [dag_run(run) for of_dag in found for run in of_dag]


def add_publications(status: Status, core: CoreV1Api) -> None:
    """Ask the warehouse what was published last, unless it is not ready."""
    emulator = next((part for part in status.parts if part.name == EMULATOR), None)
    if emulator and emulator.problem:  # else it would be waited for
        status.unread = f"{EMULATOR} is not ready"
        return
    try:
        with cluster_settings(core, {"warehouse"}) as settings, open_warehouse(settings) as warehouse:
            status.publications = publications(warehouse)[:LAST]
    except UserAnalyticsError as error:
        status.unread = str(error)


def rendered(status: Status, now: datetime) -> RenderableType:
    """The status as tables, at most 100 columns wide."""
    shown: list[RenderableType] = []
    if status.command:
        until = "until it has ended; Airflow may take some minutes more"
        shown.append(Text(f"\n{status.command}: what is not ready may be so {until}", "yellow"))
    shown.append(_parts_table(status.parts))
    if status.pages:
        shown.append(_pages_table(status.pages))
    if status.runs:
        shown.append(_runs_table("Last Spark applications and Jobs", status.runs, now))
    if status.gone:
        shown.append(_gone_table(status.gone, now))
    if status.dags:
        shown.append(_runs_table("Last runs of the DAGs", status.dags, now))
    if status.unread:
        shown.append(Text(f"\nThe publications could not be read: {status.unread}", "red"))
    elif status.publications:
        shown.append(_publications_table(status.publications))
    else:
        shown.append(Text("\nNothing is published yet."))
    shown += [Text(f"\n{note}") for note in status.notes]
    return Group(*shown)


def _parts_table(all_parts: Sequence[Part]) -> Table:
    table = _table("Parts", "part", "state")
    for part in all_parts:
        table.add_row(part.name, _ready(part.problem, "ready"))
    return table


def _pages_table(all_pages: Sequence[Page]) -> Table:
    table = _table("Pages", "page of", "address", "state")
    for page in all_pages:
        table.add_row(page.service, page.url, _ready(page.problem, "answers"))
    return table


def _runs_table(title: str, runs: Iterable[Run], now: datetime) -> Table:
    table = _table(title, "name", "date", "state", "started (UTC)", "took")
    for run in runs:
        state = Text(run.state, STYLES.get(run.state, ""))
        if run.problem:
            state.append(f": {run.problem.splitlines()[0]}")
        table.add_row(run.name, run.ds, state, _started(run), _took(run, now))
    return table


def _gone_table(gone: Iterable[Run], now: datetime) -> Table:
    """Without a date, which event logs do not tell."""
    title = "Spark applications that are no longer in the cluster, by their event logs"
    table = _table(title, "name", "state", "started (UTC)", "took")
    for run in gone:
        table.add_row(run.name, run.state, _started(run), _took(run, now))
    return table


def _publications_table(published: Iterable[Publication]) -> Table:
    table = _table("Last publications", "date", "mode", "published (UTC)", "reviews", "purchases", "quarantined")
    for column in table.columns[3:]:
        column.justify = "right"
    for each in published:
        quarantined = each.movie_review_quarantined_rows + each.user_purchase_quarantined_rows
        counts = (each.movie_review_rows, each.user_purchase_rows, quarantined)
        when = each.published_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(str(each.ds), each.mode, when, *(f"{count:,}" for count in counts))
    return table


def _started(run: Run) -> str:
    return run.started.astimezone(UTC).strftime("%m-%d %H:%M:%S") if run.started else ""


def _took(run: Run, now: datetime) -> str:
    if run.started is None:
        return ""
    seconds = ((run.ended or now) - run.started).total_seconds()
    return f"{seconds:,.0f} s" if run.ended else f"{seconds:,.0f} s so far"


def _ready(problem: str, word: str) -> Text:
    return Text(problem, "red") if problem else Text(word, "green")


def _table(title: str, *columns: str) -> Table:
    whole = Text(f"\n{title}", style="bold", no_wrap=True, overflow="ignore")  # also above a narrower table
    table = Table(title=whole, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", header_style="dim")
    return table


def main() -> int:
    """Print the status; exit code 1 when a part is not ready or the cluster does not answer."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    try:
        with connected() as api:
            status = read_status(api)
    except (UserAnalyticsError, OSError) as error:
        if command := at_work():
            say(command.words)
        say(f"cluster: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(rendered(status, datetime.now(UTC)))
    return 0 if status.is_ready() else 1


if __name__ == "__main__":
    sys.exit(main())
