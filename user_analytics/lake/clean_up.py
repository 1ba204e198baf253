"""Removing what killed and superseded ingestions left in the lake."""

import re
from datetime import date, datetime
from functools import cache
from typing import NamedTuple, get_args

import structlog

from user_analytics.errors import CorruptObject, ManifestMissing
from user_analytics.lake import keys
from user_analytics.lake.manifest import Table, read_raw_manifest
from user_analytics.lake.store import Store
from user_analytics.lake.stored_object import StoredObject

log = structlog.get_logger()

DATED = re.compile(
    rf"(?:{keys.RAW}|{keys.QUARANTINE})(?P<table>{'|'.join(get_args(Table))})/ds=(?P<ds>[0-9-]{{10}})/.+"
)


class CleanedUp(NamedTuple):
    """What was deleted: the keys and their size in bytes altogether."""

    keys: list[str]
    size: int


def clean_up(store: Store, older_than: datetime) -> CleanedUp:
    """Delete raw and quarantine files that no manifest names and that were last written before `older_than`.

    It has a time zone. Younger files may be those of an ingestion that is about to write its manifest. A date whose
    manifest cannot be read keeps all its files. Raises LakeError.
    """

    @cache
    def kept(table: Table, ds: date) -> frozenset[str] | None:
        try:
            manifest = read_raw_manifest(store, table, ds).manifest
        except ManifestMissing:
            return frozenset()
        except CorruptObject as error:
            log.warning("kept all files of a date", table=table, ds=str(ds), reason=str(error))
            return None
        extra = [file for file in (manifest.original, manifest.quarantine) if file]
        return frozenset(file.key for file in [*manifest.files, *extra])

    def is_left_over(item: StoredObject) -> bool:
        match = DATED.fullmatch(item.key)
        if match is None or item.key.endswith(keys.MANIFEST) or item.modified >= older_than:
            return False
        try:
            ds = date.fromisoformat(match["ds"])
        except ValueError:  # not written by an ingestion
            return False
        named = kept(match["table"], ds)
        return named is not None and item.key not in named

    deleted = [item for prefix in (keys.RAW, keys.QUARANTINE) for item in store.list(prefix) if is_left_over(item)]
    for item in deleted:
        store.delete(item.key)
    result = CleanedUp([item.key for item in deleted], sum(item.size for item in deleted))
    log.info("cleaned up the lake", objects=len(result.keys), megabytes=round(result.size / 1e6, 1))
    return result
