"""Rendering: one template for each manifest, a closed list of parameters, and secrets by reference only."""

import importlib.metadata
import re
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, UndefinedError, meta, nodes
from jinja2.sandbox import SandboxedEnvironment
from typer.main import get_command
from typer.testing import CliRunner

from user_analytics import cli
from user_analytics.emulator.tls import TRUSTSTORE_PASSWORD
from user_analytics.errors import SettingsError
from user_analytics.render import (
    MANIFESTS,
    NAME_LENGTH,
    JobParameters,
    SparkParameters,
    check,
    render,
    templates_directory,
)
from user_analytics.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[3]
DS = date(2010, 12, 8)
JOBS = [name for name, model in MANIFESTS.items() if issubclass(model, JobParameters)]
APPLICATIONS = [name for name, model in MANIFESTS.items() if issubclass(model, SparkParameters)]
CHECKED_IN = {
    **{name: REPOSITORY / "manifests" / "jobs" / f"{name}.yaml" for name in JOBS},
    **{name: REPOSITORY / "manifests" / "spark-applications" / f"{name}.yaml" for name in APPLICATIONS},
}
# Variables that are not settings of ours: Hadoop's S3 client reads the first two.
FOREIGN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "HOME"}
SECRET_VARIABLE = re.compile(r"KEY|PASSWORD|SECRET|TOKEN")


def rendered(manifest: str, **parameters: object) -> Any:
    return yaml.safe_load(render(manifest, DS, parameters))


def command_line(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["render", *arguments], env={"COLUMNS": "400"})
    return result.exit_code, result.stdout, result.stderr


def containers(manifest: Any) -> list[Any]:
    """The specifications of all containers; driver and executor of a SparkApplication are like containers."""
    if manifest["kind"] == "Job":
        found: list[Any] = manifest["spec"]["template"]["spec"]["containers"]
        return found
    return [manifest["spec"]["driver"], manifest["spec"]["executor"]]


def parameters_used(template: str) -> set[str]:
    """The names after `params.` in a template and in those it includes or imports."""
    parsed = Environment().parse((templates_directory() / template).read_text())  # noqa: S701  YAML is not HTML
    used = {
        node.attr
        for node in parsed.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "params"
    }
    return used.union(*(parameters_used(other) for other in meta.find_referenced_templates(parsed) if other))


@cache
def as_of_airflow() -> SandboxedEnvironment:
    """An environment with the options that Airflow gives its own."""
    loader = FileSystemLoader(templates_directory())
    return SandboxedEnvironment(loader=loader, undefined=StrictUndefined, extensions=["jinja2.ext.do"])


def rendered_as_by_airflow(name: str, params: dict[str, object]) -> str:
    return as_of_airflow().get_template(f"{name}.yaml").render(ds="2010-12-08", ds_nodash="20101208", params=params)


def renders_without(name: str, parameter: str, params: dict[str, object]) -> bool:
    try:
        rendered_as_by_airflow(name, {key: value for key, value in params.items() if key != parameter})
    except (UndefinedError, TypeError):  # what tojson raises of what is undefined
        return False
    return True


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_is_checked_in_is_what_the_command_prints(name: str) -> None:
    exit_code, stdout, _ = command_line(name, "--ds", "2010-12-08")

    assert exit_code == 0
    assert CHECKED_IN[name].read_text() == stdout, (
        f"user-analytics render {name} --ds 2010-12-08 > {CHECKED_IN[name].relative_to(REPOSITORY)}"
    )
    assert stdout.endswith("\n")


def test_nothing_else_is_checked_in() -> None:
    folders = {path.parent for path in CHECKED_IN.values()}
    assert {path for folder in folders for path in folder.iterdir()} == set(CHECKED_IN.values())


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_takes_the_parameters_its_template_uses_and_no_others(name: str) -> None:
    assert parameters_used(f"{name}.yaml") == set(MANIFESTS[name].model_fields)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_takes_the_parameters_its_template_uses_and_no_others(name: str) -> None:
    # job.yaml serves all stages, two of which have parameters of their own in it.
    of_one_stage = {"source": "ingest-purchases", "max": "publish"}
    used = {
        parameter
        for parameter in parameters_used(f"{name}.yaml")
        if of_one_stage.get(parameter.partition("_")[0], name) == name
    }
    assert used == set(MANIFESTS[name].model_fields)


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_environment_as_airflow_has_it_renders_the_same(name: str) -> None:
    params = check(name, {}).model_dump(mode="json")
    assert rendered_as_by_airflow(name, params) + "\n" == render(name, DS)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_environment_as_airflow_has_it_refuses_a_missing_parameter(name: str) -> None:
    params = check(name, {}).model_dump(mode="json")
    assert [parameter for parameter in params if renders_without(name, parameter, params)] == []


