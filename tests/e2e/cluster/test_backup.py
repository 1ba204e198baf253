"""Backup and restore of the servers' data, on the cluster with the pipeline's results in it. In this order."""

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.cluster.conftest import DATE
from tests.e2e.cluster.kind_cluster import KindCluster, kill_make
from user_analytics.lake.stored_object import StoredObject

pytestmark = pytest.mark.timeout(900)

PURCHASES = """\
invoice_number,stock_code,detail,quantity,invoice_date,unit_price,customer_id,country
1,A,thing,1,2010-12-08 10:00:00,1.000,12345,France
"""
NEW_OBJECT = "landing/after-the-backup.csv"
# As they are after a restore into a cluster with Secrets of its own.
OTHER_PASSWORDS = "alter role postgres password 'another'; alter role user_analytics password 'another'"
IN_POSTGRES = ("--namespace", "user-analytics", "exec", "postgres-0", "--")
PSQL = ("psql", "--host=/run/postgresql", "--username=postgres")
SUPERUSER_BY_PASSWORD = (
    "PGPASSWORD=$(cat /run/secrets/postgres/password) psql --host=127.0.0.1 --username=postgres --command='select 1'"
)


class BackedUp(NamedTuple):
    """A cluster, the folder that it was backed up to, and what it held then; source and lake are others since."""

    cluster: KindCluster
    folder: Path
    views: dict[str, str]
    purchases: list[tuple[object, ...]]
    objects: set[StoredObject]


@pytest.fixture(scope="module")
def backed_up(published: KindCluster, tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    """A backup with other passwords than the cluster's Secrets hold; another source and an object come afterwards."""
    folder = tmp_path_factory.mktemp("backup")
    before = published.views(), published.purchases(), published.objects()
    published.kubectl(*IN_POSTGRES, *PSQL, f"--command={OTHER_PASSWORDS}")
    published.make("backup", f"TO={folder}")
    other = tmp_path_factory.mktemp("source") / "purchases.csv"
    other.write_text(PURCHASES)
    published.make("load-data", f"PURCHASES={other}")
    published.put_object(NEW_OBJECT)
    return BackedUp(published, folder, *before)


@pytest.mark.long
def test_after_a_restore_that_is_killed_cluster_up_starts_the_servers_on_what_they_had(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster
    kill_make("restore", f"FROM={backed_up.folder}", at="postgres: copying")

    assert cluster.make("cluster-status", check=False).returncode != 0
    cluster.make("cluster-up")
    cluster.wait_until_all_is_ready()
    assert len(cluster.purchases()) == 1
    assert NEW_OBJECT in {each.key for each in cluster.objects()}


@pytest.mark.long
def test_after_a_restore_that_is_killed_later_cluster_up_finishes_it_passwords_included(backed_up: BackedUp) -> None:
    cluster = backed_up.cluster
    kill_make("restore", f"FROM={backed_up.folder}", at="Starting the servers on what is restored")

    cluster.make("cluster-up")
    cluster.wait_until_all_is_ready()
    assert cluster.purchases() == backed_up.purchases
    cluster.make("ingest", f"DATE={DATE}")


@pytest.fixture(scope="module")
def restored(backed_up: BackedUp) -> BackedUp:
    backed_up.cluster.make("restore", f"FROM={backed_up.folder}")
    return backed_up


def test_a_restore_gives_back_source_lake_and_warehouse(restored: BackedUp) -> None:
    assert restored.cluster.purchases() == restored.purchases
    assert restored.cluster.objects() == restored.objects
    assert restored.cluster.views() == restored.views


def test_accounts_have_the_passwords_of_the_cluster_that_was_restored_into(restored: BackedUp) -> None:
    restored.cluster.helm("test", "postgres")
    restored.cluster.kubectl(*IN_POSTGRES, "bash", "-c", SUPERUSER_BY_PASSWORD)

    restored.cluster.wait_until_all_is_ready()
