"""What `make` gives to the commands that it runs."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_commands_keep_what_they_compile_of_their_packages_whatever_is_set_outside() -> None:
    show = "show: ; @printenv PYTHONDONTWRITEBYTECODE || echo unset"

    done = subprocess.run(
        ["make", "--no-print-directory", "--eval", show, "show"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "unset\n"


@pytest.mark.parametrize(
    ("asked", "installs"),
    [({}, False), ({"CI": "false"}, False), ({"CI": "true"}, True), ({"INSTALL": "1"}, True)],
    ids=str,
)
def test_debian_packages_are_installed_for_tests_only_where_that_is_asked_for(
    asked: dict[str, str], installs: bool
) -> None:
    outside = {name: value for name, value in os.environ.items() if name != "CI"}

    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "packages"],
        cwd=ROOT,
        env={**outside, **asked},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ("requirements/install-debian-packages.sh" in done.stdout) == installs
