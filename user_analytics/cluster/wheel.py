"""The project's wheel, built once for all images that take it."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from user_analytics.cluster.versions import REQUIREMENTS
from user_analytics.errors import ClusterError

CHECKOUT = REQUIREMENTS.parent
WHEELS = CHECKOUT / "build" / "wheels"
SOURCES = (
    *("user_analytics", "sql", "manifests/templates"),
    *("pyproject.toml", "hatch_build.py", "README.md", "requirements/build.txt"),
)
# Left out of the wheel by pyproject.toml, or made anew for it.
LEFT_OUT = ("user_analytics/cluster/", "user_analytics/sentiment/_kernel.so")


def wheel_identity(checkout: Path = CHECKOUT) -> str:
    """Hash of everything that the wheel is made of."""
    digest = hashlib.sha256()
    for file in sorted(file for source in SOURCES for file in _files(checkout / source)):
        name = file.relative_to(checkout).as_posix()
        if not name.startswith(LEFT_OUT) and "__pycache__" not in name:
            digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return f"wheel {digest.hexdigest()}"


def build_wheel(directory: Path) -> None:
    """Put the wheel into a new directory, building it unless its sources are unchanged. Raises ClusterError."""
    kept = WHEELS / wheel_identity().split()[1]
    if not kept.is_dir():
        WHEELS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=WHEELS) as temporary:
            _build(Path(temporary, "wheel"))
            Path(temporary, "wheel").replace(kept)
    shutil.copytree(kept, directory)


def _files(source: Path) -> list[Path]:
    return [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]


def _build(directory: Path) -> None:
    command = [str(Path(sys.executable).with_name("uv")), "build", "--wheel", "--out-dir", str(directory)]
    command += ["--build-constraints", str(REQUIREMENTS / "build.txt"), "--python", sys.executable, str(CHECKOUT)]
    # what it builds with is pinned: where uv's cache has it, no index need be asked
    if (by_cache := _problem([*command, "--offline"])) and (problem := _problem(command)):
        raise ClusterError(f"uv cannot build the wheel:\n{problem}\nNor by its cache alone:\n{by_cache}")
    # uv marks the folder as nothing for git
    (directory / ".gitignore").unlink(missing_ok=True)


def _problem(command: list[str]) -> str:
    """Why a command failed; empty when it did not."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode == 0:
        return ""
    return "\n".join(done.stderr.splitlines()[-10:]) or f"exit code {done.returncode}"