def test_a_parameter_that_does_not_exist_is_named_with_the_one_that_was_meant() -> None:
    exit_code, stdout, _ = command_line("movie-review", "--ds", "2010-12-08", "--set", "exectuors=2")
    assert (exit_code, stdout) == (1, "")
    with pytest.raises(SettingsError, match="exectuors: no such parameter; did you mean executors"):
        render("movie-review", DS, {"exectuors": "2"})


def test_a_parameter_of_another_manifest_is_refused() -> None:
    with pytest.raises(SettingsError, match="model_version: no such parameter"):
        render("user-purchase", DS, {"model_version": "v1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "my-driver-test"),
        ("name", "Movie_Review"),
        ("name", "9lives"),
        ("name", "a" * (NAME_LENGTH + 1)),
        ("namespace", "jobs-"),
        ("image", "spark image:1"),
        ("lake_url", "s3a://bucket"),
        ("lake_url", ".run/lake"),
        ("lake_endpoint", "minio:9000"),
        ("lake_secret", "Lake Credentials"),
        ("bigquery_grpc_endpoint", "http://emulator:9060"),
        ("bigquery_endpoint", "null"),
        ("driver_core_request", "200 m"),
        ("executor_memory", "512Mi"),
        ("executors", "0"),
        ("java_options", "-Xmx1g\nkey: value"),
        ("time_to_live_seconds", "-1"),
        ("executor_tolerations", '[{"kye": "spot"}]'),
        ("executor_tolerations", "[spot]"),
        ("executor_node_selector", '{"spot": ["yes"]}'),
    ],
)
def test_a_malformed_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        render("movie-review", DS, {name: value})


@pytest.mark.parametrize("name", ["raw_retention_days", "airflow_log_retention_days"])
def test_a_retention_beyond_what_a_date_can_be_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}: .* less than or equal to 36500"):
        render("clean-up", DS, {name: "36501"})


def test_leftovers_stay_for_an_hour_at_least() -> None:
    with pytest.raises(SettingsError, match=r"leftover_retention_hours: .* greater than or equal to 1"):
        render("clean-up", DS, {"leftover_retention_hours": "0"})


def test_the_clean_up_is_told_the_retentions_that_are_set() -> None:
    given = {"raw_retention_days": "90", "leftover_retention_hours": "48", "airflow_log_retention_days": "30"}
    [container] = yaml.safe_load(render("clean-up", DS, given))["spec"]["template"]["spec"]["containers"]

    told = "--raw-retention-days 90 --leftover-retention-hours 48 --airflow-log-retention-days 30"
    assert container["args"] == ["clean-up", *told.split()]


def test_executors_that_end_below_their_start_are_refused() -> None:
    with pytest.raises(SettingsError, match="max_executors must be at least executors"):
        render("movie-review", DS, {"executors": "4", "max_executors": "2"})


def test_an_application_that_does_not_exist_is_wrong_usage_naming_those_that_do() -> None:
    exit_code, _, stderr = command_line("movie_review", "--ds", "2010-12-08")
    assert exit_code == 2
    assert all(name in stderr for name in MANIFESTS)


def test_a_parameter_without_a_value_is_wrong_usage() -> None:
    exit_code, _, stderr = command_line("movie-review", "--ds", "2010-12-08", "--set", "executors")
    assert exit_code == 2
    assert "'executors' is not of the form NAME=VALUE" in stderr


