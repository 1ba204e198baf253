"""Logs go to standard error in one format, for this package and for others, without values of variables."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from user_analytics.logs import LogFormat, configure_logging


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers, logging.getLogger().level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def fail_with_a_secret() -> None:
    password = "hunter2"
    raise ValueError(len(password))


def test_json_has_one_object_a_line_with_time_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    structlog.get_logger().info("ingested", rows=3)

    captured = capsys.readouterr()
    event = json.loads(captured.err)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "ingested", "level": "info", "rows": 3}
    assert captured.out == ""


def test_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console")
    structlog.get_logger().info("ingested", rows=3)

    assert "ingested" in (said := capsys.readouterr().err)
    assert "rows=3" in said


def test_auto_is_json_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("auto")
    structlog.get_logger().info("ingested")

    assert json.loads(capsys.readouterr().err)["event"] == "ingested"


def test_warnings_of_other_packages_come_in_the_same_format(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    logging.getLogger("elsewhere").warning("careful with %s", "this")
    logging.getLogger("elsewhere").info("chatter")

    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["level"], event["logger"]) == ("careful with this", "warning", "elsewhere")


def test_events_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", logging.WARNING)
    structlog.get_logger().info("ingested")

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values_of_variables(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(log_format)
    try:
        fail_with_a_secret()
    except ValueError:
        structlog.get_logger().exception("failed")

    said = capsys.readouterr().err
    assert "fail_with_a_secret" in said
    # The line of code that holds it is not part of the traceback, its value would be.
    assert "hunter2" not in said
