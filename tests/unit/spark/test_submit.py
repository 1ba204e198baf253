"""How an application is started on one machine."""

import json
import shutil
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from user_analytics.errors import StageFailed
from user_analytics.settings import Settings
from user_analytics.spark.submit import Truststore, check_java, local_environment, spark_submit_command

DS = date(2010, 12, 8)
JAR = "spark-3.5-bigquery-0.42.1.jar"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        run_dir=tmp_path / "run",
        source_host="db.example",
        source_password=SecretStr("very-secret"),
        bigquery_labels='{"team": "films"}',  # type: ignore[arg-type]
    )


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that holds the pinned jars, by name."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = tmp_path / "user-analytics" / "jars"
    directory.mkdir(parents=True)
    (directory / JAR).touch()
    return directory


def test_the_command_runs_the_tables_application_for_the_date(settings: Settings, jars: Path) -> None:
    command = spark_submit_command(settings, "movie_review", DS, model_version="tfidf-1").command
    script, *arguments = command[-5:]
    assert Path(script).parts[-2:] == ("spark_apps", "movie_review.py")
    assert Path(script).is_file()
    assert arguments == ["--ds", "2010-12-08", "--model-version", "tfidf-1"]
    assert f"spark.jars={jars / JAR}" in command


def test_secrets_are_in_the_environment_and_not_in_the_command(settings: Settings, jars: Path) -> None:
    submission = spark_submit_command(settings, "user_purchase", DS, truststore=Truststore(Path("t.p12"), "changeit"))
    assert submission.environment["SOURCE_PASSWORD"] == "very-secret"
    assert "very-secret" not in " ".join(submission.command)


def test_everything_listens_on_loopback_only(settings: Settings, jars: Path) -> None:
    command = spark_submit_command(settings, "user_purchase", DS).command
    assert {"spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1", "spark.ui.enabled=false"} <= set(
        command
    )


def test_temporary_files_of_spark_java_and_python_go_under_the_run_directory(settings: Settings, jars: Path) -> None:
    command, environment = spark_submit_command(settings, "user_purchase", DS)
    directory = settings.run_dir / "spark"
    assert directory.is_dir()
    assert environment["TMPDIR"] == environment["SPARK_LOCAL_DIRS"] == str(directory)
    assert f"-Djava.io.tmpdir={directory}" in " ".join(command)


def test_a_jar_that_is_not_in_the_cache_is_named_with_the_command_that_fetches_it(
    settings: Settings, jars: Path
) -> None:
    (jars / JAR).unlink()
    with pytest.raises(StageFailed, match=f"{JAR} is not in {jars}: run `make setup`"):
        spark_submit_command(settings, "user_purchase", DS)


def test_a_process_gets_the_given_settings_and_none_that_happened_to_be_set(settings: Settings) -> None:
    variables = local_environment(settings, {"PATH": "/bin", "GCP_PROJECT": "other", "LAKE_URL": "other"})
    assert variables["PATH"] == "/bin"
    assert variables["LAKE_URL"] == settings.lake_url
    assert "GCP_PROJECT" not in variables
    assert json.loads(variables["BIGQUERY_LABELS"]) == {"team": "films"}


def test_the_settings_a_process_reads_are_those_it_was_given(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in local_environment(settings, {}).items():
        monkeypatch.setenv(name, value)
    assert Settings(_env_file=None) == settings  # type: ignore[call-arg]


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What JAVA_HOME names: nothing yet."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    program = tmp_path / "jdk" / "bin" / "java"
    program.parent.mkdir(parents=True)
    return program


def write_java(program: Path, says: str) -> None:
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{says}\nEND\n")
    program.chmod(0o755)


def test_java_17_is_what_spark_needs(java: Path) -> None:
    write_java(java, 'openjdk version "17.0.15" 2025-04-15')
    check_java()


def test_a_missing_java_is_named_with_what_installs_it(java: Path) -> None:
    with pytest.raises(StageFailed, match=r"jdk/bin/java is missing .*apt-get install openjdk-17-jre-headless"):
        check_java()


def test_java_that_is_not_on_the_path_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("java") is None
    with pytest.raises(StageFailed, match=r"^java is missing\. "):
        check_java()


@pytest.mark.parametrize(("says", "version"), [('java version "1.8.0_392"', "1"), ('openjdk version "21.0.2"', "21")])
def test_java_of_another_version_is_refused_with_what_to_set(java: Path, says: str, version: str) -> None:
    write_java(java, says)
    with pytest.raises(StageFailed, match=rf"is Java {version}\. .*set JAVA_HOME"):
        check_java()
