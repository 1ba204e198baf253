"""The Secrets of the cluster on a real API server: made once, and kept as they are."""

from collections.abc import Iterator

import pytest
from kubernetes.client import CoreV1Api

from tests.fixtures.kubernetes_api import KubernetesApi
from user_analytics.cluster.secrets import JOBS, POSTGRES_PASSWORDS, SERVERS, ensure_secrets, read_secret, wanted
from user_analytics.errors import ClusterError

Content = dict[str, dict[str, bytes]]


@pytest.fixture
def core(kubernetes_api: KubernetesApi) -> Iterator[CoreV1Api]:
    """The namespaces of the servers and of the jobs, without a Secret."""
    kubernetes_api.make_namespaces(SERVERS, JOBS)
    core = CoreV1Api(kubernetes_api.client())
    for namespace in (SERVERS, JOBS):
        core.delete_collection_namespaced_secret(namespace)
    yield core
    for namespace in (SERVERS, JOBS):
        core.delete_collection_namespaced_secret(namespace)


def content(core: CoreV1Api) -> Content:
    """Of every Secret that is wanted, as the cluster has it."""
    return {f"{each.namespace}/{each.name}": read_secret(core, each.namespace, each.name) for each in wanted()}


def test_all_are_made_and_named(core: CoreV1Api) -> None:
    made = ensure_secrets(core)

    assert made == list(content(core))
    assert all(value for secret in content(core).values() for value in secret.values())


def test_a_second_time_none_is_made_and_all_stay_as_they_are(core: CoreV1Api) -> None:
    ensure_secrets(core)
    before = content(core)

    assert ensure_secrets(core) == []
    assert content(core) == before


def test_the_jobs_have_the_same_passwords_as_the_servers(core: CoreV1Api) -> None:
    ensure_secrets(core)
    found = content(core)

    assert found[f"{JOBS}/lake-credentials"] == found[f"{SERVERS}/lake-credentials"]
    postgres = found[f"{SERVERS}/postgres"]
    assert found[f"{JOBS}/source-credentials"] == {"password": postgres["user-analytics-password"]}
    truststore = found[f"{JOBS}/bigquery-emulator-truststore"]
    assert set(truststore) == {"ca.crt", "truststore.p12"}
    assert truststore.items() <= found[f"{SERVERS}/bigquery-emulator-tls"].items()


def test_every_password_is_another(core: CoreV1Api) -> None:
    ensure_secrets(core)

    passwords = [read_secret(core, SERVERS, "postgres")[name] for name in POSTGRES_PASSWORDS]
    passwords += [read_secret(core, SERVERS, "minio")["root-password"]]
    passwords += [read_secret(core, SERVERS, "lake-credentials")["secret-key"]]
    assert len(set(passwords)) == len(passwords)


def test_one_that_is_lost_is_made_anew_of_those_that_are_there(core: CoreV1Api) -> None:
    ensure_secrets(core)
    before = content(core)
    core.delete_namespaced_secret("source-credentials", JOBS)

    assert ensure_secrets(core) == [f"{JOBS}/source-credentials"]
    assert content(core) == before


def test_one_that_lacks_a_key_stays_as_it_is(core: CoreV1Api) -> None:
    ensure_secrets(core)
    lose_key(core, "postgres", "retail-password")
    before = content(core)

    assert ensure_secrets(core) == []
    assert content(core) == before


@pytest.mark.parametrize(
    ("secret", "key", "lost"),
    [
        ("postgres", "user-analytics-password", (JOBS, "source-credentials")),
        ("lake-credentials", "access-key", (SERVERS, "airflow")),
        ("airflow-database", "password", (SERVERS, "airflow")),
        ("bigquery-emulator-tls", "ca.crt", (JOBS, "bigquery-emulator-truststore")),
    ],
)
def test_one_that_lacks_the_key_that_another_is_made_from_is_named(
    core: CoreV1Api, secret: str, key: str, lost: tuple[str, str]
) -> None:
    ensure_secrets(core)
    lose_key(core, secret, key)
    namespace, name = lost
    core.delete_namespaced_secret(name, namespace)

    with pytest.raises(ClusterError, match=f"Secret user-analytics/{secret} lacks the key {key}, "):
        ensure_secrets(core)


def lose_key(core: CoreV1Api, secret: str, key: str) -> None:
    core.patch_namespaced_secret(secret, SERVERS, {"data": {key: None}})
