"""The file that pins versions, and the Go modules that are locked from it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from user_analytics.cluster.go_programs import MODULES, linker_flags, module_version, program_file, programs
from user_analytics.cluster.versions import REQUIREMENTS, read_versions
from user_analytics.errors import ClusterError

EVERY_MODULE = sorted(folder.name for folder in MODULES.iterdir())


def test_versions_are_read_and_comments_left_out(tmp_path: Path) -> None:
    file = tmp_path / "versions.env"
    file.write_text("# what brings it up\nKIND_VERSION=v0.30.0\n\nDEBIAN_SUITE=bookworm\n")

    assert read_versions(file) == {"KIND_VERSION": "v0.30.0", "DEBIAN_SUITE": "bookworm"}


@pytest.mark.parametrize("line", ['KIND_VERSION="v0.30.0"', "KIND_VERSION = v0.30.0", "kind=1", "KIND_VERSION=1 # old"])
def test_a_line_that_a_shell_and_make_read_differently_is_refused_by_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / "versions.env"
    file.write_text(f"# one\n{line}\n")

    with pytest.raises(ClusterError, match="line 2: expected NAME=value"):
        read_versions(file)


def test_a_version_pinned_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "versions.env"
    file.write_text("KIND_VERSION=v1\nKIND_VERSION=v2\n")

    with pytest.raises(ClusterError, match="line 2: KIND_VERSION is pinned twice"):
        read_versions(file)


@pytest.mark.parametrize("module", EVERY_MODULE)
def test_each_go_module_is_locked_to_the_pinned_version_of_what_it_builds(module: str) -> None:
    packages = [program.package for program in programs(module)]
    required = dict(re.findall(r"^(?:require )?\t?(\S+) (v\S+)(?: // indirect)?$", _go_mod(module), re.MULTILINE))
    versions = {version for path, version in required.items() if any(f"{p}/".startswith(f"{path}/") for p in packages)}

    assert packages
    assert versions == {module_version(module)}


def test_kubernetes_takes_its_libraries_from_the_release_that_goes_with_it() -> None:
    replaced = re.findall(r"=> k8s\.io/\S+ v0\.(\S+)", _go_mod("kubernetes"))

    assert len(replaced) > 20
    assert {f"v1.{version}" for version in replaced} == {module_version("kubernetes")}


def test_a_program_of_its_own_is_called_as_its_module() -> None:
    [helm] = programs("helm")

    assert helm.file == program_file("helm")
    assert helm.file.name == f"helm-{module_version('helm')}"


def test_programs_of_one_module_keep_their_names() -> None:
    names = {program.file.name.removesuffix(f"-{module_version('kubernetes')}") for program in programs("kubernetes")}

    assert {"kubeadm", "kubectl", "kubelet", "kube-apiserver"} <= names


def test_the_linker_writes_the_version_where_kubernetes_looks_for_it() -> None:
    flags = linker_flags("kubernetes", "v1.34.4")

    assert "-X k8s.io/component-base/version.gitVersion=v1.34.4" in flags
    assert "-X k8s.io/component-base/version.gitMinor=34" in flags


def test_a_name_that_is_no_module_is_refused() -> None:
    with pytest.raises(ClusterError, match="tiller is no folder of"):
        programs("tiller")


def test_programs_are_built_before_any_package_is_installed() -> None:
    command = [sys.executable, "-S", "-m", "user_analytics.cluster.go_programs", "tiller"]
    done = subprocess.run(command, cwd=REQUIREMENTS.parent, capture_output=True, text=True, check=False)

    assert done.stderr.startswith("error: tiller is no folder of")


def _go_mod(module: str) -> str:
    return (MODULES / module / "go.mod").read_text()


@pytest.mark.parametrize(
    ("named", "version"),
    [
        (r"bin/kubectl-(v[.\d]+\d)", "KUBERNETES_VERSION"),
        (r"--branch (\S+) .*spark-operator", "SPARK_OPERATOR_VERSION"),
    ],
)
def test_the_readme_names_the_pinned_version(named: str, version: str) -> None:
    readme = REQUIREMENTS.with_name("README.md").read_text()

    assert set(re.findall(named, readme)) == {read_versions()[version]}
