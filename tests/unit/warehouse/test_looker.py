"""The Looker Studio links, parameter by parameter as the Linking API documents them."""

from urllib.parse import parse_qsl, urlsplit

from user_analytics.settings import Settings
from user_analytics.warehouse.looker import looker_links


def configured(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type,call-arg]


def test_the_report_link_opens_a_report_on_the_metrics_view_of_the_configured_dataset() -> None:
    links = looker_links(configured(gcp_project="shop-1", bigquery_dataset="analytics"))

    address = urlsplit(links.report)
    assert address[:3] == ("https", "lookerstudio.google.com", "/reporting/create")
    assert dict(parse_qsl(address.query, strict_parsing=True)) == {
        "c.mode": "edit",
        "r.reportName": "User behaviour metrics",
        "ds.ds0.datasourceName": "user_behaviour_metrics_view",
        "ds.ds0.connector": "bigQuery",
        "ds.ds0.type": "TABLE",
        "ds.ds0.projectId": "shop-1",
        "ds.ds0.datasetId": "analytics",
        "ds.ds0.tableId": "user_behaviour_metrics_view",
        "ds.ds0.billingProjectId": "shop-1",
    }


def test_the_data_source_link_names_connector_and_table() -> None:
    links = looker_links(configured(gcp_project="shop-1"))

    address = urlsplit(links.data_source)
    assert address[:3] == ("https", "lookerstudio.google.com", "/datasources/create")
    assert dict(parse_qsl(address.query, strict_parsing=True)) == {
        "connectorId": "bigQuery",
        "projectId": "shop-1",
        "datasetId": "user_analytics",
        "tableId": "user_behaviour_metrics_view",
    }


def test_parameters_are_percent_encoded() -> None:
    links = looker_links(configured(gcp_project="example.com:shop & more"))

    assert "ds.ds0.projectId=example.com%3Ashop%20%26%20more&" in links.report
    assert "projectId=example.com%3Ashop%20%26%20more&" in links.data_source
    assert "r.reportName=User%20behaviour%20metrics&" in links.report


def test_on_bigquery_the_links_need_nothing_more() -> None:
    assert looker_links(configured(gcp_project="shop-1")).note is None


def test_on_an_emulator_the_note_says_that_the_dataset_has_to_be_on_bigquery() -> None:
    for settings in (
        configured(),
        configured(
            gcp_project="local", bigquery_endpoint="http://127.0.0.1:9050", bigquery_grpc_endpoint="localhost:9060"
        ),
    ):
        note = looker_links(settings).note
        assert note is not None
        assert "once the dataset is on BigQuery" in note
        assert "GCP_PROJECT" in note
