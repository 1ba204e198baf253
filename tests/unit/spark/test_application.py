"""How an application ends: with an exit code, and one line for a failure."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import structlog
from pyspark.errors import PySparkException

from spark_apps import movie_review
from user_analytics.errors import (
    CorruptObject,
    InputError,
    ManifestMissing,
    ModelError,
    SettingsError,
    StageFailed,
    UserAnalyticsError,
)
from user_analytics.settings import Settings
from user_analytics.spark.application import argument_parser, explained, run

RAISED_BY_A_TASK = """An error occurred while calling o1.save.
: com.google.cloud.bigquery.connector.common.BigQueryConnectorException: unexpected issue trying to save [cid: bigint]
\tat com.google.cloud.spark.bigquery.write.BigQueryDataSourceWriterInsertableRelation.insert(Relation.java:128)
Caused by: org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "/app/user_analytics/spark/raw.py", line 47, in _rows
    yield from pq.ParquetFile(pa.BufferReader(body)).iter_batches(BATCH_ROWS)
               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
pyarrow.lib.ArrowInvalid: Parquet magic bytes not found in footer.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/user_analytics/spark/raw.py", line 49, in _rows
    raise CorruptObject(f"{store.url}/{files[number].key} is not a Parquet file: {error}") from error
%s

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException(PythonRunner.scala:572)
\t... 1 more
"""
SERVER_GONE = """An error occurred while calling o1.save.
: org.apache.spark.SparkException: Job aborted due to stage failure: task 0.0 had a not serializable result: Status
\t- (cause=io.netty.channel.AbstractChannel$AnnotatedConnectException: Connection refused: localhost/127.0.0.1:9060
Caused by: java.net.ConnectException: Connection refused
})
"""


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def failure(text: str) -> Exception:
    with pytest.raises(UserAnalyticsError) as caught, explained():
        raise PySparkException(text)
    return caught.value


def test_what_a_task_raised_on_purpose_is_raised_again() -> None:
    error = failure(RAISED_BY_A_TASK % "user_analytics.errors.CorruptObject: lake/a.parquet is not a Parquet file: No.")
    assert isinstance(error, CorruptObject)
    assert str(error) == "lake/a.parquet is not a Parquet file: No."


def test_of_what_a_task_raised_on_purpose_every_line_is_kept() -> None:
    message = "wrong settings:\n  BIGQUERY_DATASETT: no such setting\n  LOOKBACK_DAYS: no"
    error = failure(RAISED_BY_A_TASK % f"user_analytics.errors.SettingsError: {message}")
    assert isinstance(error, SettingsError)
    assert str(error) == message


def test_what_a_task_raised_on_purpose_without_a_message_is_named() -> None:
    error = failure(RAISED_BY_A_TASK % "user_analytics.errors.InputError")
    assert isinstance(error, InputError)
    assert str(error) == "the Spark job failed: InputError"


@pytest.mark.parametrize("raised", ["OSError: [Errno 28] No space left on device", "MemoryError"])
def test_what_a_task_raised_otherwise_is_the_reason(raised: str) -> None:
    error = failure(RAISED_BY_A_TASK % raised)
    assert isinstance(error, StageFailed)
    assert str(error) == f"the Spark job failed: {raised}"


def test_a_server_that_went_away_is_named() -> None:
    assert str(failure(SERVER_GONE)) == (
        "the Spark job failed: AnnotatedConnectException: Connection refused: localhost/127.0.0.1:9060"
    )


def test_a_failure_without_a_cause_is_its_first_line() -> None:
    assert str(failure("Job 3 cancelled\nand more\n")) == "the Spark job failed: Job 3 cancelled"


def test_an_application_gets_its_date_and_settings_and_ends_with_0() -> None:
    got = []
    assert (
        run(lambda options, settings: got.append((options.ds, settings)), argument_parser(""), ["--ds", "2010-12-08"])
        == 0
    )
    assert got == [(date(2010, 12, 8), Settings())]  # type: ignore[call-arg]


def test_a_date_without_raw_data_is_an_error_that_says_what_to_run_whatever_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_URL", str(tmp_path))
    parser = argument_parser("")
    parser.set_defaults(model_version="tfidf-none")

    assert run(movie_review.main, parser, ["--ds", "2010-12-09"]) == 1

    missing = f"{tmp_path}/raw/movie_review/ds=2010-12-09/_manifest.json does not exist: run its ingestion first"
    assert json.loads(capsys.readouterr().err)["reason"] == missing


def test_an_application_that_fails_says_why_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise ManifestMissing("raw/_manifest.json does not exist: run its ingestion first")

    assert run(fail, argument_parser(""), ["--ds", "2010-12-08"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    said = json.loads(line)
    assert (said["level"], said["reason"]) == ("error", "raw/_manifest.json does not exist: run its ingestion first")
    assert said["final"] is False


def test_an_application_says_of_a_verdict_that_it_is_final(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise ModelError("models/sentiment/v9/model.parquet does not exist")

    assert run(fail, argument_parser(""), ["--ds", "2010-12-08"]) == 1
    assert json.loads(capsys.readouterr().err)["final"] is True


def test_a_wrong_setting_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LOOKBACK_DAYS", "many")
    assert run(lambda *_: None, argument_parser(""), ["--ds", "2010-12-08"]) == 2
    assert "LOOKBACK_DAYS" in capsys.readouterr().err


def test_what_is_wrong_with_the_settings_has_the_format_that_they_ask_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOOKBACK_DAYS", "many")
    monkeypatch.setenv("LOG_FORMAT", "console")
    assert run(lambda *_: None, argument_parser(""), ["--ds", "2010-12-08"]) == 2
    said = capsys.readouterr().err
    assert re.match(r"\d\d:\d\d:\d\d \[error +\] application_failed +final=True reason=.*LOOKBACK_DAYS", said)


def test_a_malformed_date_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run(lambda *_: None, argument_parser(""), ["--ds", "2010-02-30"])
    assert "'2010-02-30' is not a date like 2010-12-08" in capsys.readouterr().err


def test_a_date_to_come_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run(lambda *_: None, argument_parser(""), ["--ds", "2159-01-01"])
    assert "2159-01-01 is after today" in capsys.readouterr().err
