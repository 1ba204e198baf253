"""Fixtures of the tests of what the cluster is made with."""

import fcntl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def podman_to_itself() -> Iterator[None]:
    """Nobody else of those who ask for this starts a container meanwhile, in whichever process: some look at all."""
    with Path(tempfile.gettempdir(), "user-analytics-tests-podman.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
