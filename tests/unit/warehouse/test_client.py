"""What BigQuery refuses is explained; its answers are made here, because an emulator refuses nothing of the kind."""

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    RetryError,
    ServiceUnavailable,
    Unauthorized,
)
from google.auth.exceptions import RefreshError, TransportError

from user_analytics.errors import (
    ConcurrentUpdate,
    PublishRefused,
    SettingsError,
    TableMissing,
    Unreachable,
    UserAnalyticsError,
    WarehouseError,
)
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publications import literal


def configured(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type,call-arg]


@pytest.fixture
def warehouse() -> Warehouse:
    """A warehouse that is never asked anything."""
    return open_warehouse(
        configured(
            gcp_project="shop-1",
            bigquery_endpoint="http://127.0.0.1:1",
            bigquery_grpc_endpoint="127.0.0.1:1",
            bigquery_maximum_bytes_billed=1000,
        )
    )


def explained(warehouse: Warehouse, error: Exception) -> UserAnalyticsError:
    with pytest.raises(UserAnalyticsError) as caught, warehouse._explained():
        raise error
    return caught.value


def refusal(kind: type[GoogleAPICallError], reason: str, message: str) -> GoogleAPICallError:
    """As the client raises a job's failure: the text of the server and more around it."""
    return kind(
        f"{message}; reason: {reason}\n\nLocation: US\nJob ID: 1-2-3\n", errors=[{"reason": reason, "message": message}]
    )


def test_a_missing_permission_says_which_roles_to_grant_where(warehouse: Warehouse) -> None:
    error = explained(warehouse, refusal(Forbidden, "accessDenied", "Access Denied: Dataset shop-1:user_analytics"))
    assert str(error) == (
        "BigQuery refused: Access Denied: Dataset shop-1:user_analytics. If a permission is missing, give the account "
        "roles/bigquery.jobUser on project shop-1 and roles/bigquery.dataEditor on datasets user_analytics and "
        "user_analytics_staging (roles/bigquery.user on the project, for datasets that are to be created)"
    )


def test_a_missing_table_says_where_it_was_looked_for(warehouse: Warehouse) -> None:
    error = explained(warehouse, refusal(NotFound, "notFound", "Not found: Dataset shop-1:x was not found"))
    assert isinstance(error, TableMissing)
    assert str(error) == (
        "Not found: Dataset shop-1:x was not found (looked for in BIGQUERY_LOCATION US, GCP_PROJECT shop-1)"
    )


def test_the_limit_of_bytes_billed_is_named_by_its_setting(warehouse: Warehouse) -> None:
    limit = refusal(BadRequest, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1000")
    assert str(explained(warehouse, limit)) == (
        "Query exceeded limit for bytes billed: 1000: BIGQUERY_MAXIMUM_BYTES_BILLED is 1000"
    )


@pytest.mark.parametrize(
    "message",
    [
        "Transaction is aborted due to concurrent update against table shop-1:user_analytics.movie_review",
        "Query error: aborted due to concurrent update of shop-1.user_analytics.publications at [5:5]",
        "Could not serialize access to table shop-1:user_analytics.movie_review due to concurrent update",
    ],
)
def test_a_lost_race_is_told_from_other_failures(warehouse: Warehouse, message: str) -> None:
    assert isinstance(explained(warehouse, refusal(BadRequest, "invalidQuery", message)), ConcurrentUpdate)


def test_other_failures_are_one_line_of_what_the_server_said(warehouse: Warehouse) -> None:
    error = explained(warehouse, refusal(BadRequest, "invalidQuery", "Syntax error:\n\n  at [1:1]"))
    assert type(error) is WarehouseError
    assert str(error) == "BigQuery failed: Syntax error: at [1:1]"


def test_retries_that_ended_on_a_server_error_show_it(warehouse: Warehouse) -> None:
    error = explained(warehouse, RetryError("Timeout exceeded", cause=ServiceUnavailable("try later")))
    assert str(error) == "BigQuery failed: try later"


@pytest.mark.parametrize(
    "cause",
    [
        RetryError("Timeout exceeded", cause=requests.exceptions.ConnectionError("refused")),
        requests.exceptions.ConnectionError("refused"),
        TransportError("no route"),
        ConnectionResetError("reset"),
    ],
)
def test_a_server_that_does_not_answer_is_unreachable(warehouse: Warehouse, cause: Exception) -> None:
    error = explained(warehouse, cause)
    assert isinstance(error, Unreachable)
    assert str(error).startswith("BigQuery at 127.0.0.1:1 did not answer within 60 s")


@pytest.mark.parametrize("cause", [RefreshError("expired"), Unauthorized("401")])
def test_credentials_that_are_not_accepted_say_how_to_sign_in(warehouse: Warehouse, cause: Exception) -> None:
    assert "gcloud auth application-default login" in str(explained(warehouse, cause))


class RunningJob(BaseHTTPRequestHandler):
    """A server with a job that runs, and which breaks off when it is asked about the job again."""

    asked = False

    def do_GET(self) -> None:
        if RunningJob.asked:
            self.close_connection = True
            return
        RunningJob.asked = True
        job = {
            "jobReference": {"projectId": "shop-1", "jobId": "publish-1", "location": "US"},
            "configuration": {"query": {"query": "select 1"}},
            "status": {"state": "RUNNING"},
        }
        body = json.dumps(job).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_that_goes_away_while_a_job_is_waited_for_is_given_up_after_the_stated_time() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), RunningJob) as server:
        Thread(target=server.serve_forever).start()
        settings = configured(
            gcp_project="shop-1",
            bigquery_endpoint=f"http://127.0.0.1:{server.server_port}",
            bigquery_grpc_endpoint="127.0.0.1:1",
            connect_timeout_seconds=1,
        )
        began = time.monotonic()
        try:
            with (
                open_warehouse(settings) as warehouse,
                pytest.raises(Unreachable, match=r"BigQuery at 127.0.0.1:\d+ did not answer within 1 s"),
            ):
                warehouse.wait_for_job("publish-1")
        finally:
            server.shutdown()

    assert time.monotonic() - began < 15


