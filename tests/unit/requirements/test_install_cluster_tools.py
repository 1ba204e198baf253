"""What `make cluster-tools` installs and sets, told by stand-ins of the programs that would change the machine."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "requirements" / "install-cluster-tools.sh"
BOOKWORM = ["python3.11-venv", "openjdk-17-jre-headless", "maven", "git", "podman", "runc", "debootstrap"]
BOOKWORM += ["containernetworking-plugins", "iptables"]
NOTES = 'echo "{name} $*" >>"$CALLS"'
# Each on a line of its own: what it says or does instead of the real one.
STAND_INS = {
    "id": "echo 0",
    "mkdir": NOTES.format(name="mkdir"),
    "tee": NOTES.format(name="tee") + '; while read -r line; do echo "$line" >>"$CALLS"; done',
    "apt-get": NOTES.format(name="apt-get"),
    "apt-cache": 'for name in $HAS; do [ "$name" != "$2" ] || echo "$name | 1"; done',
    "stat": 'echo "$CGROUP"',
}
PRESENT = {
    "python3": "echo python3",
    "java": "echo 'openjdk version \"17.0.2\" 2024-01-16' >&2",
    "mvn": "",
    "git": "",
    "debootstrap": "",
    "podman": 'echo "$RUNTIME"',
    "runc": "",
}


class Machine:
    """A PATH with the script's programs, of which none changes anything."""

    def __init__(self, directory: Path) -> None:
        self._programs, self._calls = directory / "bin", directory / "calls"
        self._programs.mkdir()
        for name in ("bash", "sed", "env"):
            found = shutil.which(name)
            assert found is not None
            (self._programs / name).symlink_to(found)
        for name, text in STAND_INS.items():
            self.add(name, text)

    def add(self, name: str, text: str) -> None:
        program = self._programs / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)

    def remove(self, name: str) -> None:
        (self._programs / name).unlink()

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        self._calls.write_text("")
        environment = {"PATH": str(self._programs), "CALLS": str(self._calls), **variables}
        return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, check=False)

    def install(self, *, has: Sequence[str] = BOOKWORM, cgroup: str = "", runtime: str = "crun") -> tuple[str, str]:
        """What was called, and what was said, on a release with these packages."""
        done = self.run(HAS=" ".join(has), CGROUP=cgroup, RUNTIME=runtime)
        assert done.returncode == 0, done.stderr
        return self._calls.read_text(), done.stdout + done.stderr


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """A machine that has nothing."""
    return Machine(tmp_path)


@pytest.fixture
def complete(bare: Machine) -> Machine:
    """A machine that has all but Go."""
    for name, text in PRESENT.items():
        bare.add(name, text)
    return bare


def installed(calls: str) -> set[str]:
    return {
        word
        for line in calls.splitlines()
        if line.startswith("apt-get install")
        for word in line.split()[2:]
        if not word.startswith("-")
    }


def test_all_but_go_is_installed(bare: Machine) -> None:
    calls, _ = bare.install()

    assert installed(calls) == set(BOOKWORM)


def test_without_apt_get_the_packages_are_named_and_it_fails(bare: Machine) -> None:
    bare.remove("apt-get")

    done = bare.run()

    assert done.returncode == 1
    assert "This machine has no apt-get" in done.stderr
    assert "podman" in done.stderr


def test_what_is_there_stays_as_it_is(complete: Machine) -> None:
    calls, _ = complete.install()

    assert "apt-get" not in calls
    assert "runc" not in calls


def test_the_python_is_one_that_the_project_runs_on_not_the_release_s_own(bare: Machine) -> None:
    calls, _ = bare.install(has=[*BOOKWORM, "python3", "python3-venv", "python3.12-venv"])

    assert {name for name in installed(calls) if name.startswith("python3")} == {"python3.12-venv"}


def test_a_package_that_the_release_lacks_is_said_and_the_others_are_installed(bare: Machine) -> None:
    calls, said = bare.install(has=[name for name in BOOKWORM if name != "openjdk-17-jre-headless"])

    assert "This release has no package openjdk-17-jre-headless: install that from elsewhere" in said
    assert installed(calls) == set(BOOKWORM) - {"openjdk-17-jre-headless"}


def test_podman_is_told_to_use_runc_where_crun_does_not_work(complete: Machine) -> None:
    calls, _ = complete.install(cgroup="cgroup2fs")

    assert 'tee /etc/containers/containers.conf.d/user-analytics-runtime.conf\n[engine]\nruntime = "runc"\n' in calls
    assert "apt-get" not in calls


def test_runc_is_installed_where_podman_has_only_a_crun_that_does_not_work(bare: Machine) -> None:
    for name in PRESENT.keys() - {"runc"}:
        bare.add(name, PRESENT[name])

    calls, _ = bare.install(cgroup="cgroup2fs")

    assert installed(calls) == {"runc"}


@pytest.mark.parametrize(("cgroup", "runtime"), [("", "crun"), ("cgroup2fs", "runc")], ids=["works", "has runc"])
def test_podman_keeps_its_runtime_where_that_works(complete: Machine, cgroup: str, runtime: str) -> None:
    calls, _ = complete.install(cgroup=cgroup, runtime=runtime)

    assert "runtime" not in calls
