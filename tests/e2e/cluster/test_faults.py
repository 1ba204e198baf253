"""Pods of a Spark application killed in the middle of it."""

import pytest

from tests.e2e.cluster.conftest import DATE, publish
from tests.e2e.cluster.kind_cluster import KindCluster, Pod

pytestmark = pytest.mark.timeout(900)


def running(cluster: KindCluster, role: str, beside: set[str]) -> list[Pod]:
    """Running pods of a role whose application is not among those `beside`."""
    pods = cluster.pods(f"spark-role={role}")
    return [pod for pod in pods if pod.phase == "Running" and pod.application not in beside]


def test_a_job_completes_whose_executor_is_killed(published: KindCluster) -> None:
    before, old = published.metrics(), set(published.applications())
    with published.start("apply", "APP=movie-review", f"DATE={DATE}") as job:
        executor = published.wait(lambda: running(published, "executor", old), "an executor")[0]
        published.kill(executor)
        output, _ = job.communicate(timeout=600)
    assert job.returncode == 0, output

    assert published.state(executor.application) == "COMPLETED"
    publish(published)
    assert published.metrics() == before


def test_a_job_whose_driver_is_killed_fails_and_the_next_one_doubles_nothing(published: KindCluster) -> None:
    before, old = published.metrics(), set(published.applications())
    with published.start("apply", "APP=user-purchase", f"DATE={DATE}") as job:
        published.wait(lambda: running(published, "executor", old), "an executor")
        [driver] = running(published, "driver", old)
        published.kill(driver)
        output, _ = job.communicate(timeout=600)
    assert job.returncode != 0
    assert "make cluster-logs" in output
    assert published.metrics() == before

    published.make("apply", "APP=user-purchase", f"DATE={DATE}")
    publish(published)

    assert published.metrics() == before
