"""A local directory as an object store."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from user_analytics.errors import LakeError
from user_analytics.lake.stored_object import StoredObject

INCOMPLETE = ".incomplete"
"""Folder under the root where objects grow until they are renamed to their key."""

KILLED_WRITER_AGE = timedelta(hours=24)
COPY_BYTES = 1 << 20


class LocalStore:
    """Objects as files under a root directory; a key ending in `/` is a directory.

    An object is written to a file of its own, flushed to disk and renamed, then its directory is
    flushed: after a crash or power cut there is the whole object or none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.url = str(self.root)

    def create(self) -> bool:
        """Create the directory, and remove what killed writers left in it more than a day ago."""
        with self._errors("cannot create the directory"):
            existed = self.root.is_dir()
            incomplete = self.root / INCOMPLETE
            incomplete.mkdir(parents=True, exist_ok=True)
            oldest = (datetime.now(UTC) - KILLED_WRITER_AGE).timestamp()
            for path in incomplete.iterdir():
                with suppress(FileNotFoundError):  # its writer has finished meanwhile
                    if path.stat().st_mtime < oldest:
                        path.unlink()
        return not existed

    def put(self, key: str, body: bytes) -> None:
        """Write a small object, replacing the one that was there."""
        self.put_stream(key, BytesIO(body))

    def put_stream(self, key: str, stream: BinaryIO) -> int:
        """Write an object of any size in constant memory; returns its size in bytes."""
        target = self._path(key)
        with self._errors(f"cannot write {key}"):
            if key.endswith("/"):
                self._make_directory(target)
                return 0
            self._make_directory(target.parent)
            incomplete = self.root / INCOMPLETE / uuid4().hex
            self._make_directory(incomplete.parent)
        try:
            with incomplete.open("xb") as file:
                while block := stream.read(COPY_BYTES):
                    with self._errors(f"cannot write {key}"):
                        file.write(block)
                with self._errors(f"cannot write {key}"):
                    file.flush()
                    os.fsync(file.fileno())
                size = file.tell()
            with self._errors(f"cannot write {key}"):
                incomplete.replace(target)
                _flush_directory(target.parent)
        except BaseException:
            incomplete.unlink(missing_ok=True)
            raise
        return size

    def get(self, key: str) -> bytes | None:
        """The whole object, or None when it does not exist."""
        with self._errors(f"cannot read {key}"):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def open(self, key: str) -> BinaryIO:
        """Stream an object from its start; raises LakeError when it does not exist."""
        with self._errors(f"cannot read {key}"):
            return self._path(key).open("rb")

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key starts with `prefix`, in order of key."""
        top = self._path(prefix.rpartition("/")[0])
        found = []
        with self._errors(f"cannot list {prefix}"):
            for folder, folders, names in os.walk(top, onerror=_raise_unless_missing):
                if Path(folder) == self.root and INCOMPLETE in folders:
                    folders.remove(INCOMPLETE)
                for path in (Path(folder, name) for name in names):
                    key = path.relative_to(self.root).as_posix()
                    if key.startswith(prefix):
                        try:
                            status = path.stat()
                        except FileNotFoundError:  # deleted while we list
                            continue
                        found.append(StoredObject(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
        return iter(sorted(found))

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is no error."""
        with self._errors(f"cannot delete {key}"):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if key.startswith("/") or not {"..", INCOMPLETE}.isdisjoint(key.split("/")):
            raise LakeError(f"{key} is not a key of the store {self.url}")
        return self.root / key

    def _make_directory(self, path: Path) -> None:
        if not path.is_dir():
            self._make_directory(path.parent)
            path.mkdir(exist_ok=True)
            _flush_directory(path.parent)

    @contextmanager
    def _errors(self, failure: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "; free space on its disk" if error.errno == errno.ENOSPC else ""
            raise LakeError(f"{self.url}: {failure}: {error.strerror or error}{remedy}") from error


def _raise_unless_missing(error: OSError) -> None:
    """A directory that is not there holds no objects; one that cannot be read may hold some."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _flush_directory(path: Path) -> None:
    """Make renames in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
