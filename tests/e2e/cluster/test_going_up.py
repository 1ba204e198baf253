"""`make cluster-up` from nothing, killed on its way again and again."""

import os
import signal
import subprocess
import time

import pytest

from tests.e2e.cluster.kind_cluster import ENVIRONMENT, ROOT
from user_analytics.cluster.kind import node_state

# Where it is killed, each time some seconds into the step; it goes on from there the next time.
STEPS = ("node", "images", "secrets", "postgres", "spark-operator")
SECONDS_INTO_THE_STEP = 2

pytestmark = pytest.mark.timeout(1500)


def kill_in(step: str) -> None:
    """Start `make cluster-up` and end all its processes at once in the middle of a step."""
    with subprocess.Popen(
        ["make", "cluster-up"],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line == f"{step} …\n":
                break
        else:
            pytest.fail(f"it ended before {step}:\n{''.join(said)}", pytrace=False)
        time.sleep(SECONDS_INTO_THE_STEP)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(node_state() is not None, reason="there is a cluster already: `make cluster-down` first")
def test_killed_in_five_steps_it_goes_on_each_time_and_all_is_ready_at_the_end() -> None:
    for step in STEPS:
        kill_in(step)

    subprocess.run(["make", "cluster-up"], cwd=ROOT, env=ENVIRONMENT, check=True)

    assert subprocess.run(["make", "cluster-status"], cwd=ROOT, env=ENVIRONMENT, check=False).returncode == 0
