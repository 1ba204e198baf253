"""What a volume that came from elsewhere holds of the cluster that it is from: passwords, and its Airflow's tables."""

import time
from collections.abc import Mapping

from kubernetes.client import ApiClient, BatchV1Api, CoreV1Api, V1DeleteOptions, V1Job, V1ObjectMeta
from kubernetes.stream import stream
from websocket import WebSocketException

from user_analytics.cluster.runs import KINDS
from user_analytics.cluster.secrets import SERVERS
from user_analytics.errors import ClusterError

JOB_SECONDS = 120.0
# As long as an upgrade of the chart has for it.
MIGRATION_SECONDS = 300.0
POLL_SECONDS = 1.0
# A copy of a Job, when it failed or nobody waited for its end.
KEPT_SECONDS = 3600
HOOK = "helm.sh/hook"
# On what is a release's, but for hooks; a copy has none.
RELEASE = "meta.helm.sh/release-name"
MIGRATION = ("app.kubernetes.io/component", "migrate")
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
    """Give every account the password that the cluster's Secrets hold, and Airflow its tables. Raises ClusterError.

    Postgres' superuser first; all others by copies of the Jobs that do it at each upgrade of a chart. Last, since it
    signs in as one of them, a copy of the Job that brings the tables of an older Airflow up to the cluster's.
    """
    _renew_superuser(api)
    jobs = BatchV1Api(api).list_namespaced_job(SERVERS).items
    for job in filter(_is_of_each_upgrade, jobs):
        _run_again(api, job, JOB_SECONDS)
    for job in filter(_is_migration, jobs):
        _run_again(api, job, MIGRATION_SECONDS)


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
    try:
        answer.run_forever(timeout=JOB_SECONDS)
        exit_status = answer.returncode
    except (WebSocketException, OSError, TypeError, LookupError) as error:  # the last two: no exit status
        raise ClusterError(
            "the connection to postgres-0 broke before the password of Postgres' superuser was set: try again"
        ) from error
    finally:
        answer.sock.shutdown()  # its `close` leaves a socket open that the server has closed
    if exit_status != 0:
        raise ClusterError(f"cannot set the password of Postgres' superuser: {answer.read_stderr().strip()}")


def _is_of_each_upgrade(job: V1Job) -> bool:
    annotations = (job.metadata and job.metadata.annotations) or {}
    return "post-upgrade" in annotations.get(HOOK, "")


def _is_migration(job: V1Job) -> bool:
    annotations = (job.metadata and job.metadata.annotations) or {}
    return RELEASE in annotations and MIGRATION in ((job.metadata and job.metadata.labels) or {}).items()


def copy_of(job: V1Job) -> V1Job:
    """A new Job like that one, which is no hook of Helm's: without what the cluster adds, and refuses in a new one."""
    assert job.metadata and job.spec and job.spec.template.metadata  # noqa: S101, PT018
    template = job.spec.template.metadata
    job.spec.selector = None
    job.spec.ttl_seconds_after_finished = KEPT_SECONDS
    template.labels = _without_added(template.labels)
    metadata = V1ObjectMeta(generate_name=f"{job.metadata.name}-", labels=_without_added(job.metadata.labels))
    return V1Job(api_version="batch/v1", kind="Job", metadata=metadata, spec=job.spec)


def _without_added(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {key: value for key, value in (labels or {}).items() if key not in ADDED_LABELS}


def _run_again(api: ApiClient, job: V1Job, seconds: float) -> None:
    """Run a copy: killed at whatever moment, the Job itself is there for the next time."""
    batch = BatchV1Api(api)
    made = batch.create_namespaced_job(SERVERS, copy_of(job)).metadata
    name = str(made and made.name)
    deadline = time.monotonic() + seconds
    while not (run := KINDS["Job"].find(api, SERVERS, name)).has_ended:
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the Job {name} does not end after {seconds:.0f} s: `make cluster-logs APP={name}` shows why"
            )
        time.sleep(POLL_SECONDS)
    if run.has_failed:
        raise ClusterError(f"the Job {name} failed: `make cluster-logs APP={name}` shows why")
    batch.delete_namespaced_job(name, SERVERS, body=V1DeleteOptions(propagation_policy="Background"))
