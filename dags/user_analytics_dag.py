"""
Customers' purchases and movie reviews of a day, from their sources to BigQuery, four views and a report.

A run makes the data of its logical date, `ds`. Every task may run again at any time: it gives the same result.
A run of a day to come waits until that day, and all others wait for it: mark it as failed.

| parameter | what |
|---|---|
| `mode` | `full`: all purchases as they are now. `incremental`: those of `ds` and the `lookback_days` before it |
| `lookback_days` | see `mode` |
| `model_version` | the sentiment model of the lake that judges the reviews; none: the packaged one |
| `force` | publish though the published data is of a later date |

A task that fails says why at the end of its log, and is tried again where that may help: not for a verdict, such as a
failed check, a refused publication or an input that cannot be taken. What each task runs: `manifests/templates`.
"""

from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, chain

from user_analytics.render import templates_directory
from user_analytics_airflow.deployment import load_deployment
from user_analytics_airflow.links import LookerStudioLink, ReportLink
from user_analytics_airflow.operators import spark_application, stage
from user_analytics_airflow.run_parameters import run_parameters

deployment = load_deployment()
warehouse = deployment.parameters_of("publish")
tables = f"bigquery://{warehouse['gcp_project']}/{warehouse['bigquery_dataset']}"

with DAG(
    dag_id="user_analytics_dag",
    description="Purchases and reviews of a day, judged, published, reported",
    doc_md=__doc__,
    tags=["user-analytics"],
    schedule=CronDataIntervalTimetable(deployment.schedule, timezone="UTC"),
    start_date=datetime(2010, 12, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=deployment.paused_upon_creation,
    params=run_parameters(deployment),
    template_searchpath=[str(templates_directory())],
):
    create_bucket = stage("create-bucket", deployment)

    ingest_reviews = stage("ingest-reviews", deployment)
    ingest_purchases = stage("ingest-purchases", deployment)

    movie_review = spark_application("movie-review", deployment)
    user_purchase = spark_application("user-purchase", deployment)

    publish = stage(
        "publish",
        deployment,
        outlets=[
            Asset(name="movie_review", uri=f"{tables}/movie_review"),
            Asset(name="user_purchase", uri=f"{tables}/user_purchase"),
        ],
    )
    views = stage("views", deployment)

    report = stage(
        "report",
        deployment,
        outlets=[Asset(name="report", uri=f"{warehouse['lake_url']}/reports")],
        links=[ReportLink()],
    )
    looker_link = stage("looker-link", deployment, links=[LookerStudioLink()])

    chain(
        create_bucket,
        [ingest_reviews, ingest_purchases],
        [movie_review, user_purchase],
        publish,
        views,
        [report, looker_link],
    )
