"""The private Postgres: from both sets of binaries, as root too, whatever interrupted it before."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.fixtures.ports import free_port
from user_analytics.embedded.postgres import PostgresServer, embedded_binaries, remove_data
from user_analytics.embedded.processes import recorded_processes, stop_leftovers
from user_analytics.errors import StackError
from user_analytics.settings import load_settings

DEBIAN = Path("/usr/lib/postgresql/15/bin")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as another user")


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_data(tmp_path)


def answer(server: PostgresServer, query: str) -> object:
    connection = server.connect()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None
    finally:
        connection.close()


def pid_of(run_dir: Path) -> int:
    return recorded_processes(run_dir)["postgres"]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("bin_dir", "version"),
    [
        pytest.param(embedded_binaries(), 18, id="embedded 18"),
        pytest.param(
            DEBIAN, 15, id="Debian's 15",
            marks=pytest.mark.skipif(not DEBIAN.exists(), reason="Postgres 15 is missing: make test-tools"),
        ),
    ],
)  # fmt: skip
def test_the_data_is_there_after_a_restart(bin_dir: Path, version: int, run_dir: Path) -> None:
    with PostgresServer(bin_dir, run_dir) as server:
        assert str(answer(server, "SHOW server_version")).startswith(f"{version}.")
        answer(server, "CREATE TABLE kept AS SELECT 42 AS answer")

    with PostgresServer(bin_dir, run_dir) as server:
        assert answer(server, "SELECT answer FROM kept") == 42


@pytest.fixture(scope="module")
def shared_run_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run directory whose cluster is initialised once; each test starts and stops its own server."""
    directory = tmp_path_factory.mktemp("postgres")
    yield directory
    stop_leftovers(directory)
    remove_data(directory)


@pytest.fixture
def server(shared_run_dir: Path) -> Iterator[PostgresServer]:
    with PostgresServer(embedded_binaries(), shared_run_dir) as server:
        yield server


def test_it_completes_the_settings_with_itself_as_the_source(server: PostgresServer) -> None:
    settings = server.complete(load_settings())

    assert (settings.source_host, settings.source_port) == ("127.0.0.1", server.port)
    assert settings.source_password is not None
    assert settings.source_password.get_secret_value() == server.password


def test_it_asks_for_the_password(server: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(host="127.0.0.1", port=server.port, dbname="retail", user="user_analytics", password="no")


def test_its_password_is_in_a_file_for_its_owner_only(server: PostgresServer, shared_run_dir: Path) -> None:
    password_file = (shared_run_dir / "postgres" / "home").resolve() / "cluster" / "password"

    assert password_file.read_text() == server.password
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert server.password not in " ".join(psutil.Process(pid_of(shared_run_dir)).cmdline())


def test_it_listens_on_loopback_only(server: PostgresServer, shared_run_dir: Path) -> None:
    listening = {
        connection.laddr.ip
        for connection in psutil.Process(pid_of(shared_run_dir)).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


@as_root
def test_root_runs_it_as_another_user(server: PostgresServer, shared_run_dir: Path) -> None:
    assert psutil.Process(pid_of(shared_run_dir)).username() in {"postgres", "nobody"}


@as_root
def test_a_run_directory_closed_to_its_user_gets_its_data_elsewhere_until_removed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with PostgresServer(embedded_binaries(), closed) as server:
        answer(server, "SELECT 1")
        home = (closed / "postgres" / "home").resolve()
    assert home.parent == Path("/var/tmp")  # noqa: S108
    assert stat.S_IMODE(home.stat().st_mode) == 0o700

    remove_data(closed)
    assert not home.exists()


@as_root
def test_binaries_closed_to_its_user_are_copied(run_dir: Path) -> None:
    site_packages = run_dir / "closed" / "site-packages"
    site_packages.mkdir(parents=True)
    site_packages.parent.chmod(0o700)
    package = embedded_binaries().parent.parent
    shutil.copytree(package / "pginstall", site_packages / package.name / "pginstall")
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, site_packages / libraries.name)

    with PostgresServer(site_packages / package.name / "pginstall" / "bin", run_dir):
        executable = Path(psutil.Process(pid_of(run_dir)).exe())

    assert executable.is_relative_to((run_dir / "postgres" / "home").resolve())


def test_an_initdb_that_was_killed_is_done_again(run_dir: Path) -> None:
    code = (
        "import pathlib; from user_analytics.embedded.postgres import *\n"
        f"PostgresServer(embedded_binaries(), pathlib.Path({str(run_dir)!r})).start()"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.DEVNULL)
    home = run_dir / "postgres" / "home"
    while not list(home.glob("initialising-*/data/global")):
        assert starter.poll() is None
        time.sleep(0.01)
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert not (home / "cluster").exists()
    stop_leftovers(run_dir)

    with PostgresServer(embedded_binaries(), run_dir) as server:
        assert answer(server, "SELECT 1") == 1
    assert [path.name for path in home.resolve().iterdir() if path.name.startswith("initialising")] == []


def test_it_starts_again_after_the_postmaster_was_killed(shared_run_dir: Path) -> None:
    with PostgresServer(embedded_binaries(), shared_run_dir) as server:
        answer(server, "CREATE TABLE IF NOT EXISTS survives AS SELECT 1 AS n")
        pid = pid_of(shared_run_dir)
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)

    with PostgresServer(embedded_binaries(), shared_run_dir) as server:
        assert answer(server, "SELECT n FROM survives") == 1


