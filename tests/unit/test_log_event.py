"""Events are read from the lines that `logs.py` writes as JSON; other lines of a log are none."""

import json

import pytest
import structlog

from user_analytics.log_event import failure_reason, read_event
from user_analytics.logs import configure_logging


def test_what_is_written_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json")
    structlog.get_logger().error("failed", reason="no such file")

    event = read_event(capsys.readouterr().err)
    assert event
    assert (event["event"], failure_reason(event)) == ("failed", "no such file")


@pytest.mark.parametrize("line", ["plain text", '{"rows": 2}', "[1, 2]", "{", ""])
def test_any_other_line_is_no_event(line: str) -> None:
    assert read_event(line) is None


@pytest.mark.parametrize("changes", [{"level": "warning"}, {"reason": None}])
def test_what_is_no_error_or_has_no_reason_is_no_failure(changes: dict[str, str | None]) -> None:
    written = {"event": "kept", "level": "error", "reason": "unread", **changes}
    event = read_event(json.dumps({name: value for name, value in written.items() if value}))

    assert event
    assert failure_reason(event) is None
