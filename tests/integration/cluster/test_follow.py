"""How what runs is followed to its end, on a real API server: a test says what becomes of a Job and of its pods.

Its node does not exist: the log of a pod ends at once, saying so, and a test then does what is to happen meanwhile.
"""

import json
import time
from collections.abc import Callable
from threading import Timer
from typing import Any

import pytest
from kubernetes.client import ApiException

from tests.integration.cluster.idle_cluster import Body, Cluster, application, job, pod
from user_analytics.cluster import follow as following
from user_analytics.cluster.follow import follow
from user_analytics.cluster.runs import KINDS, Run
from user_analytics.cluster.secrets import JOBS
from user_analytics.errors import ClusterError

pytestmark = pytest.mark.timeout(60, func_only=True)  # a fixture may start an API server
JOB, APPLICATION = "publish-abcde", "movie-review-abcde"
PODS = {
    "Job": pod(f"{JOB}-1", **{"batch.kubernetes.io__job-name": JOB}),
    "SparkApplication": pod(
        f"{APPLICATION}-driver", **{"sparkoperator.k8s.io__app-name": APPLICATION, "spark-role": "driver"}
    ),
}
NAMES = {"Job": JOB, "SparkApplication": APPLICATION}
LOG_ENDS = "(the log ends here: of a test)"
EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient cpu.",
}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.05)


def ended(succeeded: bool) -> Body:
    """The status of a Job, as its controller would set it."""
    kinds = ("SuccessCriteriaMet", "Complete") if succeeded else ("FailureTarget", "Failed")
    when = "2026-01-02T03:04:05Z"
    message = {} if succeeded else {"message": "it reached its backoff limit"}
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": when, **message} for kind in kinds]
    return {"startTime": when, "conditions": conditions, **({"completionTime": when} if succeeded else {})}


class Followed:
    """A Job or an application with its pod running, to be followed; `then` happens when the log of a pod ends."""

    def __init__(self, cluster: Cluster, kind: str) -> None:
        self.cluster, self.kind, self.name = cluster, kind, NAMES[kind]
        self.pod: str = PODS[kind]["metadata"]["name"]
        if kind == "Job":
            cluster.make(job(self.name))
        else:
            cluster.define_applications()
            cluster.make(application(self.name))
        self.said: list[str] = []

    def run_pod(self) -> None:
        body = PODS[self.kind]
        self.cluster.make({**body, "spec": {**body["spec"], "nodeName": "gone"}})
        self.cluster.set_status("pod", self.pod, {"phase": "Running"})

    def lose_pod(self) -> None:
        self.cluster.delete("pod", self.pod)

    def end(self, succeeded: bool) -> None:
        if self.kind == "Job":
            self.cluster.set_status("job", self.name, ended(succeeded))
        else:
            state = {"state": "COMPLETED"} if succeeded else {"state": "FAILED", "errorMessage": "no driver pod"}
            self.cluster.set_status("sparkapplication", self.name, {"applicationState": state})

    def follow(self, then: Callable[[], None] = lambda: None) -> Run:
        def say(line: str) -> None:
            self.said.append(line)
            if line.startswith("(the log ends here"):
                then()

        return follow(self.cluster.client, KINDS[self.kind], JOBS, self.name, say)


@pytest.fixture(params=["Job", "SparkApplication"])
def followed(cluster: Cluster, request: pytest.FixtureRequest) -> Followed:
    return Followed(cluster, request.param)


@pytest.fixture
def followed_job(cluster: Cluster) -> Followed:
    return Followed(cluster, "Job")


def test_it_is_followed_to_its_good_end(followed: Followed) -> None:
    followed.run_pod()

    run = followed.follow(then=lambda: followed.end(succeeded=True))

    assert (run.name, run.state, run.problem) == (followed.name, "completed", "")
    assert followed.said == ['(the log ends here: pods "gone" not found)']


def test_a_failure_is_told_in_the_cluster_s_words(followed: Followed) -> None:
    followed.run_pod()

    run = followed.follow(then=lambda: followed.end(succeeded=False))

    assert run.has_failed
    assert run.problem in {"it reached its backoff limit", "no driver pod"}


