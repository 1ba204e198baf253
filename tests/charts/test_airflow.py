"""The chart of Airflow."""

import configparser
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.helm import Helm, Object, Rendered, at, containers, pod_spec, task_pods
from user_analytics.cluster import accounts
from user_analytics.cluster.secrets import wanted
from user_analytics.lake.keys import AIRFLOW_LOGS
from user_analytics.render import check

COMPONENTS = ("airflow-api-server", "airflow-dag-processor", "airflow-scheduler")
POD = "spec.template.spec"
JOBS = "user-analytics-jobs"


def settings(objects: Rendered) -> configparser.ConfigParser:
    """The settings that Airflow reads, as it reads them."""
    parser = configparser.ConfigParser()
    parser.read_string(objects.one("ConfigMap", "airflow")["data"]["airflow.cfg"])
    return parser


def environments(objects: Rendered) -> Iterator[dict[str, Any]]:
    """The environment of each container that runs Airflow."""
    for item in objects:
        for container in containers(item):
            environment = {variable["name"]: variable for variable in container.get("env", [])}
            if "AIRFLOW_HOME" in environment:
                yield environment


def rights(objects: Rendered, namespace: str) -> dict[str, set[str]]:
    """What the Roles of a namespace let one do, by resource."""
    return {
        resource: set(rule["verbs"])
        for item in objects
        if item["kind"] == "Role" and item["metadata"]["namespace"] == namespace
        for rule in item["rules"]
        for resource in rule["resources"]
    }


def bound(objects: Rendered, namespace: str) -> set[str]:
    """The accounts that have the rights of a namespace."""
    return {
        subject["name"]
        for item in objects
        if item["kind"] == "RoleBinding" and item["metadata"]["namespace"] == namespace
        for subject in item["subjects"]
    }


def test_what_is_secret_comes_from_the_secret_that_is_named(helm: Helm) -> None:
    auth = {
        "existingSecret": "mine",
        "connectionKey": "c",
        "fernetKey": "f",
        "apiSecretKey": "a",
        "jwtSecretKey": "j",
        "logsConnectionKey": "l",
    }
    for environment in environments(helm.template("airflow", {"auth": auth})):
        keys = {
            name: variable["valueFrom"]["secretKeyRef"]
            for name, variable in environment.items()
            if "valueFrom" in variable
        }
        assert keys == {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": {"name": "mine", "key": "c"},
            "AIRFLOW__CORE__FERNET_KEY": {"name": "mine", "key": "f"},
            "AIRFLOW__API__SECRET_KEY": {"name": "mine", "key": "a"},
            "AIRFLOW__API_AUTH__JWT_SECRET": {"name": "mine", "key": "j"},
            "AIRFLOW_CONN_MINIO_CONN": {"name": "mine", "key": "l"},
        }


def test_the_secret_that_cluster_up_makes_has_the_keys_that_the_chart_wants(helm: Helm) -> None:
    made: dict[str, Any] = {}
    for secret in wanted():
        if secret.name in {"minio", "lake-credentials", "airflow-database", "airflow"}:
            made[secret.name] = secret.make(made)
    objects = helm.template("airflow")

    asked = {
        variable["valueFrom"]["secretKeyRef"]["key"]
        for environment in environments(objects)
        for variable in environment.values()
        if "valueFrom" in variable
    }
    assert made["airflow"].keys() == asked | {"passwords.json"}
    assert json.loads(made["airflow"]["passwords.json"]).keys() == {"admin"}
    assert json.loads(made["airflow"]["minio-conn"])["password"] == made["lake-credentials"]["secret-key"].decode()
    assert made["airflow-database"]["password"] in made["airflow"]["connection"]


