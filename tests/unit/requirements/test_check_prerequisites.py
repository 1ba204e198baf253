"""The check for what a machine must have, on machines that lack it."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "requirements" / "check-prerequisites.sh"


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A PATH with a shell and sed, and nothing else."""
    for name in ("bash", "sed"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def check(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPT, *arguments], env={"PATH": str(path)}, capture_output=True, text=True, check=False
    )


def test_all_that_is_missing_is_said_at_once_with_the_command_that_installs_it(bare_machine: Path) -> None:
    done = check(bare_machine, "--tests")

    assert done.returncode == 1
    for what in ("Python 3.11 or 3.12", "Java 17", "Maven", "Go 1.21", "git"):
        assert f"  - {what}" in done.stderr
    assert "apt-get install python3 python3-venv openjdk-17-jre-headless maven git" in done.stderr


def test_what_only_tests_need_is_not_asked_of_a_run(bare_machine: Path) -> None:
    assert "Go" not in check(bare_machine).stderr


def test_what_the_cluster_needs_is_said_with_what_installs_it(bare_machine: Path) -> None:
    done = check(bare_machine, "--cluster")

    assert done.returncode == 1
    for what in ("Go 1.21", "podman, or docker", "debootstrap"):
        assert f"  - {what}" in done.stderr
    assert "make cluster-tools" in done.stderr


def test_another_version_of_java_is_named(bare_machine: Path) -> None:
    java = bare_machine / "java"
    java.write_text("#!/bin/bash\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)

    assert "is Java 21; set JAVA_HOME to a Java 17" in check(bare_machine).stderr
