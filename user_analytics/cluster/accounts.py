"""The servers' accounts, after a volume came from elsewhere: it holds the passwords of the cluster that it is from."""

import time
from collections.abc import Iterator, Mapping

from kubernetes.client import ApiClient, ApiException, BatchV1Api, CoreV1Api, V1DeleteOptions, V1Job, V1ObjectMeta
from kubernetes.stream import stream

from user_analytics.cluster.secrets import SERVERS
from user_analytics.errors import ClusterError

JOB_SECONDS = 120.0
POLL_SECONDS = 1.0
HOOK = "helm.sh/hook"
ADDED_LABELS = {"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"}
# Over the server's socket, where its own user needs no password; no command line and no log shows the new one.
SUPERUSER = r"""
psql --no-psqlrc --quiet --host /run/postgresql --username postgres --set ON_ERROR_STOP=1 <<'SQL'
set log_min_error_statement = panic;
\set password `cat /run/secrets/postgres/password`
alter role postgres password :'password';
SQL
"""


def renew(api: ApiClient) -> None:
    """Give every account of the servers the password that the cluster's Secrets hold. Raises ClusterError.

    Postgres' superuser first; all others by the Jobs that do it at each upgrade of a chart.
    """
    _renew_superuser(api)
    for job in list(_jobs_of_upgrades(BatchV1Api(api))):
        _run_again(api, job)


def _renew_superuser(api: ApiClient) -> None:
    answer = stream(
        CoreV1Api(api).connect_get_namespaced_pod_exec,
        "postgres-0",
        SERVERS,
        container="postgres",
        command=["bash", "-c", SUPERUSER],
        stdin=False,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    answer.run_forever(timeout=JOB_SECONDS)
    if answer.returncode != 0:
        raise ClusterError(f"cannot set the password of Postgres' superuser: {answer.read_stderr().strip()}")


def _jobs_of_upgrades(batch: BatchV1Api) -> Iterator[V1Job]:
    for job in batch.list_namespaced_job(SERVERS).items:
        hooks = (job.metadata and job.metadata.annotations) or {}
        if "post-upgrade" in hooks.get(HOOK, ""):
            yield job


def as_new(job: V1Job) -> V1Job:
    """The same Job as one that was not made yet: without what the cluster adds, and refuses in a new one."""
    assert job.metadata and job.spec and job.spec.template.metadata  # noqa: S101, PT018
    template = job.spec.template.metadata
    job.spec.selector = None
    template.labels = _without_added(template.labels)
    metadata = V1ObjectMeta(
        name=job.metadata.name, labels=_without_added(job.metadata.labels), annotations=job.metadata.annotations
    )
    return V1Job(api_version="batch/v1", kind="Job", metadata=metadata, spec=job.spec)


def _without_added(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (labels or {}).items() if key not in ADDED_LABELS}


def _run_again(api: ApiClient, job: V1Job) -> None:
    batch = BatchV1Api(api)
    new = as_new(job)
    name = str(new.metadata and new.metadata.name)
    batch.delete_namespaced_job(name, SERVERS, body=V1DeleteOptions(propagation_policy="Foreground"))
    deadline = time.monotonic() + JOB_SECONDS
    while _exists(batch, name):
        _pause(deadline, f"the Job {name} of before does not go")
    batch.create_namespaced_job(SERVERS, new)
    while not (status := batch.read_namespaced_job(name, SERVERS).status) or not status.succeeded:
        failed = any(condition.type == "Failed" for condition in (status and status.conditions) or [])
        if failed:
            raise ClusterError(f"the Job {name} failed: `make cluster-logs APP={name}` shows why")
        _pause(deadline, f"the Job {name} does not end")


def _exists(batch: BatchV1Api, name: str) -> bool:
    try:
        batch.read_namespaced_job(name, SERVERS)
    except ApiException as error:
        if error.status == 404:
            return False
        raise
    return True


def _pause(deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise ClusterError(f"{problem} after {JOB_SECONDS:.0f} s")
    time.sleep(POLL_SECONDS)
