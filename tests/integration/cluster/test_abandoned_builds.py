"""What podman leaves of a build that was killed is removed, and nothing else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import has_image, remove_abandoned_builds, run

pytestmark = [
    pytest.mark.skipif(
        shutil.which("podman") is None or not has_image(own_base_image()),
        reason="podman or its base image is missing: make test-tools",
    ),
    pytest.mark.usefixtures("podman_to_itself"),
]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """An image of this test alone."""
    name = f"localhost/user-analytics-test/base:{uuid.uuid4().hex}"
    (tmp_path / "Dockerfile").write_text(f"FROM {own_base_image()}\nRUN echo {name} >/name\n")
    run("build", "--network", "host", "--tag", name, str(tmp_path))
    yield name
    run("image", "rm", "--force", name)


# Builds an image as `make images` does, in a process that can be killed.
BUILD = """
import sys
from pathlib import Path
from user_analytics.cluster.engine import build_image
context = Path(sys.argv[1])
build_image(context, context / "Dockerfile", sys.argv[2], arguments={}, labels={}, log=context / "log")
"""


@contextmanager
def a_build(base: str, context: Path, *, seconds: int) -> Iterator[subprocess.Popen[bytes]]:
    """A build on `base` that is under way, and takes so many seconds."""
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN echo started; sleep {seconds}\n")
    log = context / "log"
    log.touch()
    command = [sys.executable, "-c", BUILD, str(context), f"{base}-built"]
    with subprocess.Popen(command, start_new_session=True) as process:
        while "started" not in log.read_text().splitlines():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield process


def kill_a_build(base: str, context: Path) -> None:
    with a_build(base, context, seconds=60) as process:
        os.killpg(process.pid, signal.SIGKILL)


def containers() -> set[str]:
    return {each["Id"] for each in json.loads(run("ps", "--all", "--external", "--format", "json").stdout)}


def mounts() -> set[str]:
    """Mount points inside podman's store; that itself is one from the first container of all on, and stays."""
    store = run("info", "--format", "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}").stdout.strip()
    points = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return {point for point in points if point.startswith(f"{store}/")}


def test_containers_and_mounts_of_a_killed_build_are_removed(base: str, tmp_path: Path) -> None:
    before = containers(), mounts()
    kill_a_build(base, tmp_path)
    left, mounted = containers() - before[0], mounts() - before[1]
    assert left
    assert mounted

    assert len(remove_abandoned_builds(base) or []) == len(left)
    assert not containers() & left
    assert not mounts() & mounted


def test_containers_of_other_images_stay(base: str, tmp_path: Path) -> None:
    other = run("create", own_base_image(), "true").stdout.strip()
    try:
        assert remove_abandoned_builds(base) == []
        assert other in containers()
    finally:
        run("rm", other)


def test_while_another_builds_its_containers_stay_and_it_comes_to_its_end(base: str, tmp_path: Path) -> None:
    before = containers()
    with a_build(base, tmp_path, seconds=10) as process:
        assert containers() - before

        assert remove_abandoned_builds(base) is None
        assert process.wait() == 0
    assert has_image(f"{base}-built")
    run("image", "rm", f"{base}-built")
    assert remove_abandoned_builds(base) == []
