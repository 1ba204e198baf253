"""Accounts get this cluster's passwords, and Airflow its tables, by copies of the charts' Jobs; no Job is ever lost."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest
from kubernetes.client import ApiClient, BatchV1Api, Configuration, V1Job
from kubernetes.stream.ws_client import ERROR_CHANNEL

from tests.integration.cluster.server_cluster import ServerCluster
from user_analytics.cluster import accounts
from user_analytics.cluster.connection import in_words
from user_analytics.cluster.secrets import SERVERS
from user_analytics.errors import ClusterError

MIGRATION = "airflow-migrate-1a2b3c4d"  # in the list of Jobs before the one that makes its database
HOOKS = {"minio-users", "postgres-databases"}
JOBS = HOOKS | {MIGRATION}


@pytest.fixture
def cluster(server_cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch) -> ServerCluster:
    """With the Jobs of two charts, which have done their work. Where no pod runs, no superuser can be renewed."""
    monkeypatch.setattr(accounts, "_renew_superuser", lambda api: None)
    for name in HOOKS:
        server_cluster.make_hook(name)
    server_cluster.make_migration(MIGRATION)
    server_cluster.wait(lambda: all(job.status and job.status.succeeded for job in jobs(server_cluster).values()))
    return server_cluster


def jobs(cluster: ServerCluster) -> dict[str, V1Job]:
    found = cluster.batch.list_namespaced_job(SERVERS).items
    return {str(job.metadata and job.metadata.name): job for job in found}


def pods_of_copies(cluster: ServerCluster) -> set[str]:
    """The pods of Jobs that are none of the charts', by the label that the chart's Job gave them."""
    found = cluster.core.list_namespaced_pod(SERVERS, label_selector="of").items
    labels = [pod.metadata.labels or {} for pod in found if pod.metadata]
    return {each["of"] for each in labels if each["batch.kubernetes.io/job-name"] not in JOBS}


@pytest.fixture
def worked(cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of which Job each copy was that has done its work and is deleted."""
    found: list[str] = []
    delete = BatchV1Api.delete_namespaced_job

    def look_and_delete(api: BatchV1Api, name: str, *arguments: Any, **options: Any) -> Any:
        copy = jobs(cluster)[name]
        assert copy.status
        assert copy.status.succeeded
        assert copy.metadata
        found.append((copy.metadata.labels or {})["of"])
        return delete(api, name, *arguments, **options)

    monkeypatch.setattr(BatchV1Api, "delete_namespaced_job", look_and_delete)
    return found


def test_each_job_does_its_work_again_and_stays(cluster: ServerCluster, worked: list[str]) -> None:
    before = {name: job.metadata and job.metadata.uid for name, job in jobs(cluster).items()}

    accounts.renew(cluster.client)

    assert sorted(worked) == sorted(JOBS)
    cluster.wait(lambda: jobs(cluster).keys() == JOBS)
    assert {name: job.metadata and job.metadata.uid for name, job in jobs(cluster).items()} == before


def test_airflow_is_migrated_when_its_database_and_user_are_there(cluster: ServerCluster, worked: list[str]) -> None:
    accounts.renew(cluster.client)

    assert worked[-1] == MIGRATION


def test_a_job_that_fails_is_an_error_and_its_log_can_be_seen(cluster: ServerCluster) -> None:
    cluster.kubelet.job_phase = "Failed"

    with pytest.raises(ClusterError, match=r"the Job (\S+) failed: `make cluster-logs APP=\1`") as caught:
        accounts.renew(cluster.client)
    name = str(caught.value).split()[2]
    assert name in jobs(cluster)


def test_one_that_does_not_end_is_an_error(cluster: ServerCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "JOB_SECONDS", 1.0)
    cluster.kubelet.job_phase = "Running"

    with pytest.raises(ClusterError, match="does not end after 1 s"):
        accounts.renew(cluster.client)


def test_killed_at_its_work_it_leaves_all_jobs_for_the_next_time(cluster: ServerCluster) -> None:
    cluster.kubelet.job_phase = "Running"
    with cluster.forked(lambda: accounts.renew(cluster.api.client())) as renewal:
        cluster.wait(lambda: pods_of_copies(cluster))
        renewal.kill()

    assert jobs(cluster).keys() > JOBS
    cluster.kubelet.job_phase = "Succeeded"
    accounts.renew(cluster.client)
    assert pods_of_copies(cluster)  # of the killed one, which goes by itself
    left = [job for name, job in jobs(cluster).items() if name not in JOBS]
    assert all(job.spec and job.spec.ttl_seconds_after_finished == accounts.KEPT_SECONDS for job in left)


def test_what_a_killed_renewal_left_is_not_taken_for_a_job_of_a_chart(
    cluster: ServerCluster, worked: list[str]
) -> None:
    for job in jobs(cluster).values():
        cluster.batch.create_namespaced_job(SERVERS, accounts.copy_of(job))

    accounts.renew(cluster.client)

    assert sorted(worked) == sorted(JOBS)


FAILED = b'{"status": "Failure", "message": "the container runtime is gone"}'


@pytest.mark.parametrize(
    "frames",
    [b"\x88\x00", b"", b"\x82" + bytes([1 + len(FAILED), ERROR_CHANNEL]) + FAILED + b"\x88\x00"],
    ids=["closed", "cut", "without an exit status"],
)
def test_a_command_whose_connection_breaks_is_an_error(frames: bytes) -> None:
    with (
        serving(frames) as client,
        pytest.raises(ClusterError, match=r"^the connection to postgres-0 broke before .* was set: try again$"),
    ):
        accounts.renew(client)


@contextmanager
def serving(frames: bytes) -> Iterator[ApiClient]:
    """The client of a server which takes any command, sends these frames and closes the connection."""

    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            key = f"{self.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # as RFC 6455 has it
            accepted = b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
            self.send_response(101)
            headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accepted}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(frames)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield ApiClient(Configuration(host=f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()


def test_a_server_in_which_no_password_can_be_set_is_an_error(server_cluster: ServerCluster) -> None:
    with pytest.raises(ClusterError, match=r"^the cluster refuses: pod postgres-0 does not have a host"), in_words():
        accounts.renew(server_cluster.client)
