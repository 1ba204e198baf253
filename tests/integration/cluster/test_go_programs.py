"""Programs from source: what the cache lacks is built, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from user_analytics.cluster import go_programs, up
from user_analytics.cluster.go_programs import build, program_file

pytestmark = pytest.mark.skipif(shutil.which("go") is None, reason="Go is missing: https://go.dev/dl")

MODULE = "kubernetes"
NAMES = ("kubectl", "kubelet")


@pytest.fixture(autouse=True)
def _module_of_two_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of Kubernetes, which takes minutes; and an empty cache for what is built."""
    for name in NAMES:
        source = tmp_path / "modules" / MODULE / name / "main.go"
        source.parent.mkdir(parents=True)
        source.write_text(f'package main\n\nfunc main() {{ println("{name}") }}\n')
    tools = "\n".join(f"tool programs/{name}" for name in NAMES)
    (tmp_path / "modules" / MODULE / "go.mod").write_text(f"module programs\n\ngo 1.24\n\n{tools}\n")
    monkeypatch.setattr(go_programs, "MODULES", tmp_path / "modules")
    compiled = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("GOCACHE", compiled)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def said_by(program: Path) -> str:
    return subprocess.run([program], capture_output=True, text=True, check=True).stderr.strip()


def test_all_programs_of_a_module_are_built_once() -> None:
    assert build(MODULE)
    assert [said_by(program_file(MODULE, name)) for name in NAMES] == list(NAMES)
    assert not build(MODULE)


def test_of_one_module_one_program_alone_can_be_built() -> None:
    assert go_programs.main([f"{MODULE}/kubectl"]) == 0
    assert said_by(program_file(MODULE, "kubectl")) == "kubectl"
    assert not program_file(MODULE, "kubelet").exists()
    assert not build(MODULE, "kubectl")


def test_what_is_there_is_not_built_again() -> None:
    build(MODULE, "kubectl")
    before = program_file(MODULE, "kubectl").stat()

    assert build(MODULE)
    assert said_by(program_file(MODULE, "kubelet")) == "kubelet"
    assert program_file(MODULE, "kubectl").stat() == before


@pytest.fixture
def _other_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """kind and Helm are there, and no kubectl is on the PATH."""
    (tmp_path / "cache" / "user-analytics" / "bin").mkdir(parents=True)
    for module in ("kind", "helm"):
        folder = tmp_path / "modules" / module
        folder.mkdir()
        (folder / "go.mod").write_text(f"module programs\n\ngo 1.24\n\ntool programs/{module}\n")
        program_file(module).touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").symlink_to(str(shutil.which("go")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.mark.usefixtures("_other_tools")
def test_a_kubectl_is_among_the_tools_of_a_node_that_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_IMAGE", "kindest/node:v1.34.0")

    assert up._tools() == "built kubectl"
    assert said_by(program_file(MODULE, "kubectl")) == "kubectl"
    assert not program_file(MODULE, "kubelet").exists()
    assert up._tools() == ""


@pytest.mark.usefixtures("_other_tools")
def test_a_kubectl_of_the_machine_does(tmp_path: Path) -> None:
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text("#!/bin/sh\n")
    kubectl.chmod(0o755)

    assert up._tools() == ""
