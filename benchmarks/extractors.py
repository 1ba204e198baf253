"""Ways to get retail.user_purchase from Postgres into a lake as Parquet: the pipeline's own, and those of others.

Each takes the settings of the source and the lake's store, and runs in a process of its own. All write zstd, as the
pipeline does; where a library takes a path, the file is written to the disk and uploaded in the end.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from user_analytics.lake.store import Store
from user_analytics.settings import Settings

QUERY = "select * from retail.user_purchase"
COMPRESSION = "zstd"
CHUNK_ROWS = 100_000


def user_analytics(settings: Settings, store: Store) -> None:
    """The pipeline's: every row judged, control totals added up, parts hashed, a manifest written."""
    from user_analytics.ingest.purchases import ingest_purchases

    ingest_purchases(settings, store, date(2010, 12, 8))


def pandas_whole(settings: Settings, store: Store) -> None:
    """pandas, the table as one frame: what Airflow's SqlToS3Operator does unless told otherwise."""
    import pandas as pd
    from sqlalchemy import create_engine

    with create_engine(_uri(settings, "postgresql+psycopg2")).connect() as connection, _uploaded(store) as path:
        frame = pd.read_sql(QUERY, connection, dtype={"customer_id": "Int64"})
        frame.to_parquet(path, compression=COMPRESSION)


def pandas_in_chunks(settings: Settings, store: Store) -> None:
    """pandas, CHUNK_ROWS at a time from a cursor on the server."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from sqlalchemy import create_engine

    engine = create_engine(_uri(settings, "postgresql+psycopg2")).execution_options(stream_results=True)
    with engine.connect() as connection, _uploaded(store) as path:
        frames = pd.read_sql(QUERY, connection, dtype={"customer_id": "Int64"}, chunksize=CHUNK_ROWS)
        tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
        first = next(tables)
        with pq.ParquetWriter(path, first.schema, compression=COMPRESSION) as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)


def connectorx(settings: Settings, store: Store) -> None:
    """connectorx, one query."""
    _connectorx(settings, store)


def connectorx_partitioned(settings: Settings, store: Store) -> None:
    """connectorx, two queries at once, each for half the range of customer_id."""
    _connectorx(settings, store, partition_on="customer_id", partition_num=2)


def _connectorx(settings: Settings, store: Store, **partitions: object) -> None:
    import connectorx as cx
    import pyarrow.parquet as pq

    table = cx.read_sql(_uri(settings), QUERY, return_type="arrow", **partitions)
    with _uploaded(store) as path:
        pq.write_table(table, path, compression=COMPRESSION)


def adbc(settings: Settings, store: Store) -> None:
    """ADBC's driver: binary COPY, streamed batch by batch."""
    import pyarrow.parquet as pq
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(_uri(settings)) as connection, connection.cursor() as cursor, _uploaded(store) as path:
        cursor.execute(QUERY)
        batches = cursor.fetch_record_batch()
        with pq.ParquetWriter(path, batches.schema, compression=COMPRESSION) as writer:
            for batch in batches:
                writer.write_batch(batch)


def duckdb(settings: Settings, store: Store) -> None:
    """DuckDB's Postgres extension: binary COPY of ranges of pages, on every core."""
    from importlib import resources

    import duckdb

    extension = resources.files("duckdb_extension_postgres_scanner") / f"extensions/v{duckdb.__version__}"
    with resources.as_file(extension / "postgres_scanner.duckdb_extension") as file, duckdb.connect() as connection:
        connection.execute(f"load '{file}'")
        connection.execute(f"attach '{_uri(settings)}' as source (type postgres, read_only)")
        with _uploaded(store) as path:
            connection.execute(f"copy (from source.retail.user_purchase) to '{path}' (compression {COMPRESSION})")


def _uri(settings: Settings, scheme: str = "postgresql") -> str:
    password = quote(settings.source_password.get_secret_value() if settings.source_password else "", safe="")
    place = f"{settings.source_host}:{settings.source_port}/{settings.source_database}"
    return f"{scheme}://{settings.source_user}:{password}@{place}?sslmode={settings.source_sslmode}"


@contextmanager
def _uploaded(store: Store) -> Iterator[Path]:
    """Where to write a Parquet file, which then goes to the lake."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "user_purchase.parquet"
        yield path
        with path.open("rb") as file:
            store.put_stream(path.name, file)
