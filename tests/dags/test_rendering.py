"""What tasks start: the pod and the application that `user-analytics render` describes, and nothing else."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.providers.cncf.kubernetes.operators.custom_object_launcher import CustomObjectLauncher
from airflow.sdk.exceptions import AirflowFailException
from jsonschema import Draft202012Validator
from kubernetes.client import ApiClient

from tests.dags.reading import DAGS, DS, context, dag_of, read_dags, rendered
from user_analytics.errors import SettingsError
from user_analytics.render import MANIFESTS, JobParameters, SparkParameters, render

SCHEMA = DAGS.parent / "manifests" / "schemas" / "sparkapplication_v1beta2.json"
APPLICATIONS = [name for name, model in MANIFESTS.items() if issubclass(model, SparkParameters)]
STAGES = [name for name, model in MANIFESTS.items() if issubclass(model, JobParameters)]
# Settings that change what is rendered: all kinds of manifests, one kind, one manifest.
PARAMETERS: dict[str, dict[str, object]] = {
    "all": {"namespace": "elsewhere", "lake_region": "eu-central-1"},
    "spark": {"image": "registry/spark:1", "executors": 3, "executor_tolerations": [{"key": "spot"}]},
    "jobs": {"image": "registry/ingest:1", "node_selector": {"disk": "ssd"}},
    "movie-review": {"executor_memory": "2g"},
    "publish": {"max_quarantine_ratio": "0.5"},
    "clean-up": {"raw_retention_days": 90, "leftover_retention_hours": 48, "airflow_log_retention_days": 30},
}


@pytest.fixture(scope="module")
def changed() -> BundleDagBag:
    return read_dags({"USER_ANALYTICS_PARAMETERS": json.dumps(PARAMETERS)})


def given(name: str) -> dict[str, object]:
    kind = "spark" if name in APPLICATIONS else "jobs"
    return {**PARAMETERS["all"], **PARAMETERS[kind], **PARAMETERS.get(name, {})}


def task_id(name: str) -> str:
    return name.replace("-", "_")


def pod(task: Any, bag: BundleDagBag) -> Any:
    """The pod that a task would make, as Kubernetes gets it."""
    made = task.build_pod_request_obj(context(dag_of(bag, task.task_id), task), dry_run=True)
    return ApiClient().sanitize_for_serialization(made)


def without_nothing(value: Any) -> Any:
    """Without empty lists and mappings, and without what is off."""
    if isinstance(value, dict):
        return {
            key: kept for key, inner in value.items() if (kept := without_nothing(inner)) not in ([], {}, None, False)
        }
    return list(map(without_nothing, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_what_the_command_renders(dags: BundleDagBag, changed: BundleDagBag, name: str) -> None:
    for bag, parameters in ((dags, {}), (changed, given(name))):
        text = rendered(bag, task_id(name)).application_file
        assert yaml.safe_load(text) == yaml.safe_load(render(name, date.fromisoformat(DS), parameters))


@pytest.mark.parametrize("name", STAGES)
def test_a_job_is_what_the_command_renders(dags: BundleDagBag, changed: BundleDagBag, name: str) -> None:
    for bag, parameters in ((dags, {}), (changed, given(name))):
        assert yaml.safe_load(rendered(bag, task_id(name)).job) == yaml.safe_load(
            render(name, date.fromisoformat(DS), parameters)
        )


@pytest.mark.parametrize("name", STAGES)
def test_the_pod_of_a_stage_is_that_of_its_job(changed: BundleDagBag, name: str) -> None:
    job = yaml.safe_load(render(name, date.fromisoformat(DS), given(name)))
    expected = job["spec"]["template"]

    made = pod(rendered(changed, task_id(name)), changed)

    [container] = made["spec"]["containers"]
    assert container.pop("terminationMessagePolicy") == "FallbackToLogsOnError"
    assert made["spec"].pop("activeDeadlineSeconds") == job["spec"]["activeDeadlineSeconds"]
    assert without_nothing(made["spec"]) == without_nothing(expected["spec"])
    assert made["metadata"]["namespace"] == job["metadata"]["namespace"]


@pytest.mark.parametrize("name", STAGES)
def test_a_pod_tells_stage_date_dag_task_and_run(dags: BundleDagBag, name: str) -> None:
    made = pod(rendered(dags, task_id(name)), dags)["metadata"]

    assert made["name"].startswith(f"{name}-20101208-")
    of_job = yaml.safe_load(render(name, date.fromisoformat(DS)))["spec"]["template"]["metadata"]["labels"]
    dag_id = dag_of(dags, task_id(name)).dag_id
    airflow = {"dag_id": dag_id, "task_id": task_id(name), "run_id": f"manual__{DS}", "try_number": "1"}
    assert (of_job | airflow).items() <= made["labels"].items()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_is_what_the_operator_takes_with_airflow_s_labels(dags: BundleDagBag, name: str) -> None:
    task = rendered(dags, task_id(name))
    task.name = task.create_job_name()
    task._labels = {"dag_id": "user_analytics_dag", "task_id": task_id(name), "run_id": f"manual__{DS}"}
    body = CustomObjectLauncher(task.name, task.namespace, None, None, task.template_body).body

    errors = [error.message for error in Draft202012Validator(json.loads(SCHEMA.read_text())).iter_errors(body)]

    assert errors == []
    assert body["metadata"]["name"].startswith(f"{name}-")
    assert len(f"{body['metadata']['name']}-driver") <= 63
    assert body["metadata"]["namespace"] == "user-analytics-jobs"
    assert task._labels.items() <= body["metadata"]["labels"].items()
    assert body["metadata"]["labels"]["user-analytics/logical-date"] == DS


def test_every_application_has_a_name_of_its_own(dags: BundleDagBag) -> None:
    task = rendered(dags, "movie_review")

    assert task.create_job_name() != task.create_job_name()


def test_what_a_run_is_told_reaches_the_stages(dags: BundleDagBag) -> None:
    conf = {"mode": "incremental", "lookback_days": 0, "model_version": "tfidf-1", "force": True}

    def arguments(task: str) -> Any:
        job = yaml.safe_load(rendered(dags, task, conf).job)
        return job["spec"]["template"]["spec"]["containers"][0]["args"]

    assert arguments("ingest_purchases")[-4:] == ["--mode", "incremental", "--lookback-days", "0"]
    assert arguments("publish") == ["publish", "--date", DS, "--force"]
    application = yaml.safe_load(rendered(dags, "movie_review", conf).application_file)
    assert application["spec"]["arguments"] == ["--ds", DS, "--model-version", "tfidf-1"]


@pytest.mark.parametrize("task", ["create_bucket", "movie_review"])
def test_a_run_cannot_change_what_the_deployment_decides(dags: BundleDagBag, task: str) -> None:
    with pytest.raises(AirflowFailException, match="no such parameter of a run: image"):
        rendered(dags, task, {"image": "registry/other:1"})


def test_a_misspelt_parameter_of_a_run_is_refused_by_the_first_task(dags: BundleDagBag) -> None:
    with pytest.raises(AirflowFailException, match="no such parameter of a run: lookback"):
        rendered(dags, "create_bucket", {"lookback": 1})


def test_a_value_that_only_the_manifest_refuses_is_a_failure_that_is_not_tried_again() -> None:
    dags = read_dags()  # which then keep the value
    # to the form's check `$` is also the place before a last line end
    with pytest.raises(AirflowFailException, match="wrong parameters of movie-review:\n  model_version"):
        rendered(dags, "movie_review", {"model_version": "tfidf-1\n"})


def test_a_run_without_a_logical_date_is_refused(dags: BundleDagBag) -> None:
    with pytest.raises(AirflowFailException, match="no logical date"):
        rendered(dags, "create_bucket", date=None)


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PARAMETERS", '{"all": {"lake_regio": "eu"}}', "all has no parameter lake_regio"),
        ("PARAMETERS", '{"jobs": {"executors": 2}}', "jobs has no parameter executors"),
        ("PARAMETERS", '{"movie_review": {}}', "'movie_review' is none of all, spark, jobs"),
        ("PARAMETERS", '{"spark": {"executors": 0}}', "executors: Input should be greater than or equal to 1"),
        ("PARAMETERS", "{", "parameters"),
        ("RETRIES", "-1", "USER_ANALYTICS_RETRIES: Input should be greater than or equal to 0"),
        ("ALERT_ADDRESS", "http://hooks:8o/key", "USER_ANALYTICS_ALERT_ADDRESS: Input should be a valid URL"),
        ("ALERT_ADDRESS", "hooks.example/key", "USER_ANALYTICS_ALERT_ADDRESS: Input should be a valid URL"),
        ("ALERT_ADDRESS", "ftp://hooks.example/key", "USER_ANALYTICS_ALERT_ADDRESS: URL scheme should be 'http'"),
        ("RETRY_DELAY_SECONDS", "soon", "USER_ANALYTICS_RETRY_DELAY_SECONDS: Input should be a valid number"),
    ],
)
def test_a_wrong_setting_of_the_deployment_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, message: str
) -> None:
    from user_analytics_airflow.deployment import load_deployment  # noqa: PLC0415  after conftest has made the path

    monkeypatch.setenv(f"USER_ANALYTICS_{variable}", value)

    with pytest.raises(SettingsError) as raised:
        load_deployment()
    assert message in str(raised.value)


def test_what_is_wrong_with_the_alerts_address_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from user_analytics_airflow.deployment import load_deployment  # noqa: PLC0415  after conftest has made the path

    monkeypatch.setenv("USER_ANALYTICS_ALERT_ADDRESS", "http://hooks:8o/key")

    with pytest.raises(SettingsError) as raised:
        load_deployment()
    assert not re.search("hooks|8o|key", str(raised.value))


def test_a_wrong_setting_is_an_import_error_and_no_dag() -> None:
    bag = read_dags({"USER_ANALYTICS_RETRIES": "many"})

    assert bag.dags == {}
    assert {Path(file).name for file in bag.import_errors} == {
        "user_analytics_dag.py",
        "user_analytics_clean_up_dag.py",
    }
    assert all("USER_ANALYTICS_RETRIES" in message for message in bag.import_errors.values())
