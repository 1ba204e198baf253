"""What `make cluster-status` prints."""

import io
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from kubernetes.client import CoreV1Api
from rich.console import Console

from tests.fixtures.airflow_server import served
from user_analytics.cluster import airflow as airflow_module
from user_analytics.cluster import kind
from user_analytics.cluster import status as status_module
from user_analytics.cluster.airflow import AirflowApi
from user_analytics.cluster.images import CHECKOUT
from user_analytics.cluster.pages import Page, problem
from user_analytics.cluster.parts import STOPPED, Part
from user_analytics.cluster.runs import Run
from user_analytics.cluster.sole_command import sole_command
from user_analytics.cluster.status import (
    DAGS,
    WIDTH,
    Status,
    add_dags,
    add_gone,
    add_publications,
    last_dag_runs,
    name_command_at_work,
    rendered,
)

NOW = datetime(2026, 1, 2, 3, 6, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LONG = "word " * 60
RUNS = [
    Run("movie-review-2010-12-08-x7k2p", "2010-12-08", "running", NOW - MINUTE, None),
    Run("user-purchase-2010-12-08-abcde", "2010-12-08", "failed", NOW - 3 * MINUTE, NOW - MINUTE, f"{LONG}\nmore"),
]


def printed(status: Status, *, force_terminal: bool = False) -> str:
    console = Console(file=io.StringIO(), width=WIDTH, force_terminal=force_terminal)
    console.print(rendered(status, NOW))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def a_status(**changes: object) -> Status:
    ready = [Part("node", ""), Part("user-analytics/minio", "")]
    return Status(**{"parts": ready, "pages": [], "runs": [], **changes})  # type: ignore[arg-type]


def test_a_cluster_is_ready_when_every_part_is_and_every_page_answers() -> None:
    console = "minio-console"

    assert a_status(pages=[Page(console, "http://127.0.0.1:9001", "")]).is_ready()
    assert not a_status(parts=[Part("node", "KubeletNotReady: starting")]).is_ready()
    assert not a_status(pages=[Page(console, "http://127.0.0.1:9001", "refused")]).is_ready()


def test_every_part_has_a_line_with_its_state() -> None:
    text = printed(a_status(parts=[Part("node", ""), Part("user-analytics/minio", "Unschedulable: no room")]))

    assert "node                  ready" in text
    assert "user-analytics/minio  Unschedulable: no room" in text


@pytest.mark.parametrize("command", ["backup", "restore", "cluster-up"])
def test_a_server_that_is_stopped_for_a_command_says_that_it_is_at_work(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status = a_status(parts=[Part("user-analytics/minio", STOPPED), Part("user-analytics/postgres", "")])

    with sole_command(command):
        name_command_at_work(status)

    problem = f"it is stopped: `make {command}` is at work (process {os.getpid()})"
    assert status.parts == [Part("user-analytics/minio", problem), Part("user-analytics/postgres", "")]


@pytest.mark.parametrize("command", ["backup", "restore", "cluster-up"])
def test_a_command_that_stops_and_starts_servers_is_named_first_whatever_is_ready(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status = a_status()

    with sole_command(command):
        name_command_at_work(status)

    at_work = f"`make {command}` is at work (process {os.getpid()})"
    assert " ".join(printed(status).split()).startswith(f"{at_work}: what is not ready may be so until it has ended")
    assert status.is_ready()


def test_a_command_at_work_is_named_also_where_no_cluster_answers_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kind, "node_state", lambda: None)

    with sole_command("cluster-up"):
        assert status_module.main() == 1

    assert capsys.readouterr().err.splitlines() == [
        f"`make cluster-up` is at work (process {os.getpid()})",
        "cluster: there is no cluster: `make cluster-up`",
    ]


@pytest.mark.parametrize(
    ("command", "part"), [("load-data", "user-analytics/minio"), ("backup", "user-analytics/airflow-scheduler")]
)
def test_what_no_command_starts_again_says_what_does(
    command: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status = a_status(parts=[Part(part, STOPPED)])

    with sole_command(command):
        name_command_at_work(status)

    assert status.parts == [Part(part, STOPPED)]


def test_a_command_that_stops_no_server_is_not_what_keeps_one_from_being_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    status = a_status()

    with sole_command("load-data"):
        name_command_at_work(status)

    assert "load-data" not in printed(status)


def test_a_run_has_a_line_with_its_state_and_how_long_it_took() -> None:
    text = printed(a_status(runs=RUNS))

    assert "running" in text
    assert "60 s so far" in text
    assert "120 s" in text
    assert "failed: word word" in " ".join(text.split())
    assert "more" not in text


def test_applications_of_the_event_logs_have_no_date_for_these_do_not_tell_it() -> None:
    logged = Run("movie_review", "", "ended", NOW - 3 * MINUTE, NOW - MINUTE, spark_id="spark-1")
    lines = [line.rstrip() for line in printed(a_status(gone=[logged])).splitlines()]
    title = lines.index("Spark applications that are no longer in the cluster, by their event logs")
    header, line = lines[title + 1 : title + 3]

    assert header.split() == ["name", "state", "started", "(UTC)", "took"]
    assert line.split() == ["movie_review", "ended", "01-02", "03:03:05", "120", "s"]


def test_an_application_that_is_in_the_cluster_is_no_gone_one(server: str) -> None:
    there = [
        Run(f"movie-review-{number}", "", "completed", NOW, NOW, spark_id=f"spark-{number}") for number in range(15)
    ]
    status = a_status(pages=[Page("spark-history-server", server, "")])
    add_gone(status, there)

    assert [run.spark_id for run in status.gone] == ["spark-15", "spark-16", "spark-17", "spark-18", "spark-19"]


def test_a_history_server_that_does_not_tell_is_noted(server: str) -> None:
    status = a_status(pages=[Page("spark-history-server", f"{server}/broken", "")])
    add_gone(status, [])

    assert status.notes == ["The History Server does not tell past runs: HTTP Error 503: Service Unavailable"]


def airflow(answers: Mapping[str, Sequence[Mapping[str, str]]]) -> AirflowApi:
    """An API that has these runs, by DAG, and gives the one that began last when it is asked for that alone."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params == httpx.QueryParams(order_by="-start_date", limit=1)
        return httpx.Response(200, json={"dag_runs": answers[request.url.path.split("/")[-2]]})

    return AirflowApi(httpx.Client(base_url="http://airflow/api/v2/", transport=httpx.MockTransport(answer)))


def test_the_last_run_of_each_dag_has_a_line() -> None:
    times = {"start_date": "2026-01-02T03:04:05Z", "end_date": "2026-01-02T03:05:05Z"}
    run = {"dag_id": DAGS[0], "logical_date": "2026-01-01T00:00:00Z", "state": "failed", **times}
    dags = last_dag_runs(airflow({DAGS[0]: [run], DAGS[1]: []}))
    status = a_status(dags=dags)

    [line] = [line for line in printed(status).splitlines() if "2026-01-01" in line]
    assert line.split() == [DAGS[0], "2026-01-01", "failed", "01-02", "03:04:05", "60", "s"]
    assert status.is_ready()


def test_the_dags_are_those_of_the_project() -> None:
    assert set(DAGS) == {file.stem for file in (CHECKOUT / "dags").glob("*_dag.py")}


@pytest.mark.parametrize(
    ("pages", "why"),
    [
        ([], "it has no page"),
        ([Page("airflow-api-server", "http://127.0.0.1:8080", "it answers with 503")], "it answers with 503"),
    ],
)
def test_an_airflow_that_is_not_ready_is_noted(pages: list[Page], why: str) -> None:
    status = a_status(pages=pages)
    add_dags(status, CoreV1Api())

    assert status.notes == [f"Airflow does not tell the last runs of the DAGs: {why}"]


def status_with_airflow_at(url: str, monkeypatch: pytest.MonkeyPatch) -> Status:
    """What there is to say with an Airflow at this address, for which the status has hardly a second."""
    monkeypatch.setattr(status_module, "AIRFLOW_SECONDS", 0.5)
    monkeypatch.setattr(airflow_module, "reached", lambda _: url)
    monkeypatch.setattr(airflow_module, "airflow_password", lambda _: "secret")
    status = a_status(pages=[Page("airflow-api-server", url, "")])
    add_dags(status, CoreV1Api())
    return status


def test_an_airflow_out_of_reach_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    status = status_with_airflow_at(f"http://127.0.0.1:{port}", monkeypatch)

    assert status.notes == [
        "Airflow does not tell the last runs of the DAGs: Airflow does not answer: [Errno 111] Connection refused"
    ]
    assert status.is_ready()


class _WithoutDatabase(BaseHTTPRequestHandler):
    """As an Airflow whose database hangs: who signs in is answered, and nothing else until `over`."""

    over: Event

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b'{"access_token": "t"}')

    def do_GET(self) -> None:
        self.over.wait()

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


def test_an_airflow_whose_database_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    _WithoutDatabase.over = Event()
    with served(_WithoutDatabase) as url:
        started = time.monotonic()
        try:
            status = status_with_airflow_at(url, monkeypatch)
        finally:
            _WithoutDatabase.over.set()
        seconds = time.monotonic() - started

    assert status.notes == ["Airflow does not tell the last runs of the DAGs: Airflow does not answer: timed out"]
    assert seconds < 15  # half of what else an answer is waited for


def test_what_it_prints_fits_100_columns() -> None:
    text = printed(a_status(parts=[Part("user-analytics/minio", LONG)], runs=RUNS, notes=[LONG]))

    assert max(map(len, text.splitlines())) <= 100


def test_every_title_is_bold() -> None:
    text = printed(a_status(runs=RUNS), force_terminal=True)

    assert re.findall(r"\x1b\[1m(\w[^\x1b]*?) *\x1b", text) == ["Parts", "Last Spark applications and Jobs"]


def test_without_a_publication_it_says_so() -> None:
    assert "Nothing is published yet." in printed(a_status())


def test_publications_that_could_not_be_read_are_not_taken_for_none() -> None:
    status = a_status(unread="cannot reach bigquery-emulator:9050")

    assert "The publications could not be read: cannot reach bigquery-emulator:9050" in printed(status)
    assert "Nothing is published yet." not in printed(status)
    assert not status.is_ready()


def test_without_a_warehouse_that_is_ready_the_publications_are_not_asked_for() -> None:
    status = a_status(parts=[Part("user-analytics/bigquery-emulator", "it is starting")])
    add_publications(status, CoreV1Api())

    assert status.unread == "user-analytics/bigquery-emulator is not ready"


class _Answers(BaseHTTPRequestHandler):
    """An error, where it is asked for, the event logs of 100 applications, or another address."""

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path.startswith("/broken"):
            self.send_response(503)
            self.end_headers()
        elif address.path == "/api/v1/applications":
            self.send_response(200)
            self.end_headers()
            [limit] = parse_qs(address.query)["limit"]
            self.wfile.write(json.dumps([self._logged(number) for number in range(min(int(limit), 100))]).encode())
        else:
            self.send_response(307)
            self.end_headers()

    @staticmethod
    def _logged(number: int) -> dict[str, object]:
        attempt = {"startTimeEpoch": 1767323045000, "endTimeEpoch": 1767323105000, "completed": True}
        return {"id": f"spark-{number}", "name": "movie_review", "attempts": [attempt]}

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


@pytest.fixture
def server() -> Iterator[str]:
    with served(_Answers) as url:
        yield url


def test_a_page_that_answers_has_no_problem(server: str) -> None:
    assert problem(server) == ""


def test_a_page_that_answers_with_an_error_says_which(server: str) -> None:
    assert problem(f"{server}/broken") == "it answers with 503"


def test_a_page_that_does_not_answer_says_why() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    assert problem(f"http://127.0.0.1:{port}") == "it does not answer: [Errno 111] Connection refused"
