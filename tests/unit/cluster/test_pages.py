"""Where the browser finds the cluster's pages is what kind-config.yaml says, everywhere."""

from pathlib import Path

import pytest
import yaml

from user_analytics.cluster import charts, kind
from user_analytics.cluster.pages import AIRFLOW, address, reached
from user_analytics.errors import ClusterError


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kind-config.yaml to edit."""
    copy = tmp_path / "kind-config.yaml"
    copy.write_bytes(kind.CONFIGURATION.read_bytes())
    monkeypatch.setattr(kind, "CONFIGURATION", copy)
    return copy


def test_another_port_of_this_machine_is_where_the_pages_are_and_where_airflow_says_it_is(configuration: Path) -> None:
    text = configuration.read_text().replace("hostPort: 8080", "hostPort: 8081").replace("9001", "9002")
    configuration.write_text(text)

    assert address(AIRFLOW) == "http://127.0.0.1:8081"
    values = charts.release("airflow").values
    assert values["apiServer"] == {"nodePort": 30080, "baseUrl": "http://127.0.0.1:8081"}
    assert values["dags"]["reportAddress"].startswith("http://127.0.0.1:9002/browser/")


def test_a_page_without_a_port_of_this_machine_is_an_error_that_names_what_is_missing(configuration: Path) -> None:
    content = yaml.safe_load(configuration.read_text())
    del content["nodes"][0]["extraPortMappings"][2]
    configuration.write_text(yaml.safe_dump(content))

    with pytest.raises(ClusterError, match=r"^kind-config\.yaml: extraPortMappings lack one with containerPort 30080$"):
        address(AIRFLOW)


def test_a_node_with_the_ports_of_the_file_is_reached_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "published_ports", lambda: {(8080, AIRFLOW), (9001, 30901)})

    assert reached(AIRFLOW) == "http://127.0.0.1:8080"


@pytest.mark.parametrize("published", [set(), {(8081, AIRFLOW)}, {(8080, 30901)}])
def test_what_listens_on_a_port_that_does_not_lead_into_the_node_is_no_page_of_it(
    published: set[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "published_ports", lambda: published)

    with pytest.raises(
        ClusterError, match=r"^the node does not answer on http://127\.0\.0\.1:8080, as kind-config\.yaml has"
    ):
        reached(AIRFLOW)