def test_passwords_are_copied_since_airflow_opens_their_file_for_writing(helm: Helm) -> None:
    objects = helm.template("airflow")
    server = objects.one("Deployment", "airflow-api-server")

    copy = at(server, f"{POD}.initContainers.name=copy-passwords")
    target = settings(objects)["core"]["simple_auth_manager_passwords_file"]
    assert copy["command"] == ["cp", "/passwords/passwords.json", target]
    assert at(server, f"{POD}.volumes.name=passwords.secret.secretName") == "airflow"
    others = [objects.one("Deployment", name) for name in COMPONENTS if name != "airflow-api-server"]
    assert not any("passwords" in str(pod_spec(item)) for item in others)


def test_nobody_is_an_administrator_without_a_password(helm: Helm) -> None:
    core = settings(helm.template("airflow"))["core"]

    assert core["simple_auth_manager_users"] == "admin:admin"
    assert "simple_auth_manager_all_admins" not in core


def test_every_component_waits_until_the_database_is_of_its_version(helm: Helm) -> None:
    objects = helm.template("airflow", {"triggerer": {"enabled": True}})
    for name in (*COMPONENTS, "airflow-triggerer"):
        first = at(objects.one("Deployment", name), f"{POD}.initContainers.0")
        assert first["command"][:3] == ["airflow", "db", "check-migrations"]


def migration(helm: Helm, values: dict[str, Any]) -> Object:
    [job] = [item for item in helm.template("airflow", values) if item["kind"] == "Job"]
    return job


def test_the_migration_is_a_plain_job_and_no_hook_that_would_wait_for_those_that_wait_for_it(helm: Helm) -> None:
    job = migration(helm, {})

    assert "annotations" not in job["metadata"]
    assert "airflow db migrate" in at(job, f"{POD}.containers.0.command.2")
    assert accounts.MIGRATION in job["metadata"]["labels"].items()  # a restore knows it by that


@pytest.mark.parametrize("values", [{"image": {"tag": "2"}}, {"pools": [{"name": "spark", "slots": 2}]}])
def test_another_migration_is_another_job_since_a_job_cannot_change(helm: Helm, values: dict[str, Any]) -> None:
    names = {migration(helm, each)["metadata"]["name"] for each in ({}, values, values)}

    assert len(names) == 2


def test_settings_of_airflow_can_be_added_and_win(helm: Helm) -> None:
    parser = settings(
        helm.template("airflow", {"config": {"core": {"load_examples": True}, "email": {"from_email": "50%@x"}}})
    )

    assert parser["core"]["load_examples"] == "true"
    assert parser["email"]["from_email"] == "50%@x"
    assert parser["core"]["executor"] == "LocalExecutor"


def test_tasks_reach_the_api_server_by_its_service(helm: Helm) -> None:
    objects = helm.template("airflow")

    url = settings(objects)["core"]["execution_api_server_url"]
    service = objects.one("Service", "airflow-api-server")
    assert url == f"http://{service['metadata']['name']}:{at(service, 'spec.ports.0.port')}/execution/"


def test_a_database_that_is_gone_without_a_word_is_noticed_within_a_minute(helm: Helm) -> None:
    objects = helm.template("airflow")
    database = settings(objects)["database"]
    namespace: dict[str, Any] = {}
    exec(objects.one("ConfigMap", "airflow")["data"]["database_connection.py"], namespace)  # noqa: S102  our own file

    assert database["sql_alchemy_connect_args"] == "database_connection.SYNC"
    assert database["sql_alchemy_connect_args_async"] == "database_connection.ASYNC"
    assert all(environment["PYTHONPATH"]["value"] == "/etc/airflow" for environment in environments(objects))
    assert namespace["SYNC"]["tcp_user_timeout"] <= 60_000
    assert namespace["ASYNC"]["command_timeout"] <= 60


def test_logs_go_to_the_lake(helm: Helm) -> None:
    logging = settings(helm.template("airflow", {"logs": {"remoteFolder": "s3://mine/logs"}}))["logging"]

    assert logging.getboolean("remote_logging")
    assert logging["remote_base_log_folder"] == "s3://mine/logs"
    assert logging["remote_log_conn_id"] == "minio_conn"


