"""The command line's edges: what each command is called, and how errors leave it."""

import csv
import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from typer.testing import CliRunner, Result

from user_analytics import cli
from user_analytics.errors import InputError, ManifestMissing, SettingsError
from user_analytics.logs import configure_logging
from user_analytics.sentiment.model import Coefficients, encode_model, load_model
from user_analytics.settings import Settings, load_settings
from user_analytics.warehouse.view_names import VIEWS

COMMANDS = [
    "run", "create-bucket", "ingest reviews", "ingest purchases", "publish", "views", "report", "looker-link",
    "status", "query", "quarantine show", "score", "train", "put-model", "render", "clean-up",
]  # fmt: skip


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a command sets for the whole process is set back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    root = logging.getLogger()
    log_handlers, level = root.handlers, root.level
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers = log_handlers
    root.setLevel(level)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A command line whose commands fail, with the logs that LOG_FORMAT asks for."""

    def fail() -> None:
        configure_logging(load_settings().log_format)
        raise InputError("reviews.csv: line 3 has an open quote")

    monkeypatch.setattr(cli, "app", fail)
    return monkeypatch


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lake of the commands of a test, which have no other settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAKE_URL", str(tmp_path / "lake"))
    return tmp_path / "lake"


def ingest_a_wrong_review(lake: Path, ds: str, text: str) -> None:
    reviews = lake.with_name("reviews.csv")
    reviews.write_text(f"cid,review_str\n1,Good.\nno number,{text}\n")
    result = CliRunner().invoke(cli.app, ["ingest", "reviews", "--date", ds, "--source", str(reviews)])
    assert result.exit_code == 0, result.stderr


def quarantined(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["quarantine", "show", "--format", "csv", *arguments])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_an_error_raised_on_purpose_is_a_message_and_an_exit_code(
    failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing.setenv("LOG_FORMAT", "console")
    with pytest.raises(SystemExit, match="1"):
        cli.main()

    captured = capsys.readouterr()
    assert captured.err == "error: reviews.csv: line 3 has an open quote\n"
    assert captured.out == ""


def test_with_json_logs_the_error_is_an_event(failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing.setenv("LOG_FORMAT", "json")
    with pytest.raises(SystemExit, match="1"):
        cli.main()

    event = json.loads(capsys.readouterr().err)
    assert (event["level"], event["reason"]) == ("error", "reviews.csv: line 3 has an open quote")
    assert event["final"] is True


@pytest.mark.parametrize(("dotenv", "reason"), [("", "none.csv"), ("BIGQUERY_DATASETT=x", "BIGQUERY_DATASETT")])
def test_without_a_terminal_the_error_is_json_as_the_other_events_are(
    lake: Path, dotenv: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.with_name(".env").write_text(dotenv)
    ingest_a_file_that_is_not_there(monkeypatch)

    event = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (event["event"], event["level"]) == ("failed", "error")
    assert reason in event["reason"]


def test_the_format_of_the_error_may_be_set_in_dotenv(
    lake: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.with_name(".env").write_text("LOG_FORMAT=console")
    ingest_a_file_that_is_not_there(monkeypatch)

    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("dotenv", ["LOG_FORMAT=console\nLOOKBACK_DAYS=many", "LOOKBACK_DAY=3\nLOG_FORMAT=console"])
def test_an_error_in_the_settings_has_the_format_that_they_ask_for(
    lake: Path, dotenv: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.with_name(".env").write_text(dotenv)
    ingest_a_file_that_is_not_there(monkeypatch)

    assert capsys.readouterr().err.startswith("error: wrong settings (")


def ingest_a_file_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["user-analytics", "ingest", "reviews", "--date=2010-12-08", "--source=none.csv"])
    with pytest.raises(SystemExit):
        cli.main()


def test_a_setting_at_fault_is_wrong_usage(failing: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise SettingsError("LOOKBACK_DAYS: no")

    failing.setattr(cli, "app", fail)
    with pytest.raises(SystemExit, match="2"):
        cli.main()


def test_a_view_that_does_not_exist_is_wrong_usage_naming_those_that_do() -> None:
    result = CliRunner().invoke(cli.app, ["query", "nonsense"], env={"COLUMNS": "400"})
    assert result.exit_code == 2
    assert all(view in result.stderr for view in VIEWS)


def test_looker_links_are_data_and_the_note_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GCP_PROJECT", raising=False)
    result = CliRunner().invoke(cli.app, ["looker-link"])
    report, data_source = result.stdout.splitlines()
    assert report.startswith("https://lookerstudio.google.com/reporting/create?")
    assert data_source.startswith("https://lookerstudio.google.com/datasources/create?")
    assert "once the dataset is on BigQuery" in result.stderr


def test_the_quarantine_is_that_of_the_latest_date_unless_one_is_given(lake: Path) -> None:
    ingest_a_wrong_review(lake, "2010-12-08", "of the eighth")
    ingest_a_wrong_review(lake, "2010-12-07", "of the seventh")

    latest, given = quarantined(), quarantined("--date", "2010-12-07")

    assert latest.stderr == "--date is not given: 2010-12-08, the latest that was ingested\n"
    assert "of the eighth" in latest.stdout
    assert "of the seventh" not in latest.stdout
    assert given.stderr == ""
    assert "of the seventh" in given.stdout


def test_a_table_that_was_not_ingested_has_no_quarantine_unless_it_is_asked_for(lake: Path) -> None:
    ingest_a_wrong_review(lake, "2010-12-08", "wrong")

    assert quarantined("--date", "2010-12-08").exit_code == 0
    error = quarantined("--date", "2010-12-08", "--table", "user_purchase").exception
    assert isinstance(error, ManifestMissing)
    assert "raw/user_purchase/ds=2010-12-08/_manifest.json does not exist" in str(error)


def test_the_quarantine_of_a_date_without_any_raw_data_is_an_error(lake: Path) -> None:
    for arguments in ([], ["--date", "2010-12-08"]):
        assert isinstance(quarantined(*arguments).exception, ManifestMissing)


def test_reviews_that_are_not_named_are_not_ingested(lake: Path) -> None:
    error = CliRunner().invoke(cli.app, ["ingest", "reviews", "--date", "2010-12-08"]).exception

    assert isinstance(error, SettingsError)
    assert "--source FILE, or set REVIEWS_SOURCE" in str(error)
    assert not lake.exists()


def test_lines_of_standard_input_are_scored_to_standard_output(lake: Path) -> None:
    result = CliRunner().invoke(cli.app, ["score", "-", "--explain"], input="not good\n")

    header, row = csv.reader(result.stdout.splitlines())
    assert header == ["review_str", "positive_probability", "positive_review", "deciding_ngrams"]
    assert row[0] == "not good"
    assert row[2] == "false"
    assert row[3].startswith("not good -")


def test_lines_of_standard_input_may_be_scored_into_a_file(lake: Path) -> None:
    result = CliRunner().invoke(cli.app, ["score", "-", "--output", "scored.csv"], input="good\n")

    assert result.exit_code == 0
    assert result.stdout == ""
    assert lake.with_name("scored.csv").read_text().splitlines()[1].startswith('"good",')


def test_a_file_is_scored_into_a_file_and_nowhere_else(lake: Path) -> None:
    lake.with_name("reviews.csv").write_text("review_str\ngood\n")

    missing = CliRunner().invoke(cli.app, ["score", "reviews.csv"], env={"COLUMNS": "400"})
    given = CliRunner().invoke(cli.app, ["score", "reviews.csv", "--output", "scored.csv"])

    assert missing.exit_code == 2
    assert "for what the model says of reviews.csv: --output FILE" in missing.stderr
    assert (given.exit_code, given.stdout) == (0, "")
    assert lake.with_name("scored.csv").exists()


def test_a_model_that_was_put_into_the_lake_judges_under_the_version_that_is_printed(
    lake: Path, tmp_path: Path
) -> None:
    coefficients = Coefficients(["bleak", "gloomy"], np.array([9.0, -9.0]), np.array([1.0, 1.5]), 0.0)
    packaged = load_model()
    body = encode_model(coefficients, packaged.training, packaged.validation)
    (tmp_path / "model.parquet").write_bytes(body)

    put = CliRunner().invoke(cli.app, ["put-model", str(tmp_path)])
    version = put.stdout.strip()
    scored = CliRunner().invoke(cli.app, ["score", "-", "--model-version", version], input="bleak\n")

    assert version.startswith("tfidf-")
    assert version != packaged.version
    assert scored.stdout.splitlines()[1].endswith(",true")


@pytest.mark.parametrize("option", ["--raw-retention-days", "--airflow-log-retention-days"])
def test_a_retention_beyond_what_a_date_can_be_is_wrong_usage(option: str) -> None:
    result = CliRunner().invoke(cli.app, ["clean-up", option, "36501"], env={"COLUMNS": "400"})

    assert result.exit_code == 2
    assert f"{option}': Input should be less than or equal to 36500" in result.stderr
