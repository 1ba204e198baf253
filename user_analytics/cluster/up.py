"""`make cluster-up`: from whatever there is to a cluster with all parts ready.

Each step looks at what is there itself, so a run that was interrupted goes on where it stopped, and one on a running
cluster changes nothing.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kubernetes.client import CoreV1Api

from user_analytics.cluster import go_programs, kind, servers
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.apply import apply, read_manifests
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.images import CHECKOUT, REPOSITORY, build
from user_analytics.cluster.kind import connect, node_ports
from user_analytics.cluster.kind_node import node_image
from user_analytics.cluster.load import ensure_loaded
from user_analytics.cluster.load_data import load_sample_if_empty
from user_analytics.cluster.releases import Release, ensure_installed
from user_analytics.cluster.secrets import SERVERS, ensure_secrets
from user_analytics.cluster.versions import REQUIREMENTS
from user_analytics.errors import ClusterError, UserAnalyticsError
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.store import open_store

OPERATOR_MODULE = "github.com/kubeflow/spark-operator/v2"


class Step(NamedTuple):
    """A part of the way up; `do` makes what is missing and says so, or returns nothing when all was there."""

    name: str
    do: Callable[[], str]


def steps() -> list[Step]:
    """The way up, in order: who is needed comes before who needs it."""
    release = releases()
    return [
        Step("prerequisites", _prerequisites),
        Step("tools", _tools),
        Step("node", _node),
        Step("images", _images),
        Step("namespaces", _namespaces),
        Step("secrets", _secrets),
        Step("definitions", _definitions),
        Step("servers", _servers),
        _install(release["minio"]),
        _install(release["postgres"]),
        _install(release["bigquery-emulator"]),
        _install(release["spark-operator"]),
        Step("bucket", _bucket),
        _install(release["spark-history-server"]),
        Step("sample", _sample),
        # last: its scheduler begins at once
        _install(release["airflow"]),
    ]


def releases() -> dict[str, Release]:
    """The charts of the cluster with the images of this checkout, by name."""
    tag = {name: image.tag() for name, image in workload_images().items()}
    charts = CHECKOUT / "charts"
    node_port = node_ports()
    found = [
        Release(
            "minio",
            SERVERS,
            charts / "minio",
            values={
                "image": {"tag": tag["minio"]},
                "client": {"image": {"tag": tag["ingest"]}},
                "console": {"nodePort": node_port[9001]},
            },
        ),
        Release("postgres", SERVERS, charts / "postgres", values={"image": {"tag": tag["postgres"]}}),
        Release(
            "bigquery-emulator",
            SERVERS,
            charts / "bigquery-emulator",
            values={"image": {"tag": tag["bigquery-emulator"]}},
        ),
        Release(
            "spark-operator",
            "spark-operator",
            _operator_chart(),
            charts / "spark-operator" / "values.yaml",
            values={"image": {"tag": tag["spark-operator"]}},
        ),
        Release(
            "spark-history-server",
            SERVERS,
            charts / "spark-history-server",
            values={"image": {"tag": tag["spark"]}, "nodePort": node_port[18080]},
        ),
        Release(
            "airflow",
            SERVERS,
            charts / "airflow",
            values={
                "image": {"tag": tag["airflow"]},
                "apiServer": {"nodePort": node_port[8080]},
                "dags": {
                    "pausedUponCreation": False,
                    "parameters": {
                        "spark": {"image": f"{REPOSITORY}/spark:{tag['spark']}"},
                        "jobs": {"image": f"{REPOSITORY}/ingest:{tag['ingest']}"},
                    },
                    "reportAddress": "http://127.0.0.1:9001/browser/user-analytics/reports%2Fds%3D{ds}%2Findex.html",
                },
            },
        ),
    ]
    return {release.name: release for release in found}


def _prerequisites() -> str:
    script = REQUIREMENTS / "check-prerequisites.sh"
    done = subprocess.run([script, "--cluster"], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ClusterError(done.stderr.strip())
    return ""


def _tools() -> str:
    built = [module for module in ("kind", "helm") if go_programs.build(module)]
    return f"built {' and '.join(built)}" if built else ""


def _node() -> str:
    if kind.is_complete():
        kind.start()
        return ""
    image = os.environ.get("NODE_IMAGE")
    if not image:
        build(node_image())
        image = node_image().reference()
    kind.create(image)
    return "made"


def _images() -> str:
    loaded = kind.loaded_images()
    new = [name for name, image in workload_images().items() if ensure_loaded(image, loaded)]
    return f"loaded {', '.join(new)}" if new else ""


def _namespaces() -> str:
    apply(connect(), list(read_manifests(sorted((CHECKOUT / "manifests" / "namespaces").glob("*.yaml")))))
    return ""


def _secrets() -> str:
    made = ensure_secrets(CoreV1Api(connect()))
    return f"made {', '.join(made)}" if made else ""


def _definitions() -> str:
    apply(connect(), list(read_manifests(sorted((_operator_chart() / "crds").glob("*.yaml")))))
    return ""


def _servers() -> str:
    resumed = servers.resume(connect())
    return f"started {', '.join(resumed)}, which a backup or restore had stopped" if resumed else ""


def _bucket() -> str:
    with cluster_settings(CoreV1Api(connect()), {"lake"}) as settings:
        return "made" if create_bucket(open_store(settings)) else ""


def _sample() -> str:
    with cluster_settings(CoreV1Api(connect()), {"lake", "source"}) as settings:
        loaded = load_sample_if_empty(settings)
    return f"loaded {' and '.join(loaded)}" if loaded else ""


def _install(release: Release) -> Step:
    return Step(release.name, lambda: "installed" if ensure_installed(CoreV1Api(connect()), release) else "")


def _operator_chart() -> Path:
    return go_programs.module_directory("spark-operator", OPERATOR_MODULE) / "charts" / "spark-operator-chart"


def main() -> int:
    """Go all the way up; exit code 1 with a message at the first step that fails."""
    started = time.monotonic()
    for step in steps():
        begun = time.monotonic()
        _say(f"{step.name} …")
        try:
            result = step.do()
        except (UserAnalyticsError, OSError) as error:
            _say(f"{step.name}: {error}")
            return 1
        _say(f"{step.name}: {result or 'ready'} ({time.monotonic() - begun:.0f} s)")
    _say(f"The cluster is up after {time.monotonic() - started:.0f} s.")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