def test_logs_go_to_where_the_clean_up_deletes_old_ones(helm: Helm) -> None:
    folder = settings(helm.template("airflow"))["logging"]["remote_base_log_folder"]

    assert folder.removeprefix(f"{check('clean-up', {}).lake_url}/") + "/" == AIRFLOW_LOGS


def test_metrics_go_to_statsd_only_where_it_is_named(helm: Helm) -> None:
    assert "metrics" not in settings(helm.template("airflow"))

    metrics = settings(helm.template("airflow", {"statsd": {"host": "statsd", "port": 9125}}))["metrics"]
    assert metrics.getboolean("statsd_on")
    assert (metrics["statsd_host"], metrics["statsd_port"]) == ("statsd", "9125")


def test_the_pool_of_spark_applications_has_one_slot_on_a_laptop(helm: Helm) -> None:
    pools = json.loads(helm.template("airflow").one("ConfigMap", "airflow")["data"]["pools.json"])

    assert {name: pool["slots"] for name, pool in pools.items()} == {"spark": 1}


def test_the_scheduler_may_do_in_the_jobs_namespace_what_tasks_do_and_nothing_else(helm: Helm) -> None:
    objects = helm.template("airflow")

    assert rights(objects, JOBS) == {
        "pods": {"create", "get", "list", "patch", "delete"},
        "pods/log": {"get"},
        "events": {"list"},
        "sparkapplications": {"create", "list", "delete"},
        "sparkapplications/status": {"get"},
    }
    assert bound(objects, JOBS) == {"airflow-scheduler"}
    assert rights(objects, "user-analytics") == {}


def test_the_namespace_of_tasks_can_be_another(helm: Helm) -> None:
    objects = helm.template("airflow", {"jobs": {"namespace": "elsewhere"}})

    assert rights(objects, "elsewhere")
    assert not rights(objects, JOBS)
    for environment in environments(objects):
        parameters = json.loads(environment["USER_ANALYTICS_PARAMETERS"]["value"])
        assert parameters == {"all": {"namespace": "elsewhere"}}


def test_parameters_of_manifests_are_handed_to_the_dags(helm: Helm) -> None:
    given = {"all": {"lake_region": "eu"}, "jobs": {"image": "ingest:1"}, "movie-review": {"executors": 2}}

    for environment in environments(helm.template("airflow", {"dags": {"parameters": given}})):
        parameters = json.loads(environment["USER_ANALYTICS_PARAMETERS"]["value"])
        assert parameters == given | {"all": {"namespace": JOBS, "lake_region": "eu"}}


def test_all_parts_know_the_same_dags(helm: Helm) -> None:
    told = [
        {name: variable for name, variable in environment.items() if name.startswith("USER_ANALYTICS_")}
        for environment in environments(helm.template("airflow"))
    ]

    assert len(told) > len(COMPONENTS)
    assert all(each == told[0] for each in told)


def test_an_alert_s_address_comes_from_a_secret_and_is_not_there_unless_it_is_named(helm: Helm) -> None:
    name = "USER_ANALYTICS_ALERT_ADDRESS"
    assert not any(name in environment for environment in environments(helm.template("airflow")))

    alert = {"dags": {"alert": {"existingSecret": "slack"}}}
    for environment in environments(helm.template("airflow", alert)):
        assert at(environment[name], "valueFrom.secretKeyRef") == {"name": "slack", "key": "address"}


def test_with_kubernetes_executor_each_task_is_a_pod_that_has_the_rights(helm: Helm) -> None:
    objects = helm.template("airflow", {"executor": "KubernetesExecutor"})

    [template] = task_pods(objects)
    assert settings(objects)["kubernetes_executor"]["pod_template_file"] == "/etc/airflow/pod_template.yaml"
    assert [container["name"] for container in template["spec"]["containers"]] == ["base"]
    assert template["spec"]["serviceAccountName"] == "airflow-worker"
    assert bound(objects, JOBS) == {"airflow-worker"}
    assert bound(objects, "user-analytics") == {"airflow-scheduler"}
    assert rights(objects, "user-analytics") == {
        "pods": {"create", "get", "list", "watch", "patch", "delete"},
        "pods/log": {"get"},
    }


