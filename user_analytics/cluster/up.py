"""`make cluster-up`: from whatever there is to a cluster with all parts ready.

Each step looks at what is there itself, so a run that was interrupted goes on where it stopped, and one on a running
cluster changes nothing.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kubernetes.client import CoreV1Api

from user_analytics.cluster import go_programs, kind, restore
from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.apply import apply, read_manifests
from user_analytics.cluster.base_image import base_image
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.charts import operator_chart, release
from user_analytics.cluster.connection import connected, in_words
from user_analytics.cluster.engine import has_image, image_store
from user_analytics.cluster.forward import find_kubectl
from user_analytics.cluster.images import CHECKOUT, build
from user_analytics.cluster.kind_node import node_image
from user_analytics.cluster.load import ensure_loaded
from user_analytics.cluster.load_data import load_sample_if_empty
from user_analytics.cluster.messages import say
from user_analytics.cluster.releases import ensure_installed
from user_analytics.cluster.secrets import ensure_secrets
from user_analytics.cluster.sole_command import sole_command
from user_analytics.errors import ClusterError, UserAnalyticsError
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.store import open_store

# Of programs, images and what they are built in.
FIRST_GIGABYTES = 25


class Step(NamedTuple):
    """A part of the way up; `do` makes what is missing and says so, or returns nothing when all was there."""

    name: str
    do: Callable[[], str]


def steps() -> list[Step]:
    """The way up, in order: who is needed comes before who needs it."""
    return [
        Step("prerequisites", _prerequisites),
        Step("tools", _tools),
        Step("node", _node),
        Step("images", _images),
        Step("namespaces", _namespaces),
        Step("secrets", _secrets),
        Step("definitions", _definitions),
        Step("servers", _servers),
        _install("minio"),
        _install("postgres"),
        _install("bigquery-emulator"),
        _install("spark-operator"),
        Step("bucket", _bucket),
        _install("spark-history-server"),
        Step("sample", _sample),
        # last: its scheduler begins at once
        _install("airflow"),
    ]


def _prerequisites() -> str:
    # a cluster that is there has taken its ports and its disk; what it needs of programs, make has checked
    if kind.node_state() is not None:
        return ""
    if taken := kind.taken_ports():
        raise ClusterError(
            f"something else listens where the cluster's pages are to be, on {' and '.join(taken)}: stop it "
            f"(`ss -ltnp` names it), or give the pages another hostPort in {kind.CONFIGURATION.name}, and try again"
        )
    if not has_image(base_image()):
        gigabytes, folder = min((shutil.disk_usage(each).free >> 30, each) for each in (Path.home(), image_store()))
        if gigabytes < FIRST_GIGABYTES:
            wanted = f"the first `make cluster-up` needs {FIRST_GIGABYTES} GB"
            say(f"{folder} has {gigabytes} GB of free disk, and {wanted}")
    return ""


def _tools() -> str:
    built = [module for module in ("kind", "helm") if go_programs.build(module)]
    # not with the node's image when that is pulled, or was built before the cache was emptied
    if find_kubectl() is None and go_programs.build("kubernetes", "kubectl"):
        built.append("kubectl")
    return f"built {' and '.join(built)}" if built else ""


def _node() -> str:
    if kind.is_complete():
        # else servers would be told addresses that lead nowhere
        if closed := kind.closed_ports():
            raise ClusterError(f"the node does not answer on {' and '.join(map(str, closed))}, {kind.KEEPS_PORTS}")
        kind.start()
        return ""
    if kind.is_foreign():
        with in_words():
            kind.adopt()
        return "taken over, as kind had made it"
    image = os.environ.get("NODE_IMAGE")
    if not image:
        build(node_image())
        image = node_image().reference()
    kind.create(image)
    return "made"


def _images() -> str:
    new = ensure_loaded(workload_images().values(), kind.loaded_images())
    return f"loaded {', '.join(new)}" if new else ""


def _namespaces() -> str:
    with connected() as api:
        apply(api, list(read_manifests(sorted((CHECKOUT / "manifests" / "namespaces").glob("*.yaml")))))
    return ""


def _secrets() -> str:
    with connected() as api:
        made = ensure_secrets(CoreV1Api(api))
    return f"made {', '.join(made)}" if made else ""


def _definitions() -> str:
    with connected() as api:
        apply(api, list(read_manifests(sorted((operator_chart() / "crds").glob("*.yaml")))))
    return ""


def _servers() -> str:
    with connected() as api:
        return restore.resume(api)


def _bucket() -> str:
    with connected() as api, cluster_settings(CoreV1Api(api), {"lake"}) as settings:
        return "made" if create_bucket(open_store(settings)) else ""


def _sample() -> str:
    with connected() as api, cluster_settings(CoreV1Api(api), {"lake", "source"}) as settings:
        loaded = load_sample_if_empty(settings)
    return f"loaded {' and '.join(loaded)}" if loaded else ""


def _install(chart: str) -> Step:
    def do() -> str:
        with connected() as api:
            return "installed" if ensure_installed(api, release(chart)) else ""

    return Step(chart, do)


def main() -> int:
    """Go all the way up; exit code 1 with a message at the first step that fails, or when it is not its turn."""
    try:
        with sole_command("cluster-up"):
            return _go_up()
    except (UserAnalyticsError, OSError) as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted: `make cluster-up` goes on from here")
        return 130


def _go_up() -> int:
    started = time.monotonic()
    for step in steps():
        begun = time.monotonic()
        say(f"{step.name} …")
        try:
            result = step.do()
        except (UserAnalyticsError, OSError) as error:
            say(f"{step.name}: {error}")
            return 1
        say(f"{step.name}: {result or 'ready'} ({time.monotonic() - begun:.0f} s)")
    say(f"The cluster is up after {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
