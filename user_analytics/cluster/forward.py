"""A way from this machine to a Service of the cluster: `kubectl port-forward`, started anew whenever it ends."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.kind import CONTEXT
from user_analytics.cluster.secrets import SERVERS
from user_analytics.embedded.processes import RunningProgram, free_port, prepare
from user_analytics.errors import ClusterError

HOST = "127.0.0.1"
START_SECONDS = 30.0
POLL_SECONDS = 0.05
RESTART_SECONDS = 1.0


@contextmanager
def forwarded(service: str, port: int, *, namespace: str = SERVERS) -> Iterator[str]:
    """The address on this machine, as `127.0.0.1:PORT`, that leads to a port of a Service while inside.

    Any TCP protocol passes. kubectl gives up when the pod is replaced and sometimes when a connection breaks; then the
    same address leads on to whatever pod there is, and a client that tries again gets through. Raises ClusterError
    when the Service does not exist or has no running pod.
    """
    local = free_port()
    command = [kubectl(), "--context", CONTEXT, "--namespace", namespace]
    command += ["port-forward", "--address", HOST, f"service/{service}", f"{local}:{port}"]
    with listening(command, local, purpose=f"reach {service}:{port} in namespace {namespace}"):
        yield f"{HOST}:{local}"


def find_kubectl() -> str | None:
    """The kubectl that was built for the cluster, or else the one on the PATH."""
    built = program_file("kubernetes", "kubectl")
    return str(built) if built.is_file() else shutil.which("kubectl")


def kubectl() -> str:
    """The kubectl that is found; raises ClusterError when there is none."""
    found = find_kubectl()
    if found is None:
        raise ClusterError(
            "kubectl is missing: install it, or build it with "
            "`.venv/bin/python -m user_analytics.cluster.go_programs kubernetes`"
        )
    return found


@contextmanager
def listening(command: Sequence[str], port: int, *, purpose: str) -> Iterator[None]:
    """Keep a program running that listens on `port`; inside, it listens. Raises ClusterError when it ends before."""
    with tempfile.TemporaryDirectory() as directory:

        def prepared() -> RunningProgram:
            return prepare(Path(directory), "port-forward", command, environment=os.environ)

        program = prepared()
        try:
            _wait(program.start(), port, purpose)
        except BaseException:
            program.stop()
            raise
        over = threading.Event()
        keeper = threading.Thread(target=_keep, args=(program, prepared, over), name=f"port-forward {port}")
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()


def _wait(program: RunningProgram, port: int, purpose: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _listens(port):
        if program.exit_code() is not None or time.monotonic() > deadline:
            said = program.log_tail() or f"nothing happened in {START_SECONDS:.0f} s"
            raise ClusterError(f"cannot {purpose}: {said}\n`make cluster-status` tells what is not ready")
        time.sleep(POLL_SECONDS)


def _listens(port: int) -> bool:
    # a connection made only to see would pass through to the server, and some log it as broken
    return any(
        connection.status == psutil.CONN_LISTEN and connection.laddr[:2] == (HOST, port)
        for connection in psutil.net_connections("tcp4")
    )


def _keep(program: RunningProgram, prepared: Callable[[], RunningProgram], over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        if program.exit_code() is not None:
            program.stop()
            if over.wait(RESTART_SECONDS):
                break
            program = prepared().start()
    program.stop()
