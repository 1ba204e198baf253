"""Ctrl-C ends a command on the cluster without a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Ctrl-C comes where a command asks the engine for the cluster's node, or else where it starts its first program.
INTERRUPTED = """
import runpy, subprocess, sys
from user_analytics.cluster import kind
def interrupted(*_, **__):
    raise KeyboardInterrupt
kind.node_state = subprocess.run = interrupted
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__")
"""


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
def test_ctrl_c_ends_it_without_a_traceback(arguments: list[str], tmp_path: Path) -> None:
    module, *rest = arguments
    command = [sys.executable, "-c", INTERRUPTED, f"user_analytics.cluster.{module}", *rest]
    environment = {**os.environ, "HOME": str(tmp_path)}  # whoever is at work on another cluster
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr
    assert done.returncode == 130
