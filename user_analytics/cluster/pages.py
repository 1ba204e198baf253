"""The web pages of the cluster that this machine's browser can open."""

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

from kubernetes.client import CoreV1Api

from user_analytics.cluster.kind import CONFIGURATION, KEEPS_PORTS, PAGES_HOST, closed_ports, node_ports
from user_analytics.errors import ClusterError

# The node's ports of the pages. Which ports of this machine lead there, kind-config.yaml says.
CONSOLE, HISTORY_SERVER, AIRFLOW = 30901, 30180, 30080
TIMEOUT_SECONDS = 5.0


class Page(NamedTuple):
    """A page: the Service that it is of, where it is, and what keeps it from answering (empty when it does)."""

    service: str
    url: str
    problem: str


def address(node_port: int) -> str:
    """The URL of the page on a port of the node, for this machine. Raises ClusterError when no port leads there."""
    found = [host_port for host_port, inside in node_ports().items() if inside == node_port]
    if not found:
        raise ClusterError(f"{CONFIGURATION.name}: extraPortMappings lack one with containerPort {node_port}")
    return f"http://{PAGES_HOST}:{found[0]}"


def reached(node_port: int) -> str:
    """The URL of the page, if the node that is there is what answers on it. Raises ClusterError if it is not."""
    url = address(node_port)
    if urlsplit(url).port in closed_ports():
        raise ClusterError(_closed(url))
    return url


def _closed(url: str) -> str:
    return f"the node does not answer on {url}, {KEEPS_PORTS}"


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
    closed = closed_ports()
    for host_port, node_port in node_ports().items():
        if service := service_of.get(node_port):
            url = address(node_port)
            # another program may answer there
            found.append(Page(str(service), url, _closed(url) if host_port in closed else problem(url)))
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
