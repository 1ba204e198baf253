"""The API server's audit log, which is on for as long as a test reads it."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.engine import run
from user_analytics.cluster.kind import NODE

POD = f"kube-apiserver-{NODE}"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
# Beside the folder that kubelet reads: a second manifest in it would be a second server.
BEFORE, AFTER = "/etc/kubernetes/kube-apiserver.before", "/etc/kubernetes/kube-apiserver.after"
# In a folder that the server's pod mounts already.
POLICY = "/etc/kubernetes/pki/audit-policy.yaml"
OPTIONS = (f"--audit-policy-file={POLICY}", "--audit-log-path=-")
RESTART_SECONDS = 300


class AuditLog:
    """What an account asked of the API since the log is on."""

    def __init__(self, cluster: KindCluster, account: str) -> None:
        self._cluster, self._account = cluster, account

    def events(self) -> list[dict[str, Any]]:
        """All its requests, as the API server recorded them."""
        lines = self._cluster.kubectl("logs", "--namespace", "kube-system", POD).stdout.splitlines()
        # the server's other messages stand between them
        events = [json.loads(line) for line in lines if line.startswith('{"kind":"Event"')]
        return [event for event in events if event["user"]["username"] == self._account]


@contextmanager
def audit_log(cluster: KindCluster, account: str) -> Iterator[AuditLog]:
    """Have the API server record the requests of an account; it restarts for it, and again afterwards."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata", "users": [account]}, {"level": "None"}],
    }
    options = "".join(rf"\n    - {option}" for option in OPTIONS)
    _in_node(
        f"[ -e {BEFORE} ] || cp -p {MANIFEST} {BEFORE}",  # a test that was killed has left one
        f"echo {shlex.quote(json.dumps(policy))} > {POLICY}",
        f"sed 's|^    - kube-apiserver$|&{options}|' {BEFORE} > {AFTER}",
        f"mv {AFTER} {MANIFEST}",
    )
    try:
        _wait(cluster, audited=True)
        yield AuditLog(cluster, account)
    finally:
        _in_node(f"mv {BEFORE} {MANIFEST}", f"rm {POLICY}")
        _wait(cluster, audited=False)


def _in_node(*commands: str) -> None:
    run("exec", NODE, "sh", "-ec", "\n".join(commands))


def _wait(cluster: KindCluster, *, audited: bool) -> None:
    """Wait for the API server with or without the log, and for all that ended without an API server."""

    def serves() -> bool:
        try:
            pod = cluster.core.read_namespaced_pod(POD, "kube-system")
        except (ApiException, HTTPError):
            return False
        assert pod.spec
        assert pod.status
        command = pod.spec.containers[0].command or []
        ready = [status.ready for status in pod.status.container_statuses or []]
        return (OPTIONS[0] in command) == audited and ready == [True]

    cluster.wait(serves, f"the API server to run {'with' if audited else 'without'} its audit log", RESTART_SECONDS)
    cluster.wait_until_all_is_ready()
