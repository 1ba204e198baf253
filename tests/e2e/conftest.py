"""Fixtures of the end-to-end tests."""

import pytest

from tests.e2e.command_line import CommandLine


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """A pipeline that has not run yet; one for each module."""
    return CommandLine(tmp_path_factory.mktemp("pipeline"))
