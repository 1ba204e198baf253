"""The SQL of the project lives in files under `sql/`; this module finds and renders them."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

PACKAGE = Path(__file__).resolve().parent


def sql_directory() -> Path:
    """The folder of SQL files: `_sql` inside an installed package, `sql/` in a checkout."""
    installed = PACKAGE / "_sql"
    return installed if installed.is_dir() else PACKAGE.parent / "sql"


def render_sql(path: str, **variables: object) -> str:
    """The text of `sql/<path>` with its Jinja variables filled in; raises UndefinedError for one that is missing.

    Values go into the text as they are: identifiers and literals must be checked by the caller.
    """
    return _environment().get_template(path).render(variables)


@cache
def _environment() -> Environment:
    return Environment(  # noqa: S701  SQL is not HTML
        loader=FileSystemLoader(sql_directory()), undefined=StrictUndefined, keep_trailing_newline=True
    )
