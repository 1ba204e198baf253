"""Programs started by the embedded stack end with the run that started them, however that ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from user_analytics.embedded import processes
from user_analytics.errors import StackError

ENVIRONMENT = {"PATH": os.environ["PATH"]}
# Leaves a child in a session of its own behind, as daemons do.
WITH_DESCENDANT = ["sh", "-c", 'setsid sleep 600 & echo "descendant $!"; echo "program $$"; wait']


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def record(run_dir: Path, name: str) -> dict[str, dict[str, float]]:
    path = run_dir / "processes" / f"{name}.json"
    wait_until(path.exists)
    body: dict[str, dict[str, float]] = json.loads(path.read_text())
    return body


def written_pids(run_dir: Path, name: str) -> dict[str, int]:
    log = run_dir / "logs" / f"{name}.log"
    wait_until(lambda: log.exists() and log.read_text().count("\n") >= 2)
    return {word: int(pid) for word, pid in (line.split() for line in log.read_text().splitlines())}


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own that starts a program with a descendant and then waits."""
    code = (
        "import sys, time, pathlib; from user_analytics.embedded import processes\n"
        f"program = processes.prepare(pathlib.Path({str(tmp_path)!r}), 'long', {WITH_DESCENDANT!r}, "
        f"environment={ENVIRONMENT!r})\n"
        "program.start()\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_a_program_ends_with_its_exit_code_and_its_output_in_the_log(tmp_path: Path) -> None:
    program = processes.prepare(tmp_path, "short", ["sh", "-c", "echo said; exit 7"], environment=ENVIRONMENT).start()

    assert program.wait() == 7
    assert program.log_tail() == "said"


def test_a_program_ended_by_a_signal_has_128_and_the_signal_as_exit_code(tmp_path: Path) -> None:
    program = processes.prepare(tmp_path, "short", ["sh", "-c", "kill -KILL $$"], environment=ENVIRONMENT).start()

    assert program.wait() == 128 + signal.SIGKILL


def test_a_program_has_exactly_the_given_environment(tmp_path: Path) -> None:
    program = processes.prepare(
        tmp_path, "env", ["env"], environment={"PATH": ENVIRONMENT["PATH"], "PASSWORD": "x"}
    ).start()
    program.wait()

    assert sorted(program.log_tail().splitlines()) == sorted([f"PATH={ENVIRONMENT['PATH']}", "PASSWORD=x"])


def test_a_programs_peak_memory_is_known_when_it_has_ended(tmp_path: Path) -> None:
    program = processes.prepare(
        tmp_path, "large", [sys.executable, "-c", "b'x' * (100 << 20)"], environment=ENVIRONMENT
    ).start()  # fmt: skip
    program.wait()

    assert 100 << 20 < (program.peak_memory_bytes() or 0) < 200 << 20


def test_pid_and_start_time_are_recorded_before_the_programs_first_instruction(tmp_path: Path) -> None:
    path = tmp_path / "processes" / "self.json"
    program = processes.prepare(tmp_path, "self", ["sh", "-c", f"echo $$; cat {path}"], environment=ENVIRONMENT).start()
    program.wait()

    pid, body = program.log_tail().splitlines()
    assert json.loads(body)["program"]["pid"] == int(pid)


def test_the_record_goes_when_the_program_has_ended(tmp_path: Path) -> None:
    processes.prepare(tmp_path, "short", ["true"], environment=ENVIRONMENT).start().wait()

    assert list((tmp_path / "processes").iterdir()) == []


def test_stop_ends_a_program_and_descendants_that_left_its_session(tmp_path: Path) -> None:
    program = processes.prepare(tmp_path, "long", WITH_DESCENDANT, environment=ENVIRONMENT).start()
    pids = written_pids(tmp_path, "long")

    program.stop()

    assert not any(alive(pid) for pid in pids.values())


def test_a_program_that_ends_leaves_no_descendant(tmp_path: Path) -> None:
    program = processes.prepare(
        tmp_path, "short", ["sh", "-c", 'setsid sleep 600 & echo "descendant $!"; echo "program $$"'],
        environment=ENVIRONMENT,
    ).start()  # fmt: skip
    program.wait()

    assert not any(alive(pid) for pid in written_pids(tmp_path, "short").values())


def test_a_program_that_ignores_its_stop_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    program = processes.prepare(
        tmp_path, "stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"],
        environment=ENVIRONMENT,
    ).start()  # fmt: skip
    wait_until(lambda: program.log_tail() == "ready")

    program.stop()

    assert program.exit_code() == 128 + signal.SIGKILL


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its process group"])
def test_a_program_ends_when_its_starter_is_killed(
    starter: subprocess.Popen[bytes], tmp_path: Path, kill: Callable[[int, int], None]
) -> None:
    pids = written_pids(tmp_path, "long")
    supervisor = int(record(tmp_path, "long")["supervisor"]["pid"])

    kill(starter.pid, signal.SIGKILL)

    wait_until(lambda: not any(alive(pid) for pid in [*pids.values(), supervisor]))


def test_a_program_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    program = processes.prepare(tmp_path, "long", ["sleep", "600"], environment=ENVIRONMENT).start()
    body = record(tmp_path, "long")

    os.kill(int(body["supervisor"]["pid"]), signal.SIGKILL)

    wait_until(lambda: not alive(int(body["program"]["pid"])))
    assert program.wait() == -signal.SIGKILL


def test_a_program_is_out_of_reach_of_its_starters_terminal(starter: subprocess.Popen[bytes], tmp_path: Path) -> None:
    pid = written_pids(tmp_path, "long")["program"]

    assert os.getsid(pid) != os.getsid(starter.pid)


def test_a_program_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    program = processes.prepare(tmp_path, "missing", ["/no/such/program"], environment=ENVIRONMENT).start()

    assert program.wait() == 127
    assert "cannot start /no/such/program: [Errno 2] No such file or directory" in program.log_tail()


def test_a_run_directory_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.touch()

    with pytest.raises(StackError, match=f"cannot start x under {blocked}: .*Not a directory"):
        processes.prepare(blocked, "x", ["true"], environment=ENVIRONMENT)


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def write_record(run_dir: Path, process: dict[str, float]) -> None:
    (run_dir / "processes").mkdir()
    gone = {"pid": 2**22 + 1, "create_time": 1.0}
    body = {"name": "left", "supervisor": gone, "program": process}
    (run_dir / "processes" / "left.json").write_text(json.dumps(body))


def test_what_an_earlier_run_left_is_stopped(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    write_record(tmp_path, {"pid": orphan.pid, "create_time": psutil.Process(orphan.pid).create_time()})
    assert processes.recorded_processes(tmp_path) == {"left": orphan.pid}

    assert processes.stop_leftovers(tmp_path) == ["left"]

    assert not alive(orphan.pid)
    assert processes.recorded_processes(tmp_path) == {}


def test_a_process_that_was_given_a_recorded_pid_later_is_left_alone(
    tmp_path: Path, orphan: subprocess.Popen[bytes]
) -> None:
    write_record(tmp_path, {"pid": orphan.pid, "create_time": psutil.Process(orphan.pid).create_time() - 60})

    assert processes.stop_leftovers(tmp_path) == []

    assert orphan.poll() is None


def test_an_unreadable_record_stops_nothing_and_nobody(tmp_path: Path, orphan: subprocess.Popen[bytes]) -> None:
    write_record(tmp_path, {"pid": orphan.pid})

    assert processes.stop_leftovers(tmp_path) == []

    assert orphan.poll() is None
