"""A restore gives the servers what was backed up or what they had before, whatever goes wrong; on a real API server."""

import fcntl
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import pytest

from tests.fixtures.airflow_server import airflow_server
from tests.fixtures.kubernetes_api import KubernetesApi
from tests.integration.cluster.server_cluster import ServerCluster
from user_analytics.cluster import accounts, airflow, backup, backup_folder, connection, kind, restore, servers, volumes
from user_analytics.cluster.parts import Part
from user_analytics.cluster.restore import RESUMING
from user_analytics.cluster.sole_command import sole_command
from user_analytics.cluster.status import Status, add_restore
from user_analytics.cluster.volumes import State
from user_analytics.errors import ClusterError

pytestmark = pytest.mark.usefixtures("signals_as_before")

ALL = dict.fromkeys(servers.NAMES, 1)
GOES_ON = ". `make cluster-up` finishes the restore if all volumes were replaced, else it gives back the old ones"


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The clusters whose accounts were renewed; no pod runs here in which to do it."""
    found: list[object] = []
    monkeypatch.setattr(accounts, "renew", found.append)
    return found


@pytest.fixture
def cluster(
    server_cluster: ServerCluster,
    kubernetes_controllers: KubernetesApi,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> ServerCluster:
    """The cluster that the commands find, for one who has a home of their own. Its Airflow does not answer."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(airflow, "reached", lambda _: "http://127.0.0.1:1")
    monkeypatch.setattr(kind, "connect", kubernetes_controllers.client)
    return server_cluster


@pytest.fixture(scope="module")
def a_backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of other data than the servers have at first."""
    node, to = tmp_path_factory.mktemp("another-node"), tmp_path_factory.mktemp("backups") / "backup"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "inside_node", list)
        for name in servers.NAMES:
            (node / name).mkdir()
            (node / name / "content").write_text(f"{name} restored")
        backup_folder.prepare(to, servers.NAMES)
        backup.back_up({name: str(node / name) for name in servers.NAMES}, to)
    return to


@pytest.fixture
def backed_up(cluster: ServerCluster, a_backup: Path, tmp_path: Path) -> Path:
    """A copy of it for a test alone."""
    return shutil.copytree(a_backup, tmp_path / "backup")


def killed(cluster: ServerCluster, source: Path, module: ModuleType, function: str) -> None:
    """A restore that is killed when it is about to do something."""

    def restore_until_killed() -> None:
        setattr(module, function, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        restore.restore(cluster.api.client(), source)

    with cluster.forked(restore_until_killed) as restoring:
        restoring.join()
        assert restoring.exitcode == -signal.SIGKILL


def all_is_as_before(cluster: ServerCluster) -> bool:
    return (cluster.contents(), cluster.beside_volumes(), cluster.replicas()) == ({"before"}, set(), ALL)


def all_is_restored(cluster: ServerCluster) -> bool:
    return (cluster.contents(), cluster.beside_volumes(), cluster.replicas()) == ({"restored"}, set(), ALL)


def test_the_servers_have_what_was_backed_up_with_the_passwords_of_their_cluster(
    cluster: ServerCluster, renewed: list[object], tmp_path: Path
) -> None:
    cluster.write("restored")
    assert backup.main([str(tmp_path / "backup")]) == 0
    cluster.write("before")
    before = cluster.pods()

    assert restore.main([str(tmp_path / "backup")]) == 0

    assert all_is_restored(cluster)
    assert len(renewed) == 1
    assert not set(cluster.pods().values()) & set(before.values())


@pytest.fixture
def airflow_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The version of the cluster's Airflow, which answers."""
    with airflow_server({"version": "3.9.2"}) as address:
        monkeypatch.setattr(airflow, "reached", lambda _: address)
        yield "3.9.2"


def write_airflow(folder: Path, version: str) -> None:
    """Make a backup one of another Airflow."""
    file = folder / backup_folder.CONTENTS
    file.write_text(file.read_text().replace('"airflow": null', f'"airflow": "{version}"'))


