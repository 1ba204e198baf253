"""The small process that stands between the command line and each program it starts.

Run as a script by `processes.py`, which writes one line of JSON to its standard input and keeps that
pipe open. Standard error takes the program's output; standard output, at the end, its peak memory.
It lives in a session of its own, so that whatever happens to the command line (SIGKILL of it, of its
process group, a closed terminal) it sees the pipe close and stops the program with all its
descendants. Should it be killed itself, the kernel signals the program (PR_SET_PDEATHSIG).
It imports nothing of the package: it starts in a few hundredths of a second.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Never

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
CANNOT_START = 127


class End(NamedTuple):
    """How the program ended; 128 + N for signal N. The memory is that of its largest process."""

    exit_code: int
    peak_memory_bytes: int


def main() -> int:
    """Start the program described on standard input and stay until it has ended; its exit code."""
    specification = _read_specification()
    if specification is None:
        return 0
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    wake, wake_write = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    stop_requested: list[int] = []
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _frame: stop_requested.append(number))
    # Orphans of the program (Spark's Python workers) become our children instead of init's.
    _prctl(PR_SET_CHILD_SUBREAPER, 1)

    record = Path(specification["record"])
    try:
        program = _start(specification, record)
        end = None
        while end is None and not stop_requested:
            readable, _, _ = select.select([sys.stdin.fileno(), wake], [], [])
            if sys.stdin.fileno() in readable and not os.read(sys.stdin.fileno(), 1):
                break
            _drain(wake)
            end = _reap(program)
        if end is None:
            end = _stop(program, specification["stop_signal"], specification["grace_seconds"])
        _kill_descendants()
    finally:
        record.unlink(missing_ok=True)
    with suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), b"%d" % end.peak_memory_bytes)
    return end.exit_code


def _read_specification() -> dict[str, Any] | None:
    line = b""
    while not line.endswith(b"\n"):
        # Unbuffered: what follows the line is the pipe's end, which select() must see.
        byte = os.read(sys.stdin.fileno(), 65536)
        if not byte:
            return None
        line += byte
    specification: dict[str, Any] = json.loads(line)
    return specification


def _start(specification: dict[str, Any], record: Path) -> int:
    released, release = os.pipe()
    supervisor = os.getpid()
    program = os.fork()
    if program == 0:
        os.close(release)
        _become(specification, supervisor, released)
    os.close(released)
    processes = [{"pid": pid, "create_time": psutil.Process(pid).create_time()} for pid in (supervisor, program)]
    body = {"name": specification["name"], "supervisor": processes[0], "program": processes[1]}
    partial = record.with_name(f".{record.name}.{supervisor}")
    try:
        partial.write_text(json.dumps(body))
        partial.replace(record)
    except OSError as error:
        partial.unlink(missing_ok=True)
        os.close(release)
        os.waitpid(program, 0)
        raise SystemExit(f"cannot record process {specification['name']}: {error}") from None
    os.write(release, b"1")
    os.close(release)
    return program


def _become(specification: dict[str, Any], supervisor: int, released: int) -> Never:
    try:
        if not os.read(released, 1):
            os._exit(CANNOT_START)
        if (user := specification["user"]) is not None:
            os.initgroups(user["name"], user["gid"])
            os.setgid(user["gid"])
            os.setuid(user["uid"])
        # After setuid, which clears it.
        _prctl(PR_SET_PDEATHSIG, specification["stop_signal"])
        if os.getppid() != supervisor:
            os._exit(CANNOT_START)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.chdir(specification["directory"])
        os.execvpe(specification["command"][0], specification["command"], specification["environment"])  # noqa: S606
    except OSError as error:
        os.write(2, f"cannot start {specification['command'][0]}: {error}\n".encode())
    finally:
        os._exit(CANNOT_START)


def _reap(program: int) -> End | None:
    """Collect ended children; the program's end once it is among them."""
    end = None
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return end
        if pid == 0:
            return end
        if pid == program:
            code = os.waitstatus_to_exitcode(status)
            end = End(code if code >= 0 else 128 - code, usage.ru_maxrss * 1024)


def _stop(program: int, stop_signal: int, grace_seconds: float) -> End:
    os.kill(program, stop_signal)
    deadline = time.monotonic() + grace_seconds
    while (end := _reap(program)) is None:
        if time.monotonic() > deadline:
            os.kill(program, signal.SIGKILL)
        time.sleep(0.02)
    return end


def _kill_descendants() -> None:
    # Postgres's own children end by themselves when the postmaster is gone; the rest would not.
    while children := psutil.Process().children(recursive=True):
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        _reap(program=0)
        time.sleep(0.01)


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
