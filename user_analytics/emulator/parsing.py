"""SQL is parsed once for all that read it.

Stock: each check and each rewriter parses the statement for itself, some fifteen times, which is more than a third of
the time that a publish takes of the emulator.
Here: the trees of the last texts are kept. Each reader gets a copy, as readers change theirs; a copy takes a quarter
of the time.
Still needed while `bqemulator` calls `sqlglot.parse_one` more than once for a statement.
"""

from functools import lru_cache
from typing import Any

from sqlglot.dialects.dialect import Dialect
from sqlglot.expressions import Expr

REMEMBERED = 8

_parse = Dialect.parse


@lru_cache(maxsize=REMEMBERED)
def _remembered(dialect: type[Dialect], sql: str) -> list[Expr | None]:
    return _parse(dialect(), sql)


def parse(dialect: Dialect, sql: str, **options: Any) -> list[Expr | None]:
    """Stands in for `Dialect.parse`; what is asked for with settings or options is parsed as in stock."""
    stock = type(dialect)
    of_its_own = dialect.settings or dialect.normalization_strategy is not stock.NORMALIZATION_STRATEGY
    if of_its_own or any(value is not None for value in options.values()):
        return _parse(dialect, sql, **options)
    return [tree and tree.copy() for tree in _remembered(stock, sql)]
