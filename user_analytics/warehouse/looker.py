"""Links that open the published data in Looker Studio.

The report link is a Linking API address (https://developers.google.com/looker-studio/integrate/linking-api):
it opens an unsaved report, named and already connected to `user_behaviour_metrics_view`, for whoever may read
the view. The data source link opens the BigQuery connector's page
(https://developers.google.com/looker-studio/connector/direct-links) for building a report by hand.
"""

from typing import NamedTuple
from urllib.parse import quote, urlencode

from user_analytics.settings import Settings
from user_analytics.warehouse.view_names import METRICS_VIEW

LOOKER_STUDIO = "https://lookerstudio.google.com"
REPORT_NAME = "User behaviour metrics"
DATA_SOURCE = "ds0"  # the alias of the one data source of Looker Studio's default report


class LookerLinks(NamedTuple):
    """Addresses for a browser. `note` says what they still need to work; None when nothing."""

    report: str
    data_source: str
    note: str | None


def looker_links(settings: Settings) -> LookerLinks:
    """Links to `user_behaviour_metrics_view` of the configured project and dataset; asks no server."""
    on_bigquery = settings.gcp_project is not None and settings.bigquery_endpoint is None
    project = settings.gcp_project or "your-project"
    table = {"projectId": project, "datasetId": settings.bigquery_dataset, "tableId": METRICS_VIEW}
    report = {
        "c.mode": "edit",
        "r.reportName": REPORT_NAME,
        f"ds.{DATA_SOURCE}.datasourceName": METRICS_VIEW,
        f"ds.{DATA_SOURCE}.connector": "bigQuery",
        f"ds.{DATA_SOURCE}.type": "TABLE",
        **{f"ds.{DATA_SOURCE}.{name}": value for name, value in table.items()},
        f"ds.{DATA_SOURCE}.billingProjectId": project,
    }
    note = (
        None
        if on_bigquery
        else (
            "Looker Studio reads BigQuery, not the emulator: the links work once the dataset is on BigQuery. "
            "Set GCP_PROJECT (and leave BIGQUERY_ENDPOINT unset), run again and use the links that it prints."
        )
    )
    return LookerLinks(
        report=_address("/reporting/create", report),
        data_source=_address("/datasources/create", {"connectorId": "bigQuery", **table}),
        note=note,
    )


def _address(path: str, parameters: dict[str, str]) -> str:
    return f"{LOOKER_STUDIO}{path}?{urlencode(parameters, quote_via=quote, safe='')}"
