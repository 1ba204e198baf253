"""Files that appear under their name when they are whole."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from user_analytics.errors import UserAnalyticsError


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name of its own beside `path` to write a file under; it takes the place of `path` when the body ends.

    When the body raises, `path` stays as it was; of several in an ExitStack all do. Of two writers of one `path`
    the last to end has it, whole. What a killed writer of `path` has left is removed. Raises UserAnalyticsError
    naming `path` when its place cannot be taken.
    """
    with naming_the_output(str(path)):
        _remove_abandoned(path)
        aside = path.with_name(f".{path.name}.{uuid4().hex}")
        lock = aside.open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, or the process ends in whatever way
    try:
        with lock:
            yield aside
            with naming_the_output(str(path)):
                aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()


def _remove_abandoned(path: Path) -> None:
    """Remove the files of writers of `path` that are no more, which is to say hold no lock."""
    for aside in path.parent.glob(f".{escape(path.name)}.{'[0-9a-f]' * 32}"):
        with aside.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside.unlink(missing_ok=True)


@contextmanager
def naming_the_output(name: str) -> Iterator[None]:
    """Around what writes and nothing else, as UserAnalyticsError that names the output.

    BrokenPipeError stays what it is: that nobody reads any more is no fault of the output's.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise UserAnalyticsError(f"cannot write {name}: {error}") from error
