"""No time travel, and so no copies of whole tables.

Stock: each change of a table (every DML statement, every committed write stream) copies the whole table and keeps
the copy for days, for `FOR SYSTEM_TIME AS OF`. A staging table written by n streams is copied n times.
Here: nothing is copied, and a query that travels in time is refused instead of answered from the present.
Still needed while `SnapshotManager.record_change` copies.
"""

from datetime import datetime

from bqemulator.catalog.models import SnapshotMeta
from bqemulator.domain.errors import UnsupportedFeatureError
from bqemulator.domain.events import TableDataChanged
from bqemulator.versioning.snapshots import SnapshotManager


class NoTimeTravel(SnapshotManager):
    """Tells subscribers of changes, keeps no past."""

    def record_change(self, project_id: str, dataset_id: str, table_id: str) -> SnapshotMeta | None:
        """Publish the change (materialized views go stale on it)."""
        self._events.publish(TableDataChanged(project_id, dataset_id, table_id))
        return None

    def resolve_time_travel(
        self, project_id: str, dataset_id: str, table_id: str, target: datetime
    ) -> SnapshotMeta | None:
        """Raise UnsupportedFeatureError."""
        raise UnsupportedFeatureError(
            f"FOR SYSTEM_TIME AS OF {target.isoformat()} on {project_id}.{dataset_id}.{table_id}: "
            "this emulator keeps no past states"
        )
