"""The web pages of the cluster: each is where the README, `kind-config.yaml` and `cluster-status` say."""

import json
from collections.abc import Iterator

import pytest
from kubernetes import config
from kubernetes.client import CoreV1Api

from tests.fixtures.helm import Helm, as_stream
from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster.charts import release
from user_analytics.cluster.pages import pages

WITH_PAGES = ("airflow", "minio", "spark-history-server")
# By the Service that it is of.
ADDRESSES = {
    "airflow-api-server": "http://127.0.0.1:8080",
    "minio-console": "http://127.0.0.1:9001",
    "spark-history-server": "http://127.0.0.1:18080",
}
NAMESPACE = "web-pages"


@pytest.fixture(scope="module")
def core(helm: Helm, kubernetes_api: KubernetesApi) -> Iterator[CoreV1Api]:
    """An API server with the Services of the charts as `make cluster-up` installs them."""
    rendered = [
        item
        for chart in WITH_PAGES
        for item in helm.template(chart, release(chart).values, namespace=NAMESPACE)
        if item["kind"] == "Service"
    ]
    kubernetes_api.make_namespaces(NAMESPACE)
    applied = kubernetes_api.kubectl("apply", "--filename", "-", standard_input=as_stream(rendered))
    assert applied.returncode == 0, applied.stderr
    with config.new_client_from_config(str(kubernetes_api.kubeconfig)) as api:
        yield CoreV1Api(api)
    kubernetes_api.kubectl("delete", "--filename", "-", standard_input=as_stream(rendered))


def test_each_page_is_at_its_own_address(core: CoreV1Api) -> None:
    assert {page.service: page.url for page in pages(core)} == ADDRESSES


def test_airflow_knows_its_own_address_and_that_of_the_reports(helm: Helm) -> None:
    rendered = helm.template("airflow", release("airflow").values)

    assert ADDRESSES["airflow-api-server"] in json.dumps(rendered.one("ConfigMap", "airflow"))
    assert f"{ADDRESSES['minio-console']}/browser/" in json.dumps(rendered)
