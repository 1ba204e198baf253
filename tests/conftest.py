"""Fixtures shared by all tests; each plugin module under tests/fixtures owns one real part."""

import os
import re
import signal
from pathlib import Path

# What a make that started the tests was told is not for the ones that they start.
_SETTINGS = re.findall(r"^(\w+) \?=", Path(__file__).parents[1].joinpath("Makefile").read_text(), flags=re.MULTILINE)
# Nor is what colours the output, or whose service it is for.
_COLOURS = ("FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS")
for _name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", *_COLOURS, *_SETTINGS):
    os.environ.pop(_name, None)
os.environ["TERM"] = "xterm"
# Those of a job in the background ignore them, and so would all that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = [
    "tests.loaded",
    "tests.cost",
    "tests.skipped",
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
