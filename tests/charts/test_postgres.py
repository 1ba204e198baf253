"""The chart of Postgres, and on real servers the SQL with which it makes databases and users."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.fixtures.helm import Helm, at
from tests.fixtures.postgres import DEBIAN_BINARIES
from user_analytics.embedded.postgres import HOST, USER, PostgresServer, embedded_binaries

POD = "spec.template.spec"
PASSWORD = 'it\'s \\ "quoted" $1; select'


class Databases:
    """Runs the chart's SQL as its Job does, with names that no other test uses."""

    def __init__(self, helm: Helm, server: PostgresServer, binaries: Path, directory: Path) -> None:
        self._helm, self._server, self._psql, self._directory = helm, server, binaries / "psql", directory
        self.name, self.owner, self.reader = (f"{kind}_{uuid.uuid4().hex}" for kind in ("db", "owner", "reader"))

    def make(
        self, *, readers: tuple[str, ...] = (), password: str = PASSWORD, options: str = ""
    ) -> subprocess.CompletedProcess[str]:
        secret = {"existingSecret": "postgres", "key": "password"}
        database = {"name": self.name, "user": self.owner, **secret}
        values = {"databases": [{**database, "readers": [{"user": reader, **secret} for reader in readers]}]}
        objects = self._helm.template("postgres", values)
        file = self._directory / "databases.sql"
        file.write_text(objects.one("ConfigMap", "postgres-databases")["data"]["databases.sql"])
        job = at(objects.one("Job", "postgres-databases"), f"{POD}.containers.0")
        given = [variable["name"] for variable in job["env"] if variable["name"].startswith("PASSWORD_")]
        here = {"psql": str(self._psql), "--file=/databases/databases.sql": f"--file={file}"}
        server = {
            "PGHOST": HOST,
            "PGPORT": str(self._server.port),
            "PGUSER": USER,
            "PGDATABASE": "postgres",
            "PGOPTIONS": options,
        }
        return subprocess.run(
            [here.get(word, word) for word in job["command"]],
            env={**os.environ, **server, "PGPASSWORD": self._server.password, **dict.fromkeys(given, password)},
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, user: str, statement: str, password: str = PASSWORD) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(
            host=HOST, port=self._server.port, dbname=self.name, user=user, password=password, sslmode="disable"
        )
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def server_log(self) -> str:
        assert self._server._program is not None
        return self._server._program.log_tail()

    def administer(self, *statements: str) -> None:
        connection: psycopg2.extensions.connection = self._server.connect("postgres")
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def remove(self) -> None:
        self.administer(
            f"drop database if exists {self.name} with (force)",
            f"drop role if exists {self.reader}",
            f"drop role if exists {self.owner}",
        )


@pytest.fixture(params=["postgres_18", "postgres_15"])
def databases(request: pytest.FixtureRequest, helm: Helm, tmp_path: Path) -> Iterator[Databases]:
    """The chart's SQL, run by each version's own psql."""
    server: PostgresServer = request.getfixturevalue(request.param)
    binaries = embedded_binaries() if request.param == "postgres_18" else DEBIAN_BINARIES
    made = Databases(helm, server, binaries, tmp_path)
    yield made
    made.remove()


