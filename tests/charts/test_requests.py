"""What everything asks for together: it has to fit on a laptop with two cores, and into the namespaces' quotas."""

from decimal import Decimal

import pytest
import yaml
from kubernetes.utils import parse_quantity

from tests.charts.test_pods import OUR_CHARTS, spark_operator
from tests.fixtures.helm import ROOT, Helm, Object, is_hook, pod_spec

MANIFESTS = ROOT / "manifests"
CONTROL_PLANE = Decimal("0.850")  # etcd, API server, controller manager, scheduler, CoreDNS and so on, on kind
AVAILABLE = Decimal("1.800")


def quantity(text: str) -> Decimal:
    """A quantity as Kubernetes writes it, in cores or bytes."""
    return Decimal(parse_quantity(text))


def total(objects: list[Object], kind: str, resource: str) -> Decimal:
    """Sum over all pods, in cores or bytes; the init containers of a pod are over, one by one, before the others."""

    def of(containers: list[Object]) -> list[Decimal]:
        return [quantity(container["resources"][kind][resource]) for container in containers]

    specs = [spec for spec in map(pod_spec, objects) if spec]
    return sum(
        (max([sum(of(s["containers"]), start=Decimal(0)), *of(s.get("initContainers", []))]) for s in specs),
        start=Decimal(0),
    )


def ends(item: Object) -> bool:
    """Whether it is there only while its release is installed, upgraded or tested."""
    return is_hook(item) or item["kind"] == "Job"


def loaded(folder: str) -> list[Object]:
    return [
        item for file in sorted((MANIFESTS / folder).glob("*.yaml")) for item in yaml.safe_load_all(file.read_text())
    ]


def application_cores(application: Object) -> Decimal:
    driver, executor = application["spec"]["driver"], application["spec"]["executor"]
    return quantity(driver["coreRequest"]) + Decimal(executor["instances"]) * quantity(executor["coreRequest"])


@pytest.fixture
def services(helm: Helm) -> list[Object]:
    """What runs all the time in namespace user-analytics."""
    return [item for chart in OUR_CHARTS for item in helm.template(chart) if not ends(item)]


def test_all_with_one_application_and_one_pod_of_a_task_fit_on_two_cores(helm: Helm, services: list[Object]) -> None:
    cores = {
        "control plane": CONTROL_PLANE,
        "services": total(services, "requests", "cpu"),
        "Spark Operator": total(spark_operator(helm), "requests", "cpu"),
        "Spark application": max(application_cores(item) for item in loaded("spark-applications")),
        "pod of a task": max(total([job], "requests", "cpu") for job in loaded("jobs")),
    }

    assert sum(cores.values()) <= AVAILABLE, cores


@pytest.mark.parametrize(("resource", "most"), [("cpu", "400m"), ("memory", "2.5G")])
def test_airflow_leaves_room_for_the_others_also_with_a_triggerer_and_its_job(
    helm: Helm, resource: str, most: str
) -> None:
    airflow = helm.template("airflow", {"triggerer": {"enabled": True}})

    assert total(airflow, "requests", resource) <= quantity(most)


def quota(namespace: str, kind: str, resource: str) -> Decimal:
    [hard] = [
        item["spec"]["hard"]
        for item in loaded("namespaces")
        if item["kind"] == "ResourceQuota" and item["metadata"]["namespace"] == namespace
    ]
    return quantity(hard[f"{kind}.{resource}"])


@pytest.mark.parametrize("kind", ["requests", "limits"])
@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_services_fit_into_their_quota_with_the_hooks_and_jobs_of_one_chart(
    helm: Helm, services: list[Object], kind: str, resource: str
) -> None:
    more = max(total([i for i in helm.template(chart) if ends(i)], kind, resource) for chart in OUR_CHARTS)

    assert total(services, kind, resource) + more <= quota("user-analytics", kind, resource)


@pytest.mark.parametrize("kind", ["requests", "limits"])
@pytest.mark.parametrize("resource", ["cpu", "memory"])
def test_the_spark_operator_fits_into_its_quota_while_it_is_replaced(helm: Helm, kind: str, resource: str) -> None:
    assert 2 * total(spark_operator(helm), kind, resource) <= quota("spark-operator", kind, resource)
