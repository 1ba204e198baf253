"""The chart of the BigQuery emulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.emulator import Emulator
from tests.fixtures.helm import CHARTS, Helm, at
from user_analytics.emulator.tls import ensure_tls

POD = "spec.template.spec"


def select_1(emulator: Emulator, authority: Path) -> subprocess.CompletedProcess[str]:
    """Run what `helm test` runs."""
    environment = {
        **os.environ,
        "HOST": "localhost",
        "REST_PORT": str(emulator.rest_port),
        "GRPC_PORT": str(emulator.grpc_port),
        "AUTHORITY": str(authority),
    }
    script = CHARTS / "bigquery-emulator" / "files" / "select_1.py"
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)


def test_the_server_starts_with_the_options_that_the_chart_gives_it(
    helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = helm.template("bigquery-emulator").one("StatefulSet", "bigquery-emulator")
    files = ensure_tls(tmp_path / "authority")
    emulator = Emulator(tmp_path)
    here = {
        "python": sys.executable,
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--data-dir=/data/warehouse": f"--data-dir={tmp_path / 'data'}",
        "/tls/certificate.pem": str(files.certificate),
        "/tls/key.pem": str(files.key),
        "--rest-port=9050": f"--rest-port={emulator.rest_port}",
        "--grpc-port=9060": f"--grpc-port={emulator.grpc_port}",
    }
    command = at(server, f"{POD}.containers.0.command")
    assert here.keys() <= set(command)
    monkeypatch.setattr(emulator, "command", lambda: [here.get(word, word) for word in command])

    emulator.start()
    try:
        assert "answered `select 1`" in select_1(emulator, files.ca).stdout
    finally:
        emulator.stop()


def test_its_test_fails_for_a_certificate_that_another_authority_signed(emulator: Emulator, tmp_path: Path) -> None:
    assert select_1(emulator, emulator.ca_file).returncode == 0

    refused = select_1(emulator, ensure_tls(tmp_path).ca)

    assert refused.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in refused.stderr


def test_the_server_gets_certificate_and_key_and_its_test_only_the_authority(helm: Helm) -> None:
    tls = {"existingSecret": "mine", "certificateKey": "c", "privateKeyKey": "k", "authorityKey": "a"}
    objects = helm.template("bigquery-emulator", {"tls": tls})

    server = at(objects.one("StatefulSet", "bigquery-emulator"), f"{POD}.volumes.name=tls.secret")
    assert server["secretName"] == "mine"
    assert [item["key"] for item in server["items"]] == ["c", "k"]
    test = at(objects.one("Pod", "bigquery-emulator-test"), "spec.volumes.name=authority.secret")
    assert test == {"secretName": "mine", "items": [{"key": "a", "path": "ca.pem"}]}


def test_what_is_logged_can_be_set(helm: Helm) -> None:
    server = helm.template("bigquery-emulator", {"logLevel": "debug"}).one("StatefulSet", "bigquery-emulator")

    assert "--log-level=debug" in at(server, f"{POD}.containers.0.command")


def test_rest_and_storage_api_are_served_at_their_ports(helm: Helm) -> None:
    ports = at(helm.template("bigquery-emulator").one("Service", "bigquery-emulator"), "spec.ports")

    assert [(port["name"], port["port"]) for port in ports] == [("rest", 9050), ("grpc", 9060)]
