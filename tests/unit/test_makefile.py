"""What `make` gives to every command that it runs."""

import os
import subprocess
from pathlib import Path

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
