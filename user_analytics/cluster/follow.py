"""Follows a Job or a Spark application to its end: the log of its pod as it is written, and what became of the pod."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from kubernetes.client import ApiClient, ApiException, CoreV1Api, V1Pod
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed
from urllib3.exceptions import HTTPError

from user_analytics.cluster.connection import message
from user_analytics.cluster.parts import pod_problem
from user_analytics.cluster.runs import Kind, Run
from user_analytics.errors import ClusterError
from user_analytics.log_event import read_event, read_failure

# An image is there and a driver waits for nothing but its turn; the end of a pod is told within seconds.
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.5
# What is under way goes on while the API server is away or too busy to answer: it is asked again for so long.
RETRY_SECONDS = 60.0
NOT_FOUND, TOO_MANY_REQUESTS, SERVER_ERROR = 404, 429, 500
# How Kubernetes calls the end of a container that ended by itself, and whose log says why.
OWN_ENDS = {"Completed", "Error"}


class _Seen(NamedTuple):
    run: Run
    pods: Sequence[V1Pod]


def follow(api: ApiClient, kind: Kind, namespace: str, name: str, say: Callable[[str], None]) -> Run:
    """Wait for the end of a run, saying the lines of its pod's log; how it ended.

    The `problem` of one that failed begins with the reason that the log of its last pod gave, if any, and ends with
    what took its pods. Raises ClusterError when it is deleted, does not start, or loses its pod and neither ends nor
    gets another one.
    """
    core = CoreV1Api(api)
    followed: dict[str, V1Pod] = {}
    told = ""
    reason: str | None = None
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        run, pods = _look(api, kind, namespace, name)
        followed |= {_uid(pod): pod for pod in pods if _uid(pod) in followed}
        fresh = next((pod for pod in pods if _phase(pod) != "Pending" and _uid(pod) not in followed), None)
        is_alive = any(_phase(pod) == "Running" for pod in pods)
        if fresh:
            reason = _say_log(core, fresh, say)
            followed[_uid(fresh)] = fresh
        elif run.has_ended:
            if not run.has_failed:
                return run
            losses = [_loss(core, pod, pods) for pod in followed.values()]
            return run._replace(problem="\n".join(filter(None, [reason, run.problem, *losses])))
        elif not is_alive and time.monotonic() > deadline:
            problem = _overdue(core, name, pods, list(followed.values()))
            raise ClusterError(f"{problem}. To remove it: {kind.deletion(namespace, name)}")
        else:
            problem = _problem(pods)
            if problem.startswith("Unschedulable") and problem != told:
                say(f"(it waits: {problem})")
                told = problem
            time.sleep(POLL_SECONDS)
        if fresh or is_alive:
            deadline = time.monotonic() + WAIT_SECONDS


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, ApiException):
        return error.status == TOO_MANY_REQUESTS or (error.status or 0) >= SERVER_ERROR
    return isinstance(error, HTTPError)


@retry(retry=retry_if_exception(_is_passing), stop=stop_after_delay(RETRY_SECONDS), wait=wait_fixed(1), reraise=True)
def _look(api: ApiClient, kind: Kind, namespace: str, name: str) -> _Seen:
    try:
        run = kind.find(api, namespace, name)
    except ApiException as error:
        if error.status == NOT_FOUND:
            raise ClusterError(f"{name} was deleted before it had ended") from error
        raise
    # after the run, so that none is missing of one that has ended
    labels = kind.pod_labels.format(name=name)
    return _Seen(run, CoreV1Api(api).list_namespaced_pod(namespace, label_selector=labels).items)


def _say_log(core: CoreV1Api, pod: V1Pod, say: Callable[[str], None]) -> str | None:
    """Say the log of a pod until it ends; the reason that it gave last for a failure, if any."""
    reason = None
    for line in _log_lines(core, pod):
        say(line)
        if (event := read_event(line)) and (failure := read_failure(event)):
            reason = failure.reason
    return reason


def _log_lines(core: CoreV1Api, pod: V1Pod) -> Iterator[str]:
    """The log of a pod's first container as it is written, until the pod ends or goes away."""
    # optional in the client's types alone
    assert pod.metadata and pod.metadata.namespace and pod.spec  # noqa: S101, PT018
    try:
        # with its content not loaded the answer is that of urllib3, whatever the types say
        response: Any = core.read_namespaced_pod_log(
            _name(pod),
            pod.metadata.namespace,
            container=pod.spec.containers[0].name,
            follow=True,
            _preload_content=False,
        )
        for line in response:
            yield line.decode(errors="replace").rstrip("\n")
    except (ApiException, HTTPError) as error:
        yield f"(the log ends here: {message(error)})"


def _overdue(core: CoreV1Api, name: str, pods: Sequence[V1Pod], followed: Sequence[V1Pod]) -> str:
    problem = _problem([pod for pod in pods if _uid(pod) not in map(_uid, followed)])
    if not followed:
        return f"{name} did not start within {WAIT_SECONDS:.0f} s: {problem or 'it has no pod'}"
    last = followed[-1]
    what = _loss(core, last, pods) or f"its pod {_name(last)} has ended ({_phase(last)})"
    then = f"its next one has not started: {problem}" if problem else "there is no other one"
    return f"{name} does not end: {what}; {WAIT_SECONDS:.0f} s later {then}"


def _problem(pods: Sequence[V1Pod]) -> str:
    return next(filter(None, map(pod_problem, pods)), "")


def _loss(core: CoreV1Api, pod: V1Pod, there: Sequence[V1Pod]) -> str:
    """What took a pod, in Kubernetes' words; empty for one that ended by itself."""
    reasons = list(_reasons(pod))
    is_deleted = bool(pod.metadata and pod.metadata.deletion_timestamp) or (
        _phase(pod) == "Running" and _uid(pod) not in map(_uid, there)
    )
    if is_deleted and not reasons:
        reasons = _last_events(core, pod) or ["it was deleted"]
    return f"its pod {_name(pod)} was lost: {'; '.join(reasons)}" if reasons else ""


def _reasons(pod: V1Pod) -> Iterator[str]:
    status = pod.status
    if status is None:
        return
    if status.reason:  # as of an eviction
        yield f"{status.reason}: {status.message}"
    for condition in status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.reason != "TerminationByKubelet":  # said above
            yield f"{condition.reason}: {condition.message}"
    for container in status.container_statuses or []:
        terminated = container.state.terminated if container.state else None
        if terminated and terminated.reason not in OWN_ENDS:
            yield f"{terminated.reason}, exit code {terminated.exit_code}"


def _last_events(core: CoreV1Api, pod: V1Pod) -> list[str]:
    """What happened to a pod after its start, as far as the cluster still knows."""
    assert pod.metadata and pod.metadata.namespace  # noqa: S101, PT018
    events = core.list_namespaced_event(pod.metadata.namespace, field_selector=f"involvedObject.uid={_uid(pod)}").items
    events.sort(key=lambda event: event.metadata.name or "")  # which ends in its time
    starts = [number for number, event in enumerate(events) if event.reason == "Started"]
    return [f"{event.reason}: {event.message}" for event in events[max(starts, default=-1) + 1 :]]


def _name(pod: V1Pod) -> str:
    return str(pod.metadata and pod.metadata.name)


def _uid(pod: V1Pod) -> str:
    return str(pod.metadata and pod.metadata.uid)


def _phase(pod: V1Pod) -> str:
    return str(pod.status and pod.status.phase)