def test_a_lock_file_whose_pid_now_is_another_programs_does_not_stop_it(shared_run_dir: Path) -> None:
    with PostgresServer(embedded_binaries(), shared_run_dir) as server:
        lock = (shared_run_dir / "postgres" / "home").resolve() / "cluster" / "data" / "postmaster.pid"
        body = lock.read_text()
    _, rest = body.split("\n", 1)
    account = psutil.Process(os.getpid()).uids().real if os.geteuid() != 0 else lock.parent.stat().st_uid
    # Of the server's own user: Postgres takes no other process for a rival.
    other = subprocess.Popen(["sleep", "600"], user=account, cwd="/")
    try:
        lock.write_text(f"{other.pid}\n{rest}")
        os.chown(lock, account, -1)
        with server:
            assert answer(server, "SELECT 1") == 1
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_lock_file_whose_pid_now_is_of_a_process_it_may_not_look_at_does_not_stop_it(
    shared_run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PostgresServer(embedded_binaries(), shared_run_dir) as server:
        lock = (shared_run_dir / "postgres" / "home").resolve() / "cluster" / "data" / "postmaster.pid"
        body = lock.read_text()
        uid = lock.stat().st_uid
    _, rest = body.split("\n", 1)
    lock.write_text(f"{os.getpid()}\n{rest}")
    os.chown(lock, uid, -1)

    def refuse(process: psutil.Process) -> str:
        raise psutil.AccessDenied(process.pid)

    # As for another user's process: root, which the tests may be, looks at all of them.
    monkeypatch.setattr(psutil.Process, "cwd", refuse)
    with server:
        assert answer(server, "SELECT 1") == 1


def test_a_given_port_that_is_taken_is_an_error_that_names_it(shared_run_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(StackError, match=f"port {port} of 127.0.0.1 is taken"):
            PostgresServer(embedded_binaries(), shared_run_dir, port=port).start()


def test_a_picked_port_that_was_taken_meanwhile_is_picked_again(
    shared_run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        picks = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("user_analytics.embedded.postgres.free_port", lambda: next(picks))

        with PostgresServer(embedded_binaries(), shared_run_dir) as server:
            assert answer(server, "SELECT 1") == 1


def test_binaries_that_are_not_there_are_an_error_that_names_the_directory(run_dir: Path) -> None:
    with pytest.raises(StackError, match=f"there is no Postgres server in {run_dir}"):
        PostgresServer(run_dir, run_dir).start()
