"""The way up, as far as it can be told without a cluster."""

from user_analytics.cluster.kind import node_ports
from user_analytics.cluster.up import releases, steps


def test_web_pages_are_led_to_the_ports_that_the_releases_open_on_the_node() -> None:
    found = releases()
    opened = {
        found["minio"].values["console"]["nodePort"],
        found["spark-history-server"].values["nodePort"],
    }

    assert opened < set(node_ports().values())


def test_every_chart_of_the_cluster_is_installed_once() -> None:
    names = [step.name for step in steps()]

    assert [name for name in names if name in releases()] == list(releases())


def test_the_history_server_comes_after_the_folder_that_it_reads() -> None:
    names = [step.name for step in steps()]

    assert names.index("minio") < names.index("bucket") < names.index("spark-history-server")