def test_errors_of_the_project_pass_as_they_are(warehouse: Warehouse) -> None:
    assert str(explained(warehouse, PublishRefused("no"))) == "no"


def test_a_key_file_that_does_not_exist_is_named_with_its_setting(tmp_path: Path) -> None:
    key_file = tmp_path / "key.json"
    with pytest.raises(WarehouseError, match=f"GOOGLE_APPLICATION_CREDENTIALS, {key_file}, gives no usable"):
        open_warehouse(configured(gcp_project="shop-1", google_application_credentials=key_file))


@pytest.mark.parametrize(
    "content",
    [
        {
            "type": "authorized_user",
            "client_id": "shop.apps.googleusercontent.com",
            "client_secret": "s",
            "refresh_token": "r",
        },
        {
            "type": "external_account",
            "audience": "//iam.googleapis.com/locations/global/workforcePools/staff/providers/login",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": "/var/run/token"},
        },
    ],
    ids=lambda content: content["type"],
)
def test_credentials_other_than_a_service_account_s_key_are_taken(tmp_path: Path, content: dict[str, object]) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(content))
    warehouse = open_warehouse(configured(gcp_project="shop-1", google_application_credentials=file))
    assert warehouse.project == "shop-1"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "authorized_user"}', '{"type": "external_account"}'])
def test_a_file_without_credentials_is_named_with_its_setting(tmp_path: Path, content: str) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(content)
    with pytest.raises(WarehouseError, match=f"GOOGLE_APPLICATION_CREDENTIALS, {file}, gives no usable"):
        open_warehouse(configured(gcp_project="shop-1", google_application_credentials=file))


def test_a_key_file_that_is_no_key_is_not_shown(tmp_path: Path) -> None:
    key_file = tmp_path / "key.json"
    key_file.write_text('{"type": "service_account", "private_key": "hunter2"}')
    with pytest.raises(WarehouseError) as failure:
        open_warehouse(configured(gcp_project="shop-1", google_application_credentials=key_file))
    assert str(key_file) in str(failure.value)
    assert "hunter2" not in str(failure.value)


def test_a_warehouse_needs_a_project() -> None:
    with pytest.raises(SettingsError, match="GCP_PROJECT is not set"):
        open_warehouse(configured())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (7, "7"),
        (datetime(2010, 12, 8, 1, 0, tzinfo=timezone(timedelta(hours=2))), "timestamp '2010-12-07 23:00:00+00:00'"),
        (datetime(2010, 12, 8, 0, 0, 0, 1, tzinfo=UTC).date(), "date '2010-12-08'"),
        ("movie_review__20101208__00ff", "'movie_review__20101208__00ff'"),
    ],
)
def test_values_become_bigquery_literals(value: int | str | datetime | None, text: str) -> None:
    assert literal(value) == text


@pytest.mark.parametrize("text", ["it's", "a\\", "a b", "", "`a`", "a\n"])
def test_a_text_that_could_end_a_literal_never_gets_into_a_script(text: str) -> None:
    with pytest.raises(PublishRefused, match="nothing else goes into a publish script"):
        literal(text)
