"""Namespaces: restricted, limited, and with no right that nobody uses."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from user_analytics.render import render

DIRECTORY = Path(__file__).parents[3] / "manifests" / "namespaces"
NAMESPACES = ("spark-operator", "user-analytics", "user-analytics-jobs")
MANIFESTS = DIRECTORY.parent
README = (MANIFESTS / "README.md").read_text()
UNITS = {"m": Decimal("0.001"), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
# What the quota of the jobs has to let run at the same time.
AT_ONCE = ("movie-review", "user-purchase", "ingest-reviews", "ingest-purchases")


def objects(namespace: str, kind: str) -> list[Any]:
    documents = yaml.safe_load_all((DIRECTORY / f"{namespace}.yaml").read_text())
    return [document for document in documents if document["kind"] == kind]


def one(namespace: str, kind: str, name: str) -> Any:
    [found] = [document for document in objects(namespace, kind) if document["metadata"]["name"] == name]
    return found


def amount(quantity: str) -> Decimal:
    """A quantity of Kubernetes as a number: cores, bytes."""
    for suffix, factor in UNITS.items():
        if quantity.endswith(suffix):
            return Decimal(quantity.removesuffix(suffix)) * factor
    return Decimal(quantity)


def memory_of(pod: Any) -> Decimal:
    """Memory of a driver or an executor, in bytes: Java's units are one letter."""
    return sum((amount(f"{pod[part].upper()}i") for part in ("memory", "memoryOverhead")), Decimal(0))


def needs(name: str, parameters: Mapping[str, object] | None = None) -> dict[str, Decimal]:
    """What the pods of one manifest ask for together, with all executors that it may come to have."""
    spec = yaml.safe_load(render(name, date(2010, 12, 8), parameters))["spec"]
    if "template" in spec:
        [container] = spec["template"]["spec"]["containers"]
        return {
            f"{kind}.{resource}": amount(container["resources"][kind][resource])
            for kind in ("requests", "limits")
            for resource in ("cpu", "memory")
        } | {"pods": Decimal(1)}
    executors = spec.get("dynamicAllocation", {}).get("maxExecutors", spec["executor"]["instances"])
    pods = [spec["driver"], *[spec["executor"]] * executors]
    memory = sum(memory_of(pod) for pod in pods)
    return {
        "requests.cpu": Decimal(sum(amount(pod["coreRequest"]) for pod in pods)),
        "limits.cpu": Decimal(sum(amount(pod["coreLimit"]) for pod in pods)),
        "requests.memory": Decimal(memory),  # Spark asks for as much as it may take
        "limits.memory": Decimal(memory),
        "pods": Decimal(len(pods)),
    }


def test_every_namespace_has_its_file() -> None:
    assert {path.name for path in DIRECTORY.iterdir()} == {f"{namespace}.yaml" for namespace in NAMESPACES}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_file_holds_its_namespace_first_and_nothing_of_another(namespace: str) -> None:
    first, *others = yaml.safe_load_all((DIRECTORY / f"{namespace}.yaml").read_text())
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", namespace)
    assert {document["metadata"]["namespace"] for document in others} == {namespace}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_pod_security_restricted_is_enforced(namespace: str) -> None:
    labels = one(namespace, "Namespace", namespace)["metadata"]["labels"]
    assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "warn", "audit")} == {"restricted"}


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_pod_that_names_no_account_has_no_token(namespace: str) -> None:
    assert one(namespace, "ServiceAccount", "default")["automountServiceAccountToken"] is False


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_whatever_the_quota_counts_has_a_default(namespace: str) -> None:
    [limit] = one(namespace, "LimitRange", namespace)["spec"]["limits"]
    counted = one(namespace, "ResourceQuota", namespace)["spec"]["hard"]
    assert {f"requests.{resource}" for resource in limit["defaultRequest"]} <= set(counted)
    assert {f"limits.{resource}" for resource in limit["default"]} <= set(counted)


def test_only_the_driver_of_spark_has_a_token_and_rights() -> None:
    accounts = objects("user-analytics-jobs", "ServiceAccount")
    with_token = [account["metadata"]["name"] for account in accounts if account["automountServiceAccountToken"]]
    subjects = [
        subject["name"] for binding in objects("user-analytics-jobs", "RoleBinding") for subject in binding["subjects"]
    ]
    assert with_token == subjects == ["spark"]


def test_the_driver_may_do_what_spark_does_and_cannot_read_secrets() -> None:
    rights = {
        resource: set(rule["verbs"])
        for rule in one("user-analytics-jobs", "Role", "spark")["rules"]
        for resource in rule["resources"]
    }
    assert rights == {
        "pods": {"create", "get", "list", "watch", "delete", "deletecollection"},
        "configmaps": {"create", "deletecollection"},
        "services": {"deletecollection"},
    }


def test_nothing_has_rights_in_the_whole_cluster() -> None:
    kinds = {
        document["kind"]
        for namespace in NAMESPACES
        for document in yaml.safe_load_all((DIRECTORY / f"{namespace}.yaml").read_text())
    }
    assert not {kind for kind in kinds if kind.startswith("Cluster")}


def test_both_applications_and_both_ingestions_run_at_once_within_the_quota() -> None:
    quota = one("user-analytics-jobs", "ResourceQuota", "user-analytics-jobs")["spec"]["hard"]
    for resource in ("requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "pods"):
        assert sum(needs(name)[resource] for name in AT_ONCE) <= amount(quota[resource]), resource


@pytest.mark.parametrize("name", ["movie-review", "user-purchase"])
def test_an_application_and_a_stage_beside_it_leave_half_a_core_to_the_services(name: str) -> None:
    # Of 1,800m the control plane takes 850m.
    assert needs(name)["requests.cpu"] + needs("publish")["requests.cpu"] <= Decimal("0.45")


def of_charts_readme() -> tuple[str, Mapping[str, object]]:
    [values] = re.findall(r"```yaml\n(dags:.*?)```", (MANIFESTS.parent / "charts" / "README.md").read_text(), re.DOTALL)
    return "movie-review", yaml.safe_load(values)["dags"]["parameters"]["movie-review"]


def of_manifests_readme() -> tuple[str, Mapping[str, object]]:
    [example] = re.findall(r"render user-purchase[^`]*max_executors[^`]*", README)
    return "user-purchase", dict(re.findall(r"--set (\w+)=(\S+)", example))


@pytest.mark.parametrize("example", [of_charts_readme, of_manifests_readme])
def test_an_example_with_many_executors_has_room_once_the_quota_is_raised_as_the_readme_says(
    example: Callable[[], tuple[str, Mapping[str, object]]],
) -> None:
    quota = one("user-analytics-jobs", "ResourceQuota", "user-analytics-jobs")["spec"]["hard"]
    [patch] = re.findall(r"patch resourcequota user-analytics-jobs .*?'(\{.*?\})'", README, re.DOTALL)
    raised = json.loads(patch)["spec"]["hard"]

    needed = needs(*example())

    assert needed["pods"] > 20
    assert all(needed[resource] <= amount({**quota, **raised}[resource]) for resource in needed)
    assert raised.keys() == {resource for resource in needed if needed[resource] > amount(quota[resource])}