def test_values_are_text_to_yaml_whatever_is_in_them() -> None:
    region = """it's "no": {yaml} # <&> \\ ü"""
    manifest = rendered("movie-review", lake_region=region)
    assert manifest["spec"]["hadoopConf"]["fs.s3a.endpoint.region"] == region


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_generated_name_says_the_date_and_has_room_for_what_is_added(name: str) -> None:
    metadata = rendered(name, name="a" * NAME_LENGTH, generate_name=True)["metadata"]
    assert "name" not in metadata
    assert metadata["generateName"] == "a" * NAME_LENGTH + "-20101208-"
    assert len(metadata["generateName"] + "fghij" + "-driver") == 63


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_name_is_within_the_length_that_leaves_room(name: str) -> None:
    assert len(name) <= NAME_LENGTH


@pytest.mark.parametrize("name", MANIFESTS)
def test_secrets_come_by_reference(name: str) -> None:
    for container in containers(rendered(name)):
        for variable in container["env"]:
            by_reference = "secretKeyRef" in variable.get("valueFrom", {})
            assert by_reference == bool(SECRET_VARIABLE.search(variable["name"])), variable["name"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_environment_is_settings_that_the_pipeline_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for container in containers(rendered(name, bigquery_maximum_bytes_billed=10**9)):
        for setting in Settings.model_fields:
            monkeypatch.delenv(setting.upper(), raising=False)
        ours = [variable for variable in container["env"] if variable["name"] not in FOREIGN_VARIABLES]
        for variable in ours:
            monkeypatch.setenv(variable["name"], variable.get("value", "from a Secret"))

        settings = load_settings()

        assert {variable["name"].lower() for variable in ours} <= settings.model_fields_set


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("changed", [False, True])
def test_the_arguments_of_a_job_are_a_command_line_that_user_analytics_takes(name: str, changed: bool) -> None:
    all_set: dict[str, dict[str, object]] = {
        "ingest-purchases": {"mode": "incremental", "lookback_days": 0},
        "publish": {"force": True, "allow_empty": True},
    }
    [container] = containers(rendered(name, **(all_set.get(name, {}) if changed else {})))
    command: Any = get_command(cli.app)
    arguments = container["args"]
    while hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]

    command.make_context("user-analytics", arguments)


def test_options_of_stages_become_arguments() -> None:
    [purchases] = containers(rendered("ingest-purchases", mode="incremental", lookback_days=0))
    [publish] = containers(rendered("publish", force=True, allow_empty=True))
    application = rendered("movie-review", model_version="2026-11")

    assert purchases["args"][-4:] == ["--mode", "incremental", "--lookback-days", "0"]
    assert publish["args"] == ["publish", "--date", "2010-12-08", "--force", "--allow-empty"]
    assert application["spec"]["arguments"] == ["--ds", "2010-12-08", "--model-version", "2026-11"]


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_runs_its_file_of_spark_apps(name: str) -> None:
    manifest = rendered(name)
    path = manifest["spec"]["mainApplicationFile"].removeprefix("local:///opt/user-analytics/")
    assert path == f"spark_apps/{name.replace('-', '_')}.py"
    assert (REPOSITORY / path).is_file()


@pytest.mark.parametrize("name", APPLICATIONS)
def test_spark_is_the_version_that_is_pinned(name: str) -> None:
    assert rendered(name)["spec"]["sparkVersion"] == importlib.metadata.version("pyspark")


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application_runs_once_and_goes_when_its_time_is_over(name: str) -> None:
    spec = rendered(name, time_to_live_seconds=600)["spec"]
    assert spec["restartPolicy"] == {"type": "Never"}
    assert spec["timeToLiveSeconds"] == 600


@pytest.mark.parametrize("name", APPLICATIONS)
def test_event_logs_go_to_the_lake_and_metrics_to_whoever_asks(name: str) -> None:
    spec = rendered(name, lake_url="s3://elsewhere")["spec"]
    assert spec["sparkConf"]["spark.eventLog.enabled"] == "true"
    assert spec["sparkConf"]["spark.eventLog.dir"] == "s3a://elsewhere/spark-events/"
    assert spec["sparkConf"]["spark.ui.prometheus.enabled"] == "true"
    assert spec["driver"]["annotations"]["prometheus.io/path"] == "/metrics/executors/prometheus"


