"""Reading objects that a manifest names, byte for byte what it says they are."""

import hashlib

from user_analytics.errors import CorruptObject
from user_analytics.lake.manifest import DataFile
from user_analytics.lake.store import Store


def read_verified(store: Store, file: DataFile) -> bytes:
    """The bytes of one object, checked by size and then by SHA-256; never reads more than its size and a byte.

    Raises CorruptObject when they differ from the manifest's, LakeError when the object is missing.
    """
    with store.open(file.key) as stream:
        body = stream.read(file.size + 1)
    if len(body) != file.size:
        found = f"more than {file.size}" if len(body) > file.size else str(len(body))
        raise _corrupt(store, file, f"it has {found} bytes, its manifest says {file.size}")
    digest = hashlib.sha256(body).hexdigest()
    if digest != file.sha256:
        raise _corrupt(store, file, f"its SHA-256 is {digest}, its manifest says {file.sha256}")
    return body


def _corrupt(store: Store, file: DataFile, difference: str) -> CorruptObject:
    return CorruptObject(
        f"{store.url}/{file.key} was truncated or altered: {difference}; run the ingestion of its date again"
    )
