"""Ctrl-C ends a command on the cluster without a traceback."""

import subprocess
import sys

import pytest

# What asks the engine for the cluster's node is where Ctrl-C comes.
INTERRUPTED = """
import runpy, sys
from user_analytics.cluster import kind
def interrupted():
    raise KeyboardInterrupt
kind.node_state = interrupted
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
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_ends_it_without_a_traceback(arguments: list[str]) -> None:
    module, *rest = arguments
    command = [sys.executable, "-c", INTERRUPTED, f"user_analytics.cluster.{module}", *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr
    assert done.returncode == 130
