"""The sample files that stand in for those a person does not give; they come with a checkout, not with a wheel."""

from pathlib import Path

from user_analytics.errors import InputError
from user_analytics.lake.manifest import Table

SAMPLE = Path(__file__).resolve().parent.parent / "data"


def sample_file(table: Table) -> str:
    """Path of the sample CSV of a table; raises InputError where there is none."""
    path = SAMPLE / f"{table}.csv"
    if not path.is_file():
        raise InputError(f"no file was given and there is no sample {path}: name a file")
    return str(path)
