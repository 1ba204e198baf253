"""Ctrl-C ends a command on the cluster without a traceback."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Never

import pytest

from user_analytics.cluster import kind


@pytest.mark.filterwarnings("ignore:.* found in sys.modules:RuntimeWarning")  # as tests import what is run here
@pytest.mark.parametrize(
    "arguments",
    [
        ["command_line", "status"],
        ["status"],
        ["logs"],
        ["launch", "views"],
        ["report"],
        ["dag_run", "--from", "2010-12-08"],
        ["airflow"],
        ["down"],
        ["catalogue"],
        ["go_programs"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_ends_it_without_a_traceback(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Never:
        raise KeyboardInterrupt

    # Ctrl-C comes where a command asks the engine for the cluster's node, or else where it starts its first program.
    monkeypatch.setattr(kind, "node_state", interrupted)
    monkeypatch.setattr(subprocess, "run", interrupted)
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # Typer has one of its own
    monkeypatch.setenv("HOME", str(tmp_path))  # whoever is at work on another cluster

    with pytest.raises(SystemExit) as end:
        runpy.run_module(f"user_analytics.cluster.{arguments[0]}", run_name="__main__")
    assert end.value.code == 130
