"""Fixtures shared by all tests; each plugin module under tests/fixtures owns one real part."""

import os
import re
from pathlib import Path

# What a make that started the tests was told is not for the ones that they start.
_SETTINGS = re.findall(r"^(\w+) \?=", Path(__file__).parents[1].joinpath("Makefile").read_text(), flags=re.MULTILINE)
for _name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *_SETTINGS):
    os.environ.pop(_name, None)

pytest_plugins = [
    "tests.fixtures.chromium",
    "tests.fixtures.emulator",
    "tests.fixtures.helm",
    "tests.fixtures.kubernetes_api",
    "tests.fixtures.kubernetes_schemas",
    "tests.fixtures.minio",
    "tests.fixtures.postgres",
    "tests.fixtures.spark",
    "tests.fixtures.warehouse",
]
