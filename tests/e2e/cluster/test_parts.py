"""What `make cluster-up` leaves: everything ready, tested, and the same when it runs again."""

import hashlib
import json
import time

import pytest

from tests.e2e.cluster.kind_cluster import ROOT, KindCluster
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.charts import NAMESPACES
from user_analytics.cluster.engine import run

pytestmark = pytest.mark.timeout(900)

AGAIN_SECONDS = 60
# Hash by path of each file of the package that an image has.
PACKAGE = """
import hashlib, json, sysconfig
from pathlib import Path
root = Path(sysconfig.get_path("purelib"))
files = (root / "user_analytics").rglob("*.py")
print(json.dumps({str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}))
"""


def identities(cluster: KindCluster) -> set[tuple[str, int]]:
    """Every pod that serves, with how often its containers were started."""
    return {(pod.uid, pod.restarts) for pod in cluster.pods() if pod.owner in {"StatefulSet", "ReplicaSet"}}


def test_every_part_is_ready(cluster: KindCluster) -> None:
    assert cluster.make("cluster-status").returncode == 0


@pytest.mark.parametrize("name", sorted(set(NAMESPACES) - {"spark-operator"}))
def test_the_test_of_each_chart_passes(cluster: KindCluster, name: str) -> None:
    cluster.helm("test", name)


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("name", ["airflow", "bigquery-emulator", "ingest", "spark"])
def test_an_image_has_the_package_of_this_checkout(name: str) -> None:
    image = workload_images()[name].reference()

    found = json.loads(run("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", PACKAGE).stdout)

    on_a_checkout_only = ROOT / "user_analytics" / "cluster"
    files = (file for file in ROOT.glob("user_analytics/**/*.py") if on_a_checkout_only not in file.parents)
    assert found == {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.usefixtures("scheduled")  # whose pods want the cores first
def test_going_up_again_takes_less_than_a_minute_and_restarts_nothing(cluster: KindCluster) -> None:
    before = identities(cluster)
    started = time.monotonic()

    cluster.make("cluster-up")

    assert time.monotonic() - started < AGAIN_SECONDS
    assert identities(cluster) == before
