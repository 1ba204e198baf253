"""The command line as a person runs it: another process, a folder of its own, the embedded stack."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from user_analytics.settings import Settings

RUN_TIMEOUT_SECONDS = 600


class CommandLine:
    """`user-analytics` on a run directory and lake of its own, whatever this machine's settings say."""

    def __init__(self, folder: Path) -> None:
        settings = {name.upper() for name in Settings.model_fields}
        self._environment = {name: value for name, value in os.environ.items() if name.upper() not in settings}
        self._environment |= {"RUN_DIR": str(folder / "run"), "LAKE_URL": str(folder / "lake")}
        self._folder = folder

    def __call__(self, *arguments: str | Path) -> str:
        """Run one command to its end and return its output; fails the test when it does not exit with 0."""
        command = [Path(sys.executable).with_name("user-analytics"), *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")[-4000:]
            pytest.fail(f"{' '.join(map(str, arguments))}: exit code {done.returncode}\n{said}", pytrace=False)
        return done.stdout.decode()

    def query(self, view: str) -> list[dict[str, str]]:
        """Rows of a view, as printed."""
        return list(csv.DictReader(self("query", view, "--format", "csv").splitlines(), strict=True))
