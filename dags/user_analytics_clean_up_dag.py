"""
Deletes what nobody needs any more: files that no manifest names and staging tables that failed attempts left, once they
are a day old or as the parameter `leftover_retention_hours` of `clean-up` says, and with its parameter
`raw_retention_days` raw data that is older; never that of dates that published rows come from, or of the latest.
The logs of all DAGs' tasks go from the lake after 90 days, or as its parameter `airflow_log_retention_days` says.

Finished Spark applications need no task: each goes from the cluster when its `time_to_live_seconds` are over.
"""

from datetime import UTC, datetime

from airflow.sdk import DAG, CronDataIntervalTimetable

from user_analytics.render import templates_directory
from user_analytics_airflow.deployment import load_deployment
from user_analytics_airflow.operators import stage

deployment = load_deployment()

with DAG(
    dag_id="user_analytics_clean_up_dag",
    description="Deletes what no manifest names and what failed attempts left",
    doc_md=__doc__,
    tags=["user-analytics"],
    schedule=CronDataIntervalTimetable(deployment.clean_up_schedule, timezone="UTC"),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=deployment.paused_upon_creation,
    template_searchpath=[str(templates_directory())],
):
    stage("clean-up", deployment)
