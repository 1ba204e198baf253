"""The jars that Spark needs besides its own, as `requirements/jars.txt` pins them, in the user's cache.

`python -m user_analytics.spark.jars` fetches them with Maven; those that are there and unaltered stay, without
a word. `make setup` runs it each time, before any package is installed, from the checkout: standard library only.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from user_analytics.errors import JarError

PINS = Path(__file__).resolve().parents[2] / "requirements" / "jars.txt"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
LINE = re.compile(r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+) (?P<sha256>[0-9a-f]{64})")
ERROR_LINE = re.compile(r"\[ERROR\] (.+)")


class Jar(NamedTuple):
    """One pinned jar."""

    coordinates: str
    file_name: str
    sha256: str


def cache_directory() -> Path:
    """Where the jars are kept, for all checkouts of this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "user-analytics" / "jars"


def pinned(pins: Path = PINS) -> list[Jar]:
    """The jars that `pins` lists, a line each; raises JarError naming a line that is not a pin."""
    jars = []
    for number, line in enumerate(pins.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        pin = LINE.fullmatch(line)
        if pin is None:
            raise JarError(f"{pins}, line {number}: expected `group:artifact:version sha256`, found {line!r}")
        jars.append(Jar(line.split()[0], f"{pin['artifact']}-{pin['version']}.jar", pin["sha256"]))
    return jars


def fetch(jar: Jar, directory: Path) -> bool:
    """Put one jar into `directory`; False when it was there already. Raises JarError.

    The file appears whole and verified or not at all.
    """
    target = directory / jar.file_name
    if target.is_file() and _sha256(target) == jar.sha256:
        return False
    maven = shutil.which("mvn")
    if maven is None:
        raise JarError(f"Maven is missing, which fetches {jar.coordinates}: sudo apt-get install maven")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as temporary:
        _copy(maven, jar, Path(temporary))
        fetched = Path(temporary, jar.file_name)
        found = _sha256(fetched)
        if found != jar.sha256:
            raise JarError(
                f"{jar.coordinates} has SHA-256 {found}, pinned is {jar.sha256}: it was altered on its way. "
                "Remove it from Maven's local repository (~/.m2/repository) and try again; pin the new hash in "
                f"{PINS.name} only if the publisher confirms it"
            )
        fetched.replace(target)
    return True


def _copy(maven: str, jar: Jar, directory: Path) -> None:
    command = [maven, "--quiet", "--batch-mode", "--update-snapshots", "-Dstyle.color=never", COPY]
    command += [f"-Dartifact={jar.coordinates}", f"-DoutputDirectory={directory}"]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: S603
    if result.returncode != 0:
        said = ERROR_LINE.search(result.stdout + result.stderr)
        raise JarError(
            f"Maven could not fetch {jar.coordinates}: {said[1] if said else f'exit code {result.returncode}'}"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Fetch the pinned jars that are missing or altered; exit code 1 with a message when one cannot be had."""
    pins = Path(arguments[0]) if arguments else PINS
    directory = cache_directory()
    try:
        for jar in pinned(pins):
            if fetch(jar, directory):
                print(f"Fetched {jar.file_name} in {directory}")  # noqa: T201
    except (JarError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
