"""Which dates a backfill runs, what becomes of a run that a date has already, and what is said of one under way."""

import json
from datetime import date
from typing import Any

import httpx
import pytest

from user_analytics.cluster.airflow import AirflowApi
from user_analytics.cluster.dag_run import FIRST_DATE, _failures, dates, follow_run, run_date, start_run
from user_analytics.errors import ClusterError, InputError
from user_analytics.mode import Mode


def airflow(**answers: list[Any]) -> AirflowApi:
    """An API that gives, by the last part of a path, one answer after the other, and the last one for ever."""

    def answer(request: httpx.Request) -> httpx.Response:
        left = answers[request.url.path.rpartition("/")[2]]
        return httpx.Response(200, json=left.pop(0) if len(left) > 1 else left[0])

    return AirflowApi(httpx.Client(base_url="http://airflow/api/v2/", transport=httpx.MockTransport(answer)))


def test_dates_are_run_in_ascending_order_with_both_ends() -> None:
    assert list(dates(date(2010, 12, 30), date(2011, 1, 2))) == [
        date(2010, 12, 30),
        date(2010, 12, 31),
        date(2011, 1, 1),
        date(2011, 1, 2),
    ]


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InputError, match="FROM=2010-12-08 is after TO=2010-12-07"):
        dates(date(2010, 12, 8), date(2010, 12, 7))


def test_a_date_before_the_dag_s_start_is_refused_since_its_run_would_be_green_without_a_task() -> None:
    with pytest.raises(InputError, match="2010-11-30 is before 2010-12-01"):
        dates(date(2010, 11, 30), FIRST_DATE)


FULL, INCREMENTAL = {"mode": "full", "force": True}, {"mode": "incremental"}


def a_run(**changes: Any) -> dict[str, Any]:
    return {"dag_run_id": "a", "state": "running", "conf": FULL, **changes}


def started(*there: dict[str, Any], mode: Mode = "full") -> tuple[str, list[tuple[str, Any]]]:
    """The run that a date's is when one is asked for and these are there, and what was changed for it."""
    changes: list[tuple[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"dag_runs": list(there)})
        changes.append((f"{request.method} {request.url.path.rpartition('/')[2]}", json.loads(request.content or "{}")))
        return httpx.Response(200, json={"dag_run_id": "new"})

    api = AirflowApi(httpx.Client(base_url="http://airflow/api/v2/", transport=httpx.MockTransport(answer)))
    return start_run(api, date(2010, 12, 8), mode), changes


@pytest.mark.parametrize(("mode", "configuration"), [("full", FULL), ("incremental", INCREMENTAL)])
def test_a_full_run_publishes_its_date_whatever_is_published_when_its_turn_comes(
    mode: Mode, configuration: dict[str, Any]
) -> None:
    body = {"logical_date": "2010-12-08T00:00:00+00:00", "conf": configuration}

    assert started(mode=mode) == ("new", [("POST dagRuns", body)])


@pytest.mark.parametrize(
    ("has", "mode"),
    [
        (FULL, "full"),
        ({"force": True}, "full"),
        (INCREMENTAL, "incremental"),
        (INCREMENTAL | {"force": True}, "incremental"),
    ],
)
def test_a_run_that_has_ended_begins_again_when_it_was_made_to_do_what_is_wanted(
    has: dict[str, Any], mode: Mode
) -> None:
    assert started(a_run(state="success", conf=has), mode=mode) == ("a", [("POST clear", {"dry_run": False})])


@pytest.mark.parametrize("state", ["success", "failed"])
@pytest.mark.parametrize(
    "has",
    [
        pytest.param(None, id="a scheduled run, whose publish is refused where a later date is published"),
        {"mode": "full"},
        INCREMENTAL,
        FULL | {"model_version": "tfidf-1"},
    ],
)
def test_a_run_that_has_ended_and_was_made_to_do_something_else_is_replaced(
    has: dict[str, Any] | None, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, changes = started(a_run(state=state, conf=has))

    assert (run, [what for what, _ in changes]) == ("new", ["DELETE a", "POST dagRuns"])
    assert "a had other parameters, and is replaced" in capsys.readouterr().err


def test_failures_name_the_task_and_where_its_log_is() -> None:
    instances = {"publish": {"state": "failed"}, "views": {"state": "upstream_failed"}, "report": {"state": "success"}}

    assert list(_failures(instances, "manual__2010-12-08T00:00")) == [
        "publish failed; its log: http://127.0.0.1:8080/dags/user_analytics_dag/runs/manual__2010-12-08T00%3A00/tasks/publish",
        "views: upstream_failed",
    ]


def test_a_run_that_lacks_a_task_of_the_dag_failed_though_all_that_it_has_succeeded() -> None:
    api = airflow(
        user_analytics_dag=[{"is_paused": False}],
        tasks=[{"tasks": [{"task_id": "views"}, {"task_id": "report"}]}],
        dagRuns=[{"dag_runs": [a_run()]}],
        a=[a_run(state="success")],
        taskInstances=[instances(state="success")],
    )

    with pytest.raises(ClusterError, match=r"^the run of 2010-12-08 failed:\n  report was never made$"):
        run_date(api, date(2010, 12, 8), "full")


@pytest.mark.parametrize(("has", "mode"), [(FULL, "full"), (INCREMENTAL, "incremental")])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_under_way_that_does_what_is_wanted_is_followed(has: dict[str, Any], mode: Mode, state: str) -> None:
    assert started(a_run(state=state, conf=has), mode=mode) == ("a", [])


@pytest.mark.parametrize("has", [None, {}, {"mode": "full"}])
def test_a_run_under_way_that_does_not_publish_over_a_later_date_is_followed_and_what_to_do_if_it_is_refused_is_said(
    has: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert started(a_run(conf=has)) == ("a", [])
    assert (
        "a is under way, without force: if a later date is published, its publish is refused; then run it again"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("has", "mode", "said"),
    [
        (FULL, "incremental", "mode=full, force=True, not mode=incremental"),
        (None, "incremental", "none given, not mode=incremental"),
        (INCREMENTAL, "full", "mode=incremental, not mode=full, force=True"),
        ({"model_version": "tfidf-1"}, "full", "model_version=tfidf-1, not mode=full, force=True"),
    ],
)
def test_a_run_under_way_that_does_something_else_is_not_taken_for_what_is_wanted(
    has: dict[str, Any] | None, mode: Mode, said: str
) -> None:
    with pytest.raises(ClusterError, match=rf"^a is under way with other parameters \({said}\)"):
        started(a_run(conf=has), mode=mode)


def instances(**changes: Any) -> dict[str, Any]:
    return {"task_instances": [{"task_id": "views", "try_number": 1, "duration": 2.0, **changes}]}


def test_a_run_that_waits_for_its_turn_says_once_for_which(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("user_analytics.cluster.dag_run.POLL_SECONDS", 0)
    waiting, done = a_run(state="queued"), a_run(state="success")
    api = airflow(
        a=[waiting, waiting, done],
        dagRuns=[{"dag_runs": [a_run(dag_run_id="scheduled__2026-01-01")]}],
        taskInstances=[instances(state=None), instances(state=None), instances(state="success")],
    )

    follow_run(api, "a")

    said = capsys.readouterr().err
    assert said.count("it waits for its turn: scheduled__2026-01-01 is under way") == 1
    assert "views              success after 2 s" in said


def test_a_task_that_failed_before_it_began_is_told_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    api = airflow(a=[a_run(state="failed")], taskInstances=[instances(state="failed", duration=None)])

    follow_run(api, "a")

    assert "failed after 0 s" in capsys.readouterr().err
