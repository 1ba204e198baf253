"""`make cluster-up` on a cluster that kind alone made, as it comes to its node, and what is left without it."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from kubernetes.client import CoreV1Api, StorageV1Api, V1Namespace, V1ObjectMeta

from tests.e2e.cluster.kind_cluster import ROOT
from tests.e2e.cluster.machine import can_tell, left_of, there_is
from user_analytics.cluster import go_programs, up
from user_analytics.cluster.engine import kind_environment, run
from user_analytics.cluster.kind import COMPLETE, NODE, connect, node_state
from user_analytics.cluster.kind_node import node_image
from user_analytics.errors import ClusterError

KEPT = "kept"

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(node_state() is not None, reason="there is a cluster already: `make cluster-down` first"),
]


@pytest.fixture(scope="module", autouse=True)
def before() -> Iterator[set[str]]:
    """A cluster by the command that kind-config.yaml names, with a namespace in it; what there was before it."""
    before = there_is() if can_tell() else set()
    subprocess.run(["make", "image-kind-node"], cwd=ROOT, check=True)
    go_programs.build("kind")
    command = [
        str(go_programs.program_file("kind")),
        "create",
        "cluster",
        "--config",
        "kind-config.yaml",
        "--wait",
        "180s",
    ]
    command += ["--image", node_image().versioned_reference()]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **kind_environment()}, check=True)
    with connect() as api:
        CoreV1Api(api).create_namespace(V1Namespace(metadata=V1ObjectMeta(name=KEPT)))
    yield before
    if node_state() is not None:
        subprocess.run(["make", "cluster-down"], cwd=ROOT, check=True)


def test_it_is_taken_over_once_with_what_it_holds() -> None:
    assert up._node() == "taken over, as kind had made it"
    assert up._node() == ""
    with connect() as api:
        assert CoreV1Api(api).read_namespace(KEPT)


def test_one_that_is_not_whole_is_an_error_and_stays() -> None:
    run("exec", NODE, "rm", "--force", COMPLETE)
    with connect() as api:
        StorageV1Api(api).delete_collection_storage_class()

        with pytest.raises(ClusterError, match="is not whole: it has no default StorageClass"):
            up._node()
        assert CoreV1Api(api).read_namespace(KEPT)


@pytest.mark.skipif(not can_tell(), reason="needs podman with CNI, ip and iptables-save")
def test_without_it_nothing_of_it_is_left_on_the_machine(before: set[str]) -> None:
    brought = there_is() - before
    seen = {each.split()[0] for each in brought}
    assert seen >= {"container", "volume"}
    if os.geteuid() == 0:
        assert seen >= {"interface", "mount", "rule"}

    subprocess.run(["make", "cluster-down"], cwd=ROOT, check=True)

    assert left_of(brought) == set()
