"""The edge to BigQuery: one object that holds the client, names the tables and explains the errors.

What is retried, with backoff, for CONNECT_TIMEOUT_SECONDS:
- every REST call, on connection errors, rate limits and server errors: they look up, delete or create
  and accept what they find, or they submit a job under an id that the server accepts once;
- whole jobs that BigQuery failed for reasons of its own, of `rows` and `run` only: their statements
  (SELECT, CREATE … IF NOT EXISTS, CREATE OR REPLACE) give the same result again.
A script (`run_script`) is never restarted here: only its caller knows whether it may run again.
"""

import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self
from urllib.parse import urlsplit

import google.auth
import requests
from google.api_core.exceptions import Conflict, Forbidden, GoogleAPICallError, NotFound, RetryError, Unauthorized
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_JOB_RETRY

from user_analytics.errors import (
    ConcurrentUpdate,
    SettingsError,
    TableExists,
    TableMissing,
    Unreachable,
    UserAnalyticsError,
    WarehouseError,
)
from user_analytics.settings import Settings

JOB_POLL_SECONDS = 0.5
SCOPES = ("https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/cloud-platform")
# The messages of a rolled back transaction and of a single statement that lost:
# https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
CONFLICT = re.compile(r"aborted due to concurrent update|could not serialize access", re.IGNORECASE)


