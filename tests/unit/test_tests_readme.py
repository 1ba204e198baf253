"""tests/README.md names tests that are there, and every file that has a long one."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text()


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", README)

    assert named
    missing = [f"{file}::{test}" for file, test in named if f"def {test}(" not in (TESTS / file).read_text()]
    assert missing == []


def test_every_file_with_a_long_test_is_named() -> None:
    marked = [str(file.relative_to(TESTS)) for file in TESTS.rglob("test_*.py") if "mark.long" in file.read_text()]

    assert [file for file in marked if f"`{file}" not in README and file != "unit/test_tests_readme.py"] == []
