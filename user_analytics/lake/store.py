"""What the pipeline needs of an object store, and which one LAKE_URL names.

Two stores do it: a local directory and S3. Both make an object visible only when it is whole.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.s3_store import S3Store
from user_analytics.lake.stored_object import StoredObject
from user_analytics.settings import Settings


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
        """All objects whose key starts with `prefix`, in order of key; keys ending in `/` are left out."""

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is no error."""


def open_store(settings: Settings) -> Store:
    """The store that LAKE_URL names; connects when it is first used."""
    if settings.lake_url.startswith("s3://"):
        return S3Store(settings, settings.lake_url.removeprefix("s3://"))
    return LocalStore(Path(settings.lake_url))
