"""What ran on the cluster, from what operator, cluster and History Server say of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from user_analytics.cluster.runs import Run, application, dag_run, job, logged, newest_first

BEGIN, END = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)
LABELS = {"user-analytics/logical-date": "2010-12-08"}
METADATA = {"name": "movie-review-x7k2p", "labels": LABELS, "creationTimestamp": "2026-01-02T03:04:00Z"}


def test_an_application_that_has_ended() -> None:
    status = {
        "applicationState": {"state": "COMPLETED"},
        "lastSubmissionAttemptTime": "2026-01-02T03:04:05Z",
        "terminationTime": "2026-01-02T03:05:05Z",
        "sparkApplicationId": "spark-1",
    }

    assert application({"metadata": METADATA, "status": status}) == Run(
        "movie-review-x7k2p", "2010-12-08", "completed", BEGIN, END, spark_id="spark-1"
    )


def test_an_application_that_failed_says_why() -> None:
    state = {"state": "FAILED", "errorMessage": "driver container failed with ExitCode: 1, Reason: Error\n"}
    run = application({"metadata": METADATA, "status": {"applicationState": state, "terminationTime": None}})

    assert run.state == "failed"
    assert run.problem == "driver container failed with ExitCode: 1, Reason: Error"
    assert run.ended is None


def test_an_application_that_the_operator_has_not_seen_yet_waits() -> None:
    run = application({"metadata": METADATA})

    assert run.state == "waiting"
    assert run.started == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "has_ended", "has_failed"),
    [
        ("", False, False),
        ("SUBMITTED", False, False),
        ("RUNNING", False, False),
        ("FAILING", False, False),
        ("SUCCEEDING", False, False),
        ("COMPLETED", True, False),
        ("FAILED", True, True),
        ("SUBMISSION_FAILED", True, True),
    ],
)
def test_an_application_has_ended_when_the_operator_is_done_with_it(
    state: str, has_ended: bool, has_failed: bool
) -> None:
    run = application({"metadata": METADATA, "status": {"applicationState": {"state": state}}})

    assert (run.has_ended, run.has_failed) == (has_ended, has_failed)


def a_job(**status: object) -> dict[str, Any]:
    return {"metadata": {**METADATA, "name": "publish"}, "status": {"startTime": "2026-01-02T03:04:05Z", **status}}


def conditions(kind: str, message: str = "") -> list[dict[str, str]]:
    """As the cluster gives them; one that is no end comes first."""
    first = {"type": "FailureTarget" if kind == "Failed" else "SuccessCriteriaMet", "status": "True"}
    end = {"type": kind, "status": "True", "message": message, "lastTransitionTime": "2026-01-02T03:05:05Z"}
    return [first, end]


def test_a_job_that_has_no_pod_yet_waits() -> None:
    run = job({"metadata": METADATA, "status": {}})

    assert (run.state, run.has_ended) == ("waiting", False)


def test_a_job_that_runs() -> None:
    run = job(a_job(active=1))

    assert run == Run("publish", "2010-12-08", "running", BEGIN, None)
    assert not run.has_ended


def test_a_job_whose_condition_does_not_hold_has_not_ended() -> None:
    assert not job(a_job(conditions=[{"type": "Complete", "status": "False"}])).has_ended


def test_a_job_that_has_ended() -> None:
    run = job(a_job(conditions=conditions("Complete")))

    assert run == Run("publish", "2010-12-08", "completed", BEGIN, END)
    assert (run.has_ended, run.has_failed) == (True, False)


def test_a_job_that_failed_says_why() -> None:
    run = job(a_job(conditions=conditions("Failed", "Job has reached the specified backoff limit")))

    assert (run.state, run.problem) == ("failed", "Job has reached the specified backoff limit")
    assert (run.has_ended, run.has_failed) == (True, True)


def test_an_application_of_the_history_server() -> None:
    attempt = {"startTimeEpoch": 1767323045000, "endTimeEpoch": 1767323105000, "completed": True}
    body = {"id": "spark-1", "name": "movie_review 2010-12-08", "attempts": [attempt]}

    assert logged(body) == Run("movie_review 2010-12-08", "", "ended", BEGIN, END, spark_id="spark-1")


def test_an_event_log_without_an_end_is_of_one_that_runs_or_was_killed() -> None:
    attempt = {"startTimeEpoch": 1767323045000, "endTimeEpoch": -1, "completed": False}
    run = logged({"id": "spark-1", "name": "movie_review", "attempts": [attempt]})

    assert (run.state, run.ended) == ("running, or killed", None)


def test_the_newest_comes_first_and_what_has_not_started_before_it() -> None:
    older, newer, waiting = Run("a", "", "", BEGIN, None), Run("b", "", "", END, None), Run("c", "", "", None, None)

    assert newest_first([older, waiting, newer]) == [waiting, newer, older]


def test_a_run_of_a_dag_that_has_ended() -> None:
    times = {"start_date": "2026-01-02T03:04:05Z", "end_date": "2026-01-02T03:05:05Z"}
    body = {"dag_id": "user_analytics_dag", "logical_date": "2026-01-01T00:00:00Z", "state": "success", **times}

    assert dag_run(body) == Run("user_analytics_dag", "2026-01-01", "success", BEGIN, END)


def test_a_run_of_a_dag_that_waits_and_has_no_date() -> None:
    body = {"dag_id": "a", "logical_date": None, "state": "queued", "start_date": None, "end_date": None}

    assert dag_run(body) == Run("a", "", "queued", None, None)
