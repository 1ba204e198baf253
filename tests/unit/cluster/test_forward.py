"""The way to a Service: what listens is kept running, and ends with those who asked for it."""

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fixtures.forked import forked
from tests.fixtures.ports import free_port
from user_analytics.cluster import forward
from user_analytics.cluster.forward import HOST, kubectl, listening
from user_analytics.cluster.go_programs import program_file
from user_analytics.errors import ClusterError

# Answers each connection with its process id.
SERVER = """
import os, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(str(os.getpid()).encode())
"""


def server(port: int) -> list[str]:
    return [sys.executable, "-c", SERVER, str(port)]


def answering_pid(port: int) -> int | None:
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            return int(connection.recv(100))
    except (OSError, ValueError):
        return None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def test_what_listens_is_there_inside_and_gone_afterwards() -> None:
    port = free_port()
    with listening(server(port), port, purpose="test"):
        pid = answering_pid(port)

    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_a_program_that_ends_is_started_again_on_the_same_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "RESTART_SECONDS", 0.05)
    port = free_port()
    with listening(server(port), port, purpose="test"):
        first = answering_pid(port)
        assert first is not None
        psutil.Process(first).kill()

        wait_until(lambda: answering_pid(port) not in {None, first})


def test_it_ends_with_its_user_however_that_ends() -> None:
    port = free_port()

    def use_for_long() -> None:
        with listening(server(port), port, purpose="test"):
            time.sleep(600)

    with forked(use_for_long):
        wait_until(lambda: answering_pid(port) is not None)
        pid = answering_pid(port)

    assert pid is not None
    wait_until(lambda: not psutil.pid_exists(pid))


def test_a_program_that_cannot_start_is_an_error_with_what_it_said() -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such service')"]

    with pytest.raises(ClusterError, match="cannot test: no such service"), listening(command, 1, purpose="test"):
        pass


def test_the_error_of_the_user_is_his_own() -> None:
    port = free_port()
    with pytest.raises(ZeroDivisionError), listening(server(port), port, purpose="test"):
        raise ZeroDivisionError


def test_the_kubectl_of_the_cluster_comes_before_that_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = tmp_path / "kubectl"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kubectl() == str(other)

    built = program_file("kubernetes", "kubectl")
    built.parent.mkdir(parents=True)
    built.touch()
    assert kubectl() == str(built)


def test_without_kubectl_the_message_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ClusterError, match="kubectl is missing: install it, or build it"):
        kubectl()
