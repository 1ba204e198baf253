"""Starting and stopping: what is refused, what stays, and what the emulator does not need."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from google.cloud import bigquery

from tests.fixtures.emulator import Emulator
from tests.integration.emulator.conftest import Connect
from user_analytics.emulator.grpc_server import TlsServers
from user_analytics.emulator.tls import ensure_tls, tls_files
from user_analytics.errors import WarehouseError


def start_in_vain(emulator: Emulator) -> tuple[int, str]:
    ended = subprocess.run(emulator.command(), capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stderr


def serve(emulator: Emulator, tls_files: tuple[Path, Path] | None = None) -> None:
    """What its command line does; of what is refused before anything is served it needs no process."""
    # bqemulator takes a second to load, in every process that collects tests
    from user_analytics.emulator.launcher import Options, run  # noqa: PLC0415

    run(
        Options(
            data_dir=emulator.data_dir,
            host="127.0.0.1",
            rest_port=emulator.rest_port,
            grpc_port=emulator.grpc_port,
            log_level="warning",
            tls_dir=None if tls_files else emulator.tls_dir,
            tls_files=tls_files,
        )
    )


@pytest.mark.parametrize("port", ["rest_port", "grpc_port"])
def test_a_port_in_use_is_refused_by_name(tmp_path: Path, port: str) -> None:
    emulator = Emulator(tmp_path)
    number = getattr(emulator, port)
    with (
        socket.create_server(("127.0.0.1", number)),
        pytest.raises(WarehouseError, match=rf"cannot listen on 127\.0\.0\.1:{number}: Address already in use"),
    ):
        serve(emulator)


def test_data_that_another_emulator_has_open_is_refused(emulator: Emulator, tmp_path: Path) -> None:
    second = Emulator(tmp_path)
    second.data_dir = emulator.data_dir

    code, message = start_in_vain(second)

    assert code == 1
    assert f"cannot open its data in {emulator.data_dir}" in message
    assert f"PID {emulator.pid}" in message


def test_a_data_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    emulator.data_dir.write_text("a file")

    code, message = start_in_vain(emulator)

    assert code == 1
    assert f"cannot open its data in {emulator.data_dir}" in message


def test_a_folder_for_certificates_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    emulator = Emulator(tmp_path)
    emulator.tls_dir.write_text("a file")

    with pytest.raises(WarehouseError, match=f"cannot keep its certificates in {emulator.tls_dir}"):
        serve(emulator)


def with_tls_files(emulator: Emulator, certificate: Path, key: Path) -> list[str]:
    command = emulator.command()
    at = command.index("--tls-dir")
    return [*command[:at], "--tls-files", str(certificate), str(key), *command[at + 2 :]]


def test_a_certificate_made_elsewhere_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ensure_tls(tmp_path / "elsewhere", ["bigquery-emulator"])
    emulator = Emulator(tmp_path)
    command = with_tls_files(emulator, files.certificate, files.key)
    monkeypatch.setattr(emulator, "command", lambda: command)
    context = ssl.create_default_context(cafile=files.ca)

    emulator.start()
    try:
        with (
            socket.create_connection(("127.0.0.1", emulator.grpc_port)) as plain,
            context.wrap_socket(plain, server_hostname="bigquery-emulator") as connection,
        ):
            assert connection.version() is not None
    finally:
        emulator.stop()


def test_a_certificate_of_another_key_is_refused_by_name(tmp_path: Path) -> None:
    certificate = ensure_tls(tmp_path / "one").certificate
    key = ensure_tls(tmp_path / "another").key

    with pytest.raises(WarehouseError, match=f"cannot use certificate {certificate} with key {key}"):
        serve(Emulator(tmp_path), (certificate, key))


def test_a_key_that_wants_a_passphrase_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    files = ensure_tls(tmp_path / "elsewhere")
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    encrypted = serialization.BestAvailableEncryption(b"passphrase")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encrypted))
    terminal, terminal_of_the_program = os.openpty()

    ended = subprocess.run(
        ["setsid", "--ctty", *with_tls_files(Emulator(tmp_path), files.certificate, files.key)],
        stdin=terminal_of_the_program,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ended.returncode == 1
    assert f"{files.key}: the key is encrypted" in ended.stderr
    os.close(terminal_of_the_program)
    os.close(terminal)


def refused_usage(command: list[str], monkeypatch: pytest.MonkeyPatch) -> object:
    """The exit code of the command line, of which nothing is started."""
    from user_analytics.emulator.__main__ import main  # noqa: PLC0415

    monkeypatch.setattr("sys.argv", command[2:])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_names_for_a_certificate_made_elsewhere_are_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = with_tls_files(Emulator(tmp_path), tmp_path / "server.pem", tmp_path / "server-key.pem")

    assert refused_usage([*command, "--tls-name", "localhost"], monkeypatch) == 2

    assert "--tls-name goes with --tls-dir" in capsys.readouterr().err


def test_a_wrong_option_is_wrong_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused_usage([*Emulator(tmp_path).command(), "--grcp-port", "1"], monkeypatch) == 2


def test_two_emulators_that_start_together_do_not_share_a_port(emulator: Emulator) -> None:
    async def start_another() -> None:
        certificate, key = tls_files(emulator.tls_dir).certificate, tls_files(emulator.tls_dir).key
        servers = TlsServers(certificate=certificate.read_bytes(), key=key.read_bytes())
        servers.server(interceptors=(), options=()).add_insecure_port(emulator.grpc_endpoint)

    # in a thread of its own: the browser of other tests leaves a loop running in this one
    with (
        pytest.raises(WarehouseError, match=f"cannot listen on {emulator.grpc_endpoint}"),
        ThreadPoolExecutor(1) as pool,
    ):
        pool.submit(asyncio.run, start_another()).result()


def test_another_release_of_bqemulator_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bqemulator.__version__", "1.5.0")

    with pytest.raises(WarehouseError, match=r"are for bqemulator 1\.4\.0, installed is 1\.5\.0"):
        serve(Emulator(tmp_path))


def test_sigterm_ends_it_soon_and_its_data_stays(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str
) -> None:
    private_client.query(f"CREATE TABLE {private_dataset}.t AS SELECT 'kept' AS v").result()

    assert private_emulator.stop() == 0

    private_emulator.restart()
    assert [row["v"] for row in private_client.query(f"SELECT v FROM {private_dataset}.t").result()] == ["kept"]


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


def test_it_writes_only_where_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "temporary").mkdir()
    emulator = Emulator(tmp_path)
    emulator.start(TMPDIR=str(tmp_path / "temporary"), HOME=str(tmp_path / "home"))
    emulator.stop()

    assert {path.name for path in tmp_path.iterdir()} == {"data", "emulator.log", "temporary", "tls"}
    assert list((tmp_path / "temporary").iterdir()) == []


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