def test_the_owner_makes_tables_and_a_reader_only_reads_them(databases: Databases) -> None:
    done = databases.make(readers=(databases.reader,))
    assert done.returncode == 0, done.stderr

    databases.run(databases.owner, "create schema retail; create table retail.t as select 1 as v")

    assert databases.run(databases.reader, "select v from retail.t") == [(1,)]
    for statement in (
        "insert into retail.t values (2)",
        "create table public.u (v int)",
        "create temporary table u ()",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            databases.run(databases.reader, statement)


def test_nobody_else_connects(databases: Databases) -> None:
    databases.make()
    databases.administer(f"create role {databases.reader} login password 'a reader of another database'")

    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        databases.run(databases.reader, "select 1", password="a reader of another database")


def test_a_second_run_keeps_the_data_and_takes_the_new_password(databases: Databases) -> None:
    databases.make()
    databases.run(databases.owner, "create table kept as select 1 as v")

    done = databases.make(password="another")

    assert done.returncode == 0, done.stderr
    assert databases.run(databases.owner, "select v from kept", password="another") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        databases.run(databases.owner, "select v from kept")


def test_a_reader_that_comes_later_reads_what_was_there(databases: Databases) -> None:
    databases.make()
    databases.run(databases.owner, "create schema retail; create table retail.t as select 1 as v")

    databases.make(readers=(databases.reader,))

    assert databases.run(databases.reader, "select v from retail.t") == [(1,)]


def test_a_statement_that_fails_fails_the_job_and_puts_no_password_into_the_server_s_log(databases: Databases) -> None:
    databases.make()

    done = databases.make(options="-c default_transaction_read_only=on")

    assert done.returncode != 0
    assert "cannot execute ALTER ROLE in a read-only transaction" in done.stderr
    log = databases.server_log()
    assert "cannot execute ALTER ROLE in a read-only transaction" in log
    assert "quoted" not in log


def test_the_password_of_the_superuser_comes_from_the_secret_that_is_named(helm: Helm) -> None:
    objects = helm.template("postgres", {"auth": {"existingSecret": "mine", "key": "root"}})

    server = at(objects.one("StatefulSet", "postgres"), f"{POD}.volumes.name=password.secret")
    assert server["secretName"] == "mine"
    assert server["items"] == [{"key": "root", "path": "password"}]
    job = at(objects.one("Job", "postgres-databases"), f"{POD}.containers.0.env")
    assert at(job, "name=PGPASSWORD.valueFrom.secretKeyRef") == {"name": "mine", "key": "root"}


def test_each_user_is_tested_with_its_own_password(helm: Helm) -> None:
    test = helm.template("postgres").one("Pod", "postgres-test")

    users = [
        (at(c, "env.name=PGUSER.value"), at(c, "env.name=PGPASSWORD.valueFrom.secretKeyRef.key"))
        for c in test["spec"]["containers"]
    ]
    assert users == [
        ("retail", "retail-password"),
        ("user_analytics", "user-analytics-password"),
        ("airflow", "password"),
    ]


def test_without_databases_there_is_only_the_server(helm: Helm) -> None:
    assert {item["kind"] for item in helm.template("postgres", {"databases": []})} == {
        "ConfigMap",
        "Service",
        "ServiceAccount",
        "StatefulSet",
    }


def test_settings_go_to_the_server_s_file_and_start_it_anew(helm: Helm) -> None:
    settings = {"max_connections": 7, "work_mem": "8MB", "jit": False, "seq_page_cost": 0.5, "log_line_prefix": "it's "}
    objects = helm.template("postgres", {"configuration": settings})

    file = objects.one("ConfigMap", "postgres")["data"]["postgresql.conf"]
    for line in ("max_connections = 7", "work_mem = '8MB'", "jit = false", "seq_page_cost = 0.5"):
        assert line in file.splitlines()
    assert "log_line_prefix = 'it''s '" in file
    annotations = "spec.template.metadata.annotations"
    before = at(helm.template("postgres").one("StatefulSet", "postgres"), annotations)
    assert at(objects.one("StatefulSet", "postgres"), annotations) != before


def test_every_connection_needs_a_password_but_that_of_the_servers_own_user(helm: Helm) -> None:
    lines = helm.template("postgres").one("ConfigMap", "postgres")["data"]["pg_hba.conf"].splitlines()
    rules = [line.split() for line in lines if not line.startswith("#")]

    assert rules.pop(0) == ["local", "all", "postgres", "peer"]
    assert {rule[-1] for rule in rules} == {"scram-sha-256"}
