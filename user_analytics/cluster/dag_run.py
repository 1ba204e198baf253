"""`make dag-run` and `make backfill`: runs of the DAG for dates, one after the other, each followed to its end.

A run is a deliberate act of a person: in mode full it publishes a date also where a later one is published, as the
scheduler's runs never do. What will be published when its turn comes cannot be known when it is asked for.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer
from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.airflow import AirflowApi, airflow_api
from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.cluster.pages import AIRFLOW, address
from user_analytics.cluster.report import REPORTS, fetch_report
from user_analytics.cluster.sole_command import refuse_beside_another
from user_analytics.errors import ClusterError, InputError, UserAnalyticsError
from user_analytics.lake.store import open_store
from user_analytics.logical_date import date_option
from user_analytics.mode import Mode
from user_analytics.outcome import print_outcome
from user_analytics.progress import Stage
from user_analytics.report.reading import read_figures
from user_analytics.stages import Outcome
from user_analytics.warehouse.client import open_warehouse
from user_analytics.warehouse.looker import looker_links

DAG = "user_analytics_dag"
POLL_SECONDS = 1.0
FIRST_DATE = date(2010, 12, 1)  # the DAG's start: Airflow makes no task of an earlier date
ENDED = {"success", "failed"}
WITHOUT_FORCE = ", without force: if a later date is published, its publish is refused; then run it again"


def run_date(api: AirflowApi, ds: date, mode: Mode) -> list[Stage]:
    """Run the DAG for a date to its end; its tasks with their times. Raises ClusterError when it does not succeed."""
    if api.get(f"dags/{DAG}")["is_paused"]:
        raise ClusterError(
            f"{DAG} is paused: switch it on (the web page's Dags, or airflow dags unpause) and try again"
        )
    expected = [task["task_id"] for task in api.get(f"dags/{DAG}/tasks")["tasks"]]
    run_id = start_run(api, ds, mode)
    try:
        follow_run(api, run_id)
    except (KeyboardInterrupt, ClusterError):
        say(f"The run goes on in the cluster. To follow it again: make dag-run DATE={ds} MODE={mode}")
        say(f"To stop it, mark it as failed: {_page(run_id)}")
        raise
    instances = _instances(api, run_id)
    problems = [
        *_failures(instances, run_id),
        *(f"{task} was never made" for task in expected if task not in instances),
    ]
    if problems:
        raise ClusterError(f"the run of {ds} failed:\n  " + "\n  ".join(problems))
    return [Stage(task, seconds=instances[task]["duration"] or 0.0) for task in expected]


def dates(first: date, last: date) -> Iterator[date]:
    """All dates from `first` to `last`, ascending. Raises InputError for none, or for one before the DAG's start."""
    if first > last:
        raise InputError(f"FROM={first} is after TO={last}")
    if first < FIRST_DATE:
        raise InputError(f"{first} is before {FIRST_DATE}, the DAG's start: no task would be made")
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def start_run(api: AirflowApi, ds: date, mode: Mode) -> str:
    """Have the date's run begin, from the start; its id. One that does the same and is under way is left to it.

    A run that has ended and was made with other parameters, such as a scheduled one, is replaced, for it keeps them.
    Raises ClusterError when one with other parameters is under way.
    """
    wanted = {"mode": "full", "force": True} if mode == "full" else {"mode": mode}
    midnight = datetime(ds.year, ds.month, ds.day, tzinfo=UTC).isoformat()
    found = api.get(f"dags/{DAG}/dagRuns", logical_date_gte=midnight, logical_date_lte=midnight)["dag_runs"]
    for run in found:
        run_id: str = run["dag_run_id"]
        has = {"mode": "full", "force": False, **(run["conf"] or {})}
        is_same = has.keys() == {"mode", "force"} and has["mode"] == mode
        is_forced = has["force"] or not wanted.get("force")
        if run["state"] not in ENDED:
            if not is_same:
                raise ClusterError(
                    f"{run_id} is under way with other parameters ({_given(run['conf'])}, not {_given(wanted)}): wait "
                    f"for its end, or mark it as failed, and try again: {_page(run_id)}"
                )
            say(f"{run_id} is under way" + ("" if is_forced else WITHOUT_FORCE))
            return run_id
        if is_same and is_forced:
            api.post(_path(run_id, "clear"), {"dry_run": False})
            say(f"{run_id} begins again")
            return run_id
        api.delete(_path(run_id))
        say(f"{run_id} had other parameters, and is replaced")
    made = api.post(f"dags/{DAG}/dagRuns", {"logical_date": midnight, "conf": wanted})
    say(f"{made['dag_run_id']} begins")
    return str(made["dag_run_id"])