def test_a_failure_is_told_by_the_reason_that_the_stage_gave_before_the_cluster_s_words(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_logs(monkeypatch, [["loading", reason("it is older")]])
    followed.run_pod()

    run = followed.follow(then=lambda: followed.end(succeeded=False))

    assert run.problem in {"it is older\nit reached its backoff limit", "it is older\nno driver pod"}


def test_a_reason_that_an_earlier_pod_gave_is_not_that_of_the_last_one(
    followed_job: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_logs(monkeypatch, [[reason("it is older")], []])
    followed_job.run_pod()

    def replace_or_end() -> None:
        if followed_job.said.count(LOG_ENDS) == 1:
            followed_job.lose_pod()
            followed_job.run_pod()
        else:
            followed_job.end(succeeded=False)

    run = followed_job.follow(then=replace_or_end)

    assert run.problem.splitlines()[0] == "it reached its backoff limit"


def reason(text: str) -> str:
    return json.dumps({"event": "failed", "level": "error", "reason": text})


def give_logs(monkeypatch: pytest.MonkeyPatch, logs: list[list[str]]) -> None:
    """Have the pods that run, one after the other, write these lines."""
    left = iter(logs)
    monkeypatch.setattr(following, "_log_lines", lambda *_: [*next(left), LOG_ENDS])


def test_a_lost_pod_whose_loss_the_cluster_tells_late_is_a_failure_with_what_took_it(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "WAIT_SECONDS", 4.0)
    followed.run_pod()

    def lose() -> None:
        time.sleep(4.5)  # it ran for longer than a start may take
        followed.lose_pod()
        Timer(0.3, followed.end, [False]).start()

    run = followed.follow(then=lose)

    assert run.has_failed
    assert run.problem.endswith(f"\nits pod {followed.pod} was lost: it was deleted")


def test_a_lost_pod_that_nothing_comes_after_is_told_as_that_and_not_as_one_that_did_not_start(
    followed: Followed,
) -> None:
    followed.run_pod()

    with pytest.raises(ClusterError) as raised:
        followed.follow(then=followed.lose_pod)

    assert str(raised.value) == (
        f"{followed.name} does not end: its pod {followed.pod} was lost: it was deleted; 1 s later there is no other "
        f"one. To remove it: kubectl --namespace {JOBS} delete {KINDS[followed.kind].plural} {followed.name}"
    )


def test_a_pod_that_the_node_evicted_says_why(followed: Followed) -> None:
    followed.run_pod()

    def evict() -> None:
        followed.cluster.set_status("pod", followed.pod, EVICTED)
        followed.end(succeeded=False)

    assert followed.follow(then=evict).problem.endswith(
        f"its pod {followed.pod} was lost: Evicted: The node was low on resource: memory."
    )


def test_a_pod_that_is_gone_is_explained_by_its_events_since_its_start(followed_job: Followed) -> None:
    followed_job.run_pod()
    uid = followed_job.cluster.uid_of_pod(followed_job.pod)

    def lose() -> None:
        for number, reason in enumerate(("Scheduled", "Started", "Evicted", "Killing"), 1):
            followed_job.cluster.make(event(number, uid, reason))
        followed_job.lose_pod()
        followed_job.end(succeeded=False)

    assert followed_job.follow(then=lose).problem.endswith("was lost: Evicted: of number 3; Killing: of number 4")


def event(number: int, uid: str, reason: str) -> Body:
    of = {"kind": "Pod", "name": PODS["Job"]["metadata"]["name"], "namespace": JOBS, "uid": uid}
    metadata = {"name": f"{of['name']}.{number:016x}", "namespace": JOBS}
    said = {"reason": reason, "message": f"of number {number}", "type": "Normal"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": of, **said}


def test_a_container_without_memory_is_told_as_such(followed_job: Followed) -> None:
    followed_job.run_pod()
    state = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    container = {"name": followed_job.pod, "image": "none", "imageID": "", "ready": False, "restartCount": 0}

    def kill() -> None:
        status = {"phase": "Failed", "containerStatuses": [{**container, "state": state}]}
        followed_job.cluster.set_status("pod", followed_job.pod, status)
        followed_job.end(succeeded=False)

    assert followed_job.follow(then=kill).problem.endswith("was lost: OOMKilled, exit code 137")


def test_the_log_of_a_pod_that_takes_a_lost_one_s_place_is_said_too(followed_job: Followed) -> None:
    followed_job.run_pod()

    def replace_or_end() -> None:
        if len(followed_job.said) == 1:
            followed_job.lose_pod()
            followed_job.run_pod()
        else:
            followed_job.end(succeeded=True)

    run = followed_job.follow(then=replace_or_end)

    assert run.state == "completed"
    assert len(followed_job.said) == 2


def test_what_is_deleted_meanwhile_is_told_as_that(followed: Followed) -> None:
    followed.run_pod()

    with pytest.raises(ClusterError, match=f"^{followed.name} was deleted before it had ended$"):
        followed.follow(then=lambda: followed.cluster.delete(followed.kind, followed.name))


def test_what_finds_no_room_says_at_once_what_it_waits_for_and_is_given_up_with_the_reason(followed: Followed) -> None:
    followed.cluster.make(PODS[followed.kind])
    followed.cluster.set_status("pod", followed.pod, {"conditions": [UNSCHEDULABLE]})

    with pytest.raises(ClusterError, match=r"did not start within 1 s: Unschedulable: .*Insufficient cpu.*kubectl"):
        followed.follow()

    assert followed.said == ["(it waits: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.)"]


def test_without_a_pod_it_says_so(followed: Followed) -> None:
    with pytest.raises(ClusterError, match="did not start within 1 s: it has no pod"):
        followed.follow()


def test_a_cluster_too_busy_to_answer_is_asked_again(followed_job: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed_job.end(succeeded=True)
    client, call = followed_job.cluster.client, followed_job.cluster.client.call_api
    errors = [ApiException(status=500, reason="etcdserver: request timed out"), ApiException(status=429)]

    def busy(*arguments: Any, **more: Any) -> Any:
        if errors:
            raise errors.pop()
        return call(*arguments, **more)

    monkeypatch.setattr(client, "call_api", busy)

    assert followed_job.follow().state == "completed"
