"""Reads the events that `logs.py` writes as JSON lines, from the log of another process or pod."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Failure(NamedTuple):
    """Why a stage failed; if that is `final`, another try ends alike."""

    reason: str
    final: bool


def read_event(line: str) -> dict[str, Any] | None:
    """The event that a line of a log tells, by the names of its fields; None for any other line."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def read_failure(event: Mapping[str, Any]) -> Failure | None:
    """The failure of a stage, if this event tells one."""
    if event.get("level") != "error" or "reason" not in event:
        return None
    return Failure(str(event["reason"]), final=event.get("final") is True)
