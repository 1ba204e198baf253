"""A make of the tests on the cluster that does not come to its end leaves nothing that keeps the cluster's lock."""

import sys
from pathlib import Path
from subprocess import TimeoutExpired

import pytest
from kubernetes.client import ApiClient

from tests.e2e.cluster import kind_cluster
from tests.e2e.cluster.kind_cluster import KindCluster, kill_make
from user_analytics.cluster.sole_command import sole_command

# As every target does, make starts a Python that holds the lock.
TARGET = """
import time
from user_analytics.cluster.sole_command import sole_command
with sole_command("backup"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "target.py").write_text(TARGET)
    (tmp_path / "Makefile").write_text(f"backup:\n\t@{sys.executable} target.py; true\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kind_cluster, "ROOT", tmp_path)


def interrupt() -> bool:
    raise KeyboardInterrupt


def test_ctrl_c_in_one_that_is_to_be_killed() -> None:
    with pytest.raises(KeyboardInterrupt):
        kill_make("backup", at="at work", once=interrupt)

    with sole_command("cluster-down"):
        pass


def test_one_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind_cluster, "MAKE_SECONDS", 3)

    with pytest.raises(TimeoutExpired):
        KindCluster(ApiClient()).make("backup")

    with sole_command("cluster-down"):
        pass
