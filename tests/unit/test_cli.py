"""The command line's edges: what each command is called, and how errors leave it."""

import json
import logging
import signal
from collections.abc import Iterator

import pytest
import structlog
from typer.testing import CliRunner

from user_analytics import cli
from user_analytics.errors import InputError, SettingsError
from user_analytics.warehouse.views import VIEWS

COMMANDS = [
    "run", "create-bucket", "ingest reviews", "ingest purchases", "publish", "views", "report", "looker-link",
    "status", "query", "quarantine show", "score", "train", "clean-up",
]  # fmt: skip


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A command line whose commands fail; what `main` sets for the whole process is set back."""

    def fail() -> None:
        raise InputError("reviews.csv: line 3 has an open quote")

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    root = logging.getLogger()
    log_handlers, level = root.handlers, root.level
    monkeypatch.setattr(cli, "app", fail)
    yield monkeypatch
    for number, handler in handlers.items():
        signal.signal(number, handler)
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers = log_handlers
    root.setLevel(level)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(cli.app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_an_error_raised_on_purpose_is_a_message_and_an_exit_code(
    failing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing.delenv("LOG_FORMAT", raising=False)
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
