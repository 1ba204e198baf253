"""The web pages of the cluster that this machine's browser can open."""

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

from kubernetes.client import CoreV1Api

from user_analytics.cluster.kind import PAGES_HOST, node_ports

AIRFLOW = f"http://{PAGES_HOST}:8080"
HISTORY_SERVER = f"http://{PAGES_HOST}:18080"
TIMEOUT_SECONDS = 5.0


class Page(NamedTuple):
    """A page: the Service that it is of, where it is, and what keeps it from answering (empty when it does)."""

    service: str
    url: str
    problem: str


def pages(core: CoreV1Api) -> list[Page]:
    """The page of every Service whose node port `kind-config.yaml` leads to this machine."""
    service_of = {
        port.node_port: service.metadata.name
        for service in core.list_service_for_all_namespaces().items
        if service.metadata and service.spec
        for port in service.spec.ports or []
        if port.node_port
    }
    found = []
    for host_port, node_port in node_ports().items():
        if service := service_of.get(node_port):
            url = f"http://{PAGES_HOST}:{host_port}"
            found.append(Page(str(service), url, problem(url)))
    return found


def problem(url: str) -> str:
    """Why a page does not answer; empty when it does."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"it does not answer: {error}"
    finally:
        connection.close()
    return f"it answers with {status}" if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR else ""
