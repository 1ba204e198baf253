"""Network policies as data: what they let through is what reach.csv lists, port by port, and nothing else."""

import csv
import ipaddress
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from user_analytics.render import MANIFESTS, render

MANIFEST_DIRECTORY = Path(__file__).parents[3] / "manifests"
DNS = 53
# Ports that somebody listens on, and some that nobody should reach.
PORTS = (DNS, 22, 80, 443, 988, 4040, 5432, 6443, 7078, 7079, 8080, 8125, 8793, 9000, 9001, 9050, 9060, 9443, 18080)
OUTSIDE = "outside"


class Peer(NamedTuple):
    """A kind of pod; without a namespace, something that is no pod but has an address."""

    name: str
    namespace: str | None
    labels: dict[str, str]
    address: str = "10.244.0.2"


def documents(path: Path) -> list[Any]:
    return [document for document in yaml.load_all(path.read_text(), yaml.CSafeLoader) if document]


NAMESPACES = [
    document for path in sorted((MANIFEST_DIRECTORY / "namespaces").iterdir()) for document in documents(path)
]
POLICIES = [document for document in NAMESPACES if document["kind"] == "NetworkPolicy"]
OF_SERVERS_OUTSIDE = documents(MANIFEST_DIRECTORY / "egress-outside.yaml")
NAMESPACE_LABELS = {
    "kube-system": {"kubernetes.io/metadata.name": "kube-system"},
    # A namespace that has nothing to do with us, with a pod that claims all it can.
    "stranger": {"kubernetes.io/metadata.name": "stranger"},
    **{
        document["metadata"]["name"]: {
            "kubernetes.io/metadata.name": document["metadata"]["name"],
            **document["metadata"]["labels"],
        }
        for document in NAMESPACES
        if document["kind"] == "Namespace"
    },
}
CLIENT_LABELS = {
    f"user-analytics/{service}-client": "true"
    for service in ("airflow", "bigquery", "kubernetes", "minio", "postgres", "spark-history-server")
}


def jobs() -> Iterator[Peer]:
    for name in MANIFESTS:
        manifest = yaml.safe_load(render(name, date(2010, 12, 8)))
        namespace = manifest["metadata"]["namespace"]
        if manifest["kind"] == "Job":
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            yield Peer(f"{namespace}/{name}", namespace, labels)
        elif name == "movie-review":
            for role in ("driver", "executor"):
                labels = {**manifest["metadata"]["labels"], **manifest["spec"][role]["labels"], "spark-role": role}
                yield Peer(f"{namespace}/spark-{role}", namespace, labels)


def pod(namespace: str, name: str, component: str, *clients: str) -> Peer:
    """A pod of a chart, with the labels that its chart gives it."""
    full_name = name if component in ("server", "controller", "webhook") else f"{name}-{component}"
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}
    labels |= {f"user-analytics/{client}-client": "true" for client in clients}
    return Peer(f"{namespace}/{full_name}", namespace, labels)


# The Kubernetes API and the like.
ADDRESS = Peer("address", None, {}, "172.18.0.2")
PEERS = [
    *jobs(),
    pod("user-analytics", "airflow", "api-server", "minio", "postgres"),
    pod("user-analytics", "airflow", "scheduler", "airflow", "kubernetes", "minio", "postgres"),
    pod("user-analytics", "airflow", "dag-processor", "postgres"),
    pod("user-analytics", "airflow", "migrate", "postgres"),
    pod("user-analytics", "airflow", "test", "airflow"),
    pod("user-analytics", "minio", "server"),
    pod("user-analytics", "minio", "test", "minio"),
    pod("user-analytics", "minio", "users", "minio"),
    pod("user-analytics", "postgres", "server"),
    pod("user-analytics", "postgres", "test", "postgres"),
    pod("user-analytics", "postgres", "databases", "postgres"),
    pod("user-analytics", "bigquery-emulator", "server"),
    pod("user-analytics", "bigquery-emulator", "test", "bigquery"),
    pod("user-analytics", "spark-history-server", "server", "minio"),
    pod("user-analytics", "spark-history-server", "test", "spark-history-server"),
    Peer("spark-operator/controller", "spark-operator", pod("", "spark-operator", "controller").labels),
    Peer("spark-operator/webhook", "spark-operator", pod("", "spark-operator", "webhook").labels),
    Peer("dns", "kube-system", {"k8s-app": "kube-dns"}),
    Peer("stranger", "stranger", {**CLIENT_LABELS, "spark-role": "driver", "app.kubernetes.io/name": "spark-operator"}),
    # A pod of ours that nobody labelled.
    Peer("unlabelled", "user-analytics-jobs", {}),
    ADDRESS,
    Peer("metadata-server", None, {}, "169.254.169.254"),
    Peer("workload-identity", None, {}, "169.254.169.252"),
]
OUR_NAMESPACES = {"user-analytics", "user-analytics-jobs", "spark-operator"}


