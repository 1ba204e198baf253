"""Starting a Spark application on this machine: `spark-submit` with `local[*]`.

On a cluster the Spark Operator does this from a SparkApplication; both start the same files.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pyspark
from pydantic import SecretStr

from user_analytics.errors import StageFailed
from user_analytics.lake.manifest import Table
from user_analytics.settings import Settings
from user_analytics.spark.jars import cache_directory, pinned

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
APPLICATIONS = CHECKOUT / "spark_apps"
SPARK_HOME = Path(pyspark.__file__).parent
LOOPBACK = "127.0.0.1"
JAVA_VERSION = 17
DRIVER_MEMORY = "2g"
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""An application runs for seconds: less compiling and one collector thread halve its start."""


class Truststore(NamedTuple):
    """A PKCS12 truststore with the certificate authority of an emulator; its password protects nothing."""

    path: Path
    password: str


class Submission(NamedTuple):
    """What to execute, and with which environment (secrets are in it and never in the command)."""

    command: list[str]
    environment: dict[str, str]


def spark_submit_command(
    settings: Settings,
    table: Table,
    ds: date,
    *,
    truststore: Truststore | None = None,
    model_version: str | None = None,
) -> Submission:
    """How to run the application of `table` for `ds` here; makes the folder its temporary files go to.

    Raises StageFailed when a jar is not in the cache, JarError when it is not pinned as it should be.
    """
    temporary_directory(settings).mkdir(parents=True, exist_ok=True)
    command = [str(SPARK_HOME / "bin" / "spark-submit")]
    for name, value in local_configuration(settings, truststore).items():
        command += ["--conf", f"{name}={value}"]
    command += [str(APPLICATIONS / f"{table}.py"), "--ds", ds.isoformat()]
    if model_version is not None:
        command += ["--model-version", model_version]
    return Submission(command, {**local_environment(settings, os.environ), **spark_variables(settings)})


def local_configuration(settings: Settings, truststore: Truststore | None) -> dict[str, str]:
    """Configuration for one machine: loopback only, no web UI, few warnings, temporary files in one place."""
    java_options = [
        *JAVA_OPTIONS,
        f"-Djava.io.tmpdir={temporary_directory(settings)}",
        f"-Dlog4j2.configurationFile={(PACKAGE / 'log4j2.properties').as_uri()}",
    ]
    if truststore is not None:
        java_options += [
            f"-Djavax.net.ssl.trustStore={truststore.path.resolve()}",
            f"-Djavax.net.ssl.trustStorePassword={truststore.password}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
        ]
    return {
        "spark.master": "local[*]",
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.extraJavaOptions": shlex.join(java_options),
        "spark.jars": ",".join(str(path) for path in cached_jars()),
        "spark.ui.enabled": "false",
    }


def local_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with `settings` as its variables, for a process that reads its settings there."""
    names = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in environment.items() if name.upper() not in names}
    values = settings.model_dump(exclude_none=True, round_trip=True)
    return {**kept, **{name.upper(): _as_variable(value) for name, value in values.items()}}


def spark_variables(settings: Settings) -> dict[str, str]:
    """The variables that Spark itself wants on one machine."""
    temporary = str(temporary_directory(settings))
    return {
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_DIRS": temporary,
        "SPARK_LOCAL_IP": LOOPBACK,
        "TMPDIR": temporary,
    }


def temporary_directory(settings: Settings) -> Path:
    """Where Spark, its JVM and its Python workers put temporary files; a killed application leaves them there."""
    return settings.run_dir.resolve() / "spark"


def cached_jars() -> list[Path]:
    """The pinned jars in the cache; raises StageFailed when one is missing."""
    cache = cache_directory()
    jars = [cache / jar.file_name for jar in pinned()]
    missing = [jar.name for jar in jars if not jar.is_file()]
    if missing:
        raise StageFailed(f"{', '.join(missing)} is not in {cache}: run `make setup`, which fetches it")
    return jars


def check_java() -> None:
    """Raise StageFailed, with what installs it, when the Java that Spark would take is missing or not Java 17."""
    remedy = f"Spark {pyspark.__version__} needs Java {JAVA_VERSION}: sudo apt-get install openjdk-17-jre-headless"
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    if shutil.which(java) is None:
        raise StageFailed(f"{java} is missing{' (JAVA_HOME names it)' if home else ''}. {remedy}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r' version "(\d+)', said)
    if version is None or int(version[1]) != JAVA_VERSION:
        found = f"is Java {version[1]}" if version else "does not say its version"
        raise StageFailed(f"{java} {found}. {remedy}, and set JAVA_HOME to it")


def _as_variable(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
