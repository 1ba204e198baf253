"""What ran on the cluster, from what operator, cluster and History Server say of it."""

from datetime import UTC, datetime

from kubernetes.client import V1Job, V1JobCondition, V1JobStatus, V1ObjectMeta

from user_analytics.cluster.runs import Run, application, job, logged, newest_first

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


def a_job(**status: object) -> V1Job:
    metadata = V1ObjectMeta(name="publish", labels=LABELS, creation_timestamp=BEGIN)
    return V1Job(metadata=metadata, status=V1JobStatus(start_time=BEGIN, **status))  # type: ignore[arg-type]


def ended(kind: str, message: str | None = None) -> list[V1JobCondition]:
    return [
        V1JobCondition(type="FailureTarget" if kind == "Failed" else "SuccessCriteriaMet", status="True"),
        V1JobCondition(type=kind, status="True", message=message, last_transition_time=END),
    ]


def test_a_job_that_runs() -> None:
    assert job(a_job(active=1)) == Run("publish", "2010-12-08", "running", BEGIN, None)


def test_a_job_that_has_ended() -> None:
    assert job(a_job(conditions=ended("Complete"))) == Run("publish", "2010-12-08", "completed", BEGIN, END)


def test_a_job_that_failed_says_why() -> None:
    run = job(a_job(conditions=ended("Failed", "Job has reached the specified backoff limit")))

    assert (run.state, run.problem) == ("failed", "Job has reached the specified backoff limit")


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
