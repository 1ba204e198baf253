"""BEGIN, COMMIT and ROLLBACK as transactions of the database.

Stock: each statement of a transaction commits at once; ROLLBACK and errors put back copies of the tables. Readers
see half of a transaction, and a process that dies leaves half of it. A transaction that is still open where an
EXCEPTION handler takes over or the script ends stays applied.
Here, as BigQuery documents it (https://cloud.google.com/bigquery/docs/transactions): a script's transaction is one
DuckDB transaction on the script's connection. Only COMMIT makes it visible, all at once; an error that no handler
takes, or a script that ends before COMMIT, rolls it back. Other requests are served between the statements of a
script. Of two transactions that change the same rows the later one is refused with BigQuery's message; where
BigQuery lets a conflicting statement outside of a transaction wait, that is refused too.
Still needed while `ScriptInterpreter._handle_txn_statement` does not begin a transaction in DuckDB.

Two more answers of the stock interpreter are corrected: RAISE outside of a handler and RETURN outside of a
procedure are an "internal error" there.
"""

import asyncio
import re

from bqemulator.domain.errors import DomainError, InvalidQueryError
from bqemulator.jobs.error_mapper import translate_runtime_error
from bqemulator.jobs.executor import classify_statement_type
from bqemulator.scripting.ast import Statement
from bqemulator.scripting.exceptions import ReturnSignal, ScriptRaise
from bqemulator.scripting.interpreter import ScriptInterpreter, ScriptResult

from user_analytics.emulator.engine import Engine, current_script
from user_analytics.emulator.jobs import Catalog

_CONFLICT = re.compile(r"Conflict on (tuple|update)|write-write conflict|Transaction conflict|Failed to commit")
_TABLE = re.compile(r'"(?P<project>[^"]+?)__(?P<dataset>[^"]+)"\."(?P<table>[^"]+)"')
_PERMANENT_DDL = re.compile(r"(CREATE|ALTER|DROP)_")
_TEMPORARY = re.compile(r"CREATE\s+(OR\s+REPLACE\s+)?TEMP", re.IGNORECASE)


class Interpreter(ScriptInterpreter):
    """The stock interpreter with the database's transactions."""

    async def run(self, source: str) -> ScriptResult:
        """Run a script on a connection of its own, or a procedure on its caller's."""
        if current_script() is not None:
            return await super().run(source)
        engine = self._ctx.engine
        if not isinstance(engine, Engine):
            raise TypeError("transactions need this package's Engine")
        with engine.script():
            try:
                return await super().run(source)
            except ReturnSignal:
                return ScriptResult(self._final_table, self._statements_executed)
            except ScriptRaise as raised:
                raise raised.error from raised

    async def _exec_statement(self, stmt: Statement) -> None:
        await asyncio.sleep(0)  # the interpreter itself never waits: serve other requests between statements
        await super()._exec_statement(stmt)

    async def _exec_sql(self, sql: str) -> None:
        script = current_script()
        if script and script.in_transaction and not _TEMPORARY.match(sql):
            kind = classify_statement_type(sql)
            if _PERMANENT_DDL.match(kind):
                raise InvalidQueryError(
                    f"{kind}: DDL on permanent entities is not supported in a transaction", location="query"
                )
        await super()._exec_sql(sql)

    async def _handle_txn_statement(self, op: str) -> None:
        script, catalog = current_script(), self._ctx.catalog
        if script is None or not isinstance(catalog, Catalog):
            raise TypeError("transactions need a running script and this package's Catalog")
        if op == "BEGIN" and script.in_transaction:
            raise InvalidQueryError("Transactions cannot be nested", location="query")
        if op != "BEGIN" and not script.in_transaction:
            raise InvalidQueryError(f"{op}: there is no active transaction", location="query")
        try:
            if op == "BEGIN":
                script.begin()
            elif op == "COMMIT":
                catalog.write_commit()
                script.commit()
            else:
                script.rollback()
        except Exception as error:
            raise translate_runtime_error(error) from error


def translate_conflict(raw: str, duckdb_sql: str | None) -> DomainError | None:
    """BigQuery's error for DuckDB's message that another transaction changed the same rows; else None."""
    if _CONFLICT.search(raw) is None:
        return None
    match = _TABLE.search(duckdb_sql or "")
    table = " table {project}:{dataset}.{table}".format(**match.groupdict()) if match else ""
    script = current_script()
    if script and script.in_transaction:
        return InvalidQueryError(f"Transaction is aborted due to concurrent update against{table}", location="query")
    return InvalidQueryError(f"Could not serialize access to{table} due to concurrent update", location="query")
