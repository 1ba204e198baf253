"""What CI runs: each step once, the cluster and the fence gone whatever becomes of the tests on them."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEFORE = ["lint", "test ARGS=tests/unit", "test-tools", "test", "test-run"]
CLUSTER = ["cluster-tools", "fence up", "cluster-up", "e2e"]
CLEARED = ["cluster-down", "look what is left", "fence down"]
TOLD = ["cluster-status", "cluster-logs TAIL=40"]
# In place of the real ones, which take an hour: each notes what it was called with. The target $FAILS ends with 2, and
# $HANGS waits for a program of two minutes.
CALLED = '#!/bin/sh\necho "{name}$*" >>"$CALLS"\n'
MAKE = CALLED.format(name="") + (
    'echo "== 3 passed in 1.00s =="\n[ "$*" != "$HANGS" ] || sleep 120\nif [ "$*" = "$FAILS" ]; then exit 2; fi\n'
)
PYTHON = """#!/bin/sh
[ "$3" ] || { echo "what was there before"; exit; }
echo "look what is left" >>"$CALLS"
[ "$(cat "$3")" = "what was there before" ] && [ ! "$LEFT" ]
"""
ANSWERS = {
    "id": "#!/bin/sh\necho 0\n",
    "df": "#!/bin/sh\necho Avail\necho $((${GIGABYTES:-30} << 20))\n",
}


class Ci:
    """A checkout whose `make` is a stand-in."""

    def __init__(self, directory: Path) -> None:
        self._run, self._calls = directory / "checkout" / ".ci" / "run", directory / "calls"
        self._run.parent.mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "run", self._run)
        programs = {"make": MAKE, **ANSWERS}
        (directory / "bin").mkdir()
        for name, text in programs.items():
            (directory / "bin" / name).write_text(text)
        (self._run.parent / "fence.sh").write_text(CALLED.format(name="fence "))
        python = self._run.parents[1] / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text(PYTHON)
        for script in (*(directory / "bin").iterdir(), self._run.parent / "fence.sh", python):
            script.chmod(0o755)
        self._calls.touch()
        self._environment = {
            "PATH": f"{directory / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(directory),
            "CALLS": str(self._calls),
        }

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines()

    def start(self, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._run],
            env={**self._environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str]:
        with self.start(**environment) as process:
            said, _ = process.communicate(timeout=60)
        return process.returncode, said


@pytest.fixture
def ci(tmp_path: Path) -> Ci:
    return Ci(tmp_path)


def test_all_steps_run_and_the_summary_tells_what_each_ran(ci: Ci) -> None:
    code, said = ci.run()

    assert code == 0
    assert ci.calls() == [*BEFORE, *CLUSTER, *CLEARED]
    steps = [line.split()[1] for line in summary(said)]
    assert steps[:-1] == ["lint", "test", *BEFORE[2:], "cluster-tools", "cluster-up", "e2e", "cluster-down"]
    assert summary(said)[-3].endswith("  3 passed in 1.00s")


def test_a_step_that_fails_ends_it_with_its_exit_code(ci: Ci) -> None:
    code, said = ci.run(FAILS="lint")

    assert code == 2
    assert ci.calls() == BEFORE[:1]
    assert said.splitlines()[-1].endswith("exit code 2: 3 passed in 1.00s")


@pytest.mark.parametrize("target", ["e2e", "cluster-up"])
def test_what_fails_of_the_cluster_leaves_its_state_in_the_output_and_nothing_on_the_machine(
    ci: Ci, target: str
) -> None:
    code, said = ci.run(FAILS=target)

    assert code == 2
    assert ci.calls()[-5:] == [*TOLD, *CLEARED]
    assert said.index("== make cluster-status") < said.index("== make cluster-down")
    assert re.search(rf"make {target}.* +\d+\.\d  exit code 2: 3 passed in 1\.00s", said)


def test_what_a_cluster_leaves_on_the_machine_is_a_failure(ci: Ci) -> None:
    code, said = ci.run(LEFT="a mount")

    assert code == 1
    assert summary(said)[-1].endswith("exit code 1")


def test_a_cluster_that_does_not_go_is_a_failure_and_the_fence_is_removed_all_the_same(ci: Ci) -> None:
    code, _ = ci.run(FAILS="cluster-down")

    assert code == 1
    assert ci.calls()[-3:] == CLEARED


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_stops_what_is_at_work_and_clears_up(ci: Ci, number: signal.Signals, code: int) -> None:
    with ci.start(HANGS="e2e") as process:
        deadline = time.monotonic() + 30
        while "e2e" not in ci.calls():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == code
    assert ci.calls() == [*BEFORE, *CLUSTER, *TOLD, *CLEARED]
    assert re.search(rf"make e2e +\d+\.\d  exit code {code}", said)


def test_a_machine_with_too_little_disk_is_told_so_in_one_line(ci: Ci) -> None:
    code, said = ci.run(GIGABYTES="24")

    assert code == 0
    assert ci.calls() == BEFORE
    assert "not run: it needs root and 25 GB of free disk" in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith("has 24 GB")


def summary(said: str) -> list[str]:
    """A line for each step."""
    return said[said.index("step ") :].splitlines()[1:]
