"""The chart of MinIO."""

import os
import subprocess
import sys

from tests.fixtures.helm import CHARTS, Helm, at
from tests.fixtures.minio import MinioServer

SERVER = "spec.template.spec.containers.0"


def test_user_and_password_come_from_the_secret_that_is_named(helm: Helm) -> None:
    auth = {"existingSecret": "mine", "userKey": "user", "passwordKey": "password"}
    objects = helm.template("minio", {"auth": auth})

    for environment, user, password in (
        (at(objects.one("StatefulSet", "minio"), f"{SERVER}.env"), "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
        (at(objects.one("Pod", "minio-test"), "spec.containers.0.env"), "ACCESS_KEY", "SECRET_KEY"),
    ):
        assert at(environment, f"name={user}.valueFrom.secretKeyRef") == {"name": "mine", "key": "user"}
        assert at(environment, f"name={password}.valueFrom.secretKeyRef") == {"name": "mine", "key": "password"}


def test_the_volume_is_of_the_cluster_s_default_class_unless_one_is_named(helm: Helm) -> None:
    claim = "spec.volumeClaimTemplates.0.spec"

    assert "storageClassName" not in at(helm.template("minio").one("StatefulSet", "minio"), claim)

    named = helm.template("minio", {"persistence": {"storageClass": "fast", "size": "7Gi"}})
    assert at(named.one("StatefulSet", "minio"), f"{claim}.storageClassName") == "fast"
    assert at(named.one("StatefulSet", "minio"), f"{claim}.resources.requests.storage") == "7Gi"


def test_the_console_is_reached_from_outside_only_through_a_port_that_is_asked_for(helm: Helm) -> None:
    assert {s["spec"].get("type") for s in helm.template("minio") if s["kind"] == "Service"} == {"ClusterIP", None}

    console = helm.template("minio", {"console": {"nodePort": 30901}}).one("Service", "minio-console")
    assert console["spec"]["type"] == "NodePort"
    assert console["spec"]["ports"] == [{"name": "console", "port": 9001, "targetPort": "console", "nodePort": 30901}]


def test_metrics_are_public_only_where_they_are_asked_for(helm: Helm) -> None:
    def variables(metrics: bool) -> set[str]:
        server = helm.template("minio", {"metrics": {"enabled": metrics}}).one("StatefulSet", "minio")
        return {variable["name"] for variable in at(server, f"{SERVER}.env")}

    assert variables(metrics=True) - variables(metrics=False) == {"MINIO_PROMETHEUS_AUTH_TYPE"}


def test_its_test_writes_reads_and_deletes_an_object(minio: MinioServer) -> None:
    script = CHARTS / "minio" / "files" / "round_trip.py"
    access = {"ENDPOINT": f"127.0.0.1:{minio.port}", "ACCESS_KEY": minio.access_key}

    def run(secret_key: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **access, "SECRET_KEY": secret_key}
        return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)

    assert "wrote, read and deleted 65536 bytes" in run(minio.secret_key).stdout
    assert run("wrong").returncode != 0
