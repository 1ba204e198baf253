"""Starting and stopping: what is refused, what stays, and what the emulator does not need."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.fixtures.emulator import Emulator
from tests.integration.emulator.conftest import Connect
from user_analytics.emulator import launcher
from user_analytics.errors import WarehouseError


def start_in_vain(emulator: Emulator) -> tuple[int, str]:
    ended = subprocess.run(emulator.command(), capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.parametrize("port", ["rest_port", "grpc_port"])
def test_a_port_in_use_is_refused_by_name(tmp_path: Path, port: str) -> None:
    emulator = Emulator(tmp_path)
    with socket.create_server(("127.0.0.1", getattr(emulator, port))):
        code, message = start_in_vain(emulator)

    assert code == 1
    assert f"cannot listen on 127.0.0.1:{getattr(emulator, port)}: Address already in use" in message


def test_data_that_another_emulator_has_open_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    second = Emulator(tmp_path)
    second.data_dir = emulator.data_dir

    code, message = start_in_vain(second)

    assert code == 1
    assert f"cannot open its data in {emulator.data_dir}" in message
    assert f"PID {emulator.pid}" in message


def test_a_data_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    emulator.data_dir.write_text("a file")

    code, message = start_in_vain(emulator)

    assert code == 1
    assert str(emulator.data_dir) in message


def test_a_wrong_option_is_wrong_usage(emulator: Emulator) -> None:
    ended = subprocess.run([*emulator.command(), "--grcp-port", "1"], capture_output=True, text=True, check=False)

    assert ended.returncode == 2


def test_another_release_of_bqemulator_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bqemulator.__version__", "1.5.0")
    options = launcher.Options(tmp_path, tmp_path, "127.0.0.1", 0, 0, ("localhost",), "warning")

    with pytest.raises(WarehouseError, match=r"are for bqemulator 1\.4\.0, installed is 1\.5\.0"):
        launcher.run(options)


def test_sigterm_ends_it_at_once_and_its_data_stays(private_emulator: Emulator, connect: Connect) -> None:
    client = connect(private_emulator)
    client.create_dataset("d")
    client.query("CREATE TABLE d.t AS SELECT 'kept' AS v").result()
    begin = time.monotonic()

    code = private_emulator.stop()

    assert (code, time.monotonic() - begin < 10) == (0, True)
    private_emulator.restart()
    assert [row["v"] for row in client.query("SELECT v FROM d.t").result()] == ["kept"]


def test_it_needs_neither_a_home_nor_a_time_zone_nor_the_network(tmp_path: Path, connect: Connect) -> None:
    emulator = Emulator(tmp_path)
    nowhere = "http://127.0.0.1:1"
    emulator.start(HOME="/nonexistent", TZ="America/New_York", HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere)
    try:
        at_one = "FORMAT_TIMESTAMP('%H:%M', TIMESTAMP '2010-12-08 01:02:03+00')"
        [row] = connect(emulator).query(f"SELECT 1; SELECT ST_X(ST_GEOGPOINT(1, 2)) AS x, {at_one} AS t").result()
    finally:
        emulator.stop()

    assert (row["x"], row["t"]) == (1.0, "01:02")


def test_it_writes_only_where_it_is_told(private_emulator: Emulator) -> None:
    private_emulator.stop()

    assert sorted(path.name for path in private_emulator.data_dir.iterdir()) == ["bqemulator.duckdb"]
    assert sorted(path.name for path in private_emulator.tls_dir.iterdir()) == [
        "ca-key.pem",
        "ca.pem",
        "server-key.pem",
        "server.pem",
        "truststore.p12",
    ]


@pytest.mark.skipif(shutil.which("keytool") is None, reason="keytool (Java 17) is not installed")
def test_java_reads_the_truststore(emulator: Emulator) -> None:
    listed = subprocess.run(
        ["keytool", "-list", "-keystore", str(emulator.truststore), "-storepass", emulator.truststore_password],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "user-analytics, " in listed.stdout
    assert "trustedCertEntry" in listed.stdout
