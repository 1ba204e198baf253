"""What can be set in our charts: each value is explained, has an effect, and is refused by name when it is wrong."""

import functools
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.fixtures.helm import CHARTS, Helm

OUR_CHARTS = ["airflow", "bigquery-emulator", "minio", "postgres", "spark-history-server"]

# Maps and lists whose content is Kubernetes' or the server's own, and so are one value each.
WHOLE = {
    "config",
    "configuration",
    "databases",
    "imagePullSecrets",
    "nodeSelector",
    "parameters",
    "pools",
    "resources.limits",
    "resources.requests",
    "tolerations",
    "users",
}

QUANTITIES = {"cpu": "333m", "memory": "333Mi", "ephemeral-storage": "333Mi"}
# By the value's path or by the end of it: something else that it may be.
ANOTHER: dict[str, Any] = {
    "accessKeyKey": "another",
    "apiSecretKey": "another",
    "auth.users": "admin:viewer",
    "authorityKey": "another",
    "baseUrl": "https://airflow.example.com",
    "certificateKey": "another",
    "cleanUpSchedule": "0 4 * * *",
    "config": {"core": {"parallelism": 99}},
    "configuration": {"max_connections": 99},
    "connectionKey": "another",
    "credentialsSecret": "another",
    "databases": [],
    "directory": "s3a://another/events/",
    "enabled": True,
    "endpoint": "https://s3.example.com",
    "executionTimeoutSeconds": 99,
    "executor": "KubernetesExecutor",
    "existingSecret": "another",
    "fernetKey": "another",
    "folder": "/another",
    "gitSync.image": "registry.example.com/git-sync:1",
    "heap": "512m",
    "host": "statsd.example.com",
    "imagePullSecrets": [{"name": "another"}],
    "jwtSecretKey": "another",
    "keepDays": None,
    "key": "another",
    "logLevel": "debug",
    "logsConnectionKey": "another",
    "namespace": "another",
    "nodePort": 30999,
    "nodeSelector": {"disk": "ssd"},
    "parameters": {"jobs": {"image": "registry.example.com/ingest:1"}},
    "passwordKey": "another",
    "passwordsKey": "another",
    "pausedUponCreation": False,
    "periodSeconds": 99,
    "pools": [{"name": "spark", "slots": 9}],
    "port": 9999,
    "prefix": "another",
    "privateKeyKey": "another",
    "pullPolicy": "Never",
    "ref": "another",
    "region": "eu-central-1",
    "remoteFolder": "s3://another/logs",
    "repo": "https://example.com/another.git",
    "reportAddress": "https://example.com/{ds}",
    "repository": "registry.example.com/another",
    "resources.limits": QUANTITIES,
    "resources.requests": QUANTITIES,
    "retries": 9,
    "retryDelaySeconds": 99,
    "schedule": "0 1 * * *",
    "secretKeyKey": "another",
    "size": "99Gi",
    "startupTimeoutSeconds": 99,
    "storageClass": "another",
    "subPath": "another",
    "tag": "another",
    "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
    "users": [],
    "updateSeconds": 99,
    "userKey": "another",
}

# Values that have an effect only together with others, by the beginning of their path.
TOGETHER_WITH: dict[str, dict[str, Any]] = {
    "dags.alert.key": {"dags": {"alert": {"existingSecret": "alert"}}},
    "dags.gitSync": {"dags": {"gitSync": {"repo": "https://example.com/dags.git"}}},
    "statsd": {"statsd": {"host": "statsd"}},
    "triggerer.resources": {"triggerer": {"enabled": True}},
    "workers": {"executor": "KubernetesExecutor"},
}


