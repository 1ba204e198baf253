"""The versions that `requirements/versions.env` pins."""

import re
from pathlib import Path

from user_analytics.errors import ClusterError

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
LINE = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>[\w.+-]+)")


def read_versions(file: Path = REQUIREMENTS / "versions.env") -> dict[str, str]:
    """Version by name; raises ClusterError naming a line that neither make nor a shell would read the same way."""
    versions: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        pin = LINE.fullmatch(line)
        if pin is None:
            raise ClusterError(f"{file}, line {number}: expected NAME=value without spaces or quotes, found {line!r}")
        if pin["name"] in versions:
            raise ClusterError(f"{file}, line {number}: {pin['name']} is pinned twice")
        versions[pin["name"]] = pin["value"]
    return versions
