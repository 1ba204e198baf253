"""The cluster's lake, source and warehouse as settings of commands on this machine, over forwarded ports."""

from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from kubernetes.client import CoreV1Api

from user_analytics.cluster.forward import forwarded
from user_analytics.cluster.secrets import JOBS, SERVERS, read_secret
from user_analytics.render import Parameters
from user_analytics.settings import Settings

Server = Literal["lake", "source", "warehouse"]
# The owner of the source: loading it takes more than the right to read that ingestion has.
OWNER = "retail"


@contextmanager
def cluster_settings(core: CoreV1Api, servers: Set[Server]) -> Iterator[Settings]:
    """Settings by which this process reaches these servers, the source as its owner. Raises ClusterError.

    The warehouse is reached by REST alone: only Spark needs the Storage API.
    """
    with ExitStack() as opened:

        def address(service: str, port: int) -> str:
            return opened.enter_context(forwarded(service, port))

        defaults = Parameters.model_validate({})
        values: dict[str, Any] = {"_env_file": None}
        if "lake" in servers:
            keys = read_secret(core, JOBS, defaults.lake_secret)
            values |= {
                "lake_url": defaults.lake_url,
                "lake_endpoint": f"http://{address('minio', 9000)}",
                "lake_access_key": keys["access-key"].decode(),
                "lake_secret_key": keys["secret-key"].decode(),
            }
        if "source" in servers:
            host, _, port = address("postgres", 5432).partition(":")
            values |= {
                "source_host": host,
                "source_port": int(port),
                "source_user": OWNER,
                "source_password": read_secret(core, SERVERS, "postgres")["retail-password"].decode(),
            }
        if "warehouse" in servers:
            values |= {
                "gcp_project": defaults.gcp_project,
                "bigquery_endpoint": f"http://{address('bigquery-emulator', 9050)}",
                "bigquery_grpc_endpoint": defaults.bigquery_grpc_endpoint,
            }
        yield Settings(**values)
