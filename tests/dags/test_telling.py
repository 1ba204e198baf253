"""What a task tells: its log, why it failed, and links to what it made."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
import structlog
from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance, TIRunContext
from airflow.callbacks.callback_requests import TaskCallbackRequest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.processor import _execute_task_callbacks
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.operators.spark_kubernetes import SparkKubernetesOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodLaunchFailedException
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType
from kubernetes.client import (
    CoreV1Event,
    V1ContainerState,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1ObjectReference,
    V1Pod,
    V1PodStatus,
)

from tests.dags.reading import DATE, context, rendered
from tests.fixtures.airflow_server import served
from user_analytics.errors import StageFailed
from user_analytics_airflow.alerts import failure_message, tell_failure
from user_analytics_airflow.links import looker_address, report_address

REASON = "check sum_amount: 1.000 is not 2.000"
FAILED = json.dumps({"reason": REASON, "final": False, "event": "failed", "level": "error"})
FAILED_FOR_GOOD = json.dumps({"reason": REASON, "final": True, "event": "failed", "level": "error"})


@pytest.fixture
def posted() -> Iterator[tuple[str, list[Any]]]:
    """A server on this machine that takes alerts: its address, and what was posted."""
    bodies: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path.startswith("/broken") else 200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Nothing: the test reads the log."""

    with served(Handler) as address:
        yield address, bodies


@pytest.fixture
def failure(dags: BundleDagBag) -> Any:
    """The context of a failed publish."""
    dag = dags.dags["user_analytics_dag"]
    return {**context(dag, dag.get_task("publish")), "exception": StageFailed("check sum_amount: 1 is not 2")}


