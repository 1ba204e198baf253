"""Backup and restore of the servers' data, on the cluster with the pipeline's results in it. In this order."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.cluster.conftest import DATE
from tests.e2e.cluster.kind_cluster import KindCluster, kill_make
from user_analytics.cluster.backup_folder import archive
from user_analytics.lake.stored_object import StoredObject

pytestmark = pytest.mark.timeout(900)

PURCHASES = """\
invoice_number,stock_code,detail,quantity,invoice_date,unit_price,customer_id,country
1,A,thing,1,2010-12-08 10:00:00,1.000,12345,France
"""
NEW_OBJECT = "landing/after-the-backup.csv"
# As they are after a restore into a cluster with Secrets of its own.
OTHER_PASSWORDS = "alter role postgres password 'another'; alter role user_analytics password 'another'"
PSQL = ("--namespace", "user-analytics", "exec", "postgres-0", "--", "psql", "--host=/run/postgresql")


class BackedUp(NamedTuple):
    """A cluster, the folder that it was backed up to, and what it held then; source and lake are others since."""

    cluster: KindCluster
    folder: Path
    views: dict[str, str]
    purchases: list[tuple[object, ...]]
    objects: set[StoredObject]


def servers(cluster: KindCluster) -> set[str]:
    return {pod.uid for pod in cluster.pods() if pod.owner == "StatefulSet"}


@pytest.fixture(scope="module")
def backed_up(published: KindCluster, tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    """A backup with other passwords than the cluster's Secrets hold; another source and an object come afterwards."""
    folder = tmp_path_factory.mktemp("backup")
    before = published.views(), published.purchases(), published.objects()
    published.kubectl(*PSQL, "--username=postgres", f"--command={OTHER_PASSWORDS}")
    published.make("backup", f"TO={folder}")
    other = tmp_path_factory.mktemp("source") / "purchases.csv"
    other.write_text(PURCHASES)
    published.make("load-data", f"PURCHASES={other}")
    published.put_object(NEW_OBJECT)
    return BackedUp(published, folder, *before)


def test_a_damaged_backup_is_refused_and_nothing_is_stopped(backed_up: BackedUp) -> None:
    before = servers(backed_up.cluster)
    file = archive(backed_up.folder, "postgres")
    size = file.stat().st_size
    os.truncate(file, size - 1)
    try:
        done = backed_up.cluster.make("restore", f"FROM={backed_up.folder}", check=False)
    finally:
        os.truncate(file, size)  # the last byte of an archive is zero

    assert done.returncode != 0
    assert "postgres.tar is damaged" in done.stderr
    assert servers(backed_up.cluster) == before


def test_after_a_restore_that_is_killed_cluster_up_starts_the_servers_on_what_they_had(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster
    kill_make("restore", f"FROM={backed_up.folder}", at="postgres: copying")

    assert cluster.make("cluster-status", check=False).returncode != 0
    cluster.make("cluster-up")
    cluster.wait_until_all_is_ready()
    assert len(cluster.purchases()) == 1
    assert NEW_OBJECT in {each.key for each in cluster.objects()}


def test_after_a_restore_that_is_killed_later_cluster_up_finishes_it_passwords_included(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster
    kill_make("restore", f"FROM={backed_up.folder}", at="Starting the servers on what is restored")

    cluster.make("cluster-up")
    cluster.wait_until_all_is_ready()
    assert cluster.purchases() == backed_up.purchases
    cluster.make("ingest", f"DATE={DATE}")


def test_a_restore_gives_back_source_lake_and_warehouse(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster
    cluster.make("restore", f"FROM={backed_up.folder}")

    assert cluster.purchases() == backed_up.purchases
    assert cluster.objects() == backed_up.objects
    assert cluster.views() == backed_up.views


def test_accounts_have_the_passwords_of_the_cluster_that_was_restored_into(backed_up: BackedUp) -> None:
    backed_up.cluster.make("ingest", f"DATE={DATE}")

    backed_up.cluster.wait_until_all_is_ready()
