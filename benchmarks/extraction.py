"""How long the pipeline takes to extract retail.user_purchase, beside others that read the same rows.

One Postgres 18 and one MinIO serve all of them, one at a time. They take turns, so that whatever else the machine
does touches them alike; the first turn only warms up. Each runs in a process of its own: its time is from the first
connection to the last byte stored, without the start of Python and its imports, its memory is the peak of the
process. What the lake holds in the end is read again: how many rows, and what became of the prices.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import pyarrow.parquet as pq
from pyarrow import BufferReader
from rich.console import Console
from rich.table import Table

from data import generate
from tests.fixtures.minio import MinioServer
from tests.fixtures.programs import PEAK, run
from user_analytics.embedded.postgres import PostgresServer, embedded_binaries, remove_data
from user_analytics.lake.store import open_store
from user_analytics.settings import Settings
from user_analytics.source import TABLE, load_purchases

SEED = 20101208
ROWS_PER_CUSTOMER = 25
TURNS = 3

OURS = "user-analytics ingest purchases"
SCRIPT = """
import time, {modules}
from benchmarks import extractors
begin = time.perf_counter()
extractors.{extractor}(settings, store)
print("seconds", time.perf_counter() - begin)
"""
NOTES = (
    "connectorx loses the rows whose partition column is NULL (guests): it asks for ranges, and they are in none.",
    "Prices as double have become floating-point numbers; as string they must be parsed before one can add them up.",
)


@dataclass(frozen=True)
class Result:
    """What one run took (seconds, MB) and delivered."""

    seconds: float
    peak: float
    rows: int
    prices: str


@dataclass(frozen=True)
class Contender:
    """One way to extract; the slow ones run in the last turn only."""

    name: str
    measure: Callable[[Settings], Result]
    slow: bool = False


def contenders(postgres_bin: Path) -> list[Contender]:
    """All of them, the floor first."""
    return [
        Contender("psql \\copy to CSV on disk (floor)", partial(psql, postgres_bin, "csv")),
        Contender("psql \\copy to binary on disk", partial(psql, postgres_bin, "binary")),
        Contender(OURS, partial(extractor, "user_analytics", "user_analytics.ingest.purchases")),
        Contender("DuckDB's Postgres extension", partial(extractor, "duckdb", "duckdb")),
        Contender("ADBC", partial(extractor, "adbc", "adbc_driver_postgresql.dbapi, pyarrow.parquet")),
        Contender("connectorx", partial(extractor, "connectorx", "connectorx, pyarrow.parquet")),
        Contender(
            "connectorx, 2 partitions by customer_id",
            partial(extractor, "connectorx_partitioned", "connectorx, pyarrow.parquet"),
        ),
        Contender(
            "pandas read_sql in chunks",
            partial(extractor, "pandas_in_chunks", "pandas, psycopg2, pyarrow.parquet, sqlalchemy"),
            slow=True,
        ),
        Contender(
            "pandas read_sql, as SqlToS3Operator",
            partial(extractor, "pandas_whole", "pandas, psycopg2, pyarrow.parquet, sqlalchemy"),
            slow=True,
        ),
    ]


def psql(postgres_bin: Path, file_format: str, settings: Settings) -> Result:
    """Measure psql, which writes a file on this disk and nothing to the lake."""
    assert settings.source_password is not None  # noqa: S101
    with TemporaryDirectory() as folder:
        copy = f"\\copy {TABLE} to '{folder}/user_purchase' (format {file_format})"
        memory = "\\! grep VmHWM /proc/$PPID/status"
        begin = perf_counter()
        done = subprocess.run(  # noqa: S603
            [postgres_bin / "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--command={copy}", f"--command={memory}"],
            env={
                "PATH": os.defpath,
                "PGHOST": str(settings.source_host),
                "PGPORT": str(settings.source_port),
                "PGDATABASE": settings.source_database,
                "PGUSER": settings.source_user,
                "PGPASSWORD": settings.source_password.get_secret_value(),
            },
            capture_output=True,
            check=False,
            text=True,
        )
        seconds = perf_counter() - begin
    found = re.search(r"COPY (\d+)\nVmHWM:\s*(\d+) kB", done.stdout)
    if done.returncode != 0 or not found:
        sys.exit(f"psql failed:\n{done.stdout}{done.stderr}")
    return Result(seconds, int(found[2]) / 1024, int(found[1]), "-")


def extractor(name: str, modules: str, settings: Settings) -> Result:
    """Measure a function of benchmarks.extractors, after the import of the modules it needs."""
    store = open_store(settings)
    store.create()
    done = run(SCRIPT.format(extractor=name, modules=modules) + PEAK, settings)
    found = re.search(r"seconds (\S+)\npeak (\d+)", done.stdout)
    if done.returncode != 0 or not found:
        sys.exit(f"{name} failed:\n{done.stdout}{done.stderr}")
    files = [
        pq.ParquetFile(BufferReader(store.get(file.key) or b""))
        for file in store.list("")
        if file.key.endswith(".parquet")
    ]
    types = [file.schema_arrow.field("unit_price").type for file in files]
    prices = {str(getattr(kind, "storage_type", kind)) for kind in types}
    rows = sum(file.metadata.num_rows for file in files)
    return Result(float(found[1]), int(found[2]) / 1024, rows, ", ".join(sorted(prices)))


def middle(results: list[Result]) -> Result:
    """The median time and the highest memory of some runs, which all must deliver the same."""
    first = results[0]
    if any((result.rows, result.prices) != (first.rows, first.prices) for result in results):
        sys.exit(f"runs of one extraction delivered different rows: {results}")
    return Result(
        median(result.seconds for result in results),
        max(result.peak for result in results),
        first.rows,
        first.prices,
    )


def comparison(results: dict[str, Result], rows: int) -> Table:
    """The results as a table, as ratios to the first of them; a row count other than `rows` is marked."""
    table = Table(title=f"Extraction of {rows:,} rows of {TABLE} on {os.cpu_count()} cores")
    table.add_column("")
    for heading in ("seconds", "× floor", "rows/s", "peak MB", "rows delivered"):
        table.add_column(heading, justify="right")
    table.add_column("prices as")
    floor = next(iter(results.values())).seconds
    for name, result in results.items():
        delivered = f"{result.rows:,}"
        table.add_row(
            name,
            f"{result.seconds:.2f}",
            f"{result.seconds / floor:.1f}",
            f"{result.rows / result.seconds:,.0f}",
            f"{result.peak:.0f}",
            delivered if result.rows == rows else f"[red]{delivered} of {rows:,}[/]",
            result.prices,
            style="bold" if name == OURS else None,
        )
    return table


def load(settings: Settings, postgres: PostgresServer, folder: Path, rows: int) -> None:
    """Make the table."""
    file = folder / "user_purchase.csv"
    customers = generate.Customers(max(1, rows // ROWS_PER_CUSTOMER))
    chunks = generate.purchase_chunks(rows, customers, SEED, last_day=date(2010, 12, 8), days=90)
    generate.write_csv(file, generate.PURCHASE_COLUMNS, chunks)
    load_purchases(settings, file)
    file.unlink()
    connection = postgres.connect()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"vacuum analyze {TABLE}")  # else the first one to read would do a part of it
    connection.close()


def main() -> None:
    """Measure all of them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, required=True, help="rows of the table")
    parser.add_argument("--minio", type=Path, required=True, help="the MinIO program")
    given = parser.parse_args()
    if given.rows < 1:
        parser.error("--rows must be at least 1")
    progress = Console(stderr=True)
    with ExitStack() as started:
        folder = Path(started.enter_context(TemporaryDirectory()))
        started.callback(remove_data, folder)
        postgres = started.enter_context(PostgresServer(embedded_binaries(), folder))
        minio = MinioServer(folder, given.minio)
        started.callback(minio.stop)
        minio.start()
        buckets = (postgres.complete(minio.settings(f"extraction-{number}")) for number in count())
        progress.print(f"Making {given.rows:,} rows")
        load(next(buckets), postgres, folder, given.rows)
        runs: dict[str, list[Result]] = {}
        for turn in range(TURNS + 1):
            for contender in contenders(embedded_binaries()):
                if contender.slow and turn < TURNS:
                    continue
                progress.print(f"{turn or 'Warm-up'}: {contender.name}")
                result = contender.measure(next(buckets))
                if turn:
                    runs.setdefault(contender.name, []).append(result)
    results = {name: middle(measured) for name, measured in runs.items()}
    output = Console(width=None if sys.stdout.isatty() else 140)
    output.print(comparison(results, given.rows))
    for note in NOTES:
        output.print(note, highlight=False)
    if results[OURS].rows != given.rows:
        sys.exit(f"{OURS} delivered {results[OURS].rows:,} of {given.rows:,} rows")


if __name__ == "__main__":
    main()
