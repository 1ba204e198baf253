"""BEGIN, COMMIT and ROLLBACK behave as BigQuery documents them, for readers, for writers and for SIGKILL."""

import contextlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.cloud import bigquery

from tests.fixtures.emulator import Emulator
from tests.integration.emulator.conftest import Connect

NO_RETRY = Retry(predicate=if_exception_type())
# A script that holds its transaction open until it is killed or its emulator stops.
NEVER_ENDING = "LOOP SET turn = turn + 1; END LOOP;"
PAIR = "SELECT (SELECT MAX(g) FROM {0}.a), (SELECT MAX(g) FROM {0}.b), (SELECT COUNT(*) FROM {0}.a) AS n"


def rows(client: bigquery.Client, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in client.query(sql).result()]


def make_pair(client: bigquery.Client, dataset: str, size: int = 3) -> None:
    """Two tables of `size` rows of generation 0 each."""
    for table in ("a", "b"):
        client.query(
            f"CREATE TABLE {dataset}.{table} AS SELECT n, 0 AS g FROM UNNEST(GENERATE_ARRAY(1, {size})) AS n"
        ).result()


def replace_pair(dataset: str, generation: int, size: int, between: str = "") -> str:
    """A script that replaces both tables, as publishing does."""
    return f"""
        BEGIN TRANSACTION;
        DELETE FROM {dataset}.a WHERE TRUE;
        DELETE FROM {dataset}.b WHERE TRUE;
        {between}
        INSERT INTO {dataset}.a SELECT n, {generation} FROM UNNEST(GENERATE_ARRAY(1, {size})) AS n;
        INSERT INTO {dataset}.b SELECT n, {generation} FROM UNNEST(GENERATE_ARRAY(1, {size})) AS n;
        COMMIT TRANSACTION;
    """


@contextlib.contextmanager
def background(client: bigquery.Client, script: str, job_id: str) -> Iterator[bigquery.Client]:
    """Run a script beside the test; returns when the server says that it runs."""
    thread = threading.Thread(target=run_and_ignore, args=(client, script, job_id), daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not is_running(client, job_id):
        assert time.monotonic() < deadline, "the script did not start"
        time.sleep(0.05)
    yield client
    thread.join(60)
    assert not thread.is_alive()


def run_and_ignore(client: bigquery.Client, script: str, job_id: str) -> None:
    """The test looks at the tables, not at the connection that breaks under the script."""
    with contextlib.suppress(OSError, GoogleAPICallError):
        client.query(script, job_id=job_id, job_retry=None, retry=NO_RETRY, timeout=60)


def is_running(client: bigquery.Client, job_id: str) -> bool:
    try:
        return bool(client.get_job(job_id).state == "RUNNING")
    except NotFound:
        return False


def test_committed_changes_of_several_tables_are_visible(client: bigquery.Client, dataset: str) -> None:
    make_pair(client, dataset)

    client.query(replace_pair(dataset, generation=1, size=5)).result()

    assert rows(client, PAIR.format(dataset)) == [(1, 1, 5)]


def test_truncate_and_merge_take_part_in_the_transaction(client: bigquery.Client, dataset: str) -> None:
    make_pair(client, dataset)

    client.query(f"""
        BEGIN TRANSACTION;
        TRUNCATE TABLE {dataset}.a;
        MERGE {dataset}.b USING (SELECT 4 AS n) AS new ON b.n = new.n
        WHEN NOT MATCHED THEN INSERT (n, g) VALUES (new.n, 0);
        ROLLBACK TRANSACTION;
    """).result()

    assert rows(client, f"SELECT (SELECT COUNT(*) FROM {dataset}.a), (SELECT COUNT(*) FROM {dataset}.b)") == [(3, 3)]


def test_the_script_sees_its_own_changes_before_it_commits(client: bigquery.Client, dataset: str) -> None:
    make_pair(client, dataset)

    seen = rows(
        client,
        f"BEGIN TRANSACTION; DELETE FROM {dataset}.a WHERE n = 1; SELECT COUNT(*) FROM {dataset}.a;",
    )

    assert seen == [(2,)]


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param("ROLLBACK TRANSACTION;", id="rollback"),
        pytest.param("", id="end before commit"),
        pytest.param("RETURN; COMMIT TRANSACTION;", id="return before commit"),
    ],
)
def test_a_transaction_that_is_not_committed_leaves_the_tables_as_they_were(
    client: bigquery.Client, dataset: str, ending: str
) -> None:
    make_pair(client, dataset)

    client.query(f"BEGIN TRANSACTION; DELETE FROM {dataset}.a WHERE TRUE; {ending}").result()

    assert rows(client, PAIR.format(dataset)) == [(0, 0, 3)]


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param("SELECT ERROR('rows differ: 3 and 4');", id="ERROR()"),
        pytest.param("IF 3 != 4 THEN SELECT ERROR('rows differ: 3 and 4'); END IF;", id="ERROR() under IF"),
        pytest.param("RAISE USING MESSAGE = FORMAT('rows differ: %d and %d', 3, 4);", id="RAISE"),
    ],
)
def test_an_error_rolls_back_and_its_message_reaches_the_client(
    client: bigquery.Client, dataset: str, failure: str
) -> None:
    make_pair(client, dataset)

    with pytest.raises(BadRequest, match="rows differ: 3 and 4"):
        client.query(replace_pair(dataset, generation=1, size=5, between=failure)).result()

    assert rows(client, PAIR.format(dataset)) == [(0, 0, 3)]


