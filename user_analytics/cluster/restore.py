"""`make restore FROM=folder`: the data of all servers as it was when it was backed up, or as it was before.

The backup is checked whole before anything is touched. Then each volume is received beside the one it is to replace,
and all change places at once while the servers are stopped: whatever is killed at whatever moment, a server finds its
volume as it was or as it was backed up. If the servers do not become ready on it, they get the old one back.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubernetes.client import ApiClient

from user_analytics.cluster import accounts, backup_folder, servers, volumes
from user_analytics.cluster.connection import connected
from user_analytics.errors import ClusterError, UserAnalyticsError


def restore(api: ApiClient, folders: Mapping[str, str], source: Path) -> None:
    """Replace the servers' volumes by those of a checked backup. Raises ClusterError; all is as before then."""
    paths = list(folders.values())
    with servers.stopped(api):
        volumes.settle(paths)
        try:
            for name, folder in folders.items():
                _say(f"{name}: copying")
                with backup_folder.archive(source, name).open("rb") as file:
                    volumes.receive(folder, file)
            volumes.place(paths)
        except BaseException:
            volumes.settle(paths)
            raise
    try:
        servers.wait_until_ready(api)
        accounts.renew(api)
    except ClusterError as error:
        with servers.stopped(api):
            volumes.undo(paths)
            volumes.settle(paths)
        raise ClusterError(f"the servers do not run on what was restored, and have what was before: {error}") from error
    volumes.settle(paths)


def main(arguments: Sequence[str]) -> int:
    """Restore from the named folder; exit code 1 with a message when it cannot, 2 without a folder."""
    if len(arguments) != 1 or not arguments[0]:
        _say("Name a folder: make restore FROM=backups/2010-12-08")
        return 2
    source = Path(arguments[0])
    try:
        backup = backup_folder.read(source, servers.NAMES)
        with connected() as api:
            _say(
                f"Stopping {', '.join(servers.NAMES)} to replace their data by that of {backup.made:%Y-%m-%d %H:%M} UTC"
            )
            restore(api, servers.folders(api), source)
    except (UserAnalyticsError, OSError) as error:
        _say(f"error: {error}")
        return 1
    _say(f"{source} is restored; the servers run again.")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
