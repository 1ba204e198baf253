"""Files that appear under their name when they are whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from user_analytics.errors import UserAnalyticsError


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name of its own beside `path` to write a file under; it takes the place of `path` when the body ends.

    When the body raises, `path` stays as it was; of several in an ExitStack all do. Of two writers of one `path`
    the last to end has it, whole. Raises UserAnalyticsError naming `path` when its place cannot be taken.
    """
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield aside
        with naming_the_output(str(path)):
            aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink()


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
