"""What podman leaves of a build that was killed is removed, and nothing else."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from user_analytics.cluster.base_image import own_base_image
from user_analytics.cluster.engine import has_image, remove_abandoned_builds, run

pytestmark = [
    pytest.mark.skipif(
        shutil.which("podman") is None or not has_image(own_base_image()), reason="no podman, or no image: make images"
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


def kill_a_build(base: str, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {base}\nRUN echo started && exec sleep 60\n")
    command = ["podman", "build", "--network", "host", str(context)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        while "started" not in (line := process.stdout.readline()) or "STEP" in line:
            assert process.poll() is None
        process.kill()
        process.stdout.close()


def containers() -> set[str]:
    return {each["Id"] for each in json.loads(run("ps", "--all", "--external", "--format", "json").stdout)}


def mounts() -> set[str]:
    """Mount points, but for the store's own, which podman makes with the first container of all and keeps."""
    store = run("info", "--format", "{{.Store.GraphRoot}}/{{.Store.GraphDriverName}}").stdout.strip()
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()} - {store}


def test_containers_and_mounts_of_a_killed_build_are_removed(base: str, tmp_path: Path) -> None:
    before = containers(), mounts()
    kill_a_build(base, tmp_path)
    left, mounted = containers() - before[0], mounts() - before[1]
    assert left
    assert mounted

    assert len(remove_abandoned_builds(base)) == len(left)
    assert not containers() & left
    assert not mounts() & mounted


def test_containers_of_other_images_stay(base: str, tmp_path: Path) -> None:
    other = run("create", own_base_image(), "true").stdout.strip()
    try:
        assert remove_abandoned_builds(base) == []
        assert other in containers()
    finally:
        run("rm", other)
