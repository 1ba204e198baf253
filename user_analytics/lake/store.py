"""Object stores: S3 through the minio client, and a local directory with the same few operations.

Both make an object visible only when it is whole.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import BinaryIO, NamedTuple, Protocol

from user_analytics.settings import Settings


class StoredObject(NamedTuple):
    """An object as listed: `size` in bytes, `modified` in UTC."""

    key: str
    size: int
    modified: datetime


class Store(Protocol):
    """The operations the pipeline needs of an object store. Keys are relative to the bucket.

    Every operation raises LakeError (Unreachable when the server does not answer) with the key in it.
    """

    url: str
    """What people call the store: `s3://BUCKET` or the directory's path; never holds a secret."""

    def create(self) -> bool:
        """Create the bucket (or directory); False when it was there already."""

    def put(self, key: str, body: bytes) -> None:
        """Write a small object, replacing the one that was there."""

    def put_stream(self, key: str, stream: BinaryIO) -> int:
        """Write an object of any size in constant memory; returns its size in bytes."""

    def get(self, key: str) -> bytes | None:
        """The whole object, or None when it does not exist."""

    def open(self, key: str) -> BinaryIO:
        """Stream an object from its start; raises LakeError when it does not exist."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """All objects whose key starts with `prefix`, in order of key."""

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is no error."""


def open_store(settings: Settings) -> Store:
    """The store that LAKE_URL names."""
    raise NotImplementedError
