"""What the DAGs are: their tasks and order, dates, retries, pools, and what a run can be told."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pendulum
import pytest
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.reading import read_dags
from user_analytics.render import MANIFESTS
from user_analytics_airflow.operators import SparkApplicationOperator, StageOperator

PIPELINE, CLEAN_UP = "user_analytics_dag", "user_analytics_clean_up_dag"
SAMPLE_STARTS = date(2010, 12, 1)


@pytest.fixture
def pipeline(dags: BundleDagBag) -> Any:
    return dags.dags[PIPELINE]


@pytest.fixture(params=[PIPELINE, CLEAN_UP])
def dag(request: pytest.FixtureRequest, dags: BundleDagBag) -> Any:
    return dags.dags[request.param]


@pytest.fixture
def scheduled(dag: Any) -> Any:
    """A DAG as the scheduler has it."""
    return DagSerialization.from_dict(DagSerialization.to_dict(dag))


def test_all_dags_are_read_without_an_error_or_a_warning(dags: BundleDagBag) -> None:
    assert dags.import_errors == {}
    assert dags.captured_warnings == {}
    assert set(dags.dags) == {PIPELINE, CLEAN_UP}


def test_tasks_follow_one_another_as_the_data_flows(pipeline: Any) -> None:
    assert {task.task_id: task.downstream_task_ids for task in pipeline.tasks} == {
        "create_bucket": {"ingest_reviews", "ingest_purchases"},
        "ingest_reviews": {"movie_review"},
        "ingest_purchases": {"user_purchase"},
        "movie_review": {"publish"},
        "user_purchase": {"publish"},
        "publish": {"views"},
        "views": {"report", "looker_link"},
        "report": set(),
        "looker_link": set(),
    }


def test_every_manifest_has_its_task_called_like_it(dags: BundleDagBag) -> None:
    tasks = {task.task_id: task.manifest for dag in dags.dags.values() for task in dag.tasks}

    assert tasks == {name.replace("-", "_"): name for name in MANIFESTS}


def test_only_the_spark_applications_are_no_pods_of_a_stage(pipeline: Any) -> None:
    spark = {task.task_id for task in pipeline.tasks if isinstance(task, SparkApplicationOperator)}

    assert spark == {"movie_review", "user_purchase"}
    assert all(isinstance(task, StageOperator) for task in pipeline.tasks if task.task_id not in spark)


def test_spark_applications_share_a_pool_and_the_others_do_not_wait_for_it(pipeline: Any) -> None:
    assert {task.task_id for task in pipeline.tasks if task.pool == "spark"} == {"movie_review", "user_purchase"}
    assert {task.pool_slots for task in pipeline.tasks} == {1}


def test_a_run_covers_the_day_of_its_logical_date(scheduled: Any) -> None:
    first = scheduled.timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=type(scheduled._time_restriction)(scheduled.start_date, None, True),
    )
    manual = scheduled.timetable.infer_manual_data_interval(run_after=pendulum.datetime(2010, 12, 9))

    day = timedelta(days=1)
    assert first.data_interval.end - first.data_interval.start == day
    assert first.run_after == first.data_interval.end
    assert manual.end - manual.start == day


def test_a_day_s_run_is_due_at_its_end_in_utc(dags: BundleDagBag) -> None:
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dags.dags[PIPELINE])).timetable

    interval = timetable.infer_manual_data_interval(run_after=pendulum.datetime(2010, 12, 9))

    assert interval.start == datetime(2010, 12, 8, tzinfo=UTC)
    assert interval.end == datetime(2010, 12, 9, tzinfo=UTC)


def test_no_date_of_the_sample_lies_before_the_start(dag: Any) -> None:
    # a run of an earlier date would be green without a task
    assert dag.start_date.date() <= SAMPLE_STARTS
    assert all(task.start_date is None or task.start_date.date() <= SAMPLE_STARTS for task in dag.tasks)


def test_past_dates_are_not_made_unasked_and_one_run_goes_at_a_time(dag: Any) -> None:
    assert dag.catchup is False
    assert dag.max_active_runs == 1


def test_a_new_dag_waits_until_it_is_switched_on(dag: Any) -> None:
    assert dag.is_paused_upon_creation is True


def test_a_task_is_tried_again_later_and_later_and_ends_in_time(dag: Any) -> None:
    for task in dag.tasks:
        assert task.retries == 2
        assert task.retry_delay == timedelta(seconds=30)
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay == timedelta(minutes=30)
        assert task.execution_timeout == timedelta(hours=1)
        assert task.startup_timeout_seconds == 300
        assert task.on_failure_callback


def test_a_deployment_says_how_often_and_for_how_long_a_task_tries() -> None:
    bag = read_dags(
        {
            "USER_ANALYTICS_RETRIES": "0",
            "USER_ANALYTICS_RETRY_DELAY_SECONDS": "5",
            "USER_ANALYTICS_STARTUP_TIMEOUT_SECONDS": "20",
            "USER_ANALYTICS_EXECUTION_TIMEOUT_SECONDS": "600",
        }
    )

    for task in (task for dag in bag.dags.values() for task in dag.tasks):
        assert task.retries == 0
        assert task.retry_delay == timedelta(seconds=5)
        assert task.startup_timeout_seconds == 20
        assert task.execution_timeout == timedelta(minutes=10)


def test_every_task_and_dag_says_what_it_does(dag: Any) -> None:
    assert dag.doc_md
    assert all(task.doc_md for task in dag.tasks)


def test_tables_and_report_are_assets(pipeline: Any) -> None:
    outlets = {task.task_id: [(asset.name, asset.uri) for asset in task.outlets] for task in pipeline.tasks}

    assert {task: assets for task, assets in outlets.items() if assets} == {
        "publish": [
            ("movie_review", "bigquery://user-analytics-local/user_analytics/movie_review"),
            ("user_purchase", "bigquery://user-analytics-local/user_analytics/user_purchase"),
        ],
        "report": [("report", "s3://user-analytics/reports")],
    }


def test_report_and_looker_studio_are_buttons_of_their_tasks(pipeline: Any) -> None:
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(pipeline))
    links = {task.task_id: [link.name for link in task.operator_extra_links] for task in serialized.tasks}

    assert {task: names for task, names in links.items() if names} == {
        "report": ["Report"],
        "looker_link": ["Looker Studio"],
    }


def test_no_value_is_handed_from_task_to_task(pipeline: Any) -> None:
    assert not any(task.do_xcom_push for task in pipeline.tasks)


def test_a_run_has_the_parameters_that_a_person_decides(pipeline: Any) -> None:
    assert pipeline.params.dump() == {"mode": "full", "lookback_days": None, "model_version": None, "force": False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "fast"),
        ("lookback_days", -1),
        ("lookback_days", "three"),
        ("model_version", "../model"),
        ("force", "yes"),
    ],
)
def test_a_wrong_parameter_is_refused_when_the_run_is_made(pipeline: Any, name: str, value: object) -> None:
    params = pipeline.params.deep_copy() if hasattr(pipeline.params, "deep_copy") else pipeline.params.__copy__()
    with pytest.raises(ValueError, match=str(value).replace(".", r"\.")):
        params.get_param(name).resolve(value)


@pytest.mark.parametrize(
    ("name", "value"), [("mode", "incremental"), ("lookback_days", 0), ("model_version", "tfidf-1"), ("force", True)]
)
def test_a_right_parameter_is_taken(pipeline: Any, name: str, value: object) -> None:
    assert pipeline.params.get_param(name).__copy__().resolve(value) == value
