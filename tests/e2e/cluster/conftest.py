"""Fixtures of the tests on the kind cluster; they run in one process, since there is one cluster."""

import os
import signal
import subprocess
import time
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.cluster.airflow_dags import Dag
from tests.e2e.cluster.kind_cluster import ROOT, KindCluster
from user_analytics.cluster.airflow import airflow_api
from user_analytics.cluster.kind import connect

DATE = "2010-12-08"
LONGEST_TEST, SCHEDULED_RUN = timedelta(minutes=10), timedelta(minutes=5)


# By file: these want no cluster yet, and the last leaves servers that have just started.
FIRST, SECOND, LAST = "test_taking_over", "test_going_up", "test_restart"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests on one cluster in an order that suits all of them."""
    items.sort(key=lambda item: {FIRST: 0, SECOND: 1, LAST: 3}.get(item.path.stem, 2))


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
def loaded(cluster: KindCluster, source_files: tuple[Path, Path], scheduled: str) -> KindCluster:
    """The cluster with the source files loaded, and ingested as the data of DATE, when Airflow is at rest."""
    reviews, purchases = source_files
    cluster.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={purchases}")
    cluster.make("ingest", f"DATE={DATE}")
    return cluster


def publish(cluster: KindCluster) -> None:
    """Publish what is staged of DATE, a step back in time included."""
    cluster.make("publish", f"DATE={DATE}", "ARGS=--set force=true")
    cluster.make("views", f"DATE={DATE}")


@pytest.fixture(scope="session")
def published(loaded: KindCluster) -> KindCluster:
    """The cluster after the pipeline by hand, stage by stage."""
    loaded.make("apply", "APP=movie-review", f"DATE={DATE}")
    loaded.make("apply", "APP=user-purchase", f"DATE={DATE}")
    publish(loaded)
    return loaded
