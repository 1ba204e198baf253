"""Pods of a Spark application killed in the middle of it."""

from typing import NamedTuple

import pytest

from tests.e2e.cluster.conftest import DATE, publish
from tests.e2e.cluster.kind_cluster import KindCluster, Pod

pytestmark = pytest.mark.timeout(900)


def running(cluster: KindCluster, role: str, beside: set[str]) -> list[Pod]:
    """Running pods of a role whose application is not among those `beside`."""
    pods = cluster.pods(f"spark-role={role}")
    return [pod for pod in pods if pod.phase == "Running" and pod.application not in beside]


class Killed(NamedTuple):
    """A job one of whose pods was killed: how its `make apply` ended, and what it said."""

    pod: Pod
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
    return Killed(pod, job.returncode, output)


@pytest.fixture(scope="module")
def reviews_without_an_executor(published: KindCluster) -> Killed:
    """The reviews staged anew by a job that lost its executor."""
    return apply_and_kill(published, "movie-review", "executor")


def test_a_job_completes_whose_executor_is_killed(published: KindCluster, reviews_without_an_executor: Killed) -> None:
    assert reviews_without_an_executor.exit_code == 0, reviews_without_an_executor.output
    assert published.state(reviews_without_an_executor.pod.application) == "COMPLETED"


def test_a_job_whose_driver_is_killed_fails_and_the_next_one_doubles_nothing(
    published: KindCluster, reviews_without_an_executor: Killed
) -> None:
    before = published.views()

    killed = apply_and_kill(published, "user-purchase", "driver")
    assert killed.exit_code != 0
    assert f"make cluster-logs APP={killed.pod.application}" in killed.output
    assert published.views() == before

    published.make("apply", "APP=user-purchase", f"DATE={DATE}")
    publish(published)
    assert published.views() == before
