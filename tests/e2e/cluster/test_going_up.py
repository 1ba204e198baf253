"""`make cluster-up` from nothing, killed on its way again and again."""

import subprocess

import pytest

from tests.e2e.cluster.kind_cluster import ROOT, kill_make
from user_analytics.cluster.kind import is_complete, node_state

# Where it is killed, each time some seconds into the step; it goes on from there the next time.
STEPS = ("images", "secrets", "postgres", "spark-operator")
SECONDS_INTO_THE_STEP = 2

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(node_state() is not None, reason="there is a cluster already: `make cluster-down` first"),
]


def make(target: str, *, check: bool = True) -> int:
    return subprocess.run(["make", target], cwd=ROOT, check=check).returncode


def test_killed_in_five_steps_it_goes_on_each_time_and_all_is_ready_at_the_end() -> None:
    kill_make("cluster-up", at="node …", once=lambda: node_state() == "running")
    assert not is_complete()
    for step in STEPS:
        kill_make("cluster-up", at=f"{step} …", seconds=SECONDS_INTO_THE_STEP)

    make("cluster-up")

    assert make("cluster-status", check=False) == 0
