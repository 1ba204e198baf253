"""The cluster's passwords and certificates: made once, kept in Kubernetes Secrets and nowhere else."""

import base64
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kubernetes.client import ApiException, CoreV1Api, V1ObjectMeta, V1Secret

from user_analytics.cluster.release_records import newest_revision
from user_analytics.cluster.volumes import bound_claims, claim_of
from user_analytics.cluster.workspace import workspace
from user_analytics.emulator.tls import ensure_tls
from user_analytics.errors import ClusterError

SERVERS, JOBS = "user-analytics", "user-analytics-jobs"
PASSWORD_BYTES = 24
JWT_BYTES = 64  # as long as the hash that signs
AIRFLOW_USER = "admin"
EMULATOR_NAMES = (
    "bigquery-emulator",
    f"bigquery-emulator.{SERVERS}",
    f"bigquery-emulator.{SERVERS}.svc",
    f"bigquery-emulator.{SERVERS}.svc.cluster.local",
    "localhost",
    "127.0.0.1",
)


# Of the servers' Secrets, by name.
Contents = Mapping[str, Mapping[str, bytes]]


class Wanted(NamedTuple):
    """A Secret that has to be there, and what makes its content from that of the servers' Secrets before it.

    The data of the server `kept_by` is of no use with another one, when there is such a server, and the release that
    reads it, if that is another one, was ever installed.
    """

    namespace: str
    name: str
    make: Callable[[Contents], Mapping[str, bytes]]
    kept_by: str = ""
    release: str = ""


def wanted() -> list[Wanted]:
    """All Secrets of the cluster, each after those it is made from."""
    return [
        Wanted(SERVERS, "minio", lambda _: {"root-user": b"minio", "root-password": password()}),
        Wanted(SERVERS, "postgres", lambda _: {name: password() for name in POSTGRES_PASSWORDS}, "postgres"),
        Wanted(SERVERS, "bigquery-emulator-tls", lambda _: _certificates()),
        # a user of MinIO's that may use the pipeline's bucket alone: charts/minio makes it
        Wanted(
            SERVERS,
            "lake-credentials",
            lambda _: {"access-key": b"user-analytics", "secret-key": password()},
            "minio",
        ),
        Wanted(JOBS, "lake-credentials", lambda made: made["lake-credentials"]),
        Wanted(SERVERS, "airflow-database", lambda _: {"password": password()}, "postgres", "airflow"),
        # its Fernet key is that of what Airflow's database holds encrypted
        Wanted(SERVERS, "airflow", _airflow, "postgres", "airflow"),
        Wanted(
            JOBS, "source-credentials", lambda made: {"password": _value(made, "postgres", "user-analytics-password")}
        ),
        Wanted(
            JOBS,
            "bigquery-emulator-truststore",
            lambda made: {name: _value(made, "bigquery-emulator-tls", name) for name in ("ca.crt", "truststore.p12")},
        ),
    ]


POSTGRES_PASSWORDS = ("postgres-password", "retail-password", "user-analytics-password")


def password() -> bytes:
    """A new one, of characters that need no quoting anywhere."""
    return secrets.token_urlsafe(PASSWORD_BYTES).encode()


def ensure_secrets(core: CoreV1Api) -> list[str]:
    """Make the Secrets that are missing, and keep those that are there as they are; the names of the new ones.

    Raises ClusterError, and makes none, when the data of a server is of no use with a new one. Raises ClusterError
    naming one that lacks what another is to be made from. Charts say what they lack themselves.
    """
    found = [(secret, _read(core, secret)) for secret in wanted()]
    _refuse_to_replace(core, [secret for secret, there in found if there is None])
    content: dict[str, Mapping[str, bytes]] = {}
    made = []
    for secret, there in found:
        value = there
        if value is None:
            value = secret.make(content)
            _create(core, secret, value)
            made.append(f"{secret.namespace}/{secret.name}")
        if secret.namespace == SERVERS:
            content[secret.name] = value
    return made


def _refuse_to_replace(core: CoreV1Api, missing: Sequence[Wanted]) -> None:
    """What has data was installed with its Secrets there: one that is missing was lost since."""
    bound = bound_claims(core, SERVERS) if missing else set()
    lost = [
        secret
        for secret in missing
        if claim_of(secret.kept_by) in bound and (not secret.release or newest_revision(core, SERVERS, secret.release))
    ]
    if lost:
        servers = dict.fromkeys(secret.kept_by for secret in lost)
        raise ClusterError(
            f"Secret {', '.join(f'{secret.namespace}/{secret.name}' for secret in lost)} is lost, and a new one does "
            f"not fit the data of {' and '.join(servers)}. Give it back with kubectl if there is a copy. Else keep the "
            "data with `make backup TO=folder`, make a new cluster with `make cluster-down` and `make cluster-up`, and "
            "`make restore FROM=folder` gives that data the new passwords"
        )


def _value(made: Contents, secret: str, key: str) -> bytes:
    if key not in made[secret]:
        raise ClusterError(
            f"Secret {SERVERS}/{secret} lacks the key {key}, which another Secret is to be made from: add it, with "
            "what the server has"
        )
    return made[secret][key]


def _airflow(made: Contents) -> Mapping[str, bytes]:
    database = _value(made, "airflow-database", "password").decode()
    logs = {
        "conn_type": "aws",
        "login": _value(made, "lake-credentials", "access-key").decode(),
        "password": _value(made, "lake-credentials", "secret-key").decode(),
        "extra": {"endpoint_url": "http://minio:9000", "region_name": "us-east-1"},
    }
    return {
        "connection": f"postgresql+psycopg2://airflow:{database}@postgres:5432/airflow".encode(),
        "fernet-key": base64.urlsafe_b64encode(secrets.token_bytes(32)),
        "api-secret-key": password(),
        "jwt-secret": secrets.token_urlsafe(JWT_BYTES).encode(),
        "passwords.json": json.dumps({AIRFLOW_USER: password().decode()}).encode(),
        "minio-conn": json.dumps(logs).encode(),
    }


def _certificates() -> Mapping[str, bytes]:
    with workspace() as directory:
        files = ensure_tls(directory, EMULATOR_NAMES)
        return {
            "tls.crt": files.certificate.read_bytes(),
            "tls.key": files.key.read_bytes(),
            "ca.crt": files.ca.read_bytes(),
            "truststore.p12": files.truststore.read_bytes(),
        }


def read_secret(core: CoreV1Api, namespace: str, name: str) -> dict[str, bytes]:
    """The content of a Secret by key. Raises ApiException, as for one that is not there."""
    found = core.read_namespaced_secret(name, namespace)
    return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}


def _read(core: CoreV1Api, secret: Wanted) -> Mapping[str, bytes] | None:
    try:
        return read_secret(core, secret.namespace, secret.name)
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def _create(core: CoreV1Api, secret: Wanted, content: Mapping[str, bytes]) -> None:
    metadata = V1ObjectMeta(name=secret.name, labels={"app.kubernetes.io/part-of": "user-analytics"})
    data: dict[str, bytes | str] = {name: base64.b64encode(value).decode() for name, value in content.items()}
    core.create_namespaced_secret(secret.namespace, V1Secret(metadata=metadata, data=data, type="Opaque"))
