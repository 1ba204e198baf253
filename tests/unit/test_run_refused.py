"""What `user-analytics run` refuses before it starts anything, each named with its exit code."""

import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from user_analytics import cli
from user_analytics.settings import Settings

Refusal = Callable[..., tuple[int, str]]


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Refusal]:
    """Exit code and standard error of a command, with these settings and no others, that starts nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    root = logging.getLogger()
    log_handlers, level = root.handlers, root.level

    def refused(*arguments: str, **variables: str) -> tuple[int, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["user-analytics", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not list(tmp_path.glob(".run/processes/*"))
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().err

    yield refused
    for number, handler in handlers.items():
        signal.signal(number, handler)
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers = log_handlers
    root.setLevel(level)


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(refusal: Refusal) -> None:
    code, said = refusal("run", BIGQUERY_DATASETT="x")
    assert code == 2
    assert "BIGQUERY_DATASETT: no such setting; did you mean BIGQUERY_DATASET?" in said


def test_a_malformed_setting_is_named(refusal: Refusal) -> None:
    code, said = refusal("run", LOOKBACK_DAYS="many")
    assert code == 2
    assert "LOOKBACK_DAYS: " in said


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--date", "2010-02-30", "'2010-02-30' is not a date like 2010-12-08"),
        ("--mode", "bad", "'bad' is not one of 'full', 'incremental'"),
        ("--lookback-days", "-1", "greater than or equal to 0"),
        ("--nonsense", "1", "No such option"),
    ],
)
def test_a_wrong_option_is_wrong_usage(refusal: Refusal, option: str, value: str, message: str) -> None:
    code, said = refusal("run", f"{option}={value}")
    assert code == 2
    assert message in said


def test_purchases_for_a_database_of_the_users_own_are_wrong_usage(refusal: Refusal) -> None:
    code, said = refusal("run", "--purchases=x.csv", SOURCE_HOST="db.example")
    assert code == 2
    assert "SOURCE_HOST is set" in said


@pytest.mark.parametrize("option", ["--reviews=x.csv", "--purchases=x.csv", "--mode=incremental", "--lookback-days=1"])
def test_what_names_a_source_is_wrong_usage_beside_kept_raw_data(refusal: Refusal, option: str) -> None:
    code, said = refusal("run", "--from-raw", "--date=2010-12-08", option)
    assert code == 2
    assert f"Invalid value for {option.split('=', maxsplit=1)[0]}: --from-raw reads no source" in said


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ({"GCP_PROJECT": "mine"}, [], "REVIEWS is not given, and the sample does not go to project mine unasked: give"),
        ({"GCP_PROJECT": "mine"}, ["--reviews=s3://b/k.csv"], "PURCHASES is not given, and the sample does not go to"),
        (
            {"LAKE_URL": "s3://mine"},
            [],
            "REVIEWS is not given, and the sample does not go to the lake s3://mine unasked",
        ),
    ],
)
def test_the_sample_does_not_leave_this_machine_unasked(
    refusal: Refusal, place: dict[str, str], options: list[str], message: str
) -> None:
    code, said = refusal("run", *options, **place)
    assert code == 2
    assert message in said


def test_purchases_of_the_users_own_are_not_added_to_the_reviews_of_the_sample(
    refusal: Refusal, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").touch()
    code, said = refusal("run", "--purchases=mine.csv", "--mode=incremental")
    assert code == 2
    assert "REVIEWS is not given, and an incremental run of your own purchases would replace the published" in said


def test_kept_raw_data_without_a_date_is_wrong_usage(refusal: Refusal) -> None:
    code, said = refusal("run", "--from-raw")
    assert code == 2
    assert "name the date with --date" in said


@pytest.mark.parametrize("option", ["--reviews", "--purchases"])
@pytest.mark.parametrize(("path", "reason"), [("no/such.csv", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(refusal: Refusal, option: str, path: str, reason: str) -> None:
    code, said = refusal("run", f"{option}={path}")
    assert code == 1
    assert f"cannot read {path}: {reason}" in said


def test_a_query_before_any_run_says_so(refusal: Refusal) -> None:
    code, said = refusal("query", "user_behaviour_metrics_view")
    assert code == 1
    assert "nothing has been run" in said


def test_missing_java_is_said_before_anything_starts(refusal: Refusal) -> None:
    code, said = refusal("run", JAVA_HOME="/no/such/java")
    assert code == 1
    assert "/no/such/java/bin/java is missing" in said


def test_another_version_of_java_is_said_before_anything_starts(refusal: Refusal, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)

    code, said = refusal("run", JAVA_HOME=str(tmp_path))
    assert code == 1
    assert "is Java 21" in said
