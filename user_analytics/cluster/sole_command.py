"""One command at a time changes the cluster as a whole: all checkouts of a user share one cluster, and so one lock."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from user_analytics.errors import ClusterError

# One that was killed may need a moment to be gone.
WAIT_SECONDS = 3.0
POLL_SECONDS = 0.1


class Command(NamedTuple):
    """One that is at work: its target of `make`, empty when it has not told it yet, and that it is, in words."""

    target: str
    words: str


def lock_file() -> Path:
    """The file that is locked. XDG_CACHE_HOME makes another cache, and no other cluster: it is not asked."""
    return Path.home() / ".cache" / "user-analytics" / "cluster.lock"


@contextmanager
def sole_command(name: str) -> Iterator[None]:
    """Be the only one to change the cluster, as `make NAME`. Raises ClusterError naming the other one.

    It ends with this process, in whatever way: no child process inherits the open file.
    """
    lock_file().parent.mkdir(parents=True, exist_ok=True)
    with lock_file().open("a+") as lock:
        _acquire(lock)
        # in place: a new file would be another lock
        lock.truncate(0)
        lock.write(f"`make {name}` is at work (process {os.getpid()})")
        lock.flush()
        yield
        lock.truncate(0)


def refuse_beside_another() -> None:
    """For what changes the cluster's data and takes no turn itself. Raises ClusterError naming who is at work."""
    if command := at_work():
        raise _refusal(command)


def at_work() -> Command | None:
    """The command that changes the cluster now."""
    try:
        with lock_file().open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # who wants it meanwhile tries again
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _told(lock_file().read_text())
    return None


def _acquire(lock: IO[str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.seek(0)
                raise _refusal(_told(lock.read())) from None
            time.sleep(POLL_SECONDS)


def _refusal(holder: Command) -> ClusterError:
    return ClusterError(f"{holder.words} on the cluster: wait until it has ended, and try again")


def _told(text: str) -> Command:
    target = re.match(r"`make (\S+)`", text)
    return Command(target[1] if target else "", text or "another command is at work")
