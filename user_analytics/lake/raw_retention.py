"""Letting go of the raw data of dates that was kept long enough."""

from collections.abc import Callable, Collection
from datetime import date, datetime, timedelta
from typing import get_args

import structlog

from user_analytics.errors import CorruptObject, ManifestMissing
from user_analytics.lake import keys
from user_analytics.lake.manifest import RawManifest, Table, raw_dates, read_raw_manifest
from user_analytics.lake.store import Store

log = structlog.get_logger()


def remove_old_raw(
    store: Store, now: datetime, retention: timedelta, in_use: Callable[[], Collection[date]]
) -> list[date]:
    """Delete the raw manifests of dates whose raw data is `retention` old or older; returns these dates, ascending.

    The files are then named by none, and `clean_up` deletes them: killed in between, nothing is left that a reader
    would take for data. A date is as old as the last ingestion of any of its tables, whatever its logical date. Kept
    are the dates `in_use`, the latest date, dates with a manifest that cannot be read, and all while none is in use:
    what is published is then not known. `in_use` is asked again before each date goes, for an older one may have been
    published meanwhile. Raises LakeError.
    """
    kept = in_use()
    if not kept:
        log.warning("kept the raw data of all dates", reason="nothing is published")
        return []
    dates = sorted(set(raw_dates(store)))
    return [ds for ds in dates[:-1] if ds not in kept and _removed(store, ds, now - retention, in_use)]


def _removed(store: Store, ds: date, ingested_until: datetime, in_use: Callable[[], Collection[date]]) -> bool:
    try:
        manifests = [manifest for table in get_args(Table) if (manifest := _manifest(store, table, ds))]
    except CorruptObject as error:
        log.warning("kept the raw data of a date", ds=str(ds), reason=str(error))
        return False
    ingested = max((manifest.created_at for manifest in manifests), default=None)
    if ingested is None or ingested > ingested_until or ds in in_use():
        return False
    # an ingestion that replaces one at this very moment loses it, and what reads it next says that it is missing
    for manifest in manifests:
        store.delete(keys.raw_manifest(manifest.table, ds))
    log.info(
        "removed the raw data of a date",
        ds=str(ds),
        ingested=ingested.isoformat(timespec="seconds"),
        rows={manifest.table: manifest.rows for manifest in manifests},
    )
    return True


def _manifest(store: Store, table: Table, ds: date) -> RawManifest | None:
    try:
        return read_raw_manifest(store, table, ds).manifest
    except ManifestMissing:
        return None
