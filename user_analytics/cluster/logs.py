"""`make cluster-logs`: what a person wants to see first when something failed.

Of a named application, Job or pod: what the cluster says of it, and the end of every log. Without a name: the warnings
of the last hour, then the same of every part that is not ready, and of the last runs that failed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from kubernetes.client import ApiClient, ApiException, CoreV1Api, CoreV1Event, V1Pod

from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.cluster.pages import AIRFLOW, HISTORY_SERVER, address
from user_analytics.cluster.parts import has_failed, pod_problem
from user_analytics.cluster.runs import runs
from user_analytics.cluster.secrets import JOBS, SERVERS
from user_analytics.errors import ClusterError, UserAnalyticsError

LINES = 100
SERVER_NAMESPACES = (SERVERS, "spark-operator")
NAMESPACES = (*SERVER_NAMESPACES, JOBS)
# By these labels an application's or a Job's pods are known; the last is the same in every run of a stage.
RUN_LABELS = ("sparkoperator.k8s.io/app-name", "batch.kubernetes.io/job-name")
STAGE_LABEL = "app.kubernetes.io/name"
WARNINGS_OF = timedelta(hours=1)
LAST_FAILED = 2
# Some events hold a whole Java stack.
MESSAGE_LENGTH = 300


def named(api: ApiClient, name: str, lines: int) -> Iterator[str]:
    """The logs of an application, a Job or a pod, or of the last run of a stage. Raises ClusterError without any."""
    core = CoreV1Api(api)
    there = runs(api)
    run = next((run for run in there if run.name == name), None) or next(
        (run for run in there if run.name.startswith(f"{name}-")), None
    )
    pods = _pods_of(core, run.name if run else name)
    if run is None and not pods:
        names = ", ".join(run.name for run in there[:10]) or "none"
        raise ClusterError(f"nothing is called {name}. Applications and Jobs of the last day, newest first: {names}")
    if run:
        yield _heading(f"{run.name}: {run.state}")
        yield from run.problem.splitlines()
    for pod in pods:
        yield from _of_pod(core, pod, lines)
    if not pods:
        yield "Its pods are gone, and their logs with them."
        if run and run.spark_id:  # only Spark writes an event log
            yield f"What it did, if it came to its end: {address(HISTORY_SERVER)}/history/{run.spark_id}"


def problems(api: ApiClient, lines: int, now: datetime) -> Iterator[str]:
    """The last warnings, and the logs of all that is not as it should be: what failed last comes last, to be seen."""
    core = CoreV1Api(api)
    yield _heading("Warnings of the last hour, the latest last")
    yield from list(_warnings(core, now - WARNINGS_OF)) or ["None."]
    found = False
    pods = [pod for namespace in SERVER_NAMESPACES for pod in core.list_namespaced_pod(namespace).items]
    for pod in _not_replaced(pods):
        if pod_problem(pod) or _restarts(pod):
            found = True
            yield from _of_pod(core, pod, lines)
    for run in reversed([run for run in runs(api) if run.has_failed][:LAST_FAILED]):
        found = True
        yield from named(api, run.name, lines)
    if not found:
        still_there = "none of the Jobs and Spark applications that are still there has failed"
        yield f"\nNo server's pod has a problem, and {still_there}."
        # whose stages leave nothing in the cluster
        yield f"Airflow's tasks: {address(AIRFLOW)}"


def _not_replaced(pods: Sequence[V1Pod]) -> Iterator[V1Pod]:
    """The pods but for those that failed and whose controller has others since."""
    present = {_server(pod) for pod in pods if not has_failed(pod)}
    return (pod for pod in pods if not has_failed(pod) or _server(pod) not in present)


def _server(pod: V1Pod) -> tuple[str, ...]:
    """What a pod is one of: its controller, of a Deployment without the version, or itself when it has none."""
    assert pod.metadata  # noqa: S101  # optional in the client's types alone
    version = f"-{_labels(pod).get('pod-template-hash')}"
    for owner in pod.metadata.owner_references or []:
        if owner.controller:
            return str(pod.metadata.namespace), owner.kind, owner.name.removesuffix(version)
    return str(pod.metadata.namespace), _name(pod)


def _pods_of(core: CoreV1Api, name: str) -> list[V1Pod]:
    """Pods of a run, or the pod of this name; a driver before its executors."""
    every = [pod for namespace in NAMESPACES for pod in core.list_namespaced_pod(namespace).items]
    own = [pod for pod in every if name in {_name(pod), *(_labels(pod).get(label) for label in RUN_LABELS)}]
    own = own or [pod for pod in every if _labels(pod).get(STAGE_LABEL) == name]
    return sorted(own, key=lambda pod: (_labels(pod).get("spark-role") == "executor", _age(pod)))


def _of_pod(core: CoreV1Api, pod: V1Pod, lines: int) -> Iterator[str]:
    # optional in the client's types alone
    assert pod.spec and pod.metadata and pod.status  # noqa: S101, PT018
    yield _heading(f"{pod.metadata.namespace}/{_name(pod)}: {pod.status.phase}")
    if problem := pod_problem(pod) or (pod.status.message or ""):
        yield problem
    started = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    for status in started:
        several = f" of {status.name}" if len(started) > 1 else ""
        if status.restart_count:
            yield f"--- log{several} before its last start ({status.restart_count} so far)"
            yield from _tail(core, pod, status.name, lines, previous=True)
        yield f"--- log{several}, the last {lines} lines at most"
        yield from _tail(core, pod, status.name, lines, previous=False)


def _tail(core: CoreV1Api, pod: V1Pod, container: str, lines: int, *, previous: bool) -> list[str]:
    assert pod.metadata and pod.metadata.namespace  # noqa: S101, PT018
    try:
        # with its content not loaded the answer is that of urllib3, whatever the types say
        answer: Any = core.read_namespaced_pod_log(
            _name(pod),
            pod.metadata.namespace,
            container=container,
            tail_lines=lines,
            previous=previous,
            _preload_content=False,
        )
    except ApiException as error:
        return [f"(there is none: {error.reason})"]
    text: str = answer.data.decode(errors="replace")
    return text.splitlines() or ["(it is empty)"]


def _warnings(core: CoreV1Api, since: datetime) -> Iterator[str]:
    events = [event for namespace in NAMESPACES for event in core.list_namespaced_event(namespace).items]
    events.sort(key=_when)
    # the latest of each pod, also of one that is gone
    starts = {event.involved_object.uid: _when(event) for event in events if event.reason == "Started"}
    for event in events:
        if event.type == "Warning" and _when(event) >= since and not _has_passed(event, starts):
            yield warning(event)


def _has_passed(event: CoreV1Event, starts: Mapping[str | None, datetime]) -> bool:
    """Whether it tells of a volume that was not there yet, as a Spark driver's before the operator has made it."""
    start = starts.get(event.involved_object.uid)
    return event.reason == "FailedMount" and start is not None and _when(event) <= start


