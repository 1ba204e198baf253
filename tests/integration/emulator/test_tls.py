"""The certificates: who they are for, when they are kept and when they are made anew."""

import socket
import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fixtures.emulator import Emulator
from user_analytics.emulator import tls
from user_analytics.emulator.tls import ensure_tls


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_server_speaks_http2_under_each_of_its_names(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    context.set_alpn_protocols(["h2"])
    for name in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", emulator.grpc_port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as connection,
        ):
            assert connection.selected_alpn_protocol() == "h2"


def test_the_server_is_not_taken_for_another_host(emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=emulator.ca_file)
    with (
        socket.create_connection(("127.0.0.1", emulator.grpc_port)) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match="bigquery-emulator"),
    ):
        context.wrap_socket(plain, server_hostname="bigquery-emulator")


def test_good_files_are_kept(tmp_path: Path) -> None:
    ensure_tls(tmp_path)
    before = contents(tmp_path)

    ensure_tls(tmp_path)

    assert contents(tmp_path) == before


def test_another_name_gets_a_certificate_from_the_same_authority(tmp_path: Path) -> None:
    ensure_tls(tmp_path)
    before = contents(tmp_path)

    ensure_tls(tmp_path, ["bigquery-emulator.warehouse.svc", "localhost"])

    changed = {name for name, content in contents(tmp_path).items() if content != before[name]}
    assert changed == {"server.pem", "server-key.pem"}


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem", "truststore.p12", "server.pem", "server-key.pem"])
@pytest.mark.parametrize("damage", ["missing", "empty", "another's"])
def test_a_damaged_set_is_made_whole(tmp_path: Path, name: str, damage: str) -> None:
    ensure_tls(tmp_path / "tls")
    ensure_tls(tmp_path / "other")
    file = tmp_path / "tls" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "empty" else (tmp_path / "other" / name).read_bytes())

    files = ensure_tls(tmp_path / "tls")

    handshake(files)


def handshake(files: tls.TlsFiles) -> None:
    """In memory: a client that trusts ca.pem accepts the server's certificate and key."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.certificate, files.key)
    client = ssl.create_default_context(cafile=files.ca)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_end = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    server_end = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for end in (client_end, server_end):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client_end.version() == "TLSv1.3"


def test_certificates_are_renewed_before_they_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LIFETIME", tls.RENEW_BEFORE - timedelta(days=1))
    ensure_tls(tmp_path)
    before = contents(tmp_path)
    monkeypatch.undo()

    handshake(ensure_tls(tmp_path))

    assert not set(before.values()) & set(contents(tmp_path).values())


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    ensure_tls(tmp_path)

    for name in ("ca-key.pem", "server-key.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
