"""How Airflow's API is asked: again when it does not answer, and with its own words when it refuses."""

from collections.abc import Callable
from contextlib import nullcontext

import httpx
import pytest
from kubernetes.client import ApiException
from packaging.version import Version

from tests.fixtures.airflow_server import airflow_server
from user_analytics.cluster import airflow
from user_analytics.cluster.airflow import AirflowApi, airflow_version
from user_analytics.errors import ClusterError


def api(*answers: httpx.Response | Exception) -> AirflowApi:
    """An API that gives these answers one by one."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        next_one = left.pop(0)
        if isinstance(next_one, Exception):
            raise next_one
        return next_one

    return AirflowApi(httpx.Client(base_url="http://airflow/api/v2/", transport=httpx.MockTransport(answer)))


def test_what_is_read_is_asked_for_again_while_the_server_or_its_database_is_away() -> None:
    away = (httpx.ConnectError("refused"), httpx.Response(500, json={"detail": "Database error"}))

    assert api(*away, httpx.Response(200, json={"dags": []})).get("dags") == {"dags": []}


def test_who_signs_in_waits_too_while_the_server_is_starting() -> None:
    airflow = api(
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.Response(201, json={"access_token": "t"}),
        httpx.Response(200, json={"dags": []}),
    )
    airflow.sign_in("admin", "secret")

    assert airflow.get("dags") == {"dags": []}


def test_who_cannot_wait_is_told_at_once_that_it_is_away() -> None:
    away = httpx.MockTransport(lambda _: httpx.Response(500))
    hasty = AirflowApi(httpx.Client(base_url="http://airflow/api/v2/", transport=away), retry_seconds=0)

    with pytest.raises(ClusterError, match="Airflow does not answer: Server error '500 Internal Server Error'"):
        hasty.get("dags")


def test_what_changes_something_is_sent_once() -> None:
    with pytest.raises(ClusterError, match="Airflow does not answer: refused"):
        api(httpx.ConnectError("refused"), httpx.Response(200)).post("dags/a/dagRuns", {})


def test_a_refusal_is_told_in_airflow_s_words() -> None:
    with pytest.raises(ClusterError, match="Airflow refuses /api/v2/dags/a: The Dag with ID: `a` was not found"):
        api(httpx.Response(404, json={"detail": "The Dag with ID: `a` was not found"})).get("dags/a")


def test_a_refusal_without_words_is_told_by_its_code() -> None:
    with pytest.raises(ClusterError, match="403 Forbidden"):
        api(httpx.Response(403, text="no")).delete("dags/a")


def test_the_version_is_the_one_of_the_airflow_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    with airflow_server({"version": "3.3.2", "git_version": None}) as address:
        monkeypatch.setattr(airflow, "reached", lambda _: address)

        assert airflow_version() == Version("3.3.2")


@pytest.mark.parametrize("answer", [{"detail": "Not Found"}, {"version": "newest"}, ["3.3.2"]])
def test_what_answers_without_a_version_does_not_tell_it(answer: object, monkeypatch: pytest.MonkeyPatch) -> None:
    with airflow_server(answer) as address:
        monkeypatch.setattr(airflow, "reached", lambda _: address)

        assert airflow_version() is None


def test_an_airflow_that_does_not_answer_does_not_tell_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    with airflow_server({}) as address:
        monkeypatch.setattr(airflow, "reached", lambda _: address)

    assert airflow_version() is None


def test_a_cluster_without_airflow_yet_is_said_to_be_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(*_: object) -> dict[str, bytes]:
        raise ApiException(status=404)

    monkeypatch.setattr(airflow, "connected", nullcontext)
    monkeypatch.setattr(airflow, "read_secret", absent)

    assert airflow.main() == 1

    assert capsys.readouterr() == ("", "error: Airflow is not there yet: `make cluster-up` installs it\n")


def closed(_: int) -> str:
    raise ClusterError("the node does not answer on http://127.0.0.1:8080")


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (lambda _: "http://127.0.0.1:8080", "For http://127.0.0.1:8080:\n"),
        # which another program may have
        (closed, "the node does not answer on http://127.0.0.1:8080\n"),
    ],
)
def test_the_password_comes_with_the_address_that_it_is_for_if_that_is_the_node_s(
    page: Callable[[int], str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(airflow, "connected", nullcontext)
    monkeypatch.setattr(airflow, "airflow_password", lambda _: "secret")
    monkeypatch.setattr(airflow, "reached", page)

    assert airflow.main() == 0

    assert capsys.readouterr() == ("admin secret\n", told)
