"""`make cluster-up` from nothing, killed on its way again and again."""

import subprocess

import pytest

from tests.e2e.cluster.kind_cluster import ENVIRONMENT, ROOT, kill_make
from user_analytics.cluster.kind import node_state

# Where it is killed, each time some seconds into the step; it goes on from there the next time.
STEPS = ("node", "images", "secrets", "postgres", "spark-operator")
SECONDS_INTO_THE_STEP = 2

pytestmark = pytest.mark.timeout(1500)


@pytest.mark.skipif(node_state() is not None, reason="there is a cluster already: `make cluster-down` first")
def test_killed_in_five_steps_it_goes_on_each_time_and_all_is_ready_at_the_end() -> None:
    for step in STEPS:
        kill_make("cluster-up", at=f"{step} …", seconds=SECONDS_INTO_THE_STEP)

    subprocess.run(["make", "cluster-up"], cwd=ROOT, env=ENVIRONMENT, check=True)

    assert subprocess.run(["make", "cluster-status"], cwd=ROOT, env=ENVIRONMENT, check=False).returncode == 0