@pytest.mark.parametrize("name", APPLICATIONS)
def test_executors_are_a_fixed_number_unless_a_maximum_is_given(name: str) -> None:
    fixed, dynamic = rendered(name, executors=2)["spec"], rendered(name, executors=2, max_executors=8)["spec"]

    assert fixed["executor"]["instances"] == 2
    assert "dynamicAllocation" not in fixed
    assert dynamic["dynamicAllocation"] == {
        "enabled": True,
        "initialExecutors": 2,
        "minExecutors": 2,
        "maxExecutors": 8,
        "shuffleTrackingEnabled": True,
    }


def test_executors_may_go_to_spot_nodes_and_hand_over_what_they_hold() -> None:
    spec = rendered(
        "user-purchase",
        decommissioning=True,
        executor_node_selector='{"cloud.google.com/gke-spot": "true"}',
        executor_tolerations='[{"key": "cloud.google.com/gke-spot", "operator": "Exists", "effect": "NoSchedule"}]',
    )["spec"]

    assert spec["sparkConf"]["spark.decommission.enabled"] == "true"
    assert spec["sparkConf"]["spark.storage.decommission.shuffleBlocks.enabled"] == "true"
    assert spec["executor"]["nodeSelector"] == {"cloud.google.com/gke-spot": "true"}
    assert spec["executor"]["tolerations"] == [
        {"key": "cloud.google.com/gke-spot", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert spec["driver"]["nodeSelector"] == {}
    assert spec["driver"]["tolerations"] == []


def test_nothing_is_decommissioned_unless_it_is_asked_for() -> None:
    assert not any("decommission" in key for key in rendered("user-purchase")["spec"]["sparkConf"])


@pytest.mark.parametrize("name", APPLICATIONS)
def test_java_trusts_the_emulator_by_a_secret(name: str) -> None:
    spec = rendered(name)["spec"]
    assert {"name": "truststore", "secret": {"secretName": "bigquery-emulator-truststore"}} in spec["volumes"]
    for pod in (spec["driver"], spec["executor"]):
        [mount] = [mount for mount in pod["volumeMounts"] if mount["name"] == "truststore"]
        options = pod["javaOptions"].split()
        assert f"-Djavax.net.ssl.trustStore={mount['mountPath']}/truststore.p12" in options
        assert f"-Djavax.net.ssl.trustStorePassword={TRUSTSTORE_PASSWORD}" in options


@pytest.mark.parametrize("name", APPLICATIONS)
def test_on_real_bigquery_nothing_of_the_emulator_is_left(name: str) -> None:
    text = render(name, DS, {"bigquery_endpoint": "null", "bigquery_grpc_endpoint": "null"})
    assert not re.search("emulator|truststore|BIGQUERY_ENDPOINT|BIGQUERY_GRPC", text, re.IGNORECASE)


@pytest.mark.parametrize("name", [*APPLICATIONS, "publish"])
def test_a_key_of_google_is_mounted_from_a_secret(name: str) -> None:
    manifest = rendered(
        name, google_credentials_secret="google", bigquery_endpoint="null", bigquery_grpc_endpoint="null"
    )
    volumes = (manifest["spec"]["template"]["spec"] if manifest["kind"] == "Job" else manifest["spec"])["volumes"]
    assert {"name": "google-credentials", "secret": {"secretName": "google", "defaultMode": 0o440}} in volumes
    for container in containers(manifest):
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "google-credentials"]
        assert variables["GOOGLE_APPLICATION_CREDENTIALS"] == f"{mount['mountPath']}/key.json"
        assert mount["readOnly"]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_has_no_token_and_is_not_tried_again_by_kubernetes(name: str) -> None:
    spec = rendered(name)["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["template"]["spec"]["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_are_restricted_and_their_file_system_is_read_only(name: str) -> None:
    manifest = rendered(name)
    for container in containers(manifest):
        pod = (
            manifest["spec"]["template"]["spec"]["securityContext"]
            if manifest["kind"] == "Job"
            else container["podSecurityContext"]
        )
        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}  # noqa: S108


@pytest.mark.parametrize("name", APPLICATIONS)
def test_executors_have_an_account_of_their_own(name: str) -> None:
    spec = rendered(name)["spec"]
    assert (spec["driver"]["serviceAccount"], spec["executor"]["serviceAccount"]) == ("spark", "spark-executor")
