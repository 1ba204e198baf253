"""An object as a store lists it."""

from datetime import datetime
from typing import NamedTuple


class StoredObject(NamedTuple):
    """An object as listed: `size` in bytes, `modified` in UTC."""

    key: str
    size: int
    modified: datetime
