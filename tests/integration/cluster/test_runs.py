"""What ran on the cluster, read from a real API server."""

from tests.integration.cluster.idle_cluster import Cluster, application, job
from user_analytics.cluster.runs import runs


def test_jobs_and_applications_of_the_cluster_are_read(cluster: Cluster) -> None:
    cluster.define_applications()
    cluster.make(job("publish-a"), application("movie-review-a"))

    assert {(run.name, run.state) for run in runs(cluster.client)} == {
        ("publish-a", "waiting"),
        ("movie-review-a", "waiting"),
    }


def test_without_the_operator_there_are_no_applications(cluster: Cluster) -> None:
    cluster.forget_applications()
    cluster.make(job("publish-a"))

    assert [run.name for run in runs(cluster.client)] == ["publish-a"]
