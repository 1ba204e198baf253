"""Airflow's logs go when they are old enough, and nothing else of the lake does."""

from datetime import UTC, datetime, timedelta

from user_analytics.lake.airflow_logs import remove_old_airflow_logs
from user_analytics.lake.store import Store

LOGS = {f"airflow-logs/dag_id=user_analytics_dag/run_id=a/task_id=views/attempt={attempt}.log" for attempt in (1, 2)}
OTHERS = {
    "airflow-logs-of-another/attempt=1.log",
    "landing/airflow-logs/attempt=1.log",
    "raw/movie_review/ds=2010-12-08/_manifest.json",
    "reports/ds=2010-12-08/index.html",
    "spark-events/application",
}
HOUR = timedelta(hours=1)


def test_logs_go_when_they_are_old_and_nothing_else_does(lake: Store) -> None:
    for key in LOGS | OTHERS:
        lake.put(key, b"body")

    assert remove_old_airflow_logs(lake, datetime.now(UTC) - HOUR) == 0
    assert {item.key for item in lake.list("")} == LOGS | OTHERS
    assert remove_old_airflow_logs(lake, datetime.now(UTC) + HOUR) == len(LOGS)
    assert {item.key for item in lake.list("")} == OTHERS
    assert remove_old_airflow_logs(lake, datetime.now(UTC) + HOUR) == 0
