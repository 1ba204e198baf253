"""The chart of MinIO."""

import io
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from minio import Minio
from minio.error import S3Error

from tests.fixtures.helm import CHARTS, Helm, at
from tests.fixtures.minio import MinioServer

SERVER = "spec.template.spec.containers.0"


def test_user_and_password_come_from_the_secret_that_is_named(helm: Helm) -> None:
    auth = {"existingSecret": "mine", "userKey": "user", "passwordKey": "password"}
    objects = helm.template("minio", {"auth": auth})

    for environment, user, password in (
        (at(objects.one("StatefulSet", "minio"), f"{SERVER}.env"), "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
        (at(objects.one("Pod", "minio-test"), "spec.containers.0.env"), "ACCESS_KEY", "SECRET_KEY"),
        (at(objects.one("Job", "minio-users"), f"{SERVER}.env"), "ROOT_USER", "ROOT_PASSWORD"),
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


def test_each_user_is_made_from_the_secret_and_for_the_buckets_that_are_named(helm: Helm) -> None:
    user = {"existingSecret": "mine", "userKey": "user", "passwordKey": "password", "buckets": ["one", "two"]}
    environment = at(helm.template("minio", {"users": [user]}).one("Job", "minio-users"), f"{SERVER}.env")

    assert at(environment, "name=USER_0.valueFrom.secretKeyRef") == {"name": "mine", "key": "user"}
    assert at(environment, "name=PASSWORD_0.valueFrom.secretKeyRef") == {"name": "mine", "key": "password"}
    assert at(environment, "name=BUCKETS_0.value") == "one two"


def test_without_users_nothing_makes_any(helm: Helm) -> None:
    assert not [item for item in helm.template("minio", {"users": []}) if item["metadata"]["name"] == "minio-users"]


def make_user(minio: MinioServer, name: str, password: str, *buckets: str) -> None:
    environment = {
        "ENDPOINT": f"127.0.0.1:{minio.port}",
        "ROOT_USER": minio.access_key,
        "ROOT_PASSWORD": minio.secret_key,
        "USER_0": name,
        "PASSWORD_0": password,
        "BUCKETS_0": " ".join(buckets),
    }
    script = CHARTS / "minio" / "files" / "users.py"
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert password not in done.stdout


def client(minio: MinioServer, name: str, password: str) -> Minio:
    return Minio(f"127.0.0.1:{minio.port}", access_key=name, secret_key=password, secure=False)


def refusal(call: Callable[..., object], **arguments: object) -> str:
    with pytest.raises(S3Error) as refused:
        call(**arguments)
    return str(refused.value.code)


def test_a_user_makes_its_bucket_and_works_in_it_and_in_no_other(minio: MinioServer) -> None:
    make_user(minio, "analyst", "a long password", "analysts", "shared-one")
    analyst = client(minio, "analyst", "a long password")

    analyst.make_bucket(bucket_name="analysts")
    analyst.put_object(bucket_name="analysts", object_name="key", data=io.BytesIO(b"content"), length=7)
    assert [found.object_name for found in analyst.list_objects(bucket_name="analysts")] == ["key"]
    analyst.remove_object(bucket_name="analysts", object_name="key")

    assert refusal(analyst.make_bucket, bucket_name="others") == "AccessDenied"
    client(minio, minio.access_key, minio.secret_key).make_bucket(bucket_name="others")
    assert [bucket.name for bucket in analyst.list_buckets()] == ["analysts"]
    assert refusal(analyst.stat_object, bucket_name="others", object_name="key") == "AccessDenied"


def test_making_the_users_again_gives_them_the_passwords_and_buckets_of_now(minio: MinioServer) -> None:
    make_user(minio, "again", "the first password", "first-bucket")

    make_user(minio, "again", "the second password", "second-bucket")

    client(minio, "again", "the second password").make_bucket(bucket_name="second-bucket")
    denied = client(minio, "again", "the second password")
    assert refusal(denied.make_bucket, bucket_name="first-bucket") == "AccessDenied"
    replaced = client(minio, "again", "the first password")
    assert refusal(replaced.list_buckets) == "SignatureDoesNotMatch"


def test_its_test_writes_reads_and_deletes_an_object(minio: MinioServer) -> None:
    script = CHARTS / "minio" / "files" / "round_trip.py"
    access = {"ENDPOINT": f"127.0.0.1:{minio.port}", "ACCESS_KEY": minio.access_key}

    def run(secret_key: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **access, "SECRET_KEY": secret_key}
        return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)

    assert "wrote, read and deleted 65536 bytes" in run(minio.secret_key).stdout
    assert run("wrong").returncode != 0
