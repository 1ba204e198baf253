"""Fixtures of the end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.fixtures.command_line import CommandLine
from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import stop_leftovers


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A pipeline that has not run yet; one for each module."""
    pipeline = CommandLine(tmp_path_factory.mktemp("pipeline"))
    yield pipeline
    stop_leftovers(pipeline.run_dir)
    remove_data(pipeline.run_dir)
