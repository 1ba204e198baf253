"""The check for what a machine must have, on machines that lack it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "requirements" / "check-prerequisites.sh"


@pytest.fixture
def bare_machine(tmp_path: Path) -> Path:
    """A PATH with a shell and sed, and nothing else."""
    for name in ("bash", "sed"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def check(path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", SCRIPT, *arguments], env={"PATH": str(path), **variables}, capture_output=True, text=True, check=False
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


def test_a_java_home_without_java_is_named(bare_machine: Path) -> None:
    said = check(bare_machine, JAVA_HOME="/nowhere").stderr

    assert "  - Java 17 (JAVA_HOME=/nowhere has none: unset it, or set it to a Java 17)\n" in said


def test_cluster_up_says_all_at_once_before_it_makes_anything(bare_machine: Path) -> None:
    make = shutil.which("make")
    assert make is not None

    done = subprocess.run(
        [make, "cluster-up", f"VENV={bare_machine / 'venv'}"],
        cwd=ROOT,
        env={"PATH": str(bare_machine), "HOME": str(bare_machine)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("This machine lacks:") == 1
    for what in ("Python 3.11 or 3.12", "Java 17", "Maven", "Go 1.21", "git", "podman, or docker", "debootstrap"):
        assert f"  - {what}" in done.stderr
    assert not (bare_machine / "venv").exists()


def test_no_command_is_named_that_would_not_install_go(bare_machine: Path) -> None:
    programs = {"python3": "echo python3", "java": "echo 'openjdk version \"17.0.2\" 2024-01-16' >&2"}
    for name in ("python3", "java", "mvn", "git", "podman", "debootstrap"):
        program = bare_machine / name
        program.write_text(f"#!/bin/bash\n{programs.get(name, '')}\n")
        program.chmod(0o755)

    said = check(bare_machine, "--cluster").stderr

    assert "  - Go 1.21 or later, from https://go.dev/dl" in said
    assert "make cluster-tools\n" not in said
    assert "all but Go" not in said


def test_after_an_installation_that_command_is_not_named_again(bare_machine: Path) -> None:
    done = check(bare_machine, "--cluster", "--installed")

    assert done.returncode == 1
    assert "  - Java 17" in done.stderr
    assert "make cluster-tools\n" not in done.stderr
    assert "On Debian" not in done.stderr


def test_the_packages_that_a_machine_lacks_are_listed_for_who_installs_them(bare_machine: Path) -> None:
    done = check(bare_machine, "--cluster", "--packages")

    assert done.returncode == 0
    assert done.stdout.split() == [
        "python3",
        "python3-venv",
        "openjdk-17-jre-headless",
        "maven",
        "git",
        "podman",
        "runc",
        "containernetworking-plugins",
        "iptables",
        "debootstrap",
    ]
