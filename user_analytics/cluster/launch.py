"""Runs stages on the cluster from their manifests, in order, and follows each to its end: `make ingest` and so on."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated

import typer
import yaml
from kubernetes.client import ApiClient, ApiException, CoreV1Api

from user_analytics.cluster import kind
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.connection import connected, message
from user_analytics.cluster.follow import follow
from user_analytics.cluster.load import ensure_loaded
from user_analytics.cluster.messages import say
from user_analytics.cluster.runs import KINDS
from user_analytics.errors import ClusterError, SettingsError, UserAnalyticsError
from user_analytics.logical_date import DateOrLatestInvoiceDay
from user_analytics.render import MANIFESTS, SparkParameters, check, render
from user_analytics.source import latest_invoice_day


def launch(api: ApiClient, stage: str, ds: date, parameters: Mapping[str, object]) -> None:
    """Make a new Job or SparkApplication of a stage and wait for its end, printing its log on standard error.

    Its image is that of the checkout as it is now, built and loaded first if need be. Raises SettingsError for wrong
    parameters, ClusterError when it cannot be made, does not start or fails.
    """
    image = workload_images()["spark" if issubclass(MANIFESTS[stage], SparkParameters) else "ingest"]
    body = yaml.safe_load(render(stage, ds, {"generate_name": True, "image": image.reference(), **parameters}))
    ensure_loaded([image], kind.loaded_images())
    of_kind, namespace = KINDS[body["kind"]], body["metadata"]["namespace"]
    try:
        name = of_kind.create(api, body).name
    except ApiException as error:
        raise ClusterError(f"the cluster refuses {body['kind']} {stage}: {message(error)}") from error
    say(f"{body['kind']} {name}")
    try:
        run = follow(api, of_kind, namespace, name, lambda line: say(f"  {line}"))
    except KeyboardInterrupt:
        say(f"{name} goes on in the cluster, and `make cluster-logs APP={name}` shows it; to stop it:")
        say(f"  {of_kind.deletion(namespace, name)}")
        raise
    if run.has_failed:
        raise ClusterError(f"{name} failed: {run.problem or run.state}\n`make cluster-logs APP={name}` shows its log")
    say(f"{name} is done")


def launch_stages(api: ApiClient, parameters: Mapping[str, Mapping[str, str]], ds: date | None) -> date:
    """Launch stages, each with its parameters, one after the other; the date, by default the latest invoice day.

    Raises as `launch` does, at the first that fails.
    """
    day = ds or _latest_day(CoreV1Api(api))
    for stage, of_stage in parameters.items():
        launch(api, stage, day, of_stage)
    return day


def stage_parameters(settings: Sequence[str], stages: Sequence[str]) -> dict[str, dict[str, str]]:
    """NAME=VALUE texts as the parameters of each stage that has them.

    Raises SettingsError naming one that no stage has or whose value is wrong.
    """
    if malformed := [text for text in settings if "=" not in text]:
        raise SettingsError(f"{malformed[0]!r} is not of the form NAME=VALUE")
    parameters = {name: value for name, _, value in (text.partition("=") for text in settings)}
    fields = {stage: MANIFESTS[stage].model_fields for stage in stages}
    for name in parameters:
        if not any(name in of_stage for of_stage in fields.values()):
            raise SettingsError(f"{name}: no such parameter of {', '.join(stages)} (manifests/README.md lists them)")
    shared = {stage: {name: value for name, value in parameters.items() if name in fields[stage]} for stage in stages}
    for stage, of_stage in shared.items():
        check(stage, of_stage)
    return shared


def _latest_day(core: CoreV1Api) -> date:
    with cluster_settings(core, {"source"}) as settings:
        ds = latest_invoice_day(settings)
    say(f"DATE is not given: {ds}, the latest invoice day")
    return ds


def _stage(text: str) -> str:
    if text not in MANIFESTS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(MANIFESTS)}")
    return text


def main(
    stages: Annotated[list[str], typer.Argument(parser=_stage, metavar="STAGE...")],
    ds: DateOrLatestInvoiceDay = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter, for the stages that have it.")
    ] = None,
) -> None:
    """Run stages on the cluster, one after the other; stop at the first that fails."""
    try:
        parameters = stage_parameters(settings or [], stages)
        with connected() as api:
            launch_stages(api, parameters, ds)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except UserAnalyticsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
