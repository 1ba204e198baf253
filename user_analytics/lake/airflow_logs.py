"""Letting go of the logs of Airflow's tasks that were kept long enough."""

from datetime import datetime

import structlog

from user_analytics.lake import keys
from user_analytics.lake.store import Store

log = structlog.get_logger()


def remove_old_airflow_logs(store: Store, older_than: datetime) -> int:
    """Delete the logs that were last written before `older_than`, which has a time zone; returns how many.

    Raises LakeError.
    """
    old = [item.key for item in store.list(keys.AIRFLOW_LOGS) if item.modified < older_than]
    for key in old:
        store.delete(key)
    log.info("removed Airflow's old logs", objects=len(old), older_than=older_than.isoformat(timespec="seconds"))
    return len(old)
