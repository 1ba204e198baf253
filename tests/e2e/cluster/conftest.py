"""Fixtures of the tests on the kind cluster; they run in one process, since there is one cluster."""

import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cluster.airflow_dags import Dag
from tests.e2e.cluster.kind_cluster import ROOT, KindCluster
from tests.fixtures.command_line import CommandLine
from user_analytics.cluster.airflow import airflow_api
from user_analytics.cluster.kind import connect
from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import stop_leftovers

DATE = "2010-12-08"
LONGEST_TEST, SCHEDULED_RUN = timedelta(minutes=10), timedelta(minutes=5)
# The Spark applications as kubectl applies them, by name.
APPLICATIONS = ("movie-review", "user-purchase")

# The first two want no cluster yet. What waits for little runs beside the scheduler's first run; what stops the servers
# comes last, as Airflow takes its time to come back.
ORDER = (
    "test_taking_over",
    "test_going_up",
    "test_parts",
    "test_pipeline",
    "test_airflow",
    "test_airflow_rights",
    "test_backup",
    "test_restart",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests on one cluster in an order that suits all of them."""
    items.sort(key=lambda item: (*ORDER, item.path.stem).index(item.path.stem))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before a test's time begins to count
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """No test is under way at midnight UTC, when Airflow begins a run by itself, which is over minutes later."""
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    if midnight - now < LONGEST_TEST:
        time.sleep((midnight - now + SCHEDULED_RUN).total_seconds())
    return (yield)


@pytest.fixture(scope="session", autouse=True)
def _terminated_as_interrupted() -> None:
    """SIGTERM ends the tests as Ctrl-C does: they stop what they started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def cluster() -> KindCluster:
    """The cluster as `make cluster-up` makes or completes it."""
    subprocess.run(["make", "cluster-up"], cwd=ROOT, check=True)
    return KindCluster(connect())


@pytest.fixture(scope="session")
def source_files() -> tuple[Path, Path]:
    """Reviews and purchases: the real ones of REAL_DATA, else the sample."""
    folder = Path(os.environ.get("REAL_DATA") or ROOT / "data").resolve()
    return folder / "movie_review.csv", folder / "user_purchase.csv"


@pytest.fixture(scope="session")
def scheduled(cluster: KindCluster) -> str:
    """The run that Airflow's scheduler began by itself, at its end: on the sample, before a test loads anything."""
    with airflow_api(cluster.core) as api:
        dag = Dag(api, cluster)
        latest = cluster.wait(dag.runs, "the scheduler to make a run")[-1]
        run = str(latest["dag_run_id"])
        dag.wait(run)
        return run


@pytest.fixture(scope="session")
def one_machine(
    source_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[CommandLine]]:
    """A run of DATE on this machine, which goes on beside the first stages on the cluster: those wait for much."""
    reviews, purchases = source_files
    command_line = CommandLine(tmp_path_factory.mktemp("one-machine"))

    def run() -> CommandLine:
        command_line("run", "--reviews", reviews, "--purchases", purchases, "--date", DATE)
        return command_line

    with ThreadPoolExecutor(1) as thread:
        try:
            yield thread.submit(run)
        finally:
            stop_leftovers(command_line.run_dir)
            remove_data(command_line.run_dir)


@pytest.fixture(scope="session")
def loaded(
    cluster: KindCluster, source_files: tuple[Path, Path], scheduled: str, one_machine: Future[CommandLine]
) -> KindCluster:
    """The cluster with the source files loaded, and ingested as the data of DATE, when Airflow is at rest."""
    reviews, purchases = source_files
    cluster.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={purchases}")
    cluster.make("ingest", f"DATE={DATE}")
    return cluster


@pytest.fixture(scope="session")
def staged(loaded: KindCluster) -> KindCluster:
    """The cluster after both Spark applications as they are checked in, which kubectl applied."""
    for name in APPLICATIONS:
        loaded.delete_application(name)
    loaded.kubectl("apply", "--filename", "manifests/spark-applications/")
    for name in APPLICATIONS:
        loaded.wait(partial(loaded.has_ended, name), f"{name} to end", 300)
    return loaded


@pytest.fixture(scope="session")
def published(staged: KindCluster) -> KindCluster:
    """The cluster after the pipeline by hand, stage by stage; a step back in time is meant."""
    staged.make("publish", f"DATE={DATE}", "ARGS=--set force=true")
    staged.make("views", f"DATE={DATE}")
    return staged
