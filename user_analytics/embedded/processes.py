"""Child processes that cannot outlive their purpose.

Each program runs under a supervisor (`supervisor.py`) that stops it, with its descendants, when this
process ends in whatever way. `RUN_DIR/processes/NAME.json` holds pid and start time of both before
the program's first instruction, so that a later run can stop what an earlier one left, and only that:
a pid that was given to another process since has another start time.
"""

import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil
import structlog

from user_analytics.embedded import supervisor
from user_analytics.errors import StackError

log = structlog.get_logger()

GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05
# A supervisor needs its grace, then kills; past this it hangs and is killed itself.
SUPERVISOR_SECONDS = GRACE_SECONDS + 10
# The kernel derives start times from a boot time that moves with the clock by up to a second.
START_TIME_TOLERANCE_SECONDS = 2.0


class Account(NamedTuple):
    """A user of this machine that a program runs as."""

    name: str
    uid: int
    gid: int


class RunningProgram:
    """A program under its supervisor; `log_file` takes its standard output and error."""

    def __init__(self, log_file: Path, process: subprocess.Popen[bytes], specification: Mapping[str, object]) -> None:
        self.log_file = log_file
        self._process = process
        self._specification = specification
        self._peak_memory = b""

    def start(self) -> Self:
        """Start it; returns at once."""
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(self._specification).encode() + b"\n")  # type: ignore[union-attr]
        return self

    def exit_code(self) -> int | None:
        """Exit code (128 + N for signal N), None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for its end; its exit code."""
        while (exit_code := self.exit_code()) is None:
            time.sleep(POLL_SECONDS)
        self.stop()
        return exit_code

    def stop(self) -> None:
        """Stop it with all its descendants and wait until they are gone; harmless when it ended already."""
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            # Closing its standard input is what tells the supervisor.
            self._peak_memory, _ = self._process.communicate(timeout=SUPERVISOR_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def peak_memory_bytes(self) -> int | None:
        """Resident memory of its largest process at its peak, known after `wait` or `stop`."""
        return int(self._peak_memory) if self._peak_memory.isdigit() else None

    def log_tail(self, lines: int = 15) -> str:
        """The last lines it wrote."""
        with suppress(OSError):
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        return ""


def prepare(
    run_dir: Path,
    name: str,
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    account: Account | None = None,
    directory: Path | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> RunningProgram:
    """A supervisor for `command`, which it runs with exactly `environment` once that is started.

    A signal may end this process by an exception at any instant: whoever keeps what is prepared, and starts it then,
    can stop whatever it has started. Output goes to `RUN_DIR/logs/NAME.log`. Raises StackError when RUN_DIR cannot be
    written.
    """
    log_file = run_dir / "logs" / f"{name}.log"
    record = _records(run_dir) / f"{name}.json"
    specification = {
        "name": name,
        "record": str(record.absolute()),
        "command": list(command),
        "environment": dict(environment),
        "directory": str((directory or Path.cwd()).absolute()),
        "user": account._asdict() if account else None,
        "stop_signal": int(stop_signal),
        "grace_seconds": GRACE_SECONDS,
    }
    try:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        record.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", supervisor.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                bufsize=0,
            )
    except OSError as error:
        raise StackError(f"cannot start {name} under {run_dir}: {error}") from error
    return RunningProgram(log_file, process, specification)


def stop_leftovers(run_dir: Path) -> list[str]:
    """Stop what an earlier run under `run_dir` started and did not stop; the names of those found running.

    The caller holds the run directory's lock, so that no living run is the owner.
    """
    stopped = []
    for record in sorted(_records(run_dir).glob("*.json")):
        try:
            body = json.loads(record.read_text())
            alive = [process for role in ("supervisor", "program") if (process := _same_process(body[role]))]
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("unreadable process record", file=str(record), error=repr(error))
            continue
        if alive:
            log.info("stopping what an earlier run left", name=body["name"], pids=[process.pid for process in alive])
            stopped.append(body["name"])
            # The supervisor first: it stops its program in order.
            for process in alive:
                _end(process)
        record.unlink(missing_ok=True)
    return stopped


def recorded_processes(run_dir: Path) -> dict[str, int]:
    """Name → pid of the recorded programs that run now."""
    found = {}
    for record in sorted(_records(run_dir).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            body = json.loads(record.read_text())
            if process := _same_process(body["program"]):
                found[body["name"]] = process.pid
    return found


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def current_account() -> Account:
    """The account this process runs as."""
    entry = pwd.getpwuid(os.geteuid())
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _records(run_dir: Path) -> Path:
    return run_dir / "processes"


def _same_process(entry: Mapping[str, float]) -> psutil.Process | None:
    try:
        process = psutil.Process(int(entry["pid"]))
        started = process.create_time()
        ended = process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    if ended or abs(started - entry["create_time"]) > START_TIME_TOLERANCE_SECONDS:
        return None
    return process


def _end(process: psutil.Process) -> None:
    """Ask the process to end, then kill it and what it started."""
    try:
        family = [*process.children(recursive=True), process]
        process.terminate()
        process.wait(SUPERVISOR_SECONDS)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        pass
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
