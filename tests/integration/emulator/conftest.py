"""What the emulator's tests share: a plain BigQuery client, as any user of BigQuery has."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.fixtures.emulator import Emulator
from user_analytics.settings import Settings

PROJECT = "user-analytics-test"
Connect = Callable[[Emulator], bigquery.Client]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens clients on an emulator; they are closed after the test."""
    clients: list[bigquery.Client] = []

    def open_client(emulator: Emulator) -> bigquery.Client:
        clients.append(
            bigquery.Client(
                project=PROJECT,
                credentials=AnonymousCredentials(),
                client_options=ClientOptions(api_endpoint=emulator.rest_url),
            )
        )
        return clients[-1]

    yield open_client
    for client in clients:
        client.close()


@pytest.fixture
def client(emulator: Emulator, connect: Connect) -> bigquery.Client:
    """A client of the session's emulator."""
    return connect(emulator)


@pytest.fixture
def dataset(client: bigquery.Client, warehouse_settings: Settings) -> str:
    """An empty dataset of the test's own."""
    client.create_dataset(warehouse_settings.bigquery_dataset)
    return warehouse_settings.bigquery_dataset


@pytest.fixture
def private_client(private_emulator: Emulator, connect: Connect) -> bigquery.Client:
    """A client of the emulator that the test may kill."""
    return connect(private_emulator)


@pytest.fixture
def private_dataset(private_client: bigquery.Client) -> str:
    """An empty dataset of the test's own on that emulator."""
    name = f"d_{uuid.uuid4().hex[:8]}"
    private_client.create_dataset(name)
    return name
