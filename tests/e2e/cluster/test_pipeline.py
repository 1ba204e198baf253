"""The pipeline by hand on the cluster gives what it gives on one machine, with pods of it killed on the way."""

import json
import urllib.request
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.cluster.conftest import APPLICATIONS, DATE
from tests.e2e.cluster.kind_cluster import KindCluster, Pod
from tests.fixtures.command_line import CommandLine
from user_analytics.warehouse.view_names import METRICS_VIEW

HISTORY_SERVER = "http://127.0.0.1:18080/api/v1/applications"

pytestmark = pytest.mark.timeout(900)


def running(cluster: KindCluster, role: str, beside: set[str]) -> list[Pod]:
    """Running pods of a role whose application is not among those `beside`."""
    pods = cluster.pods(f"spark-role={role}")
    return [pod for pod in pods if pod.phase == "Running" and pod.application not in beside]


class Killed(NamedTuple):
    """An application one of whose pods was killed: how its `make apply` ended, and what it said."""

    application: str
    exit_code: int
    output: str


def apply_and_kill(cluster: KindCluster, application: str, role: str) -> Killed:
    """Run an application, and kill a pod of it, of this role, as soon as an executor is at work."""
    old = set(cluster.applications())
    with cluster.start("apply", f"APP={application}", f"DATE={DATE}") as job:
        cluster.wait(lambda: running(cluster, "executor", old), "an executor")
        pod = running(cluster, role, old)[0]  # there may be several executors
        cluster.kill(pod)
        output, _ = job.communicate(timeout=600)
    return Killed(pod.application, job.returncode, output)


@pytest.fixture(scope="module")
def what_was_published(loaded: KindCluster) -> dict[str, str]:
    """The views before anything is staged of DATE."""
    return loaded.views()


@pytest.fixture(scope="module")
def without_its_driver(loaded: KindCluster, what_was_published: dict[str, str]) -> Killed:
    """An application that staged a part of the purchases."""
    return apply_and_kill(loaded, "user-purchase", "driver")


@pytest.fixture(scope="module")
def without_an_executor(staged: KindCluster) -> Killed:
    """An application that staged the reviews, once they were staged by another."""
    return apply_and_kill(staged, "movie-review", "executor")


def test_an_application_fails_whose_driver_is_killed_and_the_published_tables_stay(
    loaded: KindCluster, what_was_published: dict[str, str], without_its_driver: Killed
) -> None:
    assert without_its_driver.exit_code != 0
    assert f"make cluster-logs APP={without_its_driver.application}" in without_its_driver.output
    assert loaded.views() == what_was_published


def test_applications_that_are_checked_in_run_to_their_end_when_kubectl_applies_them(staged: KindCluster) -> None:
    assert {name: staged.state(name) for name in APPLICATIONS} == dict.fromkeys(APPLICATIONS, "COMPLETED")


def test_an_application_completes_whose_executor_is_killed(staged: KindCluster, without_an_executor: Killed) -> None:
    assert without_an_executor.exit_code == 0, without_an_executor.output
    assert staged.state(without_an_executor.application) == "COMPLETED"


def test_the_views_are_byte_for_byte_those_of_a_run_on_one_machine_and_what_was_killed_doubles_nothing(
    without_its_driver: Killed,
    without_an_executor: Killed,
    published: KindCluster,
    one_machine: Future[CommandLine],
) -> None:
    expected = one_machine.result().views()

    assert published.views() == expected
    assert published.make("query", f"VIEW={METRICS_VIEW}", "FORMAT=csv").stdout == expected[METRICS_VIEW]


def test_the_history_server_shows_the_applications_that_have_ended(staged: KindCluster) -> None:
    driver_ids = {
        application["status"]["sparkApplicationId"]
        for name, application in staged.applications().items()
        if staged.state(name) == "COMPLETED"
    }
    assert driver_ids

    def listed() -> set[str]:
        with urllib.request.urlopen(HISTORY_SERVER) as response:
            return {application["id"] for application in json.load(response)}

    staged.wait(lambda: driver_ids <= listed(), "the History Server to read the event logs", 60)


def test_the_report_of_the_date_is_written_and_brought_here(published: KindCluster) -> None:
    done = published.make("report", f"DATE={DATE}")

    assert f"s3://user-analytics/reports/ds={DATE}/index.html" in done.stderr
    assert DATE in Path(done.stdout.strip().splitlines()[-1]).read_text()
