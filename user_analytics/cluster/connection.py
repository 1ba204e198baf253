"""The cluster's API, with what goes wrong in words for a person."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes.client import ApiClient, ApiException
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from user_analytics.cluster import kind
from user_analytics.errors import ClusterError


@contextmanager
def connected() -> Iterator[ApiClient]:
    """The API of the running cluster. Raises ClusterError when there is none, or when it does not answer or refuses."""
    with in_words(), kind.connect() as client:
        yield client


@contextmanager
def in_words() -> Iterator[None]:
    """Raises ClusterError when the cluster's API does not answer inside, or refuses."""
    try:
        yield
    except ApiException as error:
        raise ClusterError(f"the cluster refuses: {message(error)}") from error
    except ConfigException as error:
        raise ClusterError(
            f"the kubeconfig does not have the cluster, which gets there when its node is ready: {error}"
        ) from error
    except HTTPError as error:
        raise ClusterError(f"the cluster does not answer: {error}") from error


def message(error: Exception) -> str:
    """What an error of the client says, in the cluster's own words where it gave some."""
    if not isinstance(error, ApiException):
        return str(error)
    # a refused websocket has no body, and its answer at the end of the reason
    body = error.body or str(error.reason).rpartition("-+-+- ")[2]
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)