def test_a_failure_names_task_date_check_and_log(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    tell_failure(failure)

    [record] = caplog.records
    assert record.getMessage() == (
        "user_analytics_dag: publish of 2010-12-08 failed: check sum_amount: 1 is not 2\nLog: http://airflow/log"
    )


@pytest.mark.parametrize("end", ["", "\n"], ids=["as it is", "from a Secret of a file"])
def test_a_failure_is_posted_where_an_address_is_set(
    failure: Any, posted: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    address, bodies = posted
    monkeypatch.setenv("USER_ANALYTICS_ALERT_ADDRESS", f"{address}/hook{end}")

    tell_failure(failure)

    [body] = bodies
    assert body["task"] == "publish"
    assert body["reason"] == "check sum_amount: 1 is not 2"
    assert "Log: http://airflow/log" in body["text"]


def test_of_a_task_whose_process_is_gone_that_is_told_since_nobody_gave_a_reason(
    dags: BundleDagBag, posted: tuple[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, bodies = posted
    monkeypatch.setenv("USER_ANALYTICS_ALERT_ADDRESS", f"{address}/hook")
    # as the scheduler hands it to the DAG processor
    run = TIRunContext(
        dag_run=DagRun(
            dag_id="user_analytics_dag",
            run_id="scheduled__2010-12-08",
            logical_date=DATE,
            data_interval_start=DATE,
            data_interval_end=DATE,
            run_after=DATE,
            start_date=DATE,
            end_date=None,
            run_type=DagRunType.SCHEDULED,
            state=DagRunState.RUNNING,
            consumed_asset_events=[],
            partition_key=None,
        ),
        max_tries=2,
    )
    lost = TaskInstance(
        id=uuid4(),
        task_id="publish",
        dag_id="user_analytics_dag",
        run_id="scheduled__2010-12-08",
        try_number=3,
        dag_version_id=uuid4(),
    )
    request = TaskCallbackRequest(
        filepath="user_analytics_dag.py",
        bundle_name="dags",
        bundle_version=None,
        ti=lost,
        task_callback_type=TaskInstanceState.FAILED,
        context_from_server=run,
    )

    _execute_task_callbacks(dags, request, structlog.get_logger())

    [body] = bodies
    failed = "user_analytics_dag: publish of 2010-12-08 failed: "
    assert body["text"].startswith(f"{failed}its process ended without a word")
    assert "Audit Log" in body["reason"]
    assert body["log"].endswith("/dags/user_analytics_dag/runs/scheduled__2010-12-08/tasks/publish?try_number=3")


def test_an_error_without_text_is_told_by_its_kind(failure: Any) -> None:
    assert failure_message({**failure, "exception": TimeoutError()})["reason"] == "TimeoutError"


@pytest.mark.parametrize(
    "wrong",
    [
        {},  # the server answers with an error
        {"USER_ANALYTICS_ALERT_ADDRESS": "http://127.0.0.1:1/?key=secret"},
        # no name that a resolver could ask for
        {"USER_ANALYTICS_ALERT_ADDRESS": f"http://{'a' * 64}.invalid/?key=secret"},
        {"HTTP_PROXY": "http://secret:8o", "NO_PROXY": "", "no_proxy": ""},
    ],
)
def test_an_alert_that_cannot_be_posted_is_logged_without_its_address(
    failure: Any,
    posted: tuple[str, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wrong: dict[str, str],
) -> None:
    monkeypatch.setenv("USER_ANALYTICS_ALERT_ADDRESS", f"{posted[0]}/broken?key=secret")
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.INFO)

    tell_failure(failure)

    assert "the alert could not be posted" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("task_id", ["publish", "movie_review"])
def test_lines_of_a_stage_are_told_as_text_and_others_as_they_are(dags: BundleDagBag, task_id: str) -> None:
    task = rendered(dags, task_id)
    line = '{"rows": 2, "timestamp": "2010-12-08T00:00:00Z", "event": "published", "level": "info"}'

    assert task._readable(task_id, line) == "published rows=2"
    for other in ("plain text", '{"rows": 2}', "[1, 2]", "{"):
        assert task._readable(task_id, other) == other


def test_a_failed_stage_raises_the_reason_that_it_gave(dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    task = rendered(dags, "publish")

    def run(self: Any, context: Any) -> None:
        self.log_formatter("publish", FAILED)
        raise RuntimeError("Pod publish-1 returned a failure")

    monkeypatch.setattr(KubernetesPodOperator, "execute_sync", run)

    with pytest.raises(StageFailed, match="check sum_amount"):
        task.execute(context(dags.dags["user_analytics_dag"], task))


def test_a_stage_whose_failure_is_final_is_not_tried_again(dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    task = rendered(dags, "publish")

    def run(self: Any, context: Any) -> None:
        self.log_formatter("publish", FAILED_FOR_GOOD)
        raise RuntimeError("Pod publish-1 returned a failure")

    monkeypatch.setattr(KubernetesPodOperator, "execute_sync", run)

    with pytest.raises(AirflowFailException) as raised:
        task.execute(context(dags.dags["user_analytics_dag"], task))
    assert str(raised.value) == REASON


def test_what_is_not_to_be_tried_again_stays_so_and_raises_the_reason_of_the_stage(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = rendered(dags, "publish")

    def run(self: Any, context: Any) -> None:
        self.log_formatter("publish", FAILED)
        raise AirflowFailException("Pod publish-1 returned a failure")

    monkeypatch.setattr(KubernetesPodOperator, "execute_sync", run)

    with pytest.raises(AirflowFailException, match="check sum_amount"):
        task.execute(context(dags.dags["user_analytics_dag"], task))


def test_a_pod_that_does_not_start_is_told_with_what_keeps_it(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = rendered(dags, "publish")

    def run(self: Any, context: Any) -> None:
        try:
            raise PodLaunchFailedException("Pod docker image cannot be pulled")
        finally:
            raise RuntimeError("Pod publish-1 returned a failure.")

    monkeypatch.setattr(KubernetesPodOperator, "execute_sync", run)

    with pytest.raises(StageFailed, match="image cannot be pulled"):
        task.execute(context(dags.dags["user_analytics_dag"], task))


def event(reason: str, message: str, second: int, *, warning: bool = True, newer_kind: bool = False) -> CoreV1Event:
    seen = datetime(2010, 12, 8, 0, 0, second, tzinfo=UTC)
    return CoreV1Event(
        metadata=V1ObjectMeta(),
        involved_object=V1ObjectReference(),
        type="Warning" if warning else "Normal",
        reason=reason,
        message=message,
        event_time=seen if newer_kind else None,
        last_timestamp=None if newer_kind else seen,
    )


def failed_application(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch, events: dict[str, list[CoreV1Event]], said: str = ""
) -> Exception:
    """What the task of an application raises that fails with these events, by the end of their object's name."""
    task = rendered(dags, "movie_review")

    def list_events(namespace: str, field_selector: str) -> Any:
        kind = "driver" if field_selector.endswith("-driver") else "application"
        return SimpleNamespace(items=events.get(kind, []))

    def run(self: Any, context: Any) -> None:
        if said:
            self.log_formatter("driver", said)
        raise RuntimeError("Job took too long to start. pod status: None")

    task.client = SimpleNamespace(
        list_namespaced_event=list_events, list_namespaced_pod=lambda *_, **__: SimpleNamespace(items=[])
    )
    task.custom_obj_api = SimpleNamespace(list_namespaced_custom_object=lambda **_: {"items": []})
    monkeypatch.setattr(SparkKubernetesOperator, "execute", run)
    with pytest.raises((StageFailed, AirflowFailException, RuntimeError)) as raised:
        task.execute(context(dags.dags["user_analytics_dag"], task))
    error: Exception = raised.value
    return error


NO_ROOM = event("FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.", 2, newer_kind=True)


def test_an_application_that_does_not_start_is_told_with_what_keeps_its_driver(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = {
        "application": [event("SparkApplicationFailed", "it was deleted", 9)],
        "driver": [NO_ROOM, event("FailedScheduling", "earlier", 1), event("Scheduled", "at last", 3, warning=False)],
    }

    error = failed_application(dags, monkeypatch, events)

    assert isinstance(error, StageFailed)
    assert re.fullmatch(
        r"Job took too long to start\. pod status: None\n\S+-driver: FailedScheduling: "
        r"0/1 nodes are available: 1 Insufficient cpu\.",
        str(error),
    )


def test_the_reason_that_a_driver_gave_wins_over_the_cluster_s(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failed_application(dags, monkeypatch, {"driver": [NO_ROOM]}, said=FAILED)

    assert isinstance(error, StageFailed)
    assert str(error) == REASON


def test_an_application_whose_failure_is_final_is_not_tried_again(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failed_application(dags, monkeypatch, {"driver": [NO_ROOM]}, said=FAILED_FOR_GOOD)

    assert isinstance(error, AirflowFailException)
    assert str(error) == REASON


class EndedDriver:
    """A cluster in which a driver has failed before the first look at its application."""

    def __init__(self, said: str) -> None:
        self._said = said
        self.applications: dict[str, Any] = {}

    def create_namespaced_custom_object(self, body: Any, **_: Any) -> Any:
        self.applications[body["metadata"]["name"]] = body
        return body

    def get_namespaced_custom_object_status(self, **_: Any) -> Any:
        return {"status": {"applicationState": {"state": "FAILED", "errorMessage": "driver container failed"}}}

    def list_namespaced_custom_object(self, **_: Any) -> Any:
        return {"items": list(self.applications.values())}

    def delete_namespaced_custom_object(self, name: str, **_: Any) -> None:
        del self.applications[name]

    def list_namespaced_pod(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(items=[])

    def list_namespaced_event(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(items=[])

    def read_namespaced_pod(self, *_: Any, **__: Any) -> V1Pod:
        ended = V1ContainerStateTerminated(exit_code=1, finished_at=datetime.now(UTC))
        driver = V1ContainerStatus(
            name="spark-kubernetes-driver",
            image="spark",
            image_id="1",
            ready=False,
            restart_count=0,
            state=V1ContainerState(terminated=ended),
        )
        return V1Pod(status=V1PodStatus(phase="Failed", container_statuses=[driver]))

    def read_namespaced_pod_log(self, *_: Any, **__: Any) -> Any:
        lines = f"2010-12-08T00:00:00.000000000Z {self._said}\n".encode()
        return SimpleNamespace(stream=lambda **_: iter([lines]))


@pytest.mark.parametrize(("said", "kind"), [(FAILED, StageFailed), (FAILED_FOR_GOOD, AirflowFailException)])
def test_of_a_driver_that_ended_before_it_was_seen_to_run_the_log_is_read(
    dags: BundleDagBag, said: str, kind: type[Exception]
) -> None:
    task = rendered(dags, "movie_review")
    cluster = EndedDriver(said)
    task.client = task.custom_obj_api = cluster

    with pytest.raises(kind) as raised:
        task.execute(context(dags.dags["user_analytics_dag"], task))

    assert str(raised.value) == REASON
    assert cluster.applications == {}


def test_an_application_of_which_the_cluster_says_nothing_fails_with_what_was_raised(
    dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(failed_application(dags, monkeypatch, {}), RuntimeError)


def test_without_a_reason_what_was_raised_stays(dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    task = rendered(dags, "publish")

    def run(self: Any, context: Any) -> None:
        raise RuntimeError("Pod publish-1 took too long to start")

    monkeypatch.setattr(KubernetesPodOperator, "execute_sync", run)

    with pytest.raises(RuntimeError, match="took too long"):
        task.execute(context(dags.dags["user_analytics_dag"], task))


def test_a_report_is_where_the_deployment_says_or_in_the_lake() -> None:
    assert report_address("http://minio/{ds}.html", "s3://lake", "2010-12-08") == "http://minio/2010-12-08.html"
    assert report_address(None, "s3://lake", "2010-12-08") == "s3://lake/reports/ds=2010-12-08/index.html"


def test_links_of_tasks_are_addresses(dags: BundleDagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_ANALYTICS_REPORT_ADDRESS", "http://minio/{ds}.html")
    addresses = {}
    for task_id in ("report", "looker_link"):
        task = rendered(dags, task_id)
        run = context(dags.dags["user_analytics_dag"], task)
        instance = SimpleNamespace(get_template_context=lambda run=run: run)
        [link] = task.operator_extra_links
        addresses[task_id] = link.get_link(operator=task, ti_key=instance)

    assert addresses["report"] == "http://minio/2010-12-08.html"
    assert addresses["looker_link"].startswith("https://lookerstudio.google.com/reporting/create?")
    assert "projectId=user-analytics-local" in addresses["looker_link"]


def test_looker_studio_opens_the_dataset_of_the_deployment() -> None:
    address = looker_address(
        {"gcp_project": "mine", "bigquery_dataset": "sales", "bigquery_endpoint": None, "bigquery_grpc_endpoint": None}
    )

    assert "ds.ds0.projectId=mine" in address
    assert "ds.ds0.datasetId=sales" in address
