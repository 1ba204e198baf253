"""Runs stages on the cluster from their manifests, in order, and follows each to its end: `make ingest` and so on."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, NamedTuple

import typer
import yaml
from kubernetes.client import ApiClient, ApiException, CoreV1Api, V1Pod
from kubernetes.dynamic import DynamicClient
from urllib3.exceptions import HTTPError

from user_analytics.cluster import kind
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.connection import connected
from user_analytics.cluster.load import ensure_loaded
from user_analytics.cluster.parts import pod_problem
from user_analytics.errors import ClusterError, SettingsError, UserAnalyticsError
from user_analytics.render import MANIFESTS, SparkParameters, render
from user_analytics.source import latest_invoice_day

# An image is there and a driver waits for nothing but its turn.
START_SECONDS = 300.0
POLL_SECONDS = 0.5


class Ended(NamedTuple):
    """How something ended, and what the cluster says of it."""

    succeeded: bool
    message: str


class Work(NamedTuple):
    """What a manifest makes: how to find the pod whose log tells about it, and how to tell its end."""

    pod_labels: str
    ended: Callable[[Mapping[str, Any]], Ended | None]


def launch(api: ApiClient, stage: str, ds: date, parameters: Mapping[str, object]) -> None:
    """Make a new Job or SparkApplication of a stage and wait for its end, printing its log on standard error.

    Its image is that of the checkout as it is now, built and loaded first if need be. Raises SettingsError for wrong
    parameters, ClusterError when it cannot be made, does not start or fails.
    """
    image = workload_images()["spark" if issubclass(MANIFESTS[stage], SparkParameters) else "ingest"]
    body = yaml.safe_load(render(stage, ds, {"generate_name": True, "image": image.reference(), **parameters}))
    ensure_loaded(image, kind.loaded_images())
    resource = DynamicClient(api).resources.get(api_version=body["apiVersion"], kind=body["kind"])
    namespace = body["metadata"]["namespace"]
    try:
        name = resource.create(body=body, namespace=namespace).metadata.name
    except ApiException as error:
        raise ClusterError(f"the cluster refuses {body['kind']} {stage}: {error.reason}: {error.body}") from error
    _say(f"{body['kind']} {name}")

    def read() -> dict[str, Any]:
        found: dict[str, Any] = resource.get(name=name, namespace=namespace).to_dict()
        return found

    ended = _follow(CoreV1Api(api), name, namespace, WORK[body["kind"]], read)
    if not ended.succeeded:
        raise ClusterError(f"{name} failed: {ended.message}\n`make cluster-logs APP={name}` shows all of its log")
    _say(f"{name} is done")


def _follow(core: CoreV1Api, name: str, namespace: str, work: Work, read: Callable[[], Mapping[str, Any]]) -> Ended:
    deadline = time.monotonic() + START_SECONDS
    logged = False
    while True:
        ended = work.ended(read())
        pods = core.list_namespaced_pod(namespace, label_selector=work.pod_labels.format(name=name)).items
        started = [pod for pod in pods if pod.status and pod.status.phase != "Pending"]
        if started and not logged:
            for line in _log_lines(core, started[0]):
                _say(f"  {line}")
            logged = True
        elif ended:
            return ended
        elif not started and time.monotonic() > deadline:
            problem = next(filter(None, map(pod_problem, pods)), "it has no pod")
            raise ClusterError(f"{name} did not start within {START_SECONDS:.0f} s: {problem}")
        else:
            time.sleep(POLL_SECONDS)


def _log_lines(core: CoreV1Api, pod: V1Pod) -> Iterator[str]:
    """The log of a pod's first container as it is written, until the pod ends or goes away."""
    # optional in the client's types alone
    assert pod.metadata and pod.metadata.name and pod.metadata.namespace and pod.spec  # noqa: S101, PT018
    try:
        # with its content not loaded the answer is that of urllib3, whatever the types say
        response: Any = core.read_namespaced_pod_log(
            pod.metadata.name,
            pod.metadata.namespace,
            container=pod.spec.containers[0].name,
            follow=True,
            _preload_content=False,
        )
        for line in response:
            yield line.decode(errors="replace").rstrip("\n")
    except (ApiException, HTTPError) as error:
        yield f"(the log ends here: {error})"


def _job_end(job: Mapping[str, Any]) -> Ended | None:
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            return Ended(condition["type"] == "Complete", condition.get("message", ""))
    return None


def _application_end(application: Mapping[str, Any]) -> Ended | None:
    state = application.get("status", {}).get("applicationState", {})
    if state.get("state") in {"COMPLETED", "FAILED", "SUBMISSION_FAILED"}:
        return Ended(state["state"] == "COMPLETED", state.get("errorMessage", state["state"]))
    return None


WORK: Mapping[str, Work] = {
    "Job": Work("batch.kubernetes.io/job-name={name}", _job_end),
    "SparkApplication": Work("sparkoperator.k8s.io/app-name={name},spark-role=driver", _application_end),
}


def _latest_day(core: CoreV1Api) -> date:
    with cluster_settings(core, {"source"}) as settings:
        ds = latest_invoice_day(settings)
    _say(f"DATE is not given: {ds}, the latest invoice day")
    return ds


def _stage(text: str) -> str:
    if text not in MANIFESTS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(MANIFESTS)}")
    return text


def stage_parameters(given: Sequence[str], stages: Sequence[str]) -> dict[str, dict[str, str]]:
    """NAME=VALUE texts as the parameters of each stage that has them; raises SettingsError when none has one."""
    parameters = {name: value for name, _, value in (text.partition("=") for text in given)}
    fields = {stage: MANIFESTS[stage].model_fields for stage in stages}
    for name in parameters:
        if not any(name in of_stage for of_stage in fields.values()):
            raise SettingsError(f"{name}: no such parameter of {', '.join(stages)} (manifests/README.md lists them)")
    return {stage: {name: value for name, value in parameters.items() if name in fields[stage]} for stage in stages}


def main(
    stages: Annotated[list[str], typer.Argument(parser=_stage, metavar="STAGE...")],
    ds: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Logical date; default: the latest invoice day."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter, for the stages that have it.")
    ] = None,
) -> None:
    """Run stages on the cluster, one after the other; stop at the first that fails."""
    try:
        parameters = stage_parameters(settings or [], stages)
        with connected() as api:
            day = ds.date() if ds else _latest_day(CoreV1Api(api))
            for stage in stages:
                launch(api, stage, day, parameters[stage])
    except KeyboardInterrupt:
        _say("What was started goes on in the cluster; `make cluster-status` shows it")
        raise typer.Exit(130) from None
    except UserAnalyticsError as error:
        _say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
