"""Helm releases of the project's charts: installed or upgraded when chart, values or images have changed."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, AppsV1Api, CoreV1Api

from user_analytics.cluster.go_programs import program_file
from user_analytics.cluster.images import file_identities
from user_analytics.cluster.kind import CONTEXT
from user_analytics.cluster.release_records import CONTENT_LABEL, newest_revision, present_workloads
from user_analytics.errors import ClusterError

TIMEOUT = "300s"


@dataclass(frozen=True)
class Release:
    """A chart as it is to be installed: its folder, a file of values, and values that override those."""

    name: str
    namespace: str
    chart: Path
    values_file: Path | None = None
    values: Mapping[str, Any] = field(default_factory=dict)

    def content(self) -> str:
        """Hash of all that the release is made of."""
        lines = file_identities(self.chart) if self.chart.is_dir() else []
        if self.values_file:
            lines.append(self.values_file.read_text())
        lines.append(self.values_as_json())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]

    def values_as_json(self) -> str:
        """The overriding values as Helm reads them: as JSON, an image's tag of digits alone stays a text."""
        return json.dumps(self.values, sort_keys=True)


def ensure_installed(api: ApiClient, release: Release) -> bool:
    """Install or upgrade unless the release is there, whole and with this content; False when it is.

    Raises ClusterError.
    """
    core, content = CoreV1Api(api), release.content()
    if _is_installed(api, release, content):
        return False
    _unlock(core, release)
    command = [str(program_file("helm")), "upgrade", "--install", release.name, str(release.chart)]
    command += ["--kube-context", CONTEXT, "--namespace", release.namespace, "--labels", f"{CONTENT_LABEL}={content}"]
    command += ["--wait", "--wait-for-jobs", "--timeout", TIMEOUT, "--skip-crds"]
    if release.values_file:
        command += ["--values", str(release.values_file)]
    command += ["--values", "-"]
    done = subprocess.run(  # noqa: S603
        command, input=release.values_as_json(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ClusterError(f"helm cannot install {release.name}:\n{done.stderr.strip()}")
    return True


def _is_installed(api: ApiClient, release: Release, content: str) -> bool:
    # Not any revision that is deployed: one from before stays so when an upgrade fails, whose objects are there
    newest = newest_revision(CoreV1Api(api), release.namespace, release.name)
    if newest is None or (newest.status, newest.content) != ("deployed", content):
        return False
    return newest.workloads <= present_workloads(AppsV1Api(api)).keys()


def _unlock(core: CoreV1Api, release: Release) -> None:
    """Forget an operation that was killed: helm refuses every other while it is recorded as under way."""
    for state in ("pending-install", "pending-upgrade", "pending-rollback"):
        selector = f"owner=helm,name={release.name},status={state}"
        core.delete_collection_namespaced_secret(release.namespace, label_selector=selector)
