"""The pipeline by Airflow on the cluster: scheduled, by hand, backfilled, and with parts of it killed."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cluster.airflow_dags import CLEAN_UP, DAG, Dag
from tests.e2e.cluster.conftest import DATE
from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.airflow import airflow_api
from user_analytics.cluster.kind import NODE
from user_analytics.cluster.secrets import JOBS, SERVERS
from user_analytics.lake.manifest import read_staging_manifest
from user_analytics.lake.store import open_store
from user_analytics.warehouse.client import open_warehouse

pytestmark = pytest.mark.timeout(1500)

SCHEDULER = "app.kubernetes.io/name=airflow,app.kubernetes.io/component=scheduler"
GONE_SECONDS = 60
START_SECONDS = 300  # dags.startupTimeoutSeconds
BUSY = {"running", "queued", "scheduled", "up_for_retry"}


@pytest.fixture
def dag(published: KindCluster) -> Iterator[Dag]:
    with airflow_api(published.core) as api:
        yield Dag(api, published)


@pytest.fixture
def run(dag: Dag) -> str:
    """A run of DATE that has succeeded: the one that is there, or a new one."""
    for found in dag.runs():
        if found["logical_date"].startswith(DATE) and found["state"] == "success":
            return str(found["dag_run_id"])
    new = dag.begin(DATE)
    assert dag.wait(new) == "success"
    return new


def test_nobody_touched_anything_and_yesterday_s_run_succeeded(scheduled: str, dag: Dag) -> None:
    assert scheduled.startswith("scheduled__")
    assert set(dag.states(scheduled).values()) == {"success"}
    assert len(dag.states(scheduled)) == 9


def test_tasks_that_are_marked_failed_leave_nothing_behind_and_dag_run_names_them(
    published: KindCluster, dag: Dag
) -> None:
    marked = ("ingest_purchases", "movie_review")

    with published.start("dag-run", f"DATE={DATE}") as following:
        run = published.wait(lambda: dag.unfinished_run_of(DATE), f"the run of {DATE} to begin")
        for task in marked:
            mark_failed(published, dag, run, task)
        said, _ = following.communicate()

    assert following.returncode != 0
    assert [task for task in marked if f"{task} failed" not in said] == []
    assert dag.states(run)["publish"] == "upstream_failed"


def mark_failed(cluster: KindCluster, dag: Dag, run: str, task: str) -> None:
    """Mark a task that is under way, and wait until what it started is gone."""
    dag.wait_for_task(run, task, {"running"})
    cluster.wait(lambda: dag.started_by(task), f"what {task} starts", 120)
    dag.set_state(run, task, "failed")
    cluster.wait(lambda: not dag.started_by(task), f"what {task} started to be gone", GONE_SECONDS)


def test_a_run_by_hand_begins_again_and_publishes_what_the_stages_by_hand_do(published: KindCluster, dag: Dag) -> None:
    expected, before = published.views(), len(dag.runs())

    done = published.make("dag-run", f"DATE={DATE}")

    assert "begins again" in done.stderr
    assert len(dag.runs()) == before
    assert f"Published {DATE} (full)" in done.stdout
    assert published.views() == expected
    assert set(dag.states(dag.run_of(DATE)).values()) == {"success"}


def test_logs_stay_when_the_pods_are_gone(dag: Dag, run: str) -> None:
    assert not dag.started_by("movie_review")
    assert "staged table=" in dag.log(run, "movie_review")
    assert not dag.started_by("publish")
    assert "publishing ds=" in dag.log(run, "publish")


@pytest.mark.long
def test_a_cleared_spark_task_makes_a_new_application(published: KindCluster, dag: Dag, run: str) -> None:
    before = dag.log(run, "user_purchase")

    dag.clear(run, ["user_purchase"])

    dag.wait_for_task(run, "user_purchase", {"running"})
    [application] = published.wait(partial(_applications, published, "user_purchase"), "the application", 120)
    dag.wait_for_task(run, "user_purchase", {"success"})
    assert application not in before
    assert dag.wait(run) == "success"


def _applications(cluster: KindCluster, task: str) -> set[str]:
    return {
        name
        for name, application in cluster.applications().items()
        if application["metadata"]["labels"].get("task_id") == task
    }


def _live_pods(cluster: KindCluster, task: str) -> set[str]:
    """The pods of a stage that are under way, or about to be."""
    pods = cluster.pods(f"dag_id={DAG},task_id={task}")
    return {pod.name for pod in pods if pod.namespace == JOBS and pod.is_live}


@pytest.mark.long
@pytest.mark.parametrize(("task", "alive"), [("ingest_reviews", _live_pods), ("movie_review", _applications)])
def test_a_task_goes_on_or_is_tried_again_when_the_scheduler_is_killed(
    published: KindCluster, dag: Dag, task: str, alive: Callable[[KindCluster, str], set[str]]
) -> None:
    expected = published.views()
    run = dag.begin(DATE)
    dag.wait_for_task(run, task, {"running"})
    most = len(published.wait(lambda: alive(published, task), f"what {task} starts", 120))
    [scheduler] = [pod for pod in published.pods(SCHEDULER) if pod.namespace == SERVERS]

    published.kill(scheduler)

    while dag.states(run)[task] in BUSY:
        most = max(most, len(alive(published, task)))
    assert most == 1
    assert dag.wait(run, 900) == "success"
    assert published.views() == expected


@pytest.mark.long
def test_an_application_that_finds_no_room_fails_at_its_start_timeout_and_says_what_it_waited_for(
    published: KindCluster, dag: Dag, run: str
) -> None:
    with no_room(published):
        dag.clear(run, ["movie_review"])
        failed = dag.wait_for_task(run, "movie_review", {"up_for_retry"}, START_SECONDS + 120)

    log = dag.wait_for_log(run, "movie_review", "took too long to start", failed["try_number"])
    driver = re.search(r"(movie-review-\S+)-driver: FailedScheduling: .*unschedulable", log)
    assert driver
    application = f"sparkoperator.k8s.io/app-name={driver[1]}"
    assert driver[1] not in published.applications()
    published.wait(lambda: not published.pods(application), f"the pods of {driver[1]} to be gone", GONE_SECONDS)
    # there is room again, and the next try finds it
    assert dag.wait(run) == "success"


@contextmanager
def no_room(cluster: KindCluster) -> Iterator[None]:
    """The node takes no new pods."""
    cluster.kubectl("cordon", NODE)
    try:
        yield
    finally:
        cluster.kubectl("uncordon", NODE)


@pytest.mark.long
def test_a_failed_check_leaves_the_tables_and_says_which_it_was(published: KindCluster, dag: Dag) -> None:
    expected = published.views()
    run = dag.begin(DATE)
    dag.wait_for_task(run, "create_bucket", {"running", "success"})
    dag.set_state(run, "publish", "failed")  # so that it waits for what happens to the staging table
    assert dag.wait(run, 900) == "failed"
    staging_table = lose_a_row(published)
    tries = dag.tasks(run)["publish"]["try_number"]

    dag.clear(run, ["publish", "views", "report", "looker_link"])
    assert dag.wait(run, 900) == "failed"

    states = dag.states(run)
    assert states["publish"] == "failed"
    assert dag.tasks(run)["publish"]["try_number"] == tries + 1
    assert {states[task] for task in ("views", "report", "looker_link")} == {"upstream_failed"}
    log = dag.wait_for_log(run, "publish", f"{DAG}: publish of {DATE} failed: ")
    assert f"checks of {DATE} failed; the published tables are as they were" in log
    assert f"movie_review rows ({staging_table}): " in log
    assert published.views() == expected


def lose_a_row(cluster: KindCluster) -> str:
    """Delete the first review that is staged of DATE; the name of its staging table."""
    with (
        cluster_settings(cluster.core, {"lake", "warehouse"}) as settings,
        open_warehouse(settings) as warehouse,
    ):
        ds = date.fromisoformat(DATE)
        name = read_staging_manifest(open_store(settings), "movie_review", ds).manifest.staging_table
        table = warehouse.staging_table_id(name)
        [(first,)] = warehouse.rows(f"select min(review_id) from `{table}`").rows
        warehouse.run(f"delete from `{table}` where review_id = {first}")
    return name


@pytest.mark.long
def test_a_date_older_than_the_published_one_is_refused_and_the_tables_stay(published: KindCluster, dag: Dag) -> None:
    expected = published.views()
    latest = dag.runs()[-1]
    scheduled, later = str(latest["dag_run_id"]), latest["logical_date"][:10]
    dag.wait(scheduled)
    dag.clear(scheduled, list(dag.states(scheduled)))  # `make dag-run` would replace it
    assert dag.wait(scheduled, 900) == "success"
    run = dag.begin(DATE, force=False)

    assert dag.wait(run, 900) == "failed"

    states = dag.states(run)
    assert states["publish"] == "failed"
    assert dag.tasks(run)["publish"]["try_number"] == 1
    assert {states[task] for task in ("views", "report", "looker_link")} == {"upstream_failed"}
    assert dag.wait_for_log(run, "publish", f"the tables hold the data of {later}, and {DATE} is older")
    assert published.views() == expected


@pytest.mark.long
def test_a_model_that_is_not_there_fails_its_application_at_once_and_is_named(published: KindCluster, dag: Dag) -> None:
    run = dag.begin(DATE, model_version="tfidf-00000000")

    assert dag.wait(run, 900) == "failed"

    task = dag.tasks(run)["movie_review"]
    assert (task["state"], task["try_number"]) == ("failed", 1)
    missing = "s3://user-analytics/models/sentiment/tfidf-00000000/model.parquet does not exist"
    assert dag.wait_for_log(run, "movie_review", f"{DAG}: movie_review of {DATE} failed: {missing}")
    published.wait(lambda: not dag.started_by("movie_review"), "what movie_review started to be gone", GONE_SECONDS)


def test_the_clean_up_runs_on_the_lake_and_the_warehouse(published: KindCluster) -> None:
    before = published.views()
    with airflow_api(published.core) as api:
        clean_up = Dag(api, published, CLEAN_UP)
        run = clean_up.begin(DATE)

        assert clean_up.wait(run) == "success"

        assert clean_up.wait_for_log(run, "clean_up", "cleaned up the lake")
        assert not clean_up.started_by("clean_up")
    assert published.views() == before


def test_the_scheduler_may_not_read_secrets_anywhere(published: KindCluster) -> None:
    account = f"system:serviceaccount:{SERVERS}:airflow-scheduler"

    assert published.may(account, "get", "pods", JOBS)
    for namespace in (JOBS, SERVERS):
        for verb in ("get", "list", "watch"):
            assert not published.may(account, verb, "secrets", namespace)


@pytest.mark.long
def test_a_backfill_of_increments_gives_what_a_full_load_gives(
    published: KindCluster, source_files: tuple[Path, Path], tmp_path: Path
) -> None:
    reviews, purchases = source_files
    before, after = tmp_path / "before.csv", tmp_path / "after.csv"
    _write_purchases(purchases, before, until="2010-12-03")
    _write_purchases(purchases, after, until="2010-12-07", late="2010-12-03 10:00:00")
    published.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={after}")
    published.make("dag-run", "DATE=2010-12-07")
    expected = published.views()

    published.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={before}")
    published.make("dag-run", "DATE=2010-12-03")
    assert published.views() != expected
    published.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={after}")
    done = published.make("backfill", "FROM=2010-12-05", "TO=2010-12-07", "MODE=incremental")

    assert done.stderr.count("is done after") == 3
    assert published.views() == expected
    published.make("load-data", f"REVIEWS={reviews}", f"PURCHASES={purchases}")


def _write_purchases(source: Path, file: Path, until: str, late: str | None = None) -> None:
    """The purchases up to a day and, if `late` is an instant, one of that instant which came after all others."""
    with source.open(newline="") as all_days, file.open("w", newline="") as target:
        rows = [row for row in csv.DictReader(all_days) if row["invoice_date"][:10] <= until]
        writer = csv.DictWriter(target, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
        if late:
            known = next(row for row in rows if row["customer_id"])
            bought = {"invoice_number": "late", "quantity": "1", "unit_price": "7.125", "invoice_date": late}
            writer.writerow(known | bought)


def test_no_task_of_the_dag_is_left_over(published: KindCluster) -> None:
    assert not [pod.name for pod in published.pods(f"dag_id={DAG}") if pod.phase in {"Pending", "Running"}]
