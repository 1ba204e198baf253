"""DuckDB as the emulator uses it: a connection for each thread and script, and extensions without a network.

Four behaviours of the stock `bqemulator.storage.engine.DuckDBEngine` are corrected:

- All requests share one DuckDB connection. A connection holds one open result, so that a REST request can fetch
  the rows of a Storage API call that runs beside it in another thread. Here each thread has a connection of its
  own, and each script one that only its statements use. Still needed while `DuckDBEngine.connection` returns the
  same object in every thread.
- `INSTALL spatial` downloads the extension into the home directory at the first start, and the emulator stops where
  that cannot be done (no network, a read-only home). Here the file that PyPI's `duckdb-extension-spatial` carries is
  loaded from where it lies. Still needed while the module contains `INSTALL spatial`.
- `SET TimeZone` holds for one connection. Here it holds for all.
- BEGIN TRANSACTION as a query of its own leaves the shared connection in a transaction that nobody ends. Here it is
  refused, as by BigQuery outside of a script.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import resources
from typing import Any

import duckdb
from bqemulator.config import Settings
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.storage.engine import DuckDBEngine

_TRANSACTION_CONTROL = re.compile(r"\s*(BEGIN|START|COMMIT|END|ROLLBACK)\b", re.IGNORECASE)


class Script:
    """The connection of one running script, and whether a transaction is open on it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self.in_transaction = False

    def begin(self) -> None:
        """Open a transaction."""
        self.connection.begin()
        self.in_transaction = True

    def commit(self) -> None:
        """Make the transaction's changes visible, all at once; when DuckDB refuses, it has rolled them back."""
        self.in_transaction = False
        self.connection.commit()

    def rollback(self) -> None:
        """Abandon the transaction's changes."""
        self.in_transaction = False
        self.connection.rollback()


_script: ContextVar[Script | None] = ContextVar("script", default=None)


def current_script() -> Script | None:
    """The script to which the running task belongs."""
    return _script.get()


class Engine(DuckDBEngine):
    """The stock engine with connections that do not disturb one another."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._event_loop_thread = threading.get_ident()
        self._thread = threading.local()
        self._cursors: list[duckdb.DuckDBPyConnection] = []

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The running script's connection, or else this thread's."""
        script = current_script()
        if script is not None:
            return script.connection
        if threading.get_ident() == self._event_loop_thread:
            return super().connection
        if not hasattr(self._thread, "cursor"):
            self._thread.cursor = super().connection.cursor()
            self._cursors.append(self._thread.cursor)
        cursor: duckdb.DuckDBPyConnection = self._thread.cursor
        return cursor

    def execute(self, sql: str, parameters: list[Any] | None = None) -> duckdb.DuckDBPyConnection:
        """Execute one statement; raises InvalidQueryError for transaction control, which only scripts have."""
        if _TRANSACTION_CONTROL.match(sql):
            raise InvalidQueryError("Transaction control statements are supported only in scripts", location="query")
        return super().execute(sql, parameters)

    @contextmanager
    def script(self) -> Iterator[None]:
        """Give the statements of the current task a connection of their own; what they do not commit is undone."""
        script = Script(super().connection.cursor())
        token = _script.set(script)
        try:
            yield
        finally:
            _script.reset(token)
            if script.in_transaction:
                script.rollback()
            script.connection.close()

    async def stop(self) -> None:
        """Close all connections; the last one writes the log into the database file."""
        for cursor in self._cursors:
            cursor.close()
        await super().stop()

    def _apply_session_pragmas(self) -> None:
        super().connection.execute("SET GLOBAL TimeZone = 'UTC'")

    def _load_spatial(self) -> None:
        packaged = resources.files("duckdb_extension_spatial").joinpath(
            "extensions", f"v{duckdb.__version__}", "spatial.duckdb_extension"
        )
        with resources.as_file(packaged) as path:
            quoted = str(path).replace("'", "''")
            super().connection.execute(f"LOAD '{quoted}'")
