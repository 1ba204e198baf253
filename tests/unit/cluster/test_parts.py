"""Which parts are ready, and why the others are not, as `make cluster-status` says it."""

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Pod,
    V1PodCondition,
    V1PodStatus,
)

from user_analytics.cluster.parts import pod_problem, why_not_ready


def waiting(reason: str, message: str | None = None) -> V1ContainerStatus:
    state = V1ContainerState(waiting=V1ContainerStateWaiting(reason=reason, message=message))
    return V1ContainerStatus(name="minio", image="minio:1", image_id="", ready=False, restart_count=0, state=state)


def condition(kind: str, status: str) -> V1PodCondition:
    return V1PodCondition(type=kind, status=status, reason="Because", message="of that")


def test_a_pod_that_is_ready_has_no_problem() -> None:
    assert pod_problem(V1Pod(status=V1PodStatus(phase="Running", conditions=[condition("Ready", "True")]))) == ""


def test_a_pod_that_has_done_its_work_has_no_problem() -> None:
    assert pod_problem(V1Pod(status=V1PodStatus(phase="Succeeded", conditions=[condition("Ready", "False")]))) == ""


def test_an_image_that_cannot_be_had_is_named() -> None:
    status = V1PodStatus(phase="Pending", container_statuses=[waiting("ErrImageNeverPull")])

    assert pod_problem(V1Pod(status=status)) == "ErrImageNeverPull: minio:1"


def test_a_pod_without_room_says_what_the_scheduler_says() -> None:
    assert pod_problem(V1Pod(status=V1PodStatus(phase="Pending", conditions=[condition("PodScheduled", "False")]))) == (
        "Because: of that"
    )


def test_a_pod_that_starts_says_that_it_is_not_ready() -> None:
    status = V1PodStatus(
        phase="Pending",
        container_statuses=[waiting("ContainerCreating")],
        conditions=[condition("PodScheduled", "True"), condition("Ready", "False")],
    )

    assert pod_problem(V1Pod(status=status)) == "Because: of that"


def terminated(exit_code: int, reason: str) -> V1ContainerStatus:
    state = V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=exit_code, reason=reason))
    return V1ContainerStatus(name="stage", image="i", image_id="", ready=False, restart_count=0, state=state)


def test_a_pod_that_failed_says_how_its_container_ended() -> None:
    not_ready = V1PodCondition(type="Ready", status="False", reason="PodFailed")  # Kubernetes gives no message
    ends = [terminated(0, "Completed"), terminated(1, "Error")]
    status = V1PodStatus(phase="Failed", conditions=[not_ready], container_statuses=ends)

    assert pod_problem(V1Pod(status=status)) == "its container stage ended with exit code 1 (Error)"


def test_a_pod_that_failed_by_an_init_container_says_how_that_ended() -> None:
    status = V1PodStatus(phase="Failed", init_container_statuses=[terminated(137, "OOMKilled")])

    assert pod_problem(V1Pod(status=status)) == "its container stage ended with exit code 137 (OOMKilled)"


def test_a_pod_that_was_evicted_says_why() -> None:
    status = V1PodStatus(phase="Failed", reason="Evicted", message="low on memory")

    assert pod_problem(V1Pod(status=status)) == "Evicted: low on memory"


def test_a_pod_that_failed_for_no_told_reason_has_failed_all_the_same() -> None:
    assert pod_problem(V1Pod(status=V1PodStatus(phase="Failed"))) == "it has failed"


def test_a_condition_without_a_message_is_told_by_its_reason() -> None:
    unready = V1PodCondition(type="Ready", status="False", reason="ContainersNotReady")

    assert pod_problem(V1Pod(status=V1PodStatus(phase="Running", conditions=[unready]))) == "ContainersNotReady"


def test_a_pod_is_named_without_its_namespace_and_uid() -> None:
    back_off = waiting(
        "CrashLoopBackOff",
        "back-off 20s restarting failed container=scheduler "
        "pod=airflow-scheduler-5f7c9d8b6-x2x4q_user-analytics(0b9f1c57-7c2e-4f0e-9a41-2f1b5a0c9d3e)",
    )

    assert pod_problem(V1Pod(status=V1PodStatus(phase="Running", container_statuses=[back_off]))) == (
        "CrashLoopBackOff: back-off 20s restarting failed container=scheduler pod=airflow-scheduler-5f7c9d8b6-x2x4q"
    )


EVICTED = V1Pod(status=V1PodStatus(phase="Failed", reason="Evicted", message="low on memory"))
WITHOUT_IMAGE = V1Pod(status=V1PodStatus(phase="Pending", container_statuses=[waiting("ErrImageNeverPull")]))


@pytest.mark.parametrize("pods", [[EVICTED, WITHOUT_IMAGE], [WITHOUT_IMAGE, EVICTED]])
def test_a_server_is_not_ready_for_what_its_present_pod_says_not_one_that_failed_before(pods: list[V1Pod]) -> None:
    assert why_not_ready(pods) == "ErrImageNeverPull: minio:1"


def test_a_server_whose_present_pod_has_no_problem_is_starting_whatever_became_of_the_one_before() -> None:
    assert why_not_ready([EVICTED, V1Pod(status=V1PodStatus(phase="Pending"))]) == "it is starting"


def test_a_server_all_of_whose_pods_failed_is_not_ready_for_what_they_say() -> None:
    assert why_not_ready([EVICTED]) == "Evicted: low on memory"
