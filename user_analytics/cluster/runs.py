"""What ran on the cluster: Spark applications and Jobs that are still there, applications by their logs, DAGs."""

import json
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from kubernetes.client import ApiClient, ApiException, CustomObjectsApi

from user_analytics.cluster.secrets import JOBS

TIMEOUT_SECONDS = 5.0
FAILED = {"failed", "submission_failed"}
ENDED = {"completed", *FAILED}


class Run(NamedTuple):
    """One run; `problem` says why it failed, and times are in UTC. `spark_id` is the name of its event log."""

    name: str
    ds: str
    state: str
    started: datetime | None
    ended: datetime | None
    problem: str = ""
    spark_id: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.state in ENDED

    @property
    def has_failed(self) -> bool:
        """Whether it is over, and not well."""
        return self.state in FAILED


def application(body: Mapping[str, Any]) -> Run:
    """A Spark application as the operator describes it."""
    metadata, status = body["metadata"], body.get("status", {})
    state = status.get("applicationState", {})
    return Run(
        name=metadata["name"],
        ds=_ds(metadata),
        state=(state.get("state") or "waiting").lower(),
        started=_time(status.get("lastSubmissionAttemptTime")) or _time(metadata.get("creationTimestamp")),
        ended=_time(status.get("terminationTime")),
        problem=(state.get("errorMessage") or "").strip(),
        spark_id=status.get("sparkApplicationId", ""),
    )


def job(body: Mapping[str, Any]) -> Run:
    """A Job as the cluster describes it."""
    metadata, status = body["metadata"], body.get("status", {})
    conditions = [each for each in status.get("conditions", []) if each["type"] in {"Complete", "Failed"}]
    end = next((each for each in conditions if each["status"] == "True"), None)
    failed = end is not None and end["type"] == "Failed"
    return Run(
        name=metadata["name"],
        ds=_ds(metadata),
        state=("failed" if failed else "completed") if end else "running" if status.get("active") else "waiting",
        started=_time(status.get("startTime")) or _time(metadata.get("creationTimestamp")),
        ended=_time(end.get("lastTransitionTime")) if end else None,
        problem=end.get("message", "") if end and failed else "",
    )


class Kind(NamedTuple):
    """A kind of run: where the API has it, by which label its main pod is found, and how its description is read."""

    group: str
    version: str
    plural: str
    pod_labels: str
    read: Callable[[Mapping[str, Any]], Run]

    def create(self, api: ApiClient, body: dict[str, Any]) -> Run:
        """Make one of a manifest. Raises ApiException."""
        made: Any = CustomObjectsApi(api).create_namespaced_custom_object(
            self.group, self.version, body["metadata"]["namespace"], self.plural, body
        )
        return self.read(made)

    def find(self, api: ApiClient, namespace: str, name: str) -> Run:
        """One as it is now. Raises ApiException, as when there is none."""
        found: Any = CustomObjectsApi(api).get_namespaced_custom_object(
            self.group, self.version, namespace, self.plural, name
        )
        return self.read(found)

    def find_all(self, api: ApiClient) -> list[Run]:
        """All that the cluster still has of our pipeline, in no order. Raises ApiException."""
        try:
            found: Any = CustomObjectsApi(api).list_namespaced_custom_object(
                self.group, self.version, JOBS, self.plural
            )
        except ApiException as error:
            if error.status == 404:  # the operator's definitions are not there yet
                return []
            raise
        return [self.read(body) for body in found["items"]]

    def deletion(self, namespace: str, name: str) -> str:
        """What a person types to stop one and remove it."""
        return f"kubectl --namespace {namespace} delete {self.plural} {name}"


KINDS: Mapping[str, Kind] = {
    "Job": Kind("batch", "v1", "jobs", "batch.kubernetes.io/job-name={name}", job),
    "SparkApplication": Kind(
        "sparkoperator.k8s.io",
        "v1beta2",
        "sparkapplications",
        "sparkoperator.k8s.io/app-name={name},spark-role=driver",
        application,
    ),
}
"""By the kind that a manifest names."""


def runs(api: ApiClient) -> list[Run]:
    """The Spark applications and the stages' Jobs that the cluster still has, newest first. Raises ApiException."""
    return newest_first(run for kind in KINDS.values() for run in kind.find_all(api))


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


def dag_run(body: Mapping[str, Any]) -> Run:
    """A run of a DAG as Airflow describes it, called as the DAG; the state is Airflow's word."""
    return Run(
        name=body["dag_id"],
        ds=(body["logical_date"] or "")[:10],
        state=body["state"],
        started=_time(body["start_date"]),
        ended=_time(body["end_date"]),
    )


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """By start; one that has not started comes first."""
    never = datetime.max.replace(tzinfo=UTC)
    return sorted(runs, key=lambda run: run.started or never, reverse=True)


def _ds(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("labels", {}).get("user-analytics/logical-date", ""))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _epoch(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
