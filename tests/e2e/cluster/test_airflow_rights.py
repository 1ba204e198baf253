"""What Airflow may do in the jobs' namespace is what its tasks do there, as the API server recorded it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e.cluster.airflow_dags import Dag
from tests.e2e.cluster.audit_log import AuditLog, audit_log
from tests.e2e.cluster.conftest import DATE
from tests.e2e.cluster.kind_cluster import KindCluster
from user_analytics.cluster.airflow import airflow_api
from user_analytics.cluster.load_data import REVIEWS_KEY
from user_analytics.cluster.secrets import JOBS, SERVERS

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

ACCOUNT = f"system:serviceaccount:{SERVERS}:airflow-scheduler"


class Right(NamedTuple):
    """A verb on a resource, as pods/log."""

    resource: str
    verb: str


# What only faults need.
FAULT_PATHS = {
    Right("pods", "patch"),  # a pod that failed is marked, so that a later try does not take it for its own
}


@pytest.fixture(scope="module")
def log(published: KindCluster) -> Iterator[AuditLog]:
    with audit_log(published, ACCOUNT) as opened:
        yield opened


@pytest.fixture
def dag(published: KindCluster, log: AuditLog) -> Iterator[Dag]:
    with airflow_api(published.core) as api:
        yield Dag(api, published)


@pytest.fixture(scope="module")
def granted(published: KindCluster) -> set[Right]:
    role = json.loads(published.kubectl("get", "role", "airflow-tasks", "--namespace", JOBS, "--output", "json").stdout)
    return {Right(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}


def used(event: dict[str, Any]) -> Right:
    object_ = event.get("objectRef", {"resource": event["requestURI"]})
    return Right("/".join(filter(None, (object_["resource"], object_.get("subresource")))), event["verb"])


def test_a_run_uses_every_right_that_airflow_has_but_those_for_faults(
    dag: Dag, log: AuditLog, granted: set[Right]
) -> None:
    run = dag.begin(DATE)
    assert dag.wait(run, 900) == "success"

    events = log.events()
    assert {event.get("objectRef", {}).get("namespace") for event in events} == {JOBS}
    assert [event for event in events if event.get("responseStatus", {}).get("code") == 403] == []
    assert set(map(used, events)) - FAULT_PATHS == granted - FAULT_PATHS


def test_a_task_that_fails_uses_the_others(
    published: KindCluster, dag: Dag, log: AuditLog, granted: set[Right], source_files: tuple[Path, Path]
) -> None:
    before = len(log.events())
    # a stage, whose failed pod always is marked: not the driver of an application that was never seen to run
    published.put_object(REVIEWS_KEY)
    try:
        run = dag.begin(DATE)
        dag.wait_for_task(run, "ingest_reviews", {"failed"})

        assert FAULT_PATHS <= set(map(used, log.events()[before:])) <= granted
        dag.end(run)
    finally:
        published.make("load-data", f"REVIEWS={source_files[0]}")
