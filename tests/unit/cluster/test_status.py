"""Why a pod is not ready, as `make cluster-status` says it."""

from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateWaiting,
    V1ContainerStatus,
    V1Pod,
    V1PodCondition,
    V1PodStatus,
)

from user_analytics.cluster.status import pod_problem


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
