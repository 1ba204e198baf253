"""The command line as a person runs it: another process, a folder of its own, the embedded stack."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from user_analytics.settings import Settings

RUN_TIMEOUT_SECONDS = 600


class CommandLine:
    """`user-analytics` on a run directory and lake of its own, with `chosen` and no other settings."""

    def __init__(self, folder: Path, chosen: Mapping[str, str] | None = None) -> None:
        settings = {name.upper() for name in Settings.model_fields}
        self.environment = {name: value for name, value in os.environ.items() if name.upper() not in settings}
        self.folder = folder
        self.run_dir = folder / "run"
        self.environment |= {"RUN_DIR": str(self.run_dir), "LAKE_URL": str(folder / "lake"), **(chosen or {})}

    def __call__(self, *arguments: str | Path) -> str:
        """Run one command to its end and return its output; fails the test when it does not exit with 0."""
        done = subprocess.run(
            self.command(arguments),
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            timeout=RUN_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")[-4000:]
            pytest.fail(f"{' '.join(map(str, arguments))}: exit code {done.returncode}\n{said}", pytrace=False)
        return done.stdout.decode()

    def start(self, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        """Start one command in a process group of its own; its standard error can be read line by line."""
        return subprocess.Popen(
            self.command(arguments),
            env={**self.environment, **variables},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def query(self, view: str) -> list[dict[str, str]]:
        """Rows of a view, as printed."""
        return list(csv.DictReader(self("query", view, "--format", "csv").splitlines(), strict=True))

    def command(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        """What to execute."""
        return [Path(sys.executable).with_name("user-analytics"), *arguments]


def wait_for_stage(run: subprocess.Popen[str], stage: str) -> None:
    """Read a started run's standard error until the stage begins; fails the test when it ends before."""
    assert run.stderr is not None
    said = []
    for line in run.stderr:
        said.append(line)
        if line.startswith(f"{stage} "):
            return
    pytest.fail(f"the run ended with exit code {run.wait()} before {stage}:\n{''.join(said)}", pytrace=False)


def processes_of(command_line: CommandLine) -> list[psutil.Process]:
    """Every process that works in the pipeline's directories or was told of them."""
    home = command_line.run_dir / "postgres" / "home"
    marks = [str(command_line.run_dir), str(home.readlink() if home.is_symlink() else home)]
    found = []
    for process in psutil.process_iter():
        try:
            about = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if process.status() != psutil.STATUS_ZOMBIE and any(mark in text for mark in marks for text in about):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def assert_nothing_runs(command_line: CommandLine) -> None:
    deadline = time.monotonic() + 20
    while left := processes_of(command_line):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
