"""Commands that change the cluster as a whole take turns, and a killed one is in nobody's way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from threading import Timer

import pytest
import typer

from user_analytics.cluster import backup, dag_run, down, restore, sole_command, up
from user_analytics.cluster import load_data as load_data_command
from user_analytics.cluster.sole_command import sole_command as hold
from user_analytics.errors import ClusterError

WAIT_SECONDS = sole_command.WAIT_SECONDS  # as users have it
HOLDER = """
import subprocess, sys
from user_analytics.cluster.sole_command import sole_command
with sole_command("backup"):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sole_command, "WAIT_SECONDS", 0.3)


class Holder:
    """A process that is at work as `make backup`, with a child process."""

    def __init__(self, process: subprocess.Popen[str], child: int) -> None:
        self.pid, self.child, self._process = process.pid, child, process

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        yield Holder(process, child)
        process.kill()
    os.kill(child, signal.SIGKILL)


def load_data(reviews: Path) -> int:
    with pytest.raises(typer.Exit) as end:
        load_data_command.main(reviews=reviews)
    return end.value.exit_code


def test_a_second_command_is_refused_naming_the_first(holder: Holder) -> None:
    with (
        pytest.raises(ClusterError, match=rf"^`make backup` is at work \(process {holder.pid}\) on the cluster: wait"),
        hold("restore"),
    ):
        pass


@pytest.mark.parametrize(
    "command",
    [
        lambda folder: up.main(),
        lambda folder: down.main(),
        lambda folder: backup.main([str(folder / "backup")]),
        lambda folder: restore.main([str(folder / "backup")]),
        lambda folder: load_data(folder / "reviews.csv"),
    ],
    ids=["cluster-up", "cluster-down", "backup", "restore", "load-data"],
)
def test_it_is_refused_before_it_does_anything(
    holder: Holder,
    command: Callable[[Path], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")  # if it were not refused, it would find no program to do something with
    assert command(tmp_path) == 1

    assert capsys.readouterr().err.splitlines() == [
        f"error: `make backup` is at work (process {holder.pid}) on the cluster: wait until it has ended, and try again"
    ]
    assert not (tmp_path / "backup").exists()


def test_no_run_of_the_dag_is_begun_meanwhile(
    holder: Holder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_run, "connected", nullcontext)  # a cluster that takes no call

    with pytest.raises(typer.Exit) as end:
        dag_run.main(date(2010, 12, 8))

    assert end.value.exit_code == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: `make backup` is at work (process {holder.pid}) on the cluster: wait until it has ended, and try again"
    ]


def test_a_command_that_was_killed_is_in_nobodys_way_though_its_child_lives(holder: Holder) -> None:
    holder.kill()

    with hold("cluster-up"):
        os.kill(holder.child, 0)  # it is there


def test_a_second_command_waits_for_one_that_is_about_to_end(holder: Holder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sole_command, "WAIT_SECONDS", WAIT_SECONDS)
    timer = Timer(0.5, holder.kill)
    timer.start()

    with hold("restore"):
        pass
    timer.join()


def test_another_cache_is_no_other_cluster(holder: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))

    with pytest.raises(ClusterError, match="`make backup` is at work"), hold("restore"):
        pass


def test_commands_may_follow_each_other() -> None:
    for name in ("cluster-up", "backup"):
        with hold(name):
            pass


def test_which_command_is_at_work_is_told_without_a_wait(holder: Holder) -> None:
    assert sole_command.at_work() == ("backup", f"`make backup` is at work (process {holder.pid})")


def test_one_that_has_not_told_its_name_yet_is_another_command(holder: Holder) -> None:
    sole_command.lock_file().write_text("")

    assert sole_command.at_work() == ("", "another command is at work")


def test_none_is_at_work_after_one_has_ended_or_was_killed(holder: Holder) -> None:
    holder.kill()

    assert sole_command.at_work() is None
    with hold("backup"):
        pass
    assert sole_command.at_work() is None


def test_none_is_at_work_before_there_was_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "new"))

    assert sole_command.at_work() is None
