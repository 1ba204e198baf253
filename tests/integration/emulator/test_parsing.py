"""SQL is parsed once for all that read it, and none of them sees what another makes of it."""

from unittest.mock import Mock

import pytest
from sqlglot import ErrorLevel, ParseError, exp
from sqlglot.dialects.dialect import Dialect

from user_analytics.emulator import parsing

SQL = "SELECT a FROM t WHERE b = 1"
BIGQUERY = Dialect.get_or_raise("bigquery")


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """The stock parser, which counts its calls; nothing is remembered yet."""
    stock = Mock(wraps=Dialect.parse)
    monkeypatch.setattr(parsing, "_parse", stock)
    parsing._remembered.cache_clear()
    return stock


def test_a_text_is_parsed_once_for_each_dialect(stock: Mock) -> None:
    duckdb = Dialect.get_or_raise("duckdb")

    trees = [parsing.parse(dialect, SQL) for dialect in (BIGQUERY, duckdb, BIGQUERY, duckdb)]

    assert stock.call_count == 2
    assert trees[0] == trees[2] == Dialect.parse(BIGQUERY, SQL)


def test_a_reader_that_changes_its_tree_changes_no_other_s(stock: Mock) -> None:
    [first] = parsing.parse(BIGQUERY, SQL)
    assert isinstance(first, exp.Select)
    first.select("c", copy=False).limit(1, copy=False)

    [second] = parsing.parse(BIGQUERY, SQL)

    assert stock.call_count == 1
    assert second is not None
    assert second.sql("bigquery") == SQL


def test_a_text_that_is_wrong_is_refused_each_time(stock: Mock) -> None:
    for _ in range(2):
        with pytest.raises(ParseError):
            parsing.parse(BIGQUERY, "SELECT (")
    assert stock.call_count == 2


def test_what_is_asked_for_with_options_or_a_dialect_s_settings_is_parsed_as_in_stock(stock: Mock) -> None:
    parsing.parse(BIGQUERY, SQL)
    parsing.parse(BIGQUERY, SQL, error_level=ErrorLevel.IGNORE)
    parsing.parse(Dialect.get_or_raise("bigquery, normalization_strategy=case_sensitive"), SQL)

    assert stock.call_count == 3


def test_an_option_left_at_none_is_none(stock: Mock) -> None:
    parsing.parse(BIGQUERY, SQL)
    parsing.parse(BIGQUERY, SQL, error_level=None)

    assert stock.call_count == 1
