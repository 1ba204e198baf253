"""Events are read from the lines that `logs.py` writes as JSON; other lines of a log are none."""

import json

import pytest
import structlog

from user_analytics.log_event import Failure, read_event, read_failure
from user_analytics.logs import configure_logging


@pytest.mark.parametrize("final", [True, False])
def test_what_is_written_is_read(capsys: pytest.CaptureFixture[str], final: bool) -> None:
    configure_logging("json")
    structlog.get_logger().error("failed", reason="no such file", final=final)

    event = read_event(capsys.readouterr().err)
    assert event
    assert (event["event"], read_failure(event)) == ("failed", Failure("no such file", final))


def test_a_failure_that_does_not_say_whether_it_is_final_is_not() -> None:
    assert read_failure({"event": "failed", "level": "error", "reason": "no"}) == Failure("no", final=False)


@pytest.mark.parametrize("line", ["plain text", '{"rows": 2}', "[1, 2]", "{", ""])
def test_any_other_line_is_no_event(line: str) -> None:
    assert read_event(line) is None


@pytest.mark.parametrize("changes", [{"level": "warning"}, {"reason": None}])
def test_what_is_no_error_or_has_no_reason_is_no_failure(changes: dict[str, str | None]) -> None:
    written = {"event": "kept", "level": "error", "reason": "unread", **changes}
    event = read_event(json.dumps({name: value for name, value in written.items() if value}))

    assert event
    assert read_failure(event) is None
