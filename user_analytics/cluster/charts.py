"""The charts that the cluster is made of, each as a release with the images of this checkout."""

from pathlib import Path
from typing import Any

from user_analytics.cluster import go_programs
from user_analytics.cluster.catalogue import workload_images
from user_analytics.cluster.images import CHECKOUT, REPOSITORY
from user_analytics.cluster.pages import AIRFLOW, CONSOLE, HISTORY_SERVER, address
from user_analytics.cluster.releases import Release
from user_analytics.cluster.secrets import SERVERS

CHARTS = CHECKOUT / "charts"
OPERATOR = "spark-operator"
OPERATOR_MODULE = "github.com/kubeflow/spark-operator/v2"
# Of each release, which is called as its chart.
NAMESPACES = {
    "minio": SERVERS,
    "postgres": SERVERS,
    "bigquery-emulator": SERVERS,
    OPERATOR: "spark-operator",
    "spark-history-server": SERVERS,
    "airflow": SERVERS,
}


def release(chart: str) -> Release:
    """A chart as the cluster has it. Raises ClusterError when Go cannot fetch that of the Spark Operator."""
    if chart == OPERATOR:
        return Release(chart, NAMESPACES[chart], operator_chart(), CHARTS / chart / "values.yaml", _values(chart))
    return Release(chart, NAMESPACES[chart], CHARTS / chart, values=_values(chart))


def operator_chart() -> Path:
    """The Spark Operator's own chart, fetched if need be. Raises ClusterError."""
    return go_programs.module_directory(OPERATOR, OPERATOR_MODULE) / "charts" / "spark-operator-chart"


def _values(chart: str) -> dict[str, Any]:
    tag = {name: image.tag() for name, image in workload_images().items()}
    values: dict[str, dict[str, Any]] = {
        "minio": {
            "image": {"tag": tag["minio"]},
            "client": {"image": {"tag": tag["ingest"]}},
            "console": {"nodePort": CONSOLE},
        },
        "postgres": {"image": {"tag": tag["postgres"]}},
        "bigquery-emulator": {"image": {"tag": tag["bigquery-emulator"]}},
        OPERATOR: {"image": {"tag": tag["spark-operator"]}},
        "spark-history-server": {"image": {"tag": tag["spark"]}, "nodePort": HISTORY_SERVER},
        "airflow": {
            "image": {"tag": tag["airflow"]},
            "apiServer": {"nodePort": AIRFLOW, "baseUrl": address(AIRFLOW)},
            "dags": {
                "pausedUponCreation": False,
                "parameters": {
                    "spark": {"image": f"{REPOSITORY}/spark:{tag['spark']}"},
                    "jobs": {"image": f"{REPOSITORY}/ingest:{tag['ingest']}"},
                },
                "reportAddress": address(CONSOLE) + "/browser/user-analytics/reports%2Fds%3D{ds}%2Findex.html",
            },
        },
    }
    return values[chart]
