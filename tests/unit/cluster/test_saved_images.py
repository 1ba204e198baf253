"""An archive of images is read while the engine makes it: who failed is told, and nothing is left behind."""

import os
from pathlib import Path
from typing import IO

import psutil
import pytest

from user_analytics.cluster import engine
from user_analytics.cluster.engine import saved_images
from user_analytics.errors import ClusterError


class Podman:
    """A podman that does what a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def does(self, script: str) -> None:
        program = self.folder / "podman"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def told(self, name: str) -> str:
        return (self.folder / name).read_text().strip()


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Podman:
    monkeypatch.setattr(engine, "engine", lambda: "podman")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Podman(tmp_path)


def read_and_fail(archive: IO[bytes], reason: str) -> None:
    archive.read(1)
    raise ClusterError(reason)


def test_what_it_says_on_its_standard_output_is_the_archive(podman: Podman) -> None:
    podman.does('echo "$@"')

    with saved_images(["spark:1", "spark-operator:1"]) as archive:
        said = archive.read().decode().split()

    assert said[0] == "save"
    assert said[-4:] == ["--output", "/dev/stdout", "spark:1", "spark-operator:1"]


def test_what_it_leaves_when_it_is_killed_goes(podman: Podman) -> None:
    podman.does(f'touch "$TMPDIR/layer"; echo "$TMPDIR" > {podman.folder}/directory; kill -KILL $$')

    with pytest.raises(ClusterError), saved_images(["spark:1"]) as archive:
        archive.read()

    assert not Path(podman.told("directory")).exists()


def test_an_image_that_cannot_be_saved_is_an_error_that_says_why(podman: Podman) -> None:
    podman.does("echo 'no image spark:1' >&2; exit 125")

    with pytest.raises(ClusterError) as raised, saved_images(["spark:1"]) as archive:
        archive.read()

    assert str(raised.value) == "podman save failed:\nno image spark:1"


def test_what_its_reader_makes_of_that_comes_second(podman: Podman) -> None:
    podman.does("echo 'no image spark:1' >&2; exit 125")

    with pytest.raises(ClusterError) as raised, saved_images(["spark:1"]) as archive:
        read_and_fail(archive, "kind load failed:\nno archive")

    assert str(raised.value) == "podman save failed:\nno image spark:1\nkind load failed:\nno archive"


@pytest.mark.parametrize("writes", ["exec yes", "yes 2>/dev/null; echo 'write /dev/stdout: broken pipe' >&2; exit 125"])
def test_a_reader_that_fails_ends_it_and_is_told_alone(podman: Podman, writes: str) -> None:
    podman.does(f"echo $$ > {podman.folder}/pid; {writes}")

    with pytest.raises(ClusterError) as raised, saved_images(["spark:1"]) as archive:
        read_and_fail(archive, "the node's disk is full")

    assert str(raised.value) == "the node's disk is full"
    assert not psutil.pid_exists(int(podman.told("pid")))
