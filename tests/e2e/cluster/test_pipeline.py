"""The pipeline by hand on the cluster gives what it gives on one machine."""

import json
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.cluster.conftest import DATE
from tests.e2e.cluster.kind_cluster import KindCluster
from tests.fixtures.command_line import CommandLine
from user_analytics.embedded.postgres import remove_data
from user_analytics.embedded.processes import stop_leftovers
from user_analytics.warehouse.view_names import METRICS_VIEW

HISTORY_SERVER = "http://127.0.0.1:18080/api/v1/applications"

pytestmark = pytest.mark.timeout(900)


def test_the_views_are_byte_for_byte_those_of_a_run_on_one_machine(
    published: KindCluster, source_files: tuple[Path, Path], tmp_path: Path
) -> None:
    reviews, purchases = source_files
    one_machine = CommandLine(tmp_path)
    try:
        one_machine("run", "--reviews", reviews, "--purchases", purchases, "--date", DATE)
        expected = one_machine.views()
    finally:
        stop_leftovers(one_machine.run_dir)
        remove_data(one_machine.run_dir)

    assert published.views() == expected
    assert published.make("query", f"VIEW={METRICS_VIEW}", "FORMAT=csv").stdout == expected[METRICS_VIEW]


def test_the_report_of_the_date_is_written_and_brought_here(published: KindCluster) -> None:
    done = published.make("report", f"DATE={DATE}")

    assert f"s3://user-analytics/reports/ds={DATE}/index.html" in done.stderr
    assert DATE in Path(done.stdout.strip().splitlines()[-1]).read_text()


def test_applications_that_are_checked_in_run_to_their_end_when_kubectl_applies_them(published: KindCluster) -> None:
    names = ("movie-review", "user-purchase")
    for name in names:
        published.delete_application(name)

    published.kubectl("apply", "--filename", "manifests/spark-applications/")

    for name in names:
        published.wait(partial(published.has_ended, name), f"{name} to end", 300)
        assert published.state(name) == "COMPLETED"


def test_the_history_server_shows_the_applications_that_have_ended(published: KindCluster) -> None:
    driver_ids = {
        application["status"]["sparkApplicationId"]
        for name, application in published.applications().items()
        if published.state(name) == "COMPLETED"
    }
    assert driver_ids

    def listed() -> set[str]:
        with urllib.request.urlopen(HISTORY_SERVER) as response:
            return {application["id"] for application in json.load(response)}

    published.wait(lambda: driver_ids <= listed(), "the History Server to read the event logs", 60)
