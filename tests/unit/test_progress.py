"""The stages of a run as a person sees them, on a terminal and in a file."""

import os
import pty
import re
import subprocess
import sys

import pytest

from user_analytics.progress import StageProgress

SCRIPT = """
from user_analytics.progress import StageProgress
with StageProgress() as progress:
    with progress.stage("publish") as stage:
        stage.result = "3 rows"
    try:
        with progress.stage("views"):
            raise ValueError
    except ValueError:
        pass
    try:
        with progress.stage("report"):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
"""


def test_without_a_terminal_each_stage_is_a_line_when_it_begins_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress, progress.stage("publish") as stage:
        stage.result = "3 rows"

    captured = capsys.readouterr()
    assert re.fullmatch(r"publish …\npublish: 3 rows \(\d+\.\d s\)\n", captured.err)
    assert captured.out == ""


def test_stages_under_way_at_once_are_timed_each() -> None:
    with StageProgress() as progress:
        first, second = progress.begin("movie_review"), progress.begin("user_purchase")
        progress.end(second)
        progress.end(first)

    assert list(progress.times()) == ["movie_review", "user_purchase"]
    assert first.seconds >= second.seconds > 0


def test_a_stage_that_fails_is_said_to_have(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress, pytest.raises(ValueError, match="why"), progress.stage("publish"):
        raise ValueError("why")

    assert "publish: failed (" in capsys.readouterr().err


def test_a_stage_that_is_cut_short_is_said_to_have_been_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress, pytest.raises(KeyboardInterrupt), progress.stage("publish"):
        raise KeyboardInterrupt

    assert "publish: stopped (" in capsys.readouterr().err


def test_one_that_is_under_way_at_the_end_is_said_to_have_been_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress:
        progress.begin("publish")

    assert "publish: stopped (" in capsys.readouterr().err


def test_a_note_keeps_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress:
        progress.note("a [bold] path")

    assert capsys.readouterr().err == "a [bold] path\n"


def test_on_a_terminal_the_stages_are_marked_as_they_end() -> None:
    terminal, other_end = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT], stderr=other_end, check=True, env={**os.environ, "TERM": "xterm"})
    os.close(other_end)
    shown = b""
    try:
        while block := os.read(terminal, 65536):
            shown += block
    except OSError:  # how a terminal says that it was closed
        pass
    os.close(terminal)

    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).splitlines()
    assert re.fullmatch(r"✓ publish +\d+\.\d s 3 rows *", [line for line in lines if "publish" in line][-1])
    assert re.fullmatch(r"✗ views +\d+\.\d s failed *", [line for line in lines if "views" in line][-1])
    assert re.fullmatch(r"■ report +\d+\.\d s stopped *", [line for line in lines if "report" in line][-1])
