"""The image that all others are built on: Debian, made from its packages where no registry can be reached.

`python -m user_analytics.cluster.base_image` makes it, from the checkout: standard library only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from user_analytics.cluster.engine import engine, has_image
from user_analytics.cluster.messages import say
from user_analytics.cluster.versions import read_versions
from user_analytics.cluster.workspace import workspace
from user_analytics.errors import ClusterError, UserAnalyticsError

# Debian's own slim images leave these out too.
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "var/cache/apt",
    "var/lib/apt/lists",
)
SOURCES = """\
deb http://deb.debian.org/debian {suite} main
deb http://deb.debian.org/debian {suite}-updates main
deb http://deb.debian.org/debian-security {suite}-security main
"""


def base_image() -> str:
    """Its name: BASE_IMAGE of the environment, for the engine to pull, or that of the one made here."""
    return os.environ.get("BASE_IMAGE") or own_base_image()


def own_base_image() -> str:
    """The name of the one made here."""
    return f"localhost/user-analytics/debian:{read_versions()['DEBIAN_SUITE']}"


def ensure_base_image() -> bool:
    """Make the image unless BASE_IMAGE names another or it is there; False when nothing was to do."""
    if os.environ.get("BASE_IMAGE") or has_image(base_image()):
        return False
    suite = read_versions()["DEBIAN_SUITE"]
    if shutil.which("debootstrap") is None:
        raise ClusterError(
            "debootstrap is missing, which makes the base image: `make cluster-tools` installs it on Debian. Where a "
            f"registry can be reached, BASE_IMAGE=debian:{suite}-slim takes its place"
        )
    with workspace() as temporary:
        root = temporary / "root"
        _check(["debootstrap", "--variant=minbase", suite, str(root)])
        Path(root, "etc/apt/sources.list").write_text(SOURCES.format(suite=suite))
        for folder in LEFT_OUT:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True)
        archive = temporary / "root.tar"
        _check(["tar", "--create", "--file", str(archive), "--directory", str(root), "."])
        _check([engine(), "import", str(archive), base_image()])
    return True


def _check(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise ClusterError(f"{command[0]} failed:\n{tail}")


def main() -> int:
    """Make the image if it is missing; exit code 1 with a message when it cannot be made."""
    try:
        ensure_base_image()
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