def _given(configuration: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name}={value}" for name, value in (configuration or {}).items()) or "none given"


def follow_run(api: AirflowApi, run_id: str) -> None:
    """Say each change of a task's state until the run has ended. Raises ClusterError when Airflow is out of reach."""
    seen: dict[str, tuple[str | None, int]] = {}
    is_told = False
    started = time.monotonic()
    while True:
        state = api.get(_path(run_id))["state"]
        if state == "queued" and not is_told and (first := _under_way(api)):
            say(f"it waits for its turn: {', '.join(first)} is under way")
            is_told = True
        for task, instance in _instances(api, run_id).items():
            now = (instance["state"], instance["try_number"])
            if instance["state"] and seen.get(task) != now:
                seen[task] = now
                again = f" (try {now[1]})" if now[1] > 1 else ""
                took = f" after {instance['duration'] or 0:.0f} s" if instance["state"] in ENDED else ""
                say(f"{time.monotonic() - started:5.0f} s  {task:<18} {instance['state']}{again}{took}")
        if state in ENDED:
            return
        time.sleep(POLL_SECONDS)


def _under_way(api: AirflowApi) -> list[str]:
    return [run["dag_run_id"] for run in api.get(f"dags/{DAG}/dagRuns", state="running")["dag_runs"]]


def _instances(api: AirflowApi, run_id: str) -> dict[str, dict[str, Any]]:
    return {each["task_id"]: each for each in api.get(_path(run_id, "taskInstances"))["task_instances"]}


def _failures(instances: Mapping[str, Mapping[str, Any]], run_id: str) -> Iterator[str]:
    for task, instance in instances.items():
        if instance["state"] == "failed":
            yield f"{task} failed; its log: {_page(run_id)}/tasks/{task}"
        elif instance["state"] != "success":
            yield f"{task}: {instance['state']}"


def _page(run_id: str) -> str:
    return f"{address(AIRFLOW)}/dags/{DAG}/runs/{quote(run_id)}"


def _path(run_id: str, what: str = "") -> str:
    return f"dags/{DAG}/dagRuns/{quote(run_id, safe='')}" + (f"/{what}" if what else "")


def _outcome(core: CoreV1Api, ds: date, stages: Sequence[Stage]) -> Outcome:
    with cluster_settings(core, {"lake", "warehouse"}) as settings, open_warehouse(settings) as warehouse:
        store = open_store(settings)
        return Outcome(
            figures=read_figures(warehouse, store, ds),
            report=str(fetch_report(store, ds, REPORTS)),
            links=looker_links(settings),
            stages=stages,
        )


def main(
    # a run of a day to come would wait for that day, and other runs for it
    first: Annotated[date, date_option("--from", "First date.")],
    last: Annotated[date | None, date_option("--to", "Last date; default: the first alone.")] = None,
    mode: Annotated[
        Literal["full", "incremental"], typer.Option(help="All purchases, or those of the last days.")
    ] = "full",
) -> None:
    """Run the DAG for each date, ascending; stop at the first that fails. Print what the last one published."""
    started = time.monotonic()
    try:
        wanted = list(dates(first, last or first))
        with connected() as client:
            refuse_beside_another()  # a restore would take away what the run writes
            core = CoreV1Api(client)
            for ds in wanted:
                with airflow_api(core) as api:  # anew for each: one is signed in for a day at most
                    stages = run_date(api, ds, mode)
                say(f"{ds} is done after {time.monotonic() - started:.0f} s")
            print_outcome(_outcome(core, wanted[-1], stages))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except UserAnalyticsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