def warning(event: CoreV1Event) -> str:
    """A line about an event: when it was last, of what, how often, and what it says, cut where that is long."""
    of = event.involved_object
    times = f" ({event.count} times)" if (event.count or 1) > 1 else ""
    said = " ".join((event.message or "").split())
    if len(said) > MESSAGE_LENGTH:
        said = f"{said[: MESSAGE_LENGTH - 1]}…"
    return f"{_when(event):%H:%M:%S}  {of.namespace}/{of.name}  {event.reason}{times}: {said}"


def _when(event: CoreV1Event) -> datetime:
    last = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    return last or datetime.min.replace(tzinfo=UTC)


def _restarts(pod: V1Pod) -> bool:
    return any(each.restart_count for each in (pod.status and pod.status.container_statuses) or [])


def _name(pod: V1Pod) -> str:
    return str(pod.metadata and pod.metadata.name)


def _age(pod: V1Pod) -> datetime:
    return (pod.metadata and pod.metadata.creation_timestamp) or datetime.max.replace(tzinfo=UTC)


def _labels(pod: V1Pod) -> dict[str, str]:
    return (pod.metadata and pod.metadata.labels) or {}


def _heading(text: str) -> str:
    return f"\n=== {text}"


def main(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Application, Job or pod; default: all that failed.")
    ] = "",
    lines: Annotated[int, typer.Option(min=1, help="Lines of each log.")] = LINES,
) -> None:
    """Print the logs of what is named, or of all that failed."""
    try:
        with connected() as api:
            _print(named(api, name, lines) if name else problems(api, lines, datetime.now(UTC)))
    except UserAnalyticsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _print(text: Iterable[str]) -> None:
    for line in text:
        print(line)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
