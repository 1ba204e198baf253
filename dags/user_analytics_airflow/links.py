"""Buttons on a task's page that lead to what the task made."""

from typing import Any

from airflow.sdk import BaseOperatorLink
from attrs import define

from user_analytics.settings import Settings
from user_analytics.warehouse.looker import looker_links
from user_analytics_airflow.deployment import load_deployment


@define
class ReportLink(BaseOperatorLink):
    """The report of the date."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page's address for a browser, or where it lies in the lake when none is set."""
        ds = f"{ti_key.get_template_context()['dag_run'].logical_date:%Y-%m-%d}"
        return report_address(load_deployment().report_address, operator.params["lake_url"], ds)


@define
class LookerStudioLink(BaseOperatorLink):
    """A new report in Looker Studio on the published view."""

    name = "Looker Studio"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Made of the names of project and dataset; asks no server."""
        del ti_key
        return looker_address(operator.params)


def report_address(address: str | None, lake_url: str, ds: str) -> str:
    """Where the report of `ds` is."""
    return (address or f"{lake_url}/reports/ds={{ds}}/index.html").replace("{ds}", ds)


def looker_address(parameters: Any) -> str:
    """Looker Studio's address for the dataset that a manifest's parameters name."""
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        gcp_project=parameters["gcp_project"],
        bigquery_dataset=parameters["bigquery_dataset"],
        bigquery_endpoint=parameters["bigquery_endpoint"],
        bigquery_grpc_endpoint=parameters["bigquery_grpc_endpoint"],
    )
    return looker_links(settings).report
