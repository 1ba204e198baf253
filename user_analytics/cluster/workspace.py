"""Temporary folders of what builds the cluster, which can be told from others' and removed once nobody uses them."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from user_analytics.errors import ClusterError

PREFIX = "user-analytics-work-"
MOUNTS = Path("/proc/self/mountinfo")


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder for as long as it takes. It is locked: no lock means that its owner was killed."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(descriptor)


def remove_abandoned() -> list[Path]:
    """Remove the folders of owners that were killed, with what is mounted there; those that were there.

    Raises ClusterError when something there cannot be unmounted.
    """
    removed = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except (FileNotFoundError, PermissionError):  # its owner has just removed it, or is another user
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
            removed.append(folder)
        except BlockingIOError:  # in use
            continue
        finally:
            os.close(descriptor)
    return removed


def _remove(folder: Path) -> None:
    for mount in reversed(_mounts_below(folder)):
        _unmount(mount)
    shutil.rmtree(folder)


def _mounts_below(folder: Path) -> list[str]:
    """What is mounted there, in the order in which it was."""
    # octal escapes stand for what separates the fields
    points = [line.split()[4].encode().decode("unicode_escape") for line in MOUNTS.read_text().splitlines()]
    return [point for point in points if point.startswith(f"{folder}/")]


def _unmount(mount: str) -> None:
    done = subprocess.run(["umount", mount], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode != 0:
        raise ClusterError(f"cannot unmount what an interrupted build left: {done.stderr.strip()}")
