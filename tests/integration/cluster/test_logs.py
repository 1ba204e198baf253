"""What `make cluster-logs` finds, on a real API server where no pod runs. How logs look is for the tests on kind."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from kubernetes.client import CoreV1Event, V1ObjectMeta, V1ObjectReference

from tests.integration.cluster.idle_cluster import Body, Cluster, application, job, pod
from user_analytics.cluster.logs import named, problems, warning
from user_analytics.cluster.secrets import JOBS, SERVERS
from user_analytics.errors import ClusterError

NOW = datetime.now(UTC)


def headings(text: Iterator[str]) -> list[str]:
    return [line.removeprefix("\n=== ") for line in text if line.startswith("\n=== ")]


def test_a_name_that_nothing_has_is_refused_with_those_that_there_are(cluster: Cluster) -> None:
    cluster.make(job("publish-2010-12-08-abcde"))

    with pytest.raises(ClusterError, match=r"nothing is called movie-review\. .*: publish-2010-12-08-abcde"):
        list(named(cluster.client, "movie-review", 10))


def test_a_job_is_found_with_its_pods(cluster: Cluster) -> None:
    name = "publish-2010-12-08-abcde"
    cluster.make(job(name), pod(f"{name}-1", **{"batch.kubernetes.io__job-name": name}), pod("other"))

    assert headings(named(cluster.client, name, 10)) == [f"{name}: waiting", f"{JOBS}/{name}-1: Pending"]


def test_the_last_run_of_a_stage_is_found_by_the_stage(cluster: Cluster) -> None:
    cluster.make(job("publish-2010-12-08-abcde"))

    assert headings(named(cluster.client, "publish", 10)) == ["publish-2010-12-08-abcde: waiting"]


def test_an_application_whose_pods_are_gone_says_where_the_history_server_shows_it(cluster: Cluster) -> None:
    cluster.define_applications()
    cluster.make(application("movie-review-abcde"))
    status = {"applicationState": {"state": "FAILED"}, "sparkApplicationId": "spark-1"}
    cluster.set_status("sparkapplication", "movie-review-abcde", status)

    assert list(named(cluster.client, "movie-review", 10))[-1].endswith("http://127.0.0.1:18080/history/spark-1")


def test_an_application_that_never_came_to_run_has_nothing_in_the_history_server(cluster: Cluster) -> None:
    cluster.define_applications()
    cluster.make(application("movie-review-abcde"))
    cluster.set_status("sparkapplication", "movie-review-abcde", {"applicationState": {"state": "SUBMISSION_FAILED"}})

    assert list(named(cluster.client, "movie-review", 10))[-1] == "Its pods are gone, and their logs with them."


def test_a_job_whose_pods_are_gone_has_no_log_any_more(cluster: Cluster) -> None:
    cluster.make(job("publish-abcde"))

    assert list(named(cluster.client, "publish", 10))[-1] == "Its pods are gone, and their logs with them."


def test_an_application_is_found_by_its_pods_the_driver_first(cluster: Cluster) -> None:
    label = {"sparkoperator.k8s.io__app-name": "movie-review-x"}
    executor = {**label, "spark-role": "executor"}
    cluster.make(pod("movie-review-exec-1", **executor), pod("movie-review-x-driver", **label))

    assert headings(named(cluster.client, "movie-review-x", 10)) == [
        f"{JOBS}/movie-review-x-driver: Pending",
        f"{JOBS}/movie-review-exec-1: Pending",
    ]


def test_a_pod_is_found_by_its_name(cluster: Cluster) -> None:
    cluster.make(pod("minio-0", SERVERS))

    assert headings(named(cluster.client, "minio-0", 10)) == [f"{SERVERS}/minio-0: Pending"]


def test_without_problems_it_says_so(cluster: Cluster) -> None:
    assert list(problems(cluster.client, 10, NOW))[1:] == [
        "None.",
        "\nNo server's pod has a problem, and none of the Jobs and Spark applications that are still there has failed.",
        "Airflow's tasks: http://127.0.0.1:8080",
    ]


def test_what_failed_last_comes_last(cluster: Cluster) -> None:
    cluster.make(pod("minio-0", SERVERS))
    cluster.set_status("pod", "minio-0", {"phase": "Failed", "reason": "Evicted"}, SERVERS)
    for day, name in enumerate(("views-abcde", "publish-abcde"), 2):
        when = f"2026-01-0{day}T03:04:05Z"
        conditions = [
            {"type": kind, "status": "True", "lastTransitionTime": when} for kind in ("FailureTarget", "Failed")
        ]
        cluster.make(job(name))
        cluster.set_status("job", name, {"startTime": when, "conditions": conditions})

    assert headings(problems(cluster.client, 10, NOW)) == [
        "Warnings of the last hour, the latest last",
        f"{SERVERS}/minio-0: Failed",
        "views-abcde: failed",
        "publish-abcde: failed",
    ]


def owned(body: Body, kind: str, name: str, **labels: str) -> Body:
    """A pod as its controller makes it."""
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}
    metadata = {**body["metadata"], "ownerReferences": [owner], "labels": labels}
    return {**body, "metadata": metadata}


def evicted(cluster: Cluster, *bodies: Body) -> None:
    cluster.make(*bodies)
    for body in bodies:
        cluster.set_status("pod", body["metadata"]["name"], {"phase": "Failed", "reason": "Evicted"}, SERVERS)


def test_a_pod_that_failed_is_no_problem_when_its_controller_has_another_one(cluster: Cluster) -> None:
    evicted(cluster, owned(pod("airflow-1", SERVERS), "ReplicaSet", "airflow-7d9"))
    cluster.make(owned(pod("airflow-2", SERVERS), "ReplicaSet", "airflow-7d9"))

    assert "No server's pod has a problem" in "\n".join(problems(cluster.client, 10, NOW))


def test_nor_when_a_later_version_of_its_deployment_has_one(cluster: Cluster) -> None:
    hashed = "pod-template-hash"
    evicted(cluster, owned(pod("airflow-1", SERVERS), "ReplicaSet", "airflow-7d9", **{hashed: "7d9"}))
    cluster.make(owned(pod("airflow-2", SERVERS), "ReplicaSet", "airflow-5c4", **{hashed: "5c4"}))

    assert "No server's pod has a problem" in "\n".join(problems(cluster.client, 10, NOW))


def test_a_pod_that_failed_is_a_problem_when_only_others_are_there(cluster: Cluster) -> None:
    evicted(
        cluster,
        owned(pod("airflow-1", SERVERS), "ReplicaSet", "airflow-7d9"),
        owned(pod("airflow-2", SERVERS), "ReplicaSet", "airflow-7d9"),
        pod("airflow-test", SERVERS),
    )
    cluster.make(owned(pod("history-1", SERVERS), "ReplicaSet", "history-7d9"), pod("alone", SERVERS))

    assert headings(problems(cluster.client, 10, NOW))[1:] == [
        f"{SERVERS}/{name}: Failed" for name in ("airflow-1", "airflow-2", "airflow-test")
    ]


def event(minute: int = 5, **changes: object) -> CoreV1Event:
    of = V1ObjectReference(kind="Pod", name="minio-0", namespace=SERVERS)
    when = datetime(2026, 1, 2, 3, minute, tzinfo=UTC)
    values = {"last_timestamp": when, "reason": "FailedMount", "message": "no such\n volume", **changes}
    return CoreV1Event(metadata=V1ObjectMeta(name="e"), involved_object=of, **values)  # type: ignore[arg-type]


def test_a_warning_is_one_line() -> None:
    assert warning(event()) == "03:05:00  user-analytics/minio-0  FailedMount: no such volume"


def test_a_warning_that_came_several_times_says_how_often() -> None:
    assert "FailedMount (7 times): no such volume" in warning(event(count=7))


def test_a_long_warning_is_cut() -> None:
    text = warning(event(message="failed to run spark-submit\n" + "\tat java.lang.Thread.run\n" * 200))

    assert text.startswith("03:05:00  user-analytics/minio-0  FailedMount: failed to run spark-submit at java")
    assert text.endswith("…")
    assert len(text.partition("FailedMount: ")[2]) == 300


def an_event(name: str, seconds_ago: int, reason: str, of: str = "minio-0") -> Body:
    when = datetime.fromtimestamp(NOW.timestamp() - seconds_ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": SERVERS},
        "involvedObject": {"kind": "Pod", "name": of, "namespace": SERVERS, "uid": f"uid-{of}"},
        "type": "Normal" if reason == "Started" else "Warning",
        "lastTimestamp": when,
        "reason": reason,
        "message": f"the {name} one",
    }


def test_warnings_of_the_last_hour_are_printed(cluster: Cluster) -> None:
    cluster.make(an_event("new", 60, "BackOff"), an_event("old", 7200, "BackOff"))

    text = "\n".join(problems(cluster.client, 10, NOW))
    assert "BackOff: the new one" in text
    assert "the old one" not in text


def test_a_volume_that_was_missing_is_no_warning_once_its_pod_has_started(cluster: Cluster) -> None:
    cluster.make(an_event("passing", 60, "FailedMount"), an_event("start", 50, "Started"))
    cluster.make(an_event("lasting", 60, "FailedMount", of="minio-1"))
    cluster.make(an_event("later", 40, "FailedMount"), an_event("other", 60, "Unhealthy"))

    text = "\n".join(problems(cluster.client, 10, NOW))
    assert "the passing one" not in text
    assert all(f"the {name} one" in text for name in ("lasting", "later", "other"))
    assert "the start one" not in text
