"""`make backup TO=folder`: the data of all servers as it is at one moment. They are stopped for as long as it takes."""

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from kubernetes.client import ApiClient
from packaging.version import Version

from user_analytics import __version__
from user_analytics.cluster import backup_folder, restore, servers, volumes
from user_analytics.cluster.airflow import airflow_version
from user_analytics.cluster.backup_folder import BackedUpVolume, Backup
from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.cluster.sole_command import sole_command
from user_analytics.errors import UserAnalyticsError


def back_up(folders: Mapping[str, str], to: Path, airflow: Version | None = None) -> Backup:
    """Copy folders of the node, by server, to a prepared folder of this machine, and complete it.

    `airflow` is the version of the one whose database is in Postgres, if it is known.
    Raises ClusterError when one did not come whole; the folder is no backup then.
    """
    copied = {}
    for name, folder in folders.items():
        started = time.monotonic()
        with backup_folder.create(backup_folder.archive(to, name)) as file:
            size, sha256 = volumes.send(folder, file)
            backup_folder.to_disk(file)
        copied[name] = BackedUpVolume(size=size, sha256=sha256)
        say(f"{name}: {size / 1e6:,.1f} MB in {time.monotonic() - started:.0f} s")
    backup = Backup(
        made=datetime.now(UTC).replace(microsecond=0),
        version=__version__,
        airflow=str(airflow) if airflow else None,
        volumes=copied,
    )
    backup_folder.complete(to, backup)
    return backup


def main(arguments: Sequence[str]) -> int:
    """Back up to the named folder; exit code 1 with a message when it cannot, 2 without a folder."""
    if len(arguments) != 1 or not arguments[0]:
        say("Name a folder: make backup TO=backups/2010-12-08")
        return 2
    to = Path(arguments[0])
    try:
        with sole_command("backup"):
            backup_folder.prepare(to, servers.NAMES)
            with connected() as api:
                _back_up_servers(api, to)
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted. If a server is stopped now, `make cluster-up` starts it")
        return 130
    say(f"{to} holds the backup; the servers run again, and Airflow within some minutes.")
    return 0


def _back_up_servers(api: ApiClient, to: Path) -> None:
    restore.resume(api)
    folders = servers.folders(api)
    airflow = airflow_version()
    if airflow is None:
        say("Airflow does not answer: the backup will not tell its version")
    say(f"Stopping {', '.join(servers.NAMES)}")
    with servers.stopped(api):
        back_up(folders, to, airflow)
    servers.wait_until_ready(api)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
