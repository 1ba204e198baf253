"""The source database: connecting to Postgres, loading retail.user_purchase from a CSV, its latest day."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import BinaryIO

import psycopg2
import structlog
from psycopg2 import errorcodes

from user_analytics.errors import InputError, SettingsError, SourceError, Unreachable, UserAnalyticsError
from user_analytics.ingest.csv_records import CsvRecords
from user_analytics.logical_date import today
from user_analytics.retries import until_reachable
from user_analytics.settings import Settings
from user_analytics.sql import render_sql

log = structlog.get_logger()

TABLE = "retail.user_purchase"
COLUMNS = (
    "invoice_number",
    "stock_code",
    "detail",
    "quantity",
    "invoice_date",
    "unit_price",
    "customer_id",
    "country",
)

# A server that refuses for good says FATAL; with these words it is only not ready yet.
NOT_READY = ("starting up", "shutting down", "recovery", "not yet accepting", "too many", "connection slots")
# The client itself gives up, with these words and without FATAL.
REFUSED_BY_CLIENT = ("does not support SSL", "certificate", "no password supplied", "authentication method")

UTF8_MARK = b"\xef\xbb\xbf"
READ_BYTES = 1 << 20


@contextmanager
def source_transaction(settings: Settings) -> Iterator["psycopg2.extensions.connection"]:
    """A connection to the source inside one transaction: committed at the end, rolled back on an error.

    Timestamps without time zone are SOURCE_TIMEZONE's. Raises InputError for a value that the server cannot
    take or give, Unreachable when it does not answer or goes away, SourceError when it refuses or lacks
    something; all name host, port and database, never the password.
    """
    try:
        connection = _connect(settings)
        try:
            with connection, connection.cursor() as cursor:
                timeout_milliseconds = str(int(settings.connect_timeout_seconds * 1000))
                cursor.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", (timeout_milliseconds,))
                cursor.execute("SELECT pg_catalog.set_config('timezone', %s, true)", (settings.source_timezone,))
                yield connection
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise _explained(error, settings) from error


def load_purchases(settings: Settings, csv_path: Path) -> int:
    """Replace retail.user_purchase by the rows of a CSV file, in one transaction; returns their number.

    The table is created when it is missing. The header names the eight columns in any order; LF or
    CRLF, with or without a byte order mark. Raises InputError naming the file and line when a row
    cannot be taken; then the table is as it was.
    """
    try:
        with csv_path.open("rb") as file, CsvRecords(file, str(csv_path), COLUMNS) as records:
            header = records.header
        if unknown := sorted(set(header) - set(COLUMNS)):
            raise InputError(f"{csv_path}: {TABLE} has no column {', '.join(unknown)}")
        _refuse_end_marker(csv_path)
        with csv_path.open("rb") as file:
            if file.read(len(UTF8_MARK)) != UTF8_MARK:
                file.seek(0)
            rows = _replace(settings, header, file, csv_path)
    except OSError as error:
        raise InputError(f"cannot read the purchases file {csv_path}: {error.strerror or error}") from error
    log.info("loaded", table=TABLE, rows=rows, source=str(csv_path))
    return rows


def latest_invoice_day(settings: Settings) -> date:
    """The UTC day of the latest invoice in the source; raises InputError when there is none, or it is after today."""
    with source_transaction(settings) as connection, connection.cursor() as cursor:
        cursor.execute(render_sql("postgres/latest_invoice_day.sql"))
        (latest,) = cursor.fetchone() or (None,)
    if not isinstance(latest, date):
        raise InputError(
            f"{TABLE} of {source_place(settings)} has no invoice whose day could be the date of the run: "
            "give one, --date YYYY-MM-DD (with make, DATE=YYYY-MM-DD)"
        )
    if latest > (now := today()):
        raise InputError(
            f"the latest invoice of {TABLE} of {source_place(settings)} is of {latest}, which is after today, {now} "
            "(UTC): check it, and whether SOURCE_TIMEZONE is that of the source, or give the date of the run, "
            "--date YYYY-MM-DD (with make, DATE=YYYY-MM-DD)"
        )
    return latest


def has_purchases(settings: Settings) -> bool:
    """Whether the source holds the table with a row in it."""
    with source_transaction(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NOT NULL", (TABLE,))
        if cursor.fetchone() != (True,):
            return False
        cursor.execute(f"SELECT EXISTS (SELECT FROM {TABLE})")  # noqa: S608
        return bool(cursor.fetchone() == (True,))


def _replace(settings: Settings, header: list[str], file: BinaryIO, csv_path: Path) -> int:
    columns = ", ".join(header)  # checked to be column names
    with source_transaction(settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_catalog.to_regclass(%s) IS NULL", (TABLE,))
        if cursor.fetchone() == (True,):
            cursor.execute(render_sql("postgres/schema.sql"))
        cursor.execute(render_sql("postgres/incoming_user_purchase.sql"))
        try:
            cursor.copy_expert(
                f"COPY incoming_user_purchase ({columns}) FROM STDIN (FORMAT csv, HEADER true, ENCODING 'UTF8')",
                file,
                READ_BYTES,
            )
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            raise _refused_row(error, csv_path) from error
        cursor.execute(f"TRUNCATE {TABLE}")
        cursor.execute(f"INSERT INTO {TABLE} ({columns}) SELECT {columns} FROM incoming_user_purchase")  # noqa: S608
        return int(cursor.rowcount)


def _refuse_end_marker(csv_path: Path) -> None:
    """Refuse a record `\\.`: up to version 17 Postgres takes it for the end and drops what follows."""
    with csv_path.open("rb") as file:
        if not any(line.rstrip(b"\r\n") == b"\\." for line in file):
            return
    with csv_path.open("rb") as file, CsvRecords(file, str(csv_path), COLUMNS) as records:
        for record in records:
            if record.fields == ["\\."]:
                raise InputError(f"{csv_path}: line {record.line} is \\. instead of a row")


def _refused_row(error: psycopg2.Error, csv_path: Path) -> InputError:
    """What Postgres says against a row, with the file and line."""
    message = error.diag.message_primary or str(error)
    if "unterminated CSV quoted field" in message:
        with csv_path.open("rb") as file, CsvRecords(file, str(csv_path), COLUMNS) as records:
            for _ in records:  # raises, naming the line of the quote
                pass
    where = re.search(r"line (\d+)(?:, column (\w+))?", error.diag.context or "")
    line = f"line {where[1]}" if where else "a row"
    column = f", column {where[2]}" if where and where[2] else ""
    return InputError(f"{csv_path}: {line}{column}: {message}; {TABLE} was left as it was")


def _connect(settings: Settings) -> "psycopg2.extensions.connection":
    if settings.source_host is None:
        raise SettingsError("SOURCE_HOST is not set: name the Postgres server that holds " + TABLE)
    password = settings.source_password
    return until_reachable(
        "Postgres",
        f"{settings.source_host}:{settings.source_port}",
        settings.connect_timeout_seconds,
        lambda: psycopg2.connect(
            host=settings.source_host,
            port=settings.source_port,
            dbname=settings.source_database,
            user=settings.source_user,
            password=password.get_secret_value() if password else None,
            sslmode=settings.source_sslmode,
            client_encoding="UTF8",
            application_name="user-analytics",
            connect_timeout=10,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        ),
        lambda error: isinstance(error, psycopg2.OperationalError) and not _refused(str(error)),
    )


def _refused(message: str) -> bool:
    """Whether a failed connection fails again however often it is tried."""
    if any(words in message for words in REFUSED_BY_CLIENT):
        return True
    return "FATAL" in message and not any(words in message for words in NOT_READY)


def _explained(error: psycopg2.Error, settings: Settings) -> UserAnalyticsError:
    place = source_place(settings)
    message = (error.diag.message_primary or str(error)).strip().rpartition("FATAL:")[2].strip()
    code = error.pgcode
    if code in (errorcodes.UNDEFINED_TABLE, errorcodes.INVALID_SCHEMA_NAME):
        return SourceError(f"{place} has no table {TABLE} ({message}): sql/postgres/schema.sql creates it")
    if code == errorcodes.LOCK_NOT_AVAILABLE:
        return SourceError(f"{TABLE} of {place} is locked by another session ({message}): try again when it is done")
    if code == errorcodes.INSUFFICIENT_PRIVILEGE:
        return SourceError(f"{settings.source_user} lacks a right on {place}: {message}")
    if code is None and _refused(str(error)):
        return SourceError(f"{place} refused the connection: {message}; check SOURCE_USER, SOURCE_PASSWORD and so on")
    if code is None or (code[:2] in ("08", "57") and code != errorcodes.QUERY_CANCELED):
        return Unreachable(f"{place} closed the connection ({message}): nothing was changed, run it again")
    kind = InputError if isinstance(error, psycopg2.DataError) else SourceError
    return kind(f"{place}: {message}")


def source_place(settings: Settings) -> str:
    """Where the source is, for people to read; holds no secret."""
    return f"database {settings.source_database} at {settings.source_host}:{settings.source_port}"
