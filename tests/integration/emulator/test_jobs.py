"""Job ids tell a client that lost its connection what became of its query."""

import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery

from tests.fixtures.emulator import Emulator


def count(client: bigquery.Client, table: str) -> int:
    [row] = client.query(f"SELECT COUNT(*) AS n FROM {table}").result()
    n: int = row["n"]
    return n


def test_an_id_runs_once(client: bigquery.Client, dataset: str) -> None:
    client.query(f"CREATE TABLE {dataset}.t (n INT64)").result()
    insert = f"BEGIN TRANSACTION; INSERT INTO {dataset}.t (n) VALUES (1); COMMIT TRANSACTION;"
    job_id = f"once-{dataset}"
    client.query(insert, job_id=job_id, job_retry=None).result()

    with pytest.raises(Conflict) as refused:
        client.query(insert, job_id=job_id, job_retry=None)

    assert refused.value.errors[0]["reason"] == "duplicate"
    assert count(client, f"{dataset}.t") == 1


def test_the_id_of_a_failed_job_stays_taken_and_tells_why_it_failed(client: bigquery.Client, dataset: str) -> None:
    job_id = f"failed-{dataset}"
    with pytest.raises(BadRequest):
        client.query("SELECT ERROR('the reason')", job_id=job_id, job_retry=None).result()

    with pytest.raises(Conflict):
        client.query("SELECT 1", job_id=job_id, job_retry=None)

    job = client.get_job(job_id)
    assert job.state == "DONE"
    assert "the reason" in job.error_result["message"]


def test_an_id_that_was_refused_before_it_ran_is_free(client: bigquery.Client, dataset: str) -> None:
    job_id = f"refused-{dataset}"
    client.query(f"CREATE TABLE {dataset}.t (n INT64)").result()
    past = f"SELECT * FROM {dataset}.t FOR SYSTEM_TIME AS OF TIMESTAMP_SUB(CURRENT_TIMESTAMP(), INTERVAL 1 MINUTE)"
    with pytest.raises(Exception, match="keeps no past states"):
        client.query(past, job_id=job_id, job_retry=None)

    client.query("SELECT 1", job_id=job_id, job_retry=None).result()


def test_jobs_are_still_known_after_a_crash(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str
) -> None:
    table, job_id = f"{private_dataset}.t", f"committed-{private_dataset}"
    private_client.query(f"CREATE TABLE {table} (n INT64)").result()
    insert = f"BEGIN TRANSACTION; INSERT INTO {table} (n) VALUES (1); COMMIT TRANSACTION;"
    private_client.query(insert, job_id=job_id, job_retry=None).result()
    private_emulator.kill()

    private_emulator.restart()

    assert private_client.get_job(job_id).state == "DONE"
    with pytest.raises(Conflict):
        private_client.query(insert, job_id=job_id, job_retry=None)
    with pytest.raises(NotFound):
        private_client.get_job(f"never-{private_dataset}")
    assert count(private_client, table) == 1