def test_the_pod_of_a_task_is_restricted_and_reaches_what_a_task_needs(helm: Helm) -> None:
    objects = helm.template("airflow", {"executor": "KubernetesExecutor"})
    [template] = task_pods(objects)

    [container] = template["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    scheduler = at(objects.one("Deployment", "airflow-scheduler"), "spec.template.metadata.labels")
    clients = {label for label in scheduler if label.endswith("-client")} - {"user-analytics/postgres-client"}
    assert clients <= template["metadata"]["labels"].keys()


def test_dags_of_a_repository_are_there_before_what_reads_them_starts(helm: Helm) -> None:
    git = {"repo": "https://example.com/dags.git", "ref": "v1", "subPath": "my/dags", "credentialsSecret": "git"}
    objects = helm.template("airflow", {"dags": {"gitSync": git}})

    assert settings(objects)["core"]["dags_folder"] == "/dags/repository/my/dags"
    for name in ("airflow-scheduler", "airflow-dag-processor"):
        spec = at(objects.one("Deployment", name), POD)
        for sync in (at(spec, "initContainers.name=git-sync-once"), at(spec, "containers.name=git-sync")):
            assert at(sync, "env.name=GITSYNC_REF.value") == "v1"
            assert sync["envFrom"] == [{"secretRef": {"name": "git"}}]
        assert at(spec, "initContainers.name=git-sync-once.args") == ["--one-time"]
        assert at(spec, "containers.0.volumeMounts.name=dags.mountPath") == "/dags"


def test_with_kubernetes_executor_the_pod_of_a_task_fetches_the_dags_of_a_repository_itself(helm: Helm) -> None:
    values = {"executor": "KubernetesExecutor", "dags": {"gitSync": {"repo": "https://example.com/dags.git"}}}
    objects = helm.template("airflow", values)

    [template] = task_pods(objects)
    assert at(template, "spec.initContainers.name=git-sync-once.args") == ["--one-time"]
    assert at(template, "spec.containers.0.volumeMounts.name=dags.mountPath") == "/dags"
    assert template["metadata"]["labels"]["user-analytics/git-client"] == "true"
    # it ends with its task, so none keeps the repository fresh beside it
    assert [container["name"] for container in template["spec"]["containers"]] == ["base"]


def test_a_triggerer_is_there_only_where_it_is_asked_for(helm: Helm) -> None:
    def names(enabled: bool) -> set[str]:
        objects = helm.template("airflow", {"triggerer": {"enabled": enabled}})
        return {item["metadata"]["name"] for item in objects if item["kind"] == "Deployment"}

    assert names(enabled=False) == {*COMPONENTS}
    assert names(enabled=True) == {*COMPONENTS, "airflow-triggerer"}


def test_another_configuration_starts_all_components_anew(helm: Helm) -> None:
    def pods(parallelism: int) -> list[Any]:
        objects = helm.template("airflow", {"config": {"core": {"parallelism": parallelism}}})
        return [at(objects.one("Deployment", name), "spec.template.metadata.annotations") for name in COMPONENTS]

    assert pods(8) == pods(8)
    assert all(one != other for one, other in zip(pods(8), pods(9), strict=True))


def test_no_two_versions_are_at_work_at_once(helm: Helm) -> None:
    objects = helm.template("airflow", {"triggerer": {"enabled": True}})

    assert {at(item, "spec.strategy.type") for item in objects if item["kind"] == "Deployment"} == {"Recreate"}


def test_the_page_is_reached_from_outside_only_through_a_port_that_is_asked_for(helm: Helm) -> None:
    assert at(helm.template("airflow").one("Service", "airflow-api-server"), "spec.type") == "ClusterIP"

    outside = helm.template("airflow", {"apiServer": {"nodePort": 30080}}).one("Service", "airflow-api-server")
    assert outside["spec"]["type"] == "NodePort"
    assert at(outside, "spec.ports.0.nodePort") == 30080
