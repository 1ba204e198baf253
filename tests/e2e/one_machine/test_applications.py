"""The applications as `spark-submit` runs them on one machine."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.emulator import Emulator
from tests.fixtures.spark import DS, purchase, write_raw
from user_analytics.errors import ManifestMissing
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import Table, read_staging_manifest
from user_analytics.settings import Settings
from user_analytics.spark.submit import Submission, Truststore, spark_submit_command
from user_analytics.warehouse.client import Warehouse

SECONDS = 240


class Applications:
    """Runs applications with settings of the test's own, in a folder with a space in its name."""

    def __init__(self, settings: Settings, emulator: Emulator) -> None:
        self.settings = settings
        self._truststore = Truststore(emulator.truststore, emulator.truststore_password)

    def submission(self, table: Table, ds: date, **options: Any) -> Submission:
        return spark_submit_command(self.settings, table, ds, truststore=self._truststore, **options)

    def run(self, table: Table, ds: date = DS, **options: Any) -> subprocess.CompletedProcess[str]:
        command, environment = self.submission(table, ds, **options)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.fixture
def applications(warehouse_settings: Settings, emulator: Emulator, store: LocalStore, tmp_path: Path) -> Applications:
    own = {"lake_url": store.url, "run_dir": tmp_path / "run dir"}
    return Applications(warehouse_settings.model_copy(update=own), emulator)


def reason(finished: subprocess.CompletedProcess[str]) -> str:
    """The one line in which an application says why it failed."""
    events = [json.loads(line) for line in finished.stdout.splitlines() if line.startswith("{")]
    [failure] = [event for event in events if event["event"] == "application_failed"]
    return str(failure["reason"])


def invoice_numbers(warehouse: Warehouse, store: LocalStore) -> list[str]:
    table = read_staging_manifest(store, "user_purchase", DS).manifest.staging_table
    query = f"select invoice_number from `{warehouse.staging_table_id(table)}` order by 1"
    return [number for (number,) in warehouse.rows(query).rows]


def test_purchases_whose_application_is_killed_while_it_writes_are_staged_whole_by_the_next(
    applications: Applications, warehouse: Warehouse, store: LocalStore, emulator: Emulator
) -> None:
    numbers = write_many_purchases(store)
    command, environment = applications.submission("user_purchase", DS)
    killed = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    while not writes_to(psutil.Process(killed.pid), emulator.grpc_port):
        assert killed.poll() is None
        time.sleep(0.05)
    workers = descendants(killed)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    with pytest.raises(ManifestMissing):
        read_staging_manifest(store, "user_purchase", DS)

    left = applications.settings.run_dir / "spark"
    shutil.rmtree(left)
    left.mkdir()
    finished = applications.run("user_purchase")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert invoice_numbers(warehouse, store) == numbers
    assert list(left.iterdir()) == []


def test_purchases_are_staged_once_each_when_an_executor_dies_while_it_writes(
    applications: Applications, warehouse: Warehouse, store: LocalStore, emulator: Emulator
) -> None:
    numbers = write_many_purchases(store)
    command, environment = applications.submission("user_purchase", DS)
    on_two_executors = {
        "spark.master": "local-cluster[2,1,1024]",
        "spark.executor.memory": "1g",
        "spark.executor.extraJavaOptions": shlex.join(
            [
                *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
                f"-Djavax.net.ssl.trustStore={emulator.truststore}",
                f"-Djavax.net.ssl.trustStorePassword={emulator.truststore_password}",
            ]
        ),
    }
    application = command.index(next(word for word in command if word.endswith(".py")))
    for name, value in on_two_executors.items():
        command[application:application] = ["--conf", f"{name}={value}"]
    driver = subprocess.Popen(command, env={**environment, "SPARK_SCALA_VERSION": "2.12"}, stderr=subprocess.PIPE)
    while not (executors := [child for child in descendants(driver) if writes_to(child, emulator.grpc_port)]):
        assert driver.poll() is None
        time.sleep(0.05)
    executors[0].kill()
    _, warnings = driver.communicate(timeout=SECONDS)
    assert b"Lost executor" in warnings
    assert driver.returncode == 0
    assert invoice_numbers(warehouse, store) == numbers


def write_many_purchases(store: LocalStore) -> list[str]:
    """Raw purchases that take seconds to write, in two files; their invoice numbers."""
    numbers = [f"{number:06}" for number in range(20_000)]
    write_raw(store, "user_purchase", [list(map(purchase, half)) for half in (numbers[:10_000], numbers[10_000:])])
    return numbers


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def writes_to(process: psutil.Process, port: int) -> bool:
    """Whether a process has a connection to the Storage API."""
    with suppress(psutil.NoSuchProcess):
        return any(each.raddr and each.raddr.port == port for each in process.net_connections("tcp"))
    return False


def test_an_altered_file_ends_the_application_with_one_line_that_names_it(
    applications: Applications, store: LocalStore
) -> None:
    key = write_raw(store, "user_purchase", [[purchase()]]).manifest.files[0].key
    store.put(key, (store.get(key) or b"")[::-1])
    finished = applications.run("user_purchase")
    assert finished.returncode == 1
    assert reason(finished).startswith(f"{store.url}/{key} was truncated or altered")
    with pytest.raises(ManifestMissing):
        read_staging_manifest(store, "user_purchase", DS)
