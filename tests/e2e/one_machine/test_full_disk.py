"""A disk that is too small for a run or fills up while it runs: it is named, and the next run succeeds."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from data import generate
from tests.fixtures.command_line import CommandLine, wait_for_stage
from user_analytics.embedded.postgres import remove_data

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name tiny files."""
    folder = tmp_path_factory.mktemp("inputs")
    generate.main(["--reviews=60", "--purchases=600", "--customers=20", "--seed=7", f"--output={folder}"])
    return [f"--reviews={folder}/movie_review.csv", f"--purchases={folder}/user_purchase.csv"]


class SmallDisk(CommandLine):
    """A pipeline whose run directory is a small file system that only its own processes see mounted."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder)
        self.run_dir.mkdir()
        mount = (
            f"mount -t tmpfs -o size={megabytes}m,mode=755 none {self.run_dir} && echo mounted && exec sleep infinity"
        )
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "mounted\n"
        self.seen = Path(f"/proc/{self.holder.pid}/root{self.run_dir}")

    def command(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        return [
            "nsenter",
            f"--mount=/proc/{self.holder.pid}/ns/mnt",
            f"--wd={self.folder}",
            *super().command(arguments),
        ]


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = SmallDisk(tmp_path, request.param)
    yield disk
    remove_data(disk.seen)
    disk.holder.kill()
    disk.holder.communicate()


@pytest.mark.parametrize("small_disk", [300], indirect=True)
def test_a_disk_with_too_little_space_is_refused_at_the_start(small_disk: SmallDisk, inputs: list[str]) -> None:
    with small_disk.start("run", *inputs) as run:
        _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "MB free, and a run needs at least" in said


@pytest.mark.parametrize("small_disk", [800], indirect=True)
def test_a_disk_that_fills_up_is_named_and_the_next_run_succeeds(small_disk: SmallDisk, inputs: list[str]) -> None:
    filler = small_disk.seen / "filler"
    with small_disk.start("run", *inputs) as run:
        wait_for_stage(run, "movie_review")
        with pytest.raises(OSError, match="No space left"):
            fill(filler)
        _, said = run.communicate(timeout=300)
    assert run.returncode == 1
    assert f"the disk of {small_disk.run_dir} is full" in said

    filler.unlink()
    small_disk("run", *inputs)
