"""`make restore FROM=folder`: the data of all servers as it was when it was backed up, or as it was before.

The backup is checked whole before anything is touched. Then each volume is received beside the one it is to replace,
and all change places at once while the servers are stopped: whatever is killed at whatever moment, a server finds its
volume as it was or as it was backed up. If the servers do not become ready on it, or their accounts cannot be given the
passwords of this cluster, they get the old one back. The old volumes are kept until then, and that is how `resume`, the
next time that something is done with the servers, finds what a killed restore has not done yet. On restored volumes the
servers may have been at work since: those are never undone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Never

from kubernetes.client import ApiClient
from packaging.version import Version

from user_analytics.cluster import accounts, backup_folder, servers, volumes
from user_analytics.cluster.airflow import airflow_version
from user_analytics.cluster.backup_folder import Backup
from user_analytics.cluster.connection import connected, in_words
from user_analytics.cluster.messages import say
from user_analytics.cluster.sole_command import at_work, sole_command
from user_analytics.cluster.volumes import State
from user_analytics.errors import ClusterError, InputError, UserAnalyticsError

# The commands that begin with `resume`, or come to it.
RESUMING = {"cluster-up", "backup", "restore"}


def restore(api: ApiClient, source: Path) -> None:
    """Replace the servers' volumes by those of a checked backup.

    Raises ClusterError. Whatever ends it but SIGKILL, an interrupt too, all is as before then.
    """
    folders = servers.folders(api)
    paths = list(folders.values())
    servers.stop(api)
    try:
        with in_words():
            for name, folder in folders.items():
                say(f"{name}: copying")
                with backup_folder.archive(source, name).open("rb") as file:
                    volumes.receive(folder, file)
            volumes.place(paths)
            _start_on_new_volumes(api)
    except BaseException as error:
        _give_back(api, paths, error)
    volumes.settle(paths)


def unfinished(api: ApiClient) -> str:
    """What a restore has not done yet, in words for a person; empty when there is none. Raises ClusterError."""
    if not servers.have_volumes(api):
        return ""
    state = volumes.look(list(servers.folders(api).values()))
    if state == State.NOTHING:
        return ""
    if command := at_work():
        return f"unfinished: {command.words}" + ("" if command.target in RESUMING else "; then run `make cluster-up`")
    if state == State.BUSY:
        return (
            "unfinished: what one began that was killed goes on in the node. Run `make cluster-up`, which waits for it"
        )
    return "unfinished: run `make cluster-up`"


def resume(api: ApiClient) -> str:
    """Bring to its end what a backup or restore that was killed left; what that was. Raises ClusterError.

    Volumes that were all replaced stay if the servers run on them, or did before; else those from before come back.
    """
    left = servers.left_stopped(api)
    if not left and not servers.have_volumes(api):
        return ""  # no backup or restore has been here yet
    paths = list(servers.folders(api).values())
    state = volumes.state(paths)
    if state == State.PLACED:
        try:
            with in_words():
                _start_on_new_volumes(api)
        except Exception as error:
            if set(left) != set(servers.NAMES):
                raise ClusterError(f"{error}. The restored data stays; `make cluster-up` tries again") from error
            _give_back(api, paths, error)
        volumes.settle(paths)
        return "finished a restore that was interrupted"
    if state == State.TORN:
        servers.stop_at_once(api)
    if state != State.NOTHING:
        volumes.settle(paths)
    if not left and state != State.TORN:
        return ""
    servers.start(api)
    servers.wait_until_ready(api)
    return "started the servers, which a backup or restore had stopped"


def _start_on_new_volumes(api: ApiClient) -> None:
    say("Starting the servers on what is restored")
    servers.start(api)
    servers.wait_until_ready(api)
    say("Giving the accounts this cluster's passwords")
    accounts.renew(api)


def _give_back(api: ApiClient, paths: Sequence[str], reason: BaseException) -> Never:
    """Give the servers the volumes that they had before, and raise the reason."""
    say("The servers get back what they had before")
    try:
        with in_words():
            servers.stop_at_once(api)
            volumes.undo(paths)
            volumes.settle(paths)
            servers.start(api)
    except (UserAnalyticsError, OSError) as error:
        why = reason if isinstance(reason, Exception) else "interrupted"
        raise ClusterError(
            f"{why}. The servers did not get back what they had before: {error}. "
            "`make cluster-up` finishes the restore if all volumes were replaced, else it gives back the old ones"
        ) from reason
    if not isinstance(reason, Exception):
        say("Nothing is restored, and the servers have what they had before")
        raise reason
    raise ClusterError(f"nothing is restored, and the servers have what they had before: {reason}") from reason


def _refuse_newer_airflow(source: Path, backup: Backup) -> None:
    """Raise InputError for the database of an Airflow that the cluster's cannot run on: there is no way down.

    Where one of the versions is not known, it is the migration that fails, and the servers get back what they had.
    """
    runs = airflow_version()
    if runs and backup.airflow and Version(backup.airflow) > runs:
        raise InputError(
            f"{source} holds the database of Airflow {backup.airflow}, and the cluster runs Airflow {runs}, which "
            f"cannot read it: `make cluster-up` in a checkout with Airflow {backup.airflow} or later (the backup "
            f"was made by user-analytics {backup.version}), then restore again"
        )


def main(arguments: Sequence[str]) -> int:
    """Restore from the named folder; exit code 1 with a message when it cannot, 2 without a folder."""
    if len(arguments) != 1 or not arguments[0]:
        say("Name a folder: make restore FROM=backups/2010-12-08")
        return 2
    source = Path(arguments[0])
    try:
        with sole_command("restore"):
            backup = backup_folder.read(source, servers.NAMES)
            with connected() as api:
                _refuse_newer_airflow(source, backup)
                resume(api)
                say(
                    f"Stopping {', '.join(servers.NAMES)} to replace their data by that of "
                    f"{backup.made:%Y-%m-%d %H:%M} UTC"
                )
                restore(api, source)
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted. If a server is stopped now, `make cluster-up` starts it")
        return 130
    say(f"{source} is restored; the servers run again.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