def defaults(chart: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.load((CHARTS / chart / "values.yaml").read_text(), yaml.CSafeLoader)
    return values


def paths(values: dict[str, Any], above: str = "") -> Iterator[str]:
    """The path of every value, like image.tag."""
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and not any(f".{path}".endswith(f".{whole}") for whole in WHOLE):
            yield from paths(value, f"{path}.")
        else:
            yield path


def nested(path: str, value: object) -> dict[str, Any]:
    """Values with just this one set."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return value


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for name, value in other.items():
        both[name] = merged(both[name], value) if name in both and isinstance(value, dict) else value
    return both


def another(chart: str, path: str) -> Any:
    """Something else that a value may be; a text that may be any is one that no other value of the chart is."""
    steps = path.split(".")
    value = next(ANOTHER[end] for end in (".".join(steps[start:]) for start in range(len(steps))) if end in ANOTHER)
    number = list(paths(defaults(chart))).index(path)
    return yaml.safe_load(json.dumps(value).replace("another", f"another{number}").replace("333", f"{300 + number}"))


def marks(value: Any) -> set[str]:
    """By what a value would be known in a text."""
    if isinstance(value, dict | list):
        return {mark for each in (value.values() if isinstance(value, dict) else value) for mark in marks(each)}
    return {str(value)} if len(str(value)) > 2 and not isinstance(value, bool) else set()


def is_in(text: str, mark: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(mark)}(?!\w)", text))


def traced(helm: Helm, chart: str) -> set[str]:
    """The values that have left a trace where all are set at once: what is there by none of the others."""
    values = {path: another(chart, path) for path in paths(defaults(chart))}
    with_all = json.dumps(helm.template(chart, functools.reduce(merged, itertools.starmap(nested, values.items()))))
    without = json.dumps(helm.template(chart))

    def has_left(path: str, mark: str) -> bool:
        others = json.dumps([value for other, value in values.items() if other != path])
        return is_in(with_all, mark) and not is_in(without, mark) and not is_in(others, mark)

    return {path for path, value in values.items() if any(has_left(path, mark) for mark in marks(value))}


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_every_value_changes_what_is_rendered(helm: Helm, chart: str) -> None:
    for path in set(paths(defaults(chart))) - traced(helm, chart):
        others: dict[str, Any] = next((v for start, v in TOGETHER_WITH.items() if path.startswith(start)), {})
        changed = merged(others, nested(path, another(chart, path)))
        assert helm.template(chart, changed) != helm.template(chart, others), path


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_every_value_is_explained_above_it_or_above_its_group(chart: str) -> None:
    explained, above = set(), ""
    group: list[str] = []
    for line in (CHARTS / chart / "values.yaml").read_text().splitlines():
        entry = re.match(r"( *)(\w+):", line)
        if entry:
            group = [*group[: len(entry[1]) // 2], entry[2]]
            if above.lstrip().startswith("# -- "):
                explained.add(".".join(group))
        if not (line.lstrip().startswith("# ") and above.lstrip().startswith("# -- ")):
            above = line  # else the comment goes on

    for path in paths(defaults(chart)):
        assert {path, path.rpartition(".")[0]} & explained, path


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_a_value_of_the_wrong_kind_is_refused_by_its_name(helm: Helm, chart: str) -> None:
    wrong: dict[str, Any] = {}
    for path in paths(defaults(chart)):
        wrong = merged(wrong, nested(path, ["wrong", 1]))

    message = helm.refusal(chart, wrong)

    for path in paths(defaults(chart)):
        assert f"'/{path.replace('.', '/')}" in message, path


@pytest.mark.parametrize("chart", OUR_CHARTS)
def test_a_value_that_does_not_exist_is_refused_by_its_name(helm: Helm, chart: str) -> None:
    groups = {path.rpartition(".")[0] for path in paths(defaults(chart))}
    wrong: dict[str, Any] = {"unknown": 1}
    for group in groups - {""}:
        wrong = merged(wrong, nested(f"{group}.unknown", 1))

    message = helm.refusal(chart, wrong)

    for group in groups:
        where = f"/{group.replace('.', '/')}" if group else ""
        assert f"at '{where}': additional properties 'unknown' not allowed" in message


USER = {"existingSecret": "lake-credentials", "userKey": "access-key", "passwordKey": "secret-key"}
DATABASE = {"name": "airflow", "user": "airflow", "existingSecret": "airflow", "key": "password"}


@pytest.mark.parametrize(
    ("chart", "values", "place"),
    [
        ("airflow", {"apiServer": {"baseUrl": "airflow.example.com"}}, "/apiServer/baseUrl"),
        ("airflow", {"auth": {"users": "admin:boss"}}, "/auth/users"),
        ("airflow", {"config": {"core": {"parallelism": [1]}}}, "/config/core/parallelism"),
        ("airflow", {"dags": {"gitSync": {"periodSeconds": 0}}}, "/dags/gitSync/periodSeconds"),
        ("airflow", {"dags": {"gitSync": {"subPath": "/dags"}}}, "/dags/gitSync/subPath"),
        ("airflow", {"dags": {"reportAddress": "s3://bucket"}}, "/dags/reportAddress"),
        ("airflow", {"dags": {"startupTimeoutSeconds": 0}}, "/dags/startupTimeoutSeconds"),
        ("airflow", {"executor": "CeleryExecutor"}, "/executor"),
        ("airflow", {"logs": {"remoteFolder": "/var/log"}}, "/logs/remoteFolder"),
        ("airflow", {"pools": [{"name": "spark", "slots": -1}]}, "/pools/0/slots"),
        ("airflow", {"statsd": {"host": "statsd", "port": 0}}, "/statsd/port"),
        ("minio", {"auth": {"existingSecret": ""}}, "/auth/existingSecret"),
        ("minio", {"console": {"nodePort": 9001}}, "/console/nodePort"),
        ("minio", {"image": {"pullPolicy": "ifnotpresent"}}, "/image/pullPolicy"),
        ("minio", {"persistence": {"size": "20GB"}}, "/persistence/size"),
        ("minio", {"resources": {"requests": {"cpu": "lots"}}}, "/resources/requests/cpu"),
        ("minio", {"resources": {"limits": {"memory": "2000"}}}, "/resources/limits/memory"),
        ("minio", {"users": [{**USER, "buckets": []}]}, "/users/0/buckets"),
        ("minio", {"users": [{**USER, "buckets": ["*"]}]}, "/users/0/buckets/0"),
        ("minio", {"tolerations": [{"effect": "NoRun"}]}, "/tolerations/0/effect"),
        ("postgres", {"configuration": {"listen_addresses": "localhost"}}, "/configuration/listen_addresses"),
        ("postgres", {"databases": [{**DATABASE, "name": 'airflow"; drop'}]}, "/databases/0/name"),
        ("postgres", {"databases": [{**DATABASE, "user": "postgres"}]}, "/databases/0/user"),
        ("postgres", {"databases": [{**DATABASE, "readers": [{"user": "pg_monitor"}]}]}, "/databases/0/readers/0/user"),
        ("bigquery-emulator", {"logLevel": "verbose"}, "/logLevel"),
        ("bigquery-emulator", {"tls": {"existingSecret": ""}}, "/tls/existingSecret"),
        ("spark-history-server", {"events": {"directory": "s3://bucket/spark-events/"}}, "/events/directory"),
        ("spark-history-server", {"events": {"endpoint": "minio:9000"}}, "/events/endpoint"),
        ("spark-history-server", {"events": {"keepDays": 0}}, "/events/keepDays"),
        ("spark-history-server", {"heap": "768Mi"}, "/heap"),
        ("spark-history-server", {"nodePort": 18080}, "/nodePort"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, chart: str, values: dict[str, object], place: str) -> None:
    assert f"at '{place}': " in helm.refusal(chart, values)
