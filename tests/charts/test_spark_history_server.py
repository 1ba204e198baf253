"""The chart of the Spark History Server."""

from typing import Any

from tests.fixtures.helm import Helm, at

CONTAINER = "spec.template.spec.containers.0"


def properties(helm: Helm, values: dict[str, Any] | None = None) -> dict[str, str]:
    """What the server reads from its file."""
    file = helm.template("spark-history-server", values).one("ConfigMap", "spark-history-server")["data"]
    lines = file["spark-defaults.conf"].splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line)


def test_the_folder_of_events_and_its_server_can_be_set(helm: Helm) -> None:
    events = {"directory": "s3a://mine/events/", "endpoint": "https://s3.example.com", "region": "eu-central-1"}

    set_to = properties(helm, {"events": events})

    assert set_to["spark.history.fs.logDirectory"] == "s3a://mine/events/"
    assert set_to["spark.hadoop.fs.s3a.endpoint"] == "https://s3.example.com"
    assert set_to["spark.hadoop.fs.s3a.endpoint.region"] == "eu-central-1"
    assert set_to["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "true"
    assert properties(helm)["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"


def test_events_are_deleted_after_some_days_or_never(helm: Helm) -> None:
    assert properties(helm, {"events": {"keepDays": 7}})["spark.history.fs.cleaner.maxAge"] == "7d"
    assert not any("cleaner" in name for name in properties(helm, {"events": {"keepDays": None}}))


def test_new_events_are_looked_for_as_often_as_asked(helm: Helm) -> None:
    assert properties(helm, {"events": {"updateSeconds": 60}})["spark.history.fs.update.interval"] == "60s"


def test_the_access_key_comes_from_the_secret_that_is_named(helm: Helm) -> None:
    auth = {"existingSecret": "mine", "accessKeyKey": "id", "secretKeyKey": "key"}
    server = helm.template("spark-history-server", {"auth": auth}).one("Deployment", "spark-history-server")

    environment = at(server, f"{CONTAINER}.env")
    assert at(environment, "name=AWS_ACCESS_KEY_ID.valueFrom.secretKeyRef") == {"name": "mine", "key": "id"}
    assert at(environment, "name=AWS_SECRET_ACCESS_KEY.valueFrom.secretKeyRef") == {"name": "mine", "key": "key"}


def test_other_properties_start_the_server_anew(helm: Helm) -> None:
    def pod(region: str) -> Any:
        objects = helm.template("spark-history-server", {"events": {"region": region}})
        return at(objects.one("Deployment", "spark-history-server"), "spec.template.metadata.annotations")

    assert pod("us-east-1") == pod("us-east-1")
    assert pod("us-east-1") != pod("eu-central-1")


def test_the_heap_leaves_room_below_the_limit(helm: Helm) -> None:
    container = at(helm.template("spark-history-server").one("Deployment", "spark-history-server"), CONTAINER)

    assert at(container, "env.name=SPARK_DAEMON_MEMORY.value") == "768m"
    assert container["resources"]["limits"]["memory"] == "1280Mi"


def test_the_page_is_reached_from_outside_only_through_a_port_that_is_asked_for(helm: Helm) -> None:
    assert at(helm.template("spark-history-server").one("Service", "spark-history-server"), "spec.type") == "ClusterIP"

    outside = helm.template("spark-history-server", {"nodePort": 30180}).one("Service", "spark-history-server")
    assert outside["spec"]["type"] == "NodePort"
    assert at(outside, "spec.ports.0.nodePort") == 30180