class Rows(NamedTuple):
    """The result of a query: the names of its columns, and its rows in order."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


class StoredTable(NamedTuple):
    """A table as listed: `created` in UTC."""

    name: str
    created: datetime


class Warehouse:
    """A BigQuery project with a dataset of published tables and one of staging tables.

    Every method raises WarehouseError, or Unreachable when the server does not answer in time.
    """

    def __init__(self, settings: Settings, project: str, credentials: Credentials) -> None:
        self.settings = settings
        self.project = project
        self._credentials = credentials
        self._retry = bigquery.DEFAULT_RETRY.with_timeout(settings.connect_timeout_seconds)
        self._job_retry = DEFAULT_JOB_RETRY.with_timeout(settings.connect_timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; using the warehouse again opens new ones."""
        if "_client" in self.__dict__:
            self._client.close()
            del self.__dict__["_client"]

    def table_id(self, name: str) -> str:
        """`project.dataset.name` of a published table or view."""
        return f"{self.project}.{self.settings.bigquery_dataset}.{name}"

    def staging_table_id(self, name: str) -> str:
        """`project.dataset.name` of a staging table."""
        return f"{self.project}.{self.settings.bigquery_staging_dataset}.{name}"

    def rows(self, sql: str) -> Rows:
        """The whole result of a SELECT: NUMERIC as Decimal, TIMESTAMP as datetime in UTC, DATE as date."""
        return self.rows_of_each([sql])[0]

    def rows_of_each(
        self, queries: Sequence[str], parameters: Sequence[bigquery.ScalarQueryParameter] = ()
    ) -> list[Rows]:
        """The results of several SELECTs with the same named query parameters, which BigQuery runs side by side."""
        config = bigquery.QueryJobConfig(query_parameters=list(parameters))
        with self._explained():
            jobs = [
                # job_retry=None: else the client keeps submitting for ten minutes, whatever `retry` says.
                self._client.query(sql, job_config=config, retry=self._retry, job_retry=None)
                for sql in queries
            ]
            results = [job.result(retry=self._retry, job_retry=self._job_retry) for job in jobs]
            return [
                Rows([field.name for field in result.schema], [row.values() for row in result]) for result in results
            ]

    def run(self, sql: str) -> None:
        """Run one statement that gives the same result when it runs twice."""
        with self._explained():
            job = self._client.query(sql, retry=self._retry, job_retry=None)
            job.result(retry=self._retry, job_retry=self._job_retry)

    def run_script(self, sql: str, job_id: str) -> None:
        """Run a script under an unused job id and wait for it.

        Raises ConcurrentUpdate when the id is taken, or when BigQuery rolled the script's transaction back
        because of another one.
        """
        with self._explained():
            try:
                job = self._client.query(sql, job_id=job_id, retry=self._retry, job_retry=None)
            except Conflict as error:
                raise ConcurrentUpdate(f"job {job_id} was started by another process") from error
            job.result(retry=self._retry, job_retry=None)

    def wait_for_job(self, job_id: str) -> bool:
        """Wait until a job is over, well or not; False when there is no such job."""
        with self._explained():
            try:
                job = self._client.get_job(job_id, retry=self._retry)
                # Its state alone says that it is over: what it returned may be gone by now.
                while job.state != "DONE":
                    time.sleep(JOB_POLL_SECONDS)
                    job.reload(retry=self._retry)
            except NotFound:
                return False
            return True

    def append_json(self, table_id: str, lines: BinaryIO) -> None:
        """Append rows to a table by one load job: a JSON object a line, read from the start of `lines`."""
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            labels=dict(self.settings.bigquery_labels),
        )
        with self._explained():
            job = self._client.load_table_from_file(lines, table_id, rewind=True, job_config=config)
            job.result(retry=self._retry)

    def table_exists(self, table_id: str) -> bool:
        """Whether a table or view exists; False too when its dataset does not."""
        with self._explained():
            try:
                self._client.get_table(table_id, retry=self._retry)
            except NotFound:
                return False
            return True

    def delete_table(self, table_id: str) -> None:
        """Delete a table; one that does not exist is no error."""
        with self._explained():
            self._client.delete_table(table_id, retry=self._retry, not_found_ok=True)

    def staging_tables(self) -> list[StoredTable]:
        """All tables of the staging dataset; none when it does not exist."""
        dataset = f"{self.project}.{self.settings.bigquery_staging_dataset}"
        with self._explained():
            try:
                listed = list(self._client.list_tables(dataset, retry=self._retry))
            except NotFound:
                return []
            return [StoredTable(table.table_id, table.created) for table in listed]

    def ensure_dataset(self, name: str) -> None:
        """Create a dataset in BIGQUERY_LOCATION when it is missing; refuse one that lies elsewhere."""
        wanted = bigquery.Dataset(f"{self.project}.{name}")
        wanted.location = self.settings.bigquery_location
        wanted.labels = dict(self.settings.bigquery_labels)
        with self._explained():
            try:
                found = self._client.get_dataset(wanted.reference, retry=self._retry)
            except NotFound:
                found = self._client.create_dataset(wanted, exists_ok=True, retry=self._retry)
        if found.location.lower() != wanted.location.lower():
            raise WarehouseError(
                f"dataset {self.project}.{name} lies in {found.location}, but BIGQUERY_LOCATION is {wanted.location}: "
                f"set BIGQUERY_LOCATION={found.location}, or name other datasets by BIGQUERY_DATASET and "
                "BIGQUERY_STAGING_DATASET"
            )

    @cached_property
    def _client(self) -> bigquery.Client:
        settings = self.settings
        return bigquery.Client(
            project=self.project,
            credentials=self._credentials,
            location=settings.bigquery_location,
            client_options={"api_endpoint": settings.bigquery_endpoint} if settings.bigquery_endpoint else None,
            default_query_job_config=bigquery.QueryJobConfig(
                labels=dict(settings.bigquery_labels), maximum_bytes_billed=settings.bigquery_maximum_bytes_billed
            ),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RetryError as error:
            raise self._explanation(error.cause or error) from error
        except (GoogleAPICallError, GoogleAuthError, requests.RequestException, ConnectionError) as error:
            raise self._explanation(error) from error

    def _explanation(self, error: Exception) -> UserAnalyticsError:
        if isinstance(error, Unauthorized) or (
            isinstance(error, GoogleAuthError) and not isinstance(error, TransportError)
        ):
            return WarehouseError(f"Google Cloud did not accept the credentials: {error}. {SIGN_IN}")
        if isinstance(error, GoogleAPICallError):
            return self._refusal(error)
        endpoint = urlsplit(self.settings.bigquery_endpoint or "https://bigquery.googleapis.com")
        return Unreachable(
            f"BigQuery at {endpoint.netloc} did not answer within {self.settings.connect_timeout_seconds:g} s: "
            "is it running and reachable? (CONNECT_TIMEOUT_SECONDS sets how long to wait)"
        )

    def _refusal(self, error: GoogleAPICallError) -> WarehouseError:
        reasons = {detail.get("reason") for detail in error.errors if isinstance(detail, dict)}
        message = _message(error)
        settings = self.settings
        if CONFLICT.search(message):
            return ConcurrentUpdate(message)
        if isinstance(error, NotFound):
            return TableMissing(
                f"{message} (looked for in BIGQUERY_LOCATION {settings.bigquery_location}, GCP_PROJECT {self.project})"
            )
        if isinstance(error, Conflict):
            return TableExists(message)
        if "bytesBilledLimitExceeded" in reasons:
            return WarehouseError(
                f"{message}: BIGQUERY_MAXIMUM_BYTES_BILLED is {settings.bigquery_maximum_bytes_billed}"
            )
        if isinstance(error, Forbidden):
            account = getattr(self._credentials, "service_account_email", None) or "the account"
            return WarehouseError(
                f"BigQuery refused: {message}. If a permission is missing, give {account} "
                f"roles/bigquery.jobUser on project {self.project} and roles/bigquery.dataEditor on datasets "
                f"{settings.bigquery_dataset} and {settings.bigquery_staging_dataset} (roles/bigquery.user on the "
                "project, for datasets that are to be created)"
            )
        return WarehouseError(f"BigQuery failed: {message}")


SIGN_IN = (
    "Run `gcloud auth application-default login`, use Workload Identity, or set GOOGLE_APPLICATION_CREDENTIALS "
    "to the file of a service account's key or of another Google credential"
)


def open_warehouse(settings: Settings) -> Warehouse:
    """The warehouse that the settings name; it connects when it is first used, and is closed by `with` or `close`.

    An emulator (BIGQUERY_ENDPOINT) takes no credentials; Google's BigQuery takes those, of any kind, in the
    file that GOOGLE_APPLICATION_CREDENTIALS names, or else application default credentials. Raises
    SettingsError when GCP_PROJECT is not set, WarehouseError when there are no credentials.
    """
    if settings.gcp_project is None:
        raise SettingsError("GCP_PROJECT is not set: name the BigQuery project, or use `user-analytics run`")
    return Warehouse(settings, settings.gcp_project, _credentials(settings))


def _credentials(settings: Settings) -> Credentials:
    if settings.bigquery_endpoint is not None:
        return AnonymousCredentials()
    file = settings.google_application_credentials
    try:
        if file is None:
            credentials: Credentials = google.auth.default(scopes=SCOPES)[0]
        else:
            with warnings.catch_warnings():  # it warns of files that others give: this one is the operator's own
                warnings.simplefilter("ignore", DeprecationWarning)
                credentials = google.auth.load_credentials_from_file(str(file), scopes=SCOPES)[0]
    except (GoogleAuthError, OSError, ValueError, AttributeError) as error:  # the last for JSON that is no object
        tried = f"GOOGLE_APPLICATION_CREDENTIALS, {file}," if file else "The environment"
        raise WarehouseError(f"{tried} gives no usable Google Cloud credentials. {SIGN_IN}") from error
    return credentials


def _message(error: GoogleAPICallError) -> str:
    """What the server said, without the client's additions: one line."""
    details = [detail["message"] for detail in error.errors if isinstance(detail, dict) and detail.get("message")]
    return " ".join((details[0] if details else error.message).split())
