"""`make clean`: what runs in a checkout is stopped, and what it keeps is removed, wherever that is."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psutil
import pytest

from user_analytics.embedded.stack import locked
from user_analytics.settings import Settings

CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what `make clean` wants of a checkout: the Makefile, and Python with the package."""
    folder = tmp_path / "checkout"
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "requirements").mkdir()
    for name in ("Makefile", "requirements/versions.env"):
        shutil.copy(CHECKOUT / name, folder / name)
    return folder


@pytest.fixture
def left_running() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        Thread(target=process.wait).start()  # one that has ended must not stay as a zombie
        yield process
        process.kill()


def use(run_dir: Path, process: subprocess.Popen[bytes]) -> Path:
    """Make a run directory that a killed run left with a process and a folder elsewhere; returns that folder."""
    elsewhere = run_dir.parent / f"files of {run_dir.name}"
    elsewhere.mkdir(parents=True)
    with locked(run_dir):
        (run_dir / "processes").mkdir()
        (run_dir / "postgres").mkdir()
        (run_dir / "postgres" / "home").symlink_to(elsewhere)
    recorded = {"pid": process.pid, "create_time": psutil.Process(process.pid).create_time()}
    record = {"name": "left", "supervisor": recorded, "program": recorded}
    (run_dir / "processes" / "left.json").write_text(json.dumps(record))
    return elsewhere


def clean(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {name.upper() for name in Settings.model_fields}
    environment = {name: value for name, value in os.environ.items() if name.upper() not in settings}
    return subprocess.run(
        ["make", "clean"], cwd=checkout, env={**environment, **variables}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("chosen", [".run", "elsewhere/run"])
def test_the_chosen_run_directory_goes_with_what_runs_there(
    checkout: Path, left_running: subprocess.Popen[bytes], chosen: str
) -> None:
    elsewhere = use(checkout / chosen, left_running)

    done = clean(checkout, RUN_DIR=chosen)

    assert done.returncode == 0, done.stderr
    left_running.wait(timeout=10)
    assert not (checkout / chosen).exists()
    assert not elsewhere.exists()
    assert not (checkout / ".venv").exists()


def test_the_compiled_kernel_goes_with_the_environment_that_made_it(checkout: Path) -> None:
    kernel = checkout / "user_analytics" / "sentiment" / "_kernel.so"
    kernel.parent.mkdir(parents=True)
    kernel.touch()

    done = clean(checkout)

    assert done.returncode == 0, done.stderr
    assert list(kernel.parent.iterdir()) == []


def test_what_python_compiled_goes_wherever_it_lies(checkout: Path) -> None:
    compiled = checkout / "tests" / "unit" / "__pycache__" / "test_x.cpython-311.pyc"
    compiled.parent.mkdir(parents=True)
    compiled.touch()

    done = clean(checkout)

    assert done.returncode == 0, done.stderr
    assert list((checkout / "tests" / "unit").iterdir()) == []


def test_the_default_run_directory_goes_as_well_when_another_one_is_chosen(
    checkout: Path, left_running: subprocess.Popen[bytes]
) -> None:
    elsewhere = use(checkout / ".run", left_running)

    done = clean(checkout, RUN_DIR="elsewhere/run")

    assert done.returncode == 0, done.stderr
    left_running.wait(timeout=10)
    assert not (checkout / ".run").exists()
    assert not elsewhere.exists()


def test_the_default_run_directory_stays_while_a_command_uses_it(checkout: Path) -> None:
    with locked(checkout / ".run"):
        done = clean(checkout, RUN_DIR="elsewhere/run")

        assert done.returncode != 0
        assert f".run is in use by process {os.getpid()}" in done.stderr
        assert (checkout / ".run" / "lock").exists()
    assert (checkout / ".venv").exists()
