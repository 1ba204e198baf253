"""The Storage Write API as the Spark connector uses it: over TLS, several appends per connection, all at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

import grpc
import pyarrow as pa
import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from tests.fixtures.emulator import Emulator
from tests.integration.emulator.conftest import PROJECT

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.string())])
MORE_THAN_DEFAULT_THREADS = 40


@contextmanager
def open_writer(emulator: Emulator) -> Iterator[BigQueryWriteClient]:
    """A client that trusts the emulator's authority and nothing else."""
    credentials = grpc.ssl_channel_credentials(emulator.ca_file.read_bytes())
    with grpc.secure_channel(emulator.grpc_endpoint, credentials) as channel:
        yield BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))


@pytest.fixture
def writer(emulator: Emulator) -> Iterator[BigQueryWriteClient]:
    with open_writer(emulator) as client:
        yield client


@pytest.fixture
def table(client: bigquery.Client, dataset: str) -> str:
    client.query(f"CREATE TABLE {dataset}.t (n INT64, text STRING)").result()
    return f"projects/{PROJECT}/datasets/{dataset}/tables/t"


def create_stream(writer: BigQueryWriteClient, table: str) -> str:
    pending = types.WriteStream(type_=types.WriteStream.Type.PENDING)
    name: str = writer.create_write_stream(parent=table, write_stream=pending).name
    return name


def request(batch: pa.RecordBatch, stream: str = "") -> types.AppendRowsRequest:
    """An append; only the connection's first names the stream and the schema, as the protocol allows."""
    rows = types.AppendRowsRequest.ArrowData(
        rows=types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
    )
    if stream:
        rows.writer_schema = types.ArrowSchema(serialized_schema=batch.schema.serialize().to_pybytes())
    return types.AppendRowsRequest(write_stream=stream, arrow_rows=rows)


def numbers(first: int, count: int) -> pa.RecordBatch:
    return pa.record_batch([range(first, first + count), [f"row {n}" for n in range(first, first + count)]], SCHEMA)


def commit(writer: BigQueryWriteClient, table: str, streams: list[str]) -> None:
    for stream in streams:
        writer.finalize_write_stream(name=stream)
    response = writer.batch_commit_write_streams(
        types.BatchCommitWriteStreamsRequest(parent=table, write_streams=streams)
    )
    assert not response.stream_errors


def count(client: bigquery.Client, dataset: str) -> int:
    [row] = client.query(f"SELECT COUNT(DISTINCT n) AS n FROM {dataset}.t").result()
    n: int = row["n"]
    return n


def test_a_connection_appends_to_the_stream_its_first_request_named(
    writer: BigQueryWriteClient, client: bigquery.Client, dataset: str, table: str
) -> None:
    stream = create_stream(writer, table)

    responses = list(
        writer.append_rows(iter([request(numbers(0, 10), stream), request(numbers(10, 10)), request(numbers(20, 5))]))
    )
    commit(writer, table, [stream])

    assert [int(response.append_result.offset) for response in responses] == [0, 10, 20]
    assert count(client, dataset) == 25


def test_rows_are_invisible_until_the_streams_are_committed(
    writer: BigQueryWriteClient, client: bigquery.Client, dataset: str, table: str
) -> None:
    streams = [create_stream(writer, table) for _ in range(2)]
    for number, stream in enumerate(streams):
        list(writer.append_rows(iter([request(numbers(10 * number, 10), stream)])))

    before = count(client, dataset)
    commit(writer, table, streams)

    assert (before, count(client, dataset)) == (0, 20)


def test_many_streams_can_be_open_while_they_are_finalized(
    writer: BigQueryWriteClient, client: bigquery.Client, dataset: str, table: str
) -> None:
    streams = [create_stream(writer, table) for _ in range(MORE_THAN_DEFAULT_THREADS)]
    all_appended = threading.Barrier(len(streams), timeout=60)

    def append(number: int) -> None:
        finalized = threading.Event()

        def requests() -> Iterator[types.AppendRowsRequest]:
            yield request(numbers(10 * number, 10), streams[number])
            finalized.wait(60)  # the connection stays open

        connection = iter(writer.append_rows(requests(), timeout=60))
        next(connection)
        try:
            all_appended.wait()
            writer.finalize_write_stream(name=streams[number], timeout=60)
        finally:
            finalized.set()
        assert list(connection) == []

    with ThreadPoolExecutor(len(streams)) as pool:
        list(pool.map(append, range(len(streams))))
    commit(writer, table, streams)

    assert count(client, dataset) == 10 * len(streams)


def test_values_arrive_exactly(writer: BigQueryWriteClient, client: bigquery.Client, dataset: str) -> None:
    client.query(f"""
        CREATE TABLE {dataset}.v (
            price NUMERIC(8, 3), moment TIMESTAMP, day DATE, flag BOOL, ratio FLOAT64, big INT64, text STRING
        )
    """).result()
    expected = {
        "price": [Decimal("99999.999"), Decimal("-0.001"), None],
        "moment": [datetime(2010, 12, 8, 23, 59, 59, 999999, UTC), datetime(1960, 1, 1, 0, 0, 0, 1, UTC), None],
        "day": [date(2010, 12, 8), date(1960, 1, 1), None],
        "flag": [True, False, None],
        "ratio": [0.1, 1e-300, None],
        "big": [2**63 - 1, -(2**63), None],
        "text": ["naïve 🙂\n\"quoted\" \\ 'x' <b>", "", None],
    }
    batch = pa.record_batch(
        expected,
        pa.schema(
            [
                ("price", pa.decimal128(8, 3)),
                ("moment", pa.timestamp("us", "UTC")),
                ("day", pa.date32()),
                ("flag", pa.bool_()),
                ("ratio", pa.float64()),
                ("big", pa.int64()),
                ("text", pa.string()),
            ]
        ),
    )
    parent = f"projects/{PROJECT}/datasets/{dataset}/tables/v"
    stream = create_stream(writer, parent)

    list(writer.append_rows(iter([request(batch, stream)])))
    commit(writer, parent, [stream])

    rows = [dict(row) for row in client.query(f"SELECT * FROM {dataset}.v ORDER BY price DESC").result()]
    assert rows == batch.to_pylist()


def test_sigterm_does_not_wait_for_a_stream_that_is_left_open(
    private_emulator: Emulator, private_client: bigquery.Client, private_dataset: str
) -> None:
    closed = threading.Event()
    private_client.query(f"CREATE TABLE {private_dataset}.t (n INT64, text STRING)").result()

    with open_writer(private_emulator) as writer:
        stream = create_stream(writer, f"projects/{PROJECT}/datasets/{private_dataset}/tables/t")

        def requests() -> Iterator[types.AppendRowsRequest]:
            yield request(numbers(0, 10), stream)
            closed.wait(60)

        connection = iter(writer.append_rows(requests(), timeout=60))
        next(connection)
        try:
            assert private_emulator.stop() == 0
        finally:
            closed.set()


def test_nothing_is_served_in_the_clear(emulator: Emulator) -> None:
    with grpc.insecure_channel(emulator.grpc_endpoint) as channel:
        plain = BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))

        with pytest.raises(ServiceUnavailable):
            plain.get_write_stream(name="projects/p/datasets/d/tables/t/streams/_default", retry=None, timeout=20)
