"""Stages as processes side by side: all end well, or the first that fails stops the others."""

import sys
from pathlib import Path

import psutil
import pytest

from user_analytics.embedded.processes import recorded_processes
from user_analytics.errors import StageFailed
from user_analytics.progress import StageProgress
from user_analytics.side_by_side import Program, run_side_by_side


def program(name: str, script: str) -> Program:
    return Program(name, [sys.executable, "-c", script], {}, lambda: f"{name} has its rows")


def test_what_came_out_of_each_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress:
        run_side_by_side(tmp_path, progress, [program("first", ""), program("second", "")])

    said = capsys.readouterr().err
    assert "first: first has its rows (" in said
    assert "second: second has its rows (" in said
    assert all((stage.peak_memory_bytes or 0) > 0 for stage in progress.stages)


def test_the_first_that_fails_is_said_to_have_and_the_others_to_have_been_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = program("long", "import time; time.sleep(600)")
    failing = program("failing", "import time; time.sleep(1); raise SystemExit('no such file')")

    with (
        StageProgress() as progress,
        pytest.raises(StageFailed, match=rf"^failing failed: exit code 1, no such file \(its log: {tmp_path}/logs/"),
    ):
        run_side_by_side(tmp_path, progress, [long, failing])

    said = capsys.readouterr().err
    assert "failing: failed (" in said
    assert "long: stopped (" in said
    assert recorded_processes(tmp_path) == {}
    assert not any("time.sleep(600)" in " ".join(_command(child)) for child in psutil.Process().children(True))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # another's, which has ended meanwhile
        return []


def test_one_that_ended_well_before_another_fails_keeps_its_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = program("failing", "import time; time.sleep(2); raise SystemExit(3)")

    with StageProgress() as progress, pytest.raises(StageFailed, match=r"^failing failed: exit code 3"):
        run_side_by_side(tmp_path, progress, [program("short", ""), failing])

    assert "short: short has its rows (" in capsys.readouterr().err