def test_the_database_of_a_newer_airflow_is_refused_before_anything_is_stopped(
    cluster: ServerCluster, backed_up: Path, airflow_runs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cluster.pods()
    write_airflow(backed_up, "3.10.0")

    assert restore.main([str(backed_up)]) == 1

    said = capsys.readouterr().err
    assert f"holds the database of Airflow 3.10.0, and the cluster runs Airflow {airflow_runs}, which cannot" in said
    assert cluster.pods() == before
    assert all_is_as_before(cluster)


@pytest.mark.parametrize("version", ["3.9.2", "3.2.10"])
def test_the_database_of_the_same_or_an_older_airflow_is_restored(
    cluster: ServerCluster, backed_up: Path, airflow_runs: str, renewed: list[object], version: str
) -> None:
    write_airflow(backed_up, version)

    assert restore.main([str(backed_up)]) == 0
    assert all_is_restored(cluster)


def test_a_backup_tells_which_airflow_runs(cluster: ServerCluster, airflow_runs: str, tmp_path: Path) -> None:
    assert backup.main([str(tmp_path / "backup")]) == 0

    assert backup_folder.read(tmp_path / "backup", servers.NAMES).airflow == airflow_runs


def test_on_data_on_which_they_do_not_run_they_get_theirs_back(
    cluster: ServerCluster, backed_up: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 1.0)
    cluster.kubelet.servers_are_ready = False

    assert restore.main([str(backed_up)]) == 1

    assert all_is_as_before(cluster)
    said = capsys.readouterr().err
    assert "error: nothing is restored, and the servers have what they had before: minio does not become ready" in said


def test_an_api_that_refuses_to_renew_the_accounts_leaves_all_as_before(
    cluster: ServerCluster, backed_up: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert restore.main([str(backed_up)]) == 1  # no pod runs, so a command in one is refused

    assert all_is_as_before(cluster)
    said = capsys.readouterr().err
    assert "the servers have what they had before: the cluster refuses: pod postgres-0 does not have a host" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_one_that_is_interrupted_leaves_all_as_before_and_says_so(
    cluster: ServerCluster, backed_up: Path, tmp_path: Path, number: signal.Signals
) -> None:
    cluster.kubelet.servers_are_ready = False
    placed = {f"{name}.old" for name in servers.NAMES}
    said = tmp_path / "said"

    def command() -> None:
        with said.open("w") as file, redirect_stderr(file):
            sys.exit(restore.main([str(backed_up)]))

    with cluster.forked(command) as restoring:
        cluster.wait(lambda: cluster.beside_volumes() == placed and cluster.replicas() == ALL)
        assert restoring.pid
        os.kill(restoring.pid, number)
        restoring.join()

    assert restoring.exitcode == 128 + number
    assert all_is_as_before(cluster)
    assert "Nothing is restored, and the servers have what they had before" in said.read_text()


def test_pods_that_begin_meanwhile_do_not_keep_the_servers_from_what_they_had(
    cluster: ServerCluster, backed_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin_and_fail(api: object) -> None:
        cluster.make_pod_at_work()
        raise ClusterError("the Job postgres-databases failed")

    monkeypatch.setattr(accounts, "renew", begin_and_fail)

    assert restore.main([str(backed_up)]) == 1
    assert all_is_as_before(cluster)


def test_when_they_cannot_get_it_back_either_they_stay_stopped_and_cluster_up_gives_it_back(
    cluster: ServerCluster,
    backed_up: Path,
    renewed: list[object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(volumes, "place", _fail("the disk is full"))
        patch.setattr(volumes, "undo", _fail("the engine is gone"))
        assert restore.main([str(backed_up)]) == 1

    assert set(cluster.replicas().values()) == {0}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: the disk is full. The servers did not get back what they had before: the engine is")
    assert said.endswith(GOES_ON)

    assert restore.resume(cluster.client)
    assert all_is_as_before(cluster)


def test_when_what_was_replaced_cannot_be_given_back_cluster_up_finishes_the_restore(
    cluster: ServerCluster,
    backed_up: Path,
    renewed: list[object],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(accounts, "renew", _interrupt)
        patch.setattr(volumes, "undo", _fail("the engine is gone"))
        assert restore.main([str(backed_up)]) == 1

    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: interrupted. The servers did not get back what they had before: the engine is gone")
    assert said.endswith(GOES_ON)

    assert restore.resume(cluster.client) == "finished a restore that was interrupted"
    assert all_is_restored(cluster)


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


def _fail(why: str) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise ClusterError(why)

    return fail


@pytest.mark.parametrize("function", ["receive", "place"])
def test_after_one_that_was_killed_before_all_was_replaced_all_is_as_before(
    cluster: ServerCluster, backed_up: Path, renewed: list[object], function: str
) -> None:
    killed(cluster, backed_up, volumes, function)

    assert restore.resume(cluster.client) == "started the servers, which a backup or restore had stopped"
    assert all_is_as_before(cluster)
    assert renewed == []


@pytest.mark.parametrize(
    ("module", "function"),
    [(servers, "start"), (servers, "wait_until_ready"), (accounts, "renew")],
    ids=["start", "wait_until_ready", "renew"],
)
def test_one_that_was_killed_when_all_was_replaced_is_finished_with_the_passwords_of_this_cluster(
    cluster: ServerCluster, backed_up: Path, renewed: list[object], module: ModuleType, function: str
) -> None:
    killed(cluster, backed_up, module, function)

    assert restore.resume(cluster.client) == "finished a restore that was interrupted"
    assert all_is_restored(cluster)
    assert len(renewed) == 1
    assert restore.resume(cluster.client) == ""
    assert len(renewed) == 1


def test_one_that_was_killed_on_data_on_which_the_servers_do_not_run_is_undone(
    cluster: ServerCluster, backed_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(cluster, backed_up, servers, "start")
    monkeypatch.setattr(accounts, "renew", _fail("the Job postgres-databases failed"))

    with pytest.raises(ClusterError, match="the servers have what they had before: the Job postgres-databases failed"):
        restore.resume(cluster.client)
    assert all_is_as_before(cluster)


def test_restored_data_that_the_servers_have_run_on_is_never_undone(
    cluster: ServerCluster, backed_up: Path, renewed: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(cluster, backed_up, accounts, "renew")
    before = cluster.pods()
    since = cluster.volumes["postgres"] / "since"
    since.write_text("a week of work")

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "renew", _fail("the Job postgres-databases failed"))
        with pytest.raises(ClusterError, match=r"databases failed\. The restored data stays; `make cluster-up` tries"):
            restore.resume(cluster.client)
    assert since.exists()
    assert cluster.pods() == before

    assert restore.resume(cluster.client) == "finished a restore that was interrupted"
    assert since.exists()
    assert all_is_restored(cluster)
    assert len(renewed) == 1


def test_one_that_was_killed_in_its_last_step_is_finished_without_touching_the_servers(
    cluster: ServerCluster, backed_up: Path, renewed: list[object]
) -> None:
    assert restore.main([str(backed_up)]) == 0
    before = cluster.pods()
    left = cluster.volumes["postgres"].with_name("postgres.old")
    left.mkdir()
    assert volumes.state([str(volume) for volume in cluster.volumes.values()]) == State.OLD

    assert restore.resume(cluster.client) == ""
    assert all_is_restored(cluster)
    assert cluster.pods() == before
    assert len(renewed) == 1


@pytest.mark.parametrize("command", [backup.main, restore.main], ids=["backup", "restore"])
def test_the_next_backup_or_restore_finishes_one_that_was_killed_too(
    cluster: ServerCluster,
    backed_up: Path,
    renewed: list[object],
    tmp_path: Path,
    command: Callable[[list[str]], int],
) -> None:
    killed(cluster, backed_up, accounts, "renew")

    assert command([str(tmp_path / "another" if command is backup.main else backed_up)]) == 0
    assert all_is_restored(cluster)
    assert renewed


def test_servers_that_a_killed_backup_left_stopped_are_started(cluster: ServerCluster) -> None:
    cluster.scale(0)

    assert restore.resume(cluster.client) == "started the servers, which a backup or restore had stopped"
    assert all_is_as_before(cluster)


def test_servers_that_someone_started_in_between_are_stopped_before_a_volume_is_put_back(
    cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.volumes["minio"].with_name("minio.new").mkdir()
    postgres = cluster.volumes["postgres"]
    shutil.copytree(postgres, postgres.with_name("postgres.old"))
    seen = []
    settle = volumes.settle

    def look_and_settle(folders: Sequence[str]) -> None:
        seen.append(cluster.pods())
        settle(folders)

    monkeypatch.setattr(volumes, "settle", look_and_settle)

    assert restore.resume(cluster.client)
    assert seen == [{}]
    assert all_is_as_before(cluster)


def test_servers_that_someone_started_in_between_run_on_while_what_was_only_received_is_deleted(
    cluster: ServerCluster,
) -> None:
    before = cluster.pods()
    cluster.volumes["postgres"].with_name("postgres.new").mkdir()

    assert restore.resume(cluster.client) == ""
    assert all_is_as_before(cluster)
    assert cluster.pods() == before


def test_on_a_running_cluster_nothing_is_resumed(cluster: ServerCluster) -> None:
    before = cluster.pods()

    assert restore.resume(cluster.client) == ""
    assert cluster.pods() == before


def test_before_all_servers_are_installed_there_is_nothing_to_resume(cluster: ServerCluster) -> None:
    cluster.core.delete_namespaced_persistent_volume_claim("data-postgres-0", "user-analytics")
    cluster.wait(lambda: not servers.have_volumes(cluster.client))

    assert restore.resume(cluster.client) == ""


def test_a_backup_is_made_while_no_server_runs(
    cluster: ServerCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    send = volumes.send

    def look_and_send(folder: str, file: BinaryIO) -> volumes.Archive:
        seen.append(cluster.pods())
        return send(folder, file)

    monkeypatch.setattr(volumes, "send", look_and_send)

    assert backup.main([str(tmp_path / "backup")]) == 0

    assert seen == [{}] * len(servers.NAMES)
    assert cluster.replicas() == ALL
    assert backup_folder.read(tmp_path / "backup", servers.NAMES)


def test_a_backup_is_whole_when_a_server_does_not_run_afterwards(
    cluster: ServerCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(servers, "START_SECONDS", 1.0)
    cluster.kubelet.servers_are_ready = False

    assert backup.main([str(tmp_path / "backup")]) == 1
    assert "minio does not become ready" in capsys.readouterr().err
    assert backup_folder.read(tmp_path / "backup", servers.NAMES).volumes.keys() == set(servers.NAMES)


def test_a_refusal_by_the_api_is_told_in_words(cluster: ServerCluster) -> None:
    with pytest.raises(ClusterError, match=r'the cluster refuses: .* "none" not found$'), connection.in_words():
        cluster.apps.read_namespaced_stateful_set("none", "user-analytics")


def status_of_restore(cluster: ServerCluster) -> Status:
    """What `make cluster-status` says of restores."""
    status = Status(parts=[], pages=[], runs=[])
    add_restore(status, cluster.client)
    return status


def test_the_status_tells_one_that_is_not_finished_though_all_servers_run(
    cluster: ServerCluster, backed_up: Path, renewed: list[object]
) -> None:
    assert status_of_restore(cluster).parts == []
    killed(cluster, backed_up, accounts, "renew")
    servers.wait_until_ready(cluster.client)

    status = status_of_restore(cluster)
    assert status.parts == [Part("restore", "unfinished: run `make cluster-up`")]
    assert not status.is_ready()

    restore.resume(cluster.client)
    assert status_of_restore(cluster).parts == []


def test_the_status_tells_what_is_at_work_and_whether_that_finishes_one(
    cluster: ServerCluster, backed_up: Path
) -> None:
    killed(cluster, backed_up, volumes, "place")

    for command, then in [*((name, "") for name in RESUMING), ("load-data", "; then run `make cluster-up`")]:
        with sole_command(command):
            [part] = status_of_restore(cluster).parts
        assert part == Part("restore", f"unfinished: `make {command}` is at work (process {os.getpid()}){then}")


def test_the_status_tells_what_a_killed_one_has_going_on_and_does_not_wait_for_it(cluster: ServerCluster) -> None:
    lock = os.open(cluster.volumes["minio"].parent, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        [part] = status_of_restore(cluster).parts
    finally:
        os.close(lock)
    assert part.problem.startswith(
        "unfinished: what one began that was killed goes on in the node. Run `make cluster-up`"
    )


def test_where_a_restore_cannot_be_the_status_says_so_and_all_else_is_as_it_is(
    cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "inside_node", lambda: ["false"])

    status = status_of_restore(cluster)
    assert status.notes[0].startswith("Whether a restore is unfinished is not known: cannot look")
    assert status.is_ready()


def test_before_all_servers_are_installed_the_status_tells_no_restore(cluster: ServerCluster) -> None:
    cluster.core.delete_namespaced_persistent_volume_claim("data-postgres-0", "user-analytics")
    cluster.wait(lambda: not servers.have_volumes(cluster.client))

    assert status_of_restore(cluster) == Status(parts=[], pages=[], runs=[])