def test_a_handler_decides_what_becomes_of_the_transaction(client: bigquery.Client, dataset: str) -> None:
    make_pair(client, dataset)

    client.query(f"""
        BEGIN
          BEGIN TRANSACTION;
          DELETE FROM {dataset}.a WHERE TRUE;
          SELECT ERROR('stop');
          COMMIT TRANSACTION;
        EXCEPTION WHEN ERROR THEN
          ROLLBACK TRANSACTION;
          INSERT INTO {dataset}.a (n, g) VALUES (4, 0);
        END;
    """).result()

    assert rows(client, f"SELECT n FROM {dataset}.a ORDER BY n") == [(1,), (2,), (3,), (4,)]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("BEGIN TRANSACTION; BEGIN TRANSACTION;", "cannot be nested"),
        ("SELECT 1; COMMIT TRANSACTION;", "no active transaction"),
        ("BEGIN TRANSACTION", "only in scripts"),
        ("BEGIN TRANSACTION; CREATE TABLE {0}.c (n INT64); COMMIT TRANSACTION;", "DDL on permanent entities"),
        ("BEGIN TRANSACTION; DROP TABLE {0}.a; COMMIT TRANSACTION;", "DDL on permanent entities"),
    ],
)
def test_what_bigquery_refuses_is_refused(client: bigquery.Client, dataset: str, script: str, message: str) -> None:
    make_pair(client, dataset)

    with pytest.raises(BadRequest, match=message):
        client.query(script.format(dataset)).result()

    assert rows(client, PAIR.format(dataset)) == [(0, 0, 3)]


def test_a_temporary_table_made_before_the_transaction_is_visible_in_it(client: bigquery.Client, dataset: str) -> None:
    make_pair(client, dataset)

    client.query(f"""
        CREATE TEMP TABLE new AS SELECT 4 AS n;
        BEGIN TRANSACTION;
        INSERT INTO {dataset}.a SELECT n, 0 FROM new;
        COMMIT TRANSACTION;
    """).result()

    assert rows(client, f"SELECT MAX(n) FROM {dataset}.a") == [(4,)]


def let_it_delete(client: bigquery.Client, job_id: str) -> None:
    """Have a script that is under way delete: milliseconds, if the emulator comes to it between its other requests."""
    for _ in range(20):
        assert is_running(client, job_id)
    time.sleep(1)


def never_ending(dataset: str) -> str:
    """A script that has deleted and does not come to insert."""
    return "DECLARE turn INT64 DEFAULT 0;" + replace_pair(dataset, generation=1, size=5, between=NEVER_ENDING)


def test_uncommitted_changes_are_invisible_to_everybody_else(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset)

    with background(connect(private_emulator), never_ending(private_dataset), f"open-{private_dataset}"):
        let_it_delete(private_client, f"open-{private_dataset}")

        assert rows(private_client, PAIR.format(private_dataset)) == [(0, 0, 3)]
        listed = private_client.list_rows(private_client.get_table(f"{private_dataset}.a"))
        assert sorted(row["n"] for row in listed) == [1, 2, 3]
        private_emulator.kill()


def test_a_transaction_killed_between_delete_and_insert_never_happened(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset)
    job_id = f"killed-{private_dataset}"
    with background(connect(private_emulator), never_ending(private_dataset), job_id):
        let_it_delete(private_client, job_id)

        private_emulator.kill()

    private_emulator.restart()

    assert rows(private_client, PAIR.format(private_dataset)) == [(0, 0, 3)]
    with pytest.raises(NotFound):
        private_client.get_job(job_id)


