"""Programs built from source with Go, in the user's cache as `bin/NAME-VERSION`.

Each folder of `requirements/go` is a module that names what to build as its tools, and pins that and all it is made
of by version and hash. `python -m user_analytics.cluster.go_programs [MODULE[/PROGRAM]…]` builds what is missing. It
runs before any package is installed, from the checkout: standard library only.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from user_analytics.cluster.messages import say
from user_analytics.cluster.versions import REQUIREMENTS, read_versions
from user_analytics.errors import ClusterError, UserAnalyticsError

MODULES = REQUIREMENTS / "go"
PROGRESS_SECONDS = 60.0
# What these report as their version is written into them by the linker.
VERSION_VARIABLES = {
    "helm": ["helm.sh/helm/v3/internal/version.version={version}"],
    "kubernetes": [
        "k8s.io/client-go/pkg/version.gitVersion={version}",
        "k8s.io/component-base/version.gitVersion={version}",
        "k8s.io/component-base/version.gitMajor={major}",
        "k8s.io/component-base/version.gitMinor={minor}",
    ],
}


class Program(NamedTuple):
    """One program: the package that is its source, and where it lies once it is built."""

    package: str
    file: Path


def cache_directory() -> Path:
    """Where the programs are kept, for all checkouts of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "user-analytics" / "bin"


def module_version(module: str) -> str:
    """The version that `requirements/versions.env` pins for a folder of `requirements/go`."""
    return read_versions()[f"{module.upper().replace('-', '_')}_VERSION"]


def program_file(module: str, name: str | None = None) -> Path:
    """Where a program of a module lies once it is built; it is called as the module when that has no other."""
    return cache_directory() / f"{name or module}-{module_version(module)}"


def programs(module: str) -> list[Program]:
    """What a module builds."""
    described = json.loads(_go("mod", "edit", "-json", module=module).stdout)
    packages = [tool["Path"] for tool in described["Tool"]]
    if len(packages) == 1:
        return [Program(packages[0], program_file(module))]
    return [Program(package, program_file(module, package.rsplit("/", 1)[-1])) for package in packages]


def module_directory(module: str, path: str) -> Path:
    """Where Go keeps the files of a module `path` that `module` requires, fetched if need be. Raises ClusterError."""
    described = json.loads(_go("mod", "download", "-json", path, module=module).stdout)
    return Path(described["Dir"])


def build(module: str, name: str | None = None) -> bool:
    """Build what the cache lacks of a module's programs, or of the one called `name`; False when it lacked nothing.

    A program appears whole or not at all, and who builds the same module meanwhile is waited for. Raises ClusterError.
    """
    asked = [program for program in programs(module) if name is None or program.file == program_file(module, name)]
    with _sole_builder(module):
        wanted = [program for program in asked if not program.file.is_file()]
        if not wanted:
            return False
        prefix = f".build-{module}-"
        for left in cache_directory().glob(f"{prefix}*"):
            shutil.rmtree(left)  # by a builder that was killed
        with tempfile.TemporaryDirectory(dir=cache_directory(), prefix=prefix) as directory:
            _compile(module, name or module, [program.package for program in wanted], directory)
            built = list(Path(directory).iterdir())
            for program in wanted:
                found = built[0] if len(wanted) == 1 else Path(directory, program.package.rsplit("/", 1)[-1])
                found.replace(program.file)
    return True


def linker_flags(module: str, version: str) -> str:
    """No symbols, which take a third of a program; the version where the module keeps it."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    values = [value.format(version=version, major=major, minor=minor) for value in VERSION_VARIABLES.get(module, [])]
    return " ".join(["-s", "-w", *(f"-X {value}" for value in values)])


@contextmanager
def _sole_builder(module: str) -> Iterator[None]:
    cache_directory().mkdir(parents=True, exist_ok=True)
    with (cache_directory() / f".{module}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(module: str, name: str, packages: Sequence[str], directory: str) -> None:
    version = module_version(module)
    command = ["go", "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", linker_flags(module, version)]
    say(f"Building {name} {version}")
    started = shown = time.monotonic()
    said: list[str] = []
    with subprocess.Popen(  # noqa: S603
        [*command, "-o", directory, *packages],
        cwd=MODULES / module,
        # static: the images that take them are empty but for them
        env={**os.environ, "CGO_ENABLED": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None  # noqa: S101
        for line in process.stderr:
            said.append(line.rstrip())
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                say(f"  {name}: {len(said)} packages in {shown - started:.0f} s, now {line.strip()}")
    if process.returncode != 0:
        raise ClusterError(f"go cannot build {name} {version}:\n" + "\n".join(said[-15:]))
    say(f"Built {name} {version} in {time.monotonic() - started:.0f} s")


def _go(*arguments: str, module: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603
            ["go", *arguments],  # noqa: S607
            cwd=MODULES / module,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        if not (MODULES / module).is_dir():
            raise ClusterError(f"{module} is no folder of {MODULES}") from error
        raise ClusterError("Go is missing, which builds the cluster's programs: see `make cluster-tools`") from error
    except subprocess.CalledProcessError as error:
        raise ClusterError(f"go {' '.join(arguments)} failed for {module}:\n{error.stderr.strip()}") from error


def main(arguments: Sequence[str]) -> int:
    """Build the named modules or programs, or all; exit code 1 with a message when one cannot be built."""
    try:
        for wanted in arguments or sorted(folder.name for folder in MODULES.iterdir() if folder.is_dir()):
            module, _, name = wanted.partition("/")
            if not build(module, name or None):
                say(f"Have {name or module} {module_version(module)}")
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
