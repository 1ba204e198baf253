"""Stages as processes side by side: all end well, or the first that fails stops the others."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import psutil
import pytest

from user_analytics.embedded import supervisor
from user_analytics.embedded.processes import RunningProgram, recorded_processes
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


@contextmanager
def interrupted_at_the_end_of(function: Callable[..., object]) -> Iterator[None]:
    """Ctrl-C comes when the function has done all, and its caller has not got yet what it returns."""
    assert isinstance(function, FunctionType)

    def at_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        return at_return if frame.f_code is function.__code__ else None

    def at_return(_frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "return":
            raise KeyboardInterrupt
        return at_return

    before = sys.gettrace()
    sys.settrace(at_call)
    try:
        yield
    finally:
        sys.settrace(before)


def supervisors() -> set[psutil.Process]:
    return {child for child in psutil.Process().children() if supervisor.__file__ in _command(child)}


@pytest.mark.parametrize("function", [StageProgress.begin, RunningProgram.start])
def test_one_that_is_interrupted_while_it_starts_is_said_to_have_been_stopped_and_is(
    function: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = program("long", "import time; time.sleep(600)")
    of_fixtures = supervisors()

    # With the traceback, and so with all that is in its frames, as until the end of the process.
    with StageProgress() as progress, pytest.raises(KeyboardInterrupt), interrupted_at_the_end_of(function):
        run_side_by_side(tmp_path, progress, [long])

    assert "long: stopped (" in capsys.readouterr().err
    assert supervisors() == of_fixtures
