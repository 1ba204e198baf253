"""Reads the events that `logs.py` writes as JSON lines, from the log of another process or pod."""

import json
from collections.abc import Mapping
from typing import Any


def read_event(line: str) -> dict[str, Any] | None:
    """The event that a line of a log tells, by the names of its fields; None for any other line."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def failure_reason(event: Mapping[str, Any]) -> str | None:
    """Why a stage failed, if this event tells that."""
    return str(event["reason"]) if event.get("level") == "error" and "reason" in event else None
