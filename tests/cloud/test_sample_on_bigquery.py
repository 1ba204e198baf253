"""The whole pipeline on real BigQuery: datasets of its own, removed afterwards. The queries read a few MB.

Needs GCP_PROJECT and credentials (application default, or GOOGLE_APPLICATION_CREDENTIALS) that may create
datasets, run jobs and use the Storage Write API.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from google.cloud import bigquery

from tests import oracle
from tests.fixtures.command_line import CommandLine
from user_analytics.embedded.postgres import remove_data

SAMPLE = Path(__file__).parents[2] / "data"
INPUTS = [f"--reviews={SAMPLE}/movie_review.csv", f"--purchases={SAMPLE}/user_purchase.csv"]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    project = os.environ["GCP_PROJECT"]
    name = f"user_analytics_test_{uuid4().hex[:12]}"
    settings = {"GCP_PROJECT": project, "BIGQUERY_DATASET": name, "BIGQUERY_STAGING_DATASET": f"{name}_staging"}
    for optional in ("BIGQUERY_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS"):
        if value := os.environ.get(optional):
            settings[optional] = value
    command_line = CommandLine(tmp_path_factory.mktemp("cloud"), settings)
    yield command_line
    remove_data(command_line.run_dir)
    client = bigquery.Client(project)
    for dataset in (name, f"{name}_staging"):
        client.delete_dataset(dataset, delete_contents=True, not_found_ok=True)


def test_two_runs_of_the_sample_show_what_its_files_say(cloud: CommandLine) -> None:
    expected = oracle.compute(SAMPLE / "movie_review.csv", SAMPLE / "user_purchase.csv")

    cloud("run", *INPUTS)
    first = cloud("query", "user_behaviour_metrics_view", "--format", "csv")
    cloud("run", *INPUTS)
    second = cloud("query", "user_behaviour_metrics_view", "--format", "csv")

    assert first == second
    shown = cloud.query("user_behaviour_metrics_view")
    assert {int(row["customer_id"]): row["amount_spent"] for row in shown} == {
        customer: f"{amount:.3f}" for customer, amount in expected.amount_spent.items()
    }
    assert {int(row["customer_id"]): int(row["num_reviews"]) for row in shown} == expected.num_reviews


def test_an_incremental_run_keeps_what_is_outside_its_window(cloud: CommandLine) -> None:
    before = cloud("query", "user_behaviour_metrics_view", "--format", "csv")

    cloud("run", *INPUTS, "--mode", "incremental", "--lookback-days", "1")

    assert cloud("query", "user_behaviour_metrics_view", "--format", "csv") == before
