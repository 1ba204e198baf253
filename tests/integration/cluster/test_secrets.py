"""The Secrets of the cluster on a real API server: made once, and kept as they are."""

import base64
import gzip
import json
from collections.abc import Callable, Iterator

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


@pytest.fixture
def claims(core: CoreV1Api, kubernetes_controllers: KubernetesApi) -> Iterator[Callable[..., None]]:
    """Makes the claims of servers, as they are once a volume was given to each, or before."""

    def make(*servers: str, bound: bool = True) -> None:
        volume = {"volumeName": "one-of-the-node"} if bound else {}
        size = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        for server in servers:
            body = {"metadata": {"name": f"data-{server}-0"}, "spec": {**size, **volume}}
            core.create_namespaced_persistent_volume_claim(SERVERS, body)  # type: ignore[arg-type]

    yield make
    kubernetes_controllers.kubectl("delete", "persistentvolumeclaim", "--all", "--namespace", SERVERS)


def record_airflow(core: CoreV1Api) -> None:
    """Record that Airflow's chart was installed, as Helm does."""
    packed = base64.b64encode(gzip.compress(json.dumps({"manifest": ""}).encode()))
    labels = {"owner": "helm", "name": "airflow", "version": "1", "status": "deployed"}
    body = {
        "metadata": {"name": "sh.helm.release.v1.airflow.v1", "labels": labels},
        "data": {"release": base64.b64encode(packed).decode()},
    }
    core.create_namespaced_secret(SERVERS, body)  # type: ignore[arg-type]


def test_one_of_airflow_that_was_never_installed_is_made_for_a_postgres_that_is_there(
    core: CoreV1Api, claims: Callable[..., None]
) -> None:
    ensure_secrets(core)
    claims("postgres")
    core.delete_namespaced_secret("airflow", SERVERS)

    assert ensure_secrets(core) == [f"{SERVERS}/airflow"]


@pytest.mark.parametrize(
    ("secret", "server"),
    [
        ("postgres", "postgres"),
        ("lake-credentials", "minio"),
        ("airflow-database", "postgres"),
        ("airflow", "postgres"),
    ],
)
def test_one_that_is_lost_is_not_made_anew_for_a_server_whose_data_it_belongs_to(
    core: CoreV1Api, claims: Callable[..., None], secret: str, server: str
) -> None:
    ensure_secrets(core)
    claims(server)
    record_airflow(core)
    before = secret_names(core)
    core.delete_namespaced_secret(secret, SERVERS)
    core.delete_namespaced_secret("minio", SERVERS)

    lost = f"^Secret {SERVERS}/{secret} is lost, and a new one does not fit the data of {server}. .*make backup TO="
    with pytest.raises(ClusterError, match=lost):
        ensure_secrets(core)
    assert secret_names(core) == before - {f"{SERVERS}/{secret}", f"{SERVERS}/minio"}


def test_all_that_are_lost_are_named_at_once(core: CoreV1Api, claims: Callable[..., None]) -> None:
    claims("minio", "postgres", "bigquery-emulator")
    record_airflow(core)

    names = ", ".join(f"{SERVERS}/{name}" for name in ("postgres", "lake-credentials", "airflow-database", "airflow"))
    with pytest.raises(ClusterError, match=f"^Secret {names} is lost, .* the data of postgres and minio. "):
        ensure_secrets(core)


def test_what_the_jobs_have_of_them_is_made_again_whatever_volumes_there_are(
    core: CoreV1Api, claims: Callable[..., None]
) -> None:
    ensure_secrets(core)
    before = content(core)
    claims("minio", "postgres", "bigquery-emulator")
    core.delete_collection_namespaced_secret(JOBS)

    assert ensure_secrets(core) == [each for each in before if each.startswith(f"{JOBS}/")]
    assert content(core) == before


def test_one_that_is_missing_while_no_server_has_a_volume_yet_is_made(
    core: CoreV1Api, claims: Callable[..., None]
) -> None:
    ensure_secrets(core)
    claims("minio", "postgres", "bigquery-emulator", bound=False)
    core.delete_namespaced_secret("airflow", SERVERS)

    assert ensure_secrets(core) == [f"{SERVERS}/airflow"]


def secret_names(core: CoreV1Api) -> set[str]:
    found = core.list_secret_for_all_namespaces().items
    return {f"{each.metadata.namespace}/{each.metadata.name}" for each in found if each.metadata}


def lose_key(core: CoreV1Api, secret: str, key: str) -> None:
    core.patch_namespaced_secret(secret, SERVERS, {"data": {key: None}})
