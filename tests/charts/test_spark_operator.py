"""Our values for the Spark Operator's own chart."""

import pytest

from tests.charts.test_pods import spark_operator
from tests.fixtures.helm import Helm, Object, Rendered, at

JOBS = "user-analytics-jobs"


@pytest.fixture(scope="module")
def objects(helm: Helm) -> Rendered:
    """The release."""
    return spark_operator(helm)


def arguments(item: Object) -> list[str]:
    """What the program is started with."""
    words: list[str] = at(item, "spec.template.spec.containers.0.args")
    return words


@pytest.mark.parametrize("name", ["spark-operator-controller", "spark-operator-webhook"])
def test_only_applications_of_the_jobs_namespace_are_looked_at(objects: Rendered, name: str) -> None:
    assert f"--namespaces={JOBS}" in arguments(objects.one("Deployment", name))


def test_no_pod_is_made_without_what_the_webhook_adds(objects: Rendered) -> None:
    webhooks = [hook for item in objects if item["kind"].endswith("WebhookConfiguration") for hook in item["webhooks"]]

    assert webhooks
    assert {hook["failurePolicy"] for hook in webhooks} == {"Fail"}


def test_drivers_have_no_account_and_no_rights_but_those_of_our_manifests(objects: Rendered) -> None:
    made = [i for i in objects if i["kind"] in {"ServiceAccount", "Role"} and i["metadata"].get("namespace") == JOBS]

    # the controller's own rights on the pods and applications of that namespace
    assert [item["metadata"]["name"] for item in made] == ["spark-operator-controller", "spark-operator-webhook"]


def test_the_image_is_ours(objects: Rendered) -> None:
    images = {at(i, "spec.template.spec.containers.0.image") for i in objects if i["kind"] == "Deployment"}

    assert images == {"localhost/user-analytics/spark-operator:0.1.0"}
