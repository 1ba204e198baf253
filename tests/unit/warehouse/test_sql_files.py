"""The SQL files keep the promises that no database checks here."""

import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from user_analytics.sql import render_sql, sql_directory
from user_analytics.warehouse.publications import Publication
from user_analytics.warehouse.tables import TABLES
from user_analytics.warehouse.view_names import VIEWS

BIGQUERY = sql_directory() / "bigquery"


def names(folder: str) -> set[str]:
    return {path.stem for path in (BIGQUERY / folder).glob("*.sql")}


def described_columns(path: Path) -> list[str]:
    """Columns that have a description, in order."""
    return re.findall(
        r"^    (\w+)[^\n]* options \(\n        description = '[^']+'\n    \)", path.read_text(), re.MULTILINE
    )


def test_every_table_and_every_view_has_its_file_and_every_file_is_used() -> None:
    assert names("tables") == set(TABLES)
    assert names("views") == set(VIEWS)


@pytest.mark.parametrize("path", sorted((BIGQUERY / "tables").glob("*.sql")), ids=lambda path: path.stem)
def test_every_column_and_every_table_is_described(path: Path) -> None:
    sql = path.read_text()
    declared = re.findall(r"^    (\w+) (?:int64|string|date|bool|float64|timestamp|numeric)", sql, re.MULTILINE)
    assert described_columns(path) == declared
    assert re.search(r"^options \(\n    description = '[^']+'", sql, re.MULTILINE)


@pytest.mark.parametrize("path", sorted((BIGQUERY / "tables").glob("*.sql")), ids=lambda path: path.stem)
def test_every_decimal_column_has_precision_and_scale(path: Path) -> None:
    assert not re.search(r"\bnumeric\b(?!\(\d+, \d+\))", path.read_text())


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_described_in_the_order_of_its_select(view: str) -> None:
    path = BIGQUERY / "views" / f"{view}.sql"
    last_select = path.read_text().rsplit("\nselect\n", 1)[1].split("\nfrom ")[0]
    assert described_columns(path) == re.findall(r"\w+", last_select)


def test_publications_have_the_columns_of_their_table_in_order() -> None:
    assert list(Publication._fields) == described_columns(BIGQUERY / "tables" / "publications.sql")


def test_the_publish_script_catches_no_error() -> None:
    script = (BIGQUERY / "publish.sql").read_text()
    code = re.sub(r"--[^\n]*", "", script)
    assert "exception" not in code
    assert (code.count("begin transaction;"), code.count("commit transaction;")) == (1, 1)


def test_a_variable_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="table_id"):
        render_sql("bigquery/tables/movie_review.sql")