def selects(selector: Any, labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "this test knows matchLabels only"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def matches(peer_rule: Any, peer: Peer, policy_namespace: str) -> bool:
    if "ipBlock" in peer_rule:
        return ipaddress.ip_address(peer.address) in ipaddress.ip_network(peer_rule["ipBlock"]["cidr"])
    if peer.namespace is None:
        return False
    in_namespace = (
        selects(peer_rule["namespaceSelector"], NAMESPACE_LABELS[peer.namespace])
        if "namespaceSelector" in peer_rule
        else peer.namespace == policy_namespace
    )
    return in_namespace and selects(peer_rule.get("podSelector", {}), peer.labels)


def let_through(peer: Peer, direction: str, other: Peer, policies: list[Any]) -> set[int]:
    """The ports at which the policies on `peer` let traffic through; one without any is open, as Kubernetes has it."""
    rule_name, side = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}[direction]
    on_peer = [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == peer.namespace
        and selects(policy["spec"]["podSelector"], peer.labels)
        and direction in policy["spec"]["policyTypes"]
    ]
    if not on_peer:
        return set(PORTS)
    return {
        each["port"]
        for policy in on_peer
        for rule in policy["spec"].get(rule_name, [])
        if any(matches(peer_rule, other, policy["metadata"]["namespace"]) for peer_rule in rule[side])
        for each in rule["ports"]
    }


def reached(policies: list[Any]) -> set[tuple[str, str, int]]:
    """All (source, destination, port) that the policies let through and of which one side is ours."""
    return {
        (source.name, destination.name, port)
        for source, destination in product(PEERS, PEERS)
        if OUR_NAMESPACES & {source.namespace, destination.namespace}
        for port in let_through(source, "Egress", destination, policies)
        & let_through(destination, "Ingress", source, policies)
        & set(PORTS)
    }


def without_dns(traffic: set[tuple[str, str, int]]) -> set[tuple[str, str, int]]:
    """The traffic, with one name for all that is not ours."""
    ours = {peer.name for peer in PEERS if peer.namespace in OUR_NAMESPACES}
    return {
        (source if source in ours else OUTSIDE, to if to in ours else OUTSIDE, port)
        for source, to, port in traffic
        if (to, port) != ("dns", DNS)
    }


def listed() -> set[tuple[str, str, int]]:
    with (MANIFEST_DIRECTORY / "reach.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {(row["from"], row["to"], int(port)) for row in rows for port in row["ports"].split()}


REACHED = reached(POLICIES)


def denying(namespace: str) -> Any:
    """The policy by which a namespace denies all that others do not allow."""
    [policy] = [
        policy
        for policy in POLICIES
        if policy["metadata"]["namespace"] == namespace and policy["metadata"]["name"] == "default-deny"
    ]
    return policy


def test_only_what_the_table_lists_gets_through_beside_dns() -> None:
    assert without_dns(REACHED) == listed()


def test_dns_is_reached_by_every_pod_of_ours() -> None:
    ours = {peer.name for peer in PEERS if peer.namespace in OUR_NAMESPACES}
    assert {source for source, to, port in REACHED if (to, port) == ("dns", DNS)} == ours


def test_a_pod_elsewhere_gets_no_further_by_claiming_our_labels() -> None:
    assert {(to, port) for source, to, port in REACHED if source == "stranger"} == {("spark-operator/webhook", 9443)}


@pytest.mark.parametrize("namespace", sorted(OUR_NAMESPACES))
def test_a_namespace_denies_what_it_does_not_allow(namespace: str) -> None:
    assert denying(namespace)["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize(
    "policy",
    [policy for policy in POLICIES if policy["metadata"]["name"] not in ("default-deny", "dns")],
    ids=lambda policy: f"{policy['metadata']['namespace']}/{policy['metadata']['name']}",
)
def test_every_policy_is_needed(policy: Any) -> None:
    others = [other for other in POLICIES if other is not policy]
    assert listed() - without_dns(reached(others))


def test_with_policies_more_clients_reach_lake_databases_warehouse_and_statsd_outside_and_others_do_not() -> None:
    more = without_dns(reached([*POLICIES, *OF_SERVERS_OUTSIDE])) - listed()

    everywhere = {"user-analytics/minio": 443, "user-analytics/postgres": 5432}
    servers = {(source, OUTSIDE, everywhere[to]) for source, to, _ in listed() if to in everywhere}
    of_warehouse = {
        source
        for source, to, _ in listed()
        if source.startswith("user-analytics-jobs/") and to == "user-analytics/bigquery-emulator"
    }
    warehouse = {(source, OUTSIDE, port) for source in of_warehouse for port in (443, 80, 988)}
    metrics = {(peer.name, OUTSIDE, 8125) for peer in PEERS if peer.name.startswith("user-analytics/airflow-")}
    assert more == (servers | warehouse | metrics) - listed()
