"""What ran on the cluster: Spark applications and Jobs that are still there, and applications by their event logs."""

import json
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kubernetes.client import ApiException, BatchV1Api, CustomObjectsApi, V1Job

from user_analytics.cluster.secrets import JOBS

TIMEOUT_SECONDS = 5.0
APPLICATIONS = ("sparkoperator.k8s.io", "v1beta2", "sparkapplications")


class Run(NamedTuple):
    """One run; `problem` says why it failed, and times are in UTC."""

    name: str
    ds: str
    state: str
    started: datetime | None
    ended: datetime | None
    problem: str = ""
    spark_id: str = ""


def applications(custom: CustomObjectsApi) -> list[Run]:
    """The Spark applications that the cluster still has, newest first."""
    group, version, plural = APPLICATIONS
    try:
        found: Any = custom.list_namespaced_custom_object(group, version, JOBS, plural)
    except ApiException as error:
        if error.status == 404:  # the operator's definitions are not there yet
            return []
        raise
    return newest_first(map(application, found["items"]))


def application(body: Mapping[str, Any]) -> Run:
    """A Spark application as the operator describes it."""
    metadata, status = body["metadata"], body.get("status", {})
    state = status.get("applicationState", {})
    return Run(
        name=metadata["name"],
        ds=_ds(metadata.get("labels")),
        state=(state.get("state") or "waiting").lower(),
        started=_time(status.get("lastSubmissionAttemptTime")) or _time(metadata.get("creationTimestamp")),
        ended=_time(status.get("terminationTime")),
        problem=(state.get("errorMessage") or "").strip(),
        spark_id=status.get("sparkApplicationId", ""),
    )


def jobs(batch: BatchV1Api) -> list[Run]:
    """The stages' Jobs that the cluster still has, newest first."""
    return newest_first(map(job, batch.list_namespaced_job(JOBS).items))


def job(body: V1Job) -> Run:
    """A Job as the cluster describes it."""
    assert body.metadata and body.status  # noqa: S101, PT018
    ends = [each for each in body.status.conditions or [] if each.type in {"Complete", "Failed"}]
    end = next((each for each in ends if each.status == "True"), None)
    failed = end is not None and end.type == "Failed"
    return Run(
        name=str(body.metadata.name),
        ds=_ds(body.metadata.labels),
        state=("failed" if failed else "completed") if end else "running" if body.status.active else "waiting",
        started=body.status.start_time or body.metadata.creation_timestamp,
        ended=end.last_transition_time if end else None,
        problem=str(end.message) if end and failed else "",
    )


def history(url: str, limit: int) -> list[Run]:
    """The last applications that wrote an event log, by the History Server at `url`. Raises OSError, ValueError."""
    address = f"{url}/api/v1/applications?limit={limit}"
    with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        return [logged(body) for body in json.load(answer)]


def logged(body: Mapping[str, Any]) -> Run:
    """An application as the History Server describes it; it does not say whether it failed."""
    attempt = body["attempts"][0]
    ended = attempt.get("completed", False)
    return Run(
        name=body["name"],
        ds="",
        state="ended" if ended else "running, or killed",
        started=_epoch(attempt["startTimeEpoch"]),
        ended=_epoch(attempt["endTimeEpoch"]) if ended else None,
        spark_id=body["id"],
    )


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """By start; one that has not started comes first."""
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(runs, key=lambda run: run.started or never, reverse=True)


def _ds(labels: Mapping[str, str] | None) -> str:
    return (labels or {}).get("user-analytics/logical-date", "")


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _epoch(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
