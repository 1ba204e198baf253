"""Temporary folders whose owner was killed are removed, those in use are not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from user_analytics.cluster import workspace as module
from user_analytics.cluster.workspace import remove_abandoned, workspace

OWNER = "import sys; from user_analytics.cluster.workspace import workspace\n"
OWNER += "with workspace() as folder: print(folder, flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def abandoned(tmp_path: Path) -> Path:
    """The folder of a process that was killed."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        process.kill()
    (folder / "file").write_text("left")
    return folder


def test_a_folder_is_there_inside_and_gone_afterwards() -> None:
    with workspace() as folder:
        assert folder.is_dir()
    assert not folder.exists()


def test_the_folder_of_an_owner_that_was_killed_is_removed(abandoned: Path) -> None:
    assert remove_abandoned() == [abandoned]
    assert not abandoned.exists()


def test_a_folder_in_use_stays() -> None:
    with workspace() as folder:
        assert remove_abandoned() == []
        assert folder.is_dir()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "user-analytics").mkdir()
    remove_abandoned()

    assert (tmp_path / "user-analytics").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
def test_what_is_mounted_there_is_unmounted_and_not_emptied(abandoned: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").touch()
    point = abandoned / "root with space"
    point.mkdir()
    subprocess.run(["mount", "--bind", precious, point], check=True)
    remove_abandoned()

    assert not abandoned.exists()
    assert (precious / "data").exists()
    assert str(abandoned) not in module.MOUNTS.read_text()
