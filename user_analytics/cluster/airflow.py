"""Airflow's REST API, where its page is. `python -m user_analytics.cluster.airflow` prints who may sign in, and how."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import httpx
from kubernetes.client import ApiException, CoreV1Api
from packaging.version import Version
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.cluster.pages import AIRFLOW, reached
from user_analytics.cluster.secrets import AIRFLOW_USER, SERVERS, read_secret
from user_analytics.errors import ClusterError, UserAnalyticsError

TIMEOUT_SECONDS = 30.0
# What is not answered, as while the server or its database is replaced, is asked for again for so long.
RETRY_SECONDS = 60.0
VERSION_SECONDS = 5.0


class AirflowApi:
    """The API at an address. Every call raises ClusterError with what Airflow says against it."""

    def __init__(self, client: httpx.Client, retry_seconds: float = RETRY_SECONDS) -> None:
        self._client, self._retry_seconds = client, retry_seconds

    def sign_in(self, user: str, password: str) -> None:
        """Do all that follows as this user."""
        answer = self._answer(self._again("POST", "/auth/token", json={"username": user, "password": password}))
        self._client.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        """What is at a path, as parsed JSON."""
        return self._answer(self._again("GET", path, params=parameters))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What comes of a request, as parsed JSON. It is not sent again: it may have been carried out."""
        return self._once("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """What comes of a change, as parsed JSON."""
        return self._once("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Delete what is at a path."""
        self._once("DELETE", path)

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        try:
            return self._answer(self._client.request(method, path, json=body))
        except httpx.TransportError as error:
            raise _unanswered(error) from error

    def _again(self, method: str, path: str, **request: Any) -> httpx.Response:
        until_answered = Retrying(
            retry=retry_if_exception_type(httpx.HTTPError),
            stop=stop_after_delay(self._retry_seconds),
            wait=wait_fixed(1),
            reraise=True,
        )
        try:
            return until_answered(self._try, method, path, request)
        except httpx.HTTPError as error:
            raise _unanswered(error) from error

    def _try(self, method: str, path: str, request: Mapping[str, Any]) -> httpx.Response:
        response = self._client.request(method, path, **request)
        if response.is_server_error:  # as without its database
            response.raise_for_status()
        return response

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        if response.is_error:
            raise ClusterError(f"Airflow refuses {response.request.url.path}: {_problem(response)}")
        return response.json() if response.content else None


def airflow_version() -> Version | None:
    """The version of the Airflow that the cluster runs; None when it does not tell."""
    try:
        with _client(VERSION_SECONDS) as client:
            answer = client.get("/api/v2/version").raise_for_status().json()
        return Version(answer["version"])
    except (ClusterError, httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


@contextmanager
def airflow_api(core: CoreV1Api, retry_seconds: float = RETRY_SECONDS) -> Iterator[AirflowApi]:
    """The API of the cluster's Airflow, as its administrator. Raises ClusterError when it is out of reach.

    What is read is asked for again for `retry_seconds`; no answer is waited for longer than that, or TIMEOUT_SECONDS.
    """
    with _client(min(TIMEOUT_SECONDS, retry_seconds)) as client:
        api = AirflowApi(client, retry_seconds)
        api.sign_in(AIRFLOW_USER, airflow_password(core))
        client.base_url = client.base_url.join("/api/v2/")
        yield api


def _client(timeout_seconds: float) -> httpx.Client:
    # It gets a password: no other program that listens there, and no proxy of the environment.
    return httpx.Client(base_url=reached(AIRFLOW), timeout=timeout_seconds, trust_env=False)


def airflow_password(core: CoreV1Api) -> str:
    """The password of Airflow's administrator. Raises ClusterError where there is none yet."""
    try:
        secret = read_secret(core, SERVERS, "airflow")
    except ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise ClusterError("Airflow is not there yet: `make cluster-up` installs it") from error
    passwords: dict[str, str] = json.loads(secret["passwords.json"])
    return passwords[AIRFLOW_USER]


def _unanswered(error: httpx.HTTPError) -> ClusterError:
    return ClusterError(f"Airflow does not answer: {error}\n`make cluster-status` tells what is not ready")


def _problem(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"


def _where() -> str:
    try:
        return f"For {reached(AIRFLOW)}:"
    except ClusterError as error:
        return str(error)


def main() -> int:
    """Print user and password, and where they are for; exit code 1 when the cluster is out of reach."""
    try:
        with connected() as client:
            password = airflow_password(CoreV1Api(client))
        say(_where())
        print(f"{AIRFLOW_USER} {password}")  # noqa: T201
    except UserAnalyticsError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