def test_a_job_killed_after_its_commit_is_done(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset)
    script = f"DECLARE turn INT64 DEFAULT 0; {replace_pair(private_dataset, generation=1, size=5)} {NEVER_ENDING}"
    job_id = f"committed-{private_dataset}"
    with background(connect(private_emulator), script, job_id):
        while rows(private_client, PAIR.format(private_dataset)) == [(0, 0, 3)]:
            time.sleep(0.05)

        private_emulator.kill()

    private_emulator.restart()

    assert rows(private_client, PAIR.format(private_dataset)) == [(1, 1, 5)]
    assert private_client.get_job(job_id).state == "DONE"


def test_sigterm_rolls_an_open_transaction_back_instead_of_waiting_for_it(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset)
    with background(connect(private_emulator), never_ending(private_dataset), f"stopped-{private_dataset}"):
        assert private_emulator.stop() == 0

    private_emulator.restart()

    assert rows(private_client, PAIR.format(private_dataset)) == [(0, 0, 3)]


def test_a_transaction_that_changes_the_rows_of_an_open_one_is_refused_at_once(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset)
    table = rf"table .*:{private_dataset}\.a"
    with background(connect(private_emulator), never_ending(private_dataset), f"first-{private_dataset}"):
        let_it_delete(private_client, f"first-{private_dataset}")

        with pytest.raises(
            BadRequest, match=f"Transaction is aborted due to concurrent update against {table}"
        ) as refused:
            private_client.query(replace_pair(private_dataset, generation=2, size=5)).result()
        with pytest.raises(BadRequest, match=f"Could not serialize access to {table} due to concurrent update"):
            private_client.query(f"DELETE FROM {private_dataset}.a WHERE TRUE").result()
        private_emulator.kill()

    assert refused.value.errors[0]["reason"] == "invalidQuery"
    private_emulator.restart()
    private_client.query(replace_pair(private_dataset, generation=3, size=5)).result()
    assert rows(private_client, PAIR.format(private_dataset)) == [(3, 3, 5)]


def test_readers_never_see_half_of_a_replacement(
    client: bigquery.Client, connect: Connect, emulator: Emulator, dataset: str
) -> None:
    size, generations = 20_000, 8
    make_pair(client, dataset, size)
    done = threading.Event()

    def poll(reader: bigquery.Client) -> list[tuple[object, ...]]:
        seen = []
        while not done.is_set():
            seen += rows(
                reader,
                f"""
                SELECT 'query', MIN(g) = MAX(g), COUNT(*)
                FROM (SELECT g FROM {dataset}.a UNION ALL SELECT g FROM {dataset}.b)
            """,
            )
            page = next(
                reader.list_rows(
                    f"{dataset}.a", selected_fields=[bigquery.SchemaField("g", "INTEGER")], page_size=size
                ).pages
            )
            values = [row["g"] for row in page]
            seen.append(("list", len(set(values)) == 1, len(values)))
        return seen

    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(poll, connect(emulator)) for _ in range(2)]
        for generation in range(1, generations + 1):
            client.query(replace_pair(dataset, generation, size)).result()
        done.set()
        seen = [observation for reader in readers for observation in reader.result()]

    assert set(seen) == {("query", True, 2 * size), ("list", True, size)}


def test_sigkill_at_any_instant_leaves_a_whole_pair(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str, connect: Connect
) -> None:
    make_pair(private_client, private_dataset, 20_000)
    for attempt, wait in enumerate((0.05, 0.3, 0.8), start=1):
        stopped = threading.Event()
        writer = connect(private_emulator)
        thread = threading.Thread(
            target=replace_until, args=(stopped, writer, private_dataset, attempt * 1000), daemon=True
        )
        thread.start()
        time.sleep(wait)
        private_emulator.kill()
        stopped.set()
        thread.join(60)

        private_emulator.restart()

        [(a, b, n)] = rows(private_client, PAIR.format(private_dataset))
        assert (a, n) == (b, 20_000)
        if a:
            assert private_client.get_job(f"{private_dataset}-{a}").state == "DONE"


def replace_until(stopped: threading.Event, client: bigquery.Client, dataset: str, generation: int) -> None:
    while not stopped.is_set():
        generation += 1
        run_and_ignore(client, replace_pair(dataset, generation, 20_000), f"{dataset}-{generation}")
