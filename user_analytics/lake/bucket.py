"""Making the bucket ready for a run."""

from user_analytics.lake import keys
from user_analytics.lake.store import Store


def create_bucket(store: Store) -> bool:
    """Create the bucket and the folder Spark writes event logs to; False when the bucket was there already."""
    created = store.create()
    store.put(keys.SPARK_EVENTS, b"")  # Spark stops when this folder is missing
    return created
