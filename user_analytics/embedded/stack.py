"""What a command needs of the embedded stack, started before it and stopped after it.

A part that the settings configure (SOURCE_HOST, GCP_PROJECT) is the user's own and never started here.
One command at a time uses a run directory; the lock is the kernel's, so that a killed command holds none.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import structlog

from user_analytics.embedded.postgres import PostgresServer, embedded_binaries
from user_analytics.embedded.processes import stop_leftovers
from user_analytics.embedded.server import Server
from user_analytics.embedded.warehouse import EmulatorServer
from user_analytics.errors import ServerDied, StackError, UserAnalyticsError
from user_analytics.settings import Settings

log = structlog.get_logger()

Part = Literal["source", "warehouse", "programs"]
"""`programs`: stages that run as processes under the run directory. They always do."""

LOCK_WAIT_SECONDS = 5.0
# A client notices that its server is gone a little before the end of the server's process is known.
DEATH_WAIT_SECONDS = 1.0


def embedded_parts(settings: Settings) -> frozenset[Part]:
    """The parts that run here, because nothing else is configured in their place."""
    parts: list[Part] = ["programs"]
    if settings.source_host is None:
        parts.append("source")
    if settings.gcp_project is None:
        parts.append("warehouse")
    return frozenset(parts)


@contextmanager
def embedded_stack(settings: Settings, needs: Set[Part], *, read_only: bool = False) -> Iterator[Settings]:
    """Start the embedded ones among `needs`; yields `settings` completed with their addresses.

    A `read_only` command that needs the warehouse alone uses that of a run in progress, if there is one.
    Raises StackError when the run directory is another command's now, when a part does not start, or when
    there is nothing to read; ServerDied, whatever is under way inside, as soon as a part ends by itself.
    Only a process's main thread can use it.
    """
    parts = needs & embedded_parts(settings)
    if not parts:
        yield settings
        return
    if read_only and not EmulatorServer(settings.run_dir).has_data():
        raise StackError(f"nothing has been run under {settings.run_dir}: run `user-analytics run` first")
    with ExitStack() as started:
        try:
            started.enter_context(locked(settings.run_dir, 0 if read_only else LOCK_WAIT_SECONDS))
        except StackError:
            emulator = EmulatorServer(settings.run_dir)
            if read_only and parts == {"warehouse"} and emulator.attach():
                log.info("using the warehouse of the run in progress")
                yield emulator.complete(settings)
                return
            raise
        stop_leftovers(settings.run_dir)
        emulator = EmulatorServer(settings.run_dir)
        servers: list[Server] = [emulator]
        if "warehouse" in parts:
            started.callback(emulator.stop)
            emulator.launch()
        if "source" in parts:
            postgres = started.enter_context(PostgresServer(embedded_binaries(), settings.run_dir))
            servers.append(postgres)
            settings = postgres.complete(settings)
        if "warehouse" in parts:
            emulator.wait_until_ready()
            settings = emulator.complete(settings)
        with _ended_by_a_death(servers):
            yield settings


@contextmanager
def _ended_by_a_death(servers: Sequence[Server]) -> Iterator[None]:
    """Raise ServerDied inside as soon as a server ends by itself.

    The kernel says so (SIGCHLD), and the exception comes out of whatever the main thread does: clients and
    Spark would go on trying for minutes.
    """
    previous = signal.getsignal(signal.SIGCHLD)

    def check(*_: object) -> None:
        if deaths := _deaths(servers):
            # Once: what is stopped because of it sends the signal too.
            signal.signal(signal.SIGCHLD, previous)
            raise ServerDied(deaths)

    signal.signal(signal.SIGCHLD, check)
    try:
        check()
        yield
    except ServerDied:
        raise
    except UserAnalyticsError as error:
        signal.signal(signal.SIGCHLD, previous)
        deadline = time.monotonic() + DEATH_WAIT_SECONDS
        while not (deaths := _deaths(servers)):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        raise ServerDied(f"{deaths}. What failed for it: {error}") from error
    finally:
        signal.signal(signal.SIGCHLD, previous)


def _deaths(servers: Sequence[Server]) -> str:
    return "; ".join(death for server in servers if (death := server.died()))


@contextmanager
def locked(run_dir: Path, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
    """Hold the run directory for this process; raises StackError naming the process that holds it."""
    deadline = time.monotonic() + wait_seconds
    with ExitStack() as opened:
        while True:
            lock = opened.enter_context(_open_lock(run_dir))
            _acquire(lock, run_dir, deadline)
            if _is_in_place(lock, run_dir):
                break
            # `make clean` removed it while this process waited for it: nobody else will open this file.
            opened.close()
        # Written in place: a new file would be another lock.
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _open_lock(run_dir: Path) -> IO[str]:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        return (run_dir / "lock").open("a+")
    except OSError as error:
        raise StackError(f"cannot write under {run_dir}: {error}") from error


def _is_in_place(lock: IO[str], run_dir: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(lock.fileno()), (run_dir / "lock").stat())
    return False


def _acquire(lock: IO[str], run_dir: Path, deadline: float) -> None:
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() >= deadline:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StackError(
                f"{run_dir} is in use by process {holder}: wait until it has ended, or stop it, and try again"
            )
        time.sleep(0.1)
