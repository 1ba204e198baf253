"""The frame of a Spark application: its arguments, and failures as one line and an exit code."""

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import structlog
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from user_analytics import errors
from user_analytics.logical_date import parse_logical_date
from user_analytics.logs import configure_logging
from user_analytics.settings import Settings, load_log_format, load_settings

log = structlog.get_logger()

# Spark hands on what a Python worker raised as the text of a traceback, inside that of a Java exception.
# The message ends at an empty line or at Java's first frame.
TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+"
    r"(?P<kind>[\w.]+)(?:: (?P<message>.*(?:\n(?!\tat |Caused by: ).+)*))?"
)
JAVA_EXCEPTION = re.compile(r"(?:\w+[.$])+(?P<kind>\w+(?:Exception|Error)): (?P<message>.+)")


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser for `--ds`; wrong usage ends the program with exit code 2."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--ds", type=_logical_date, required=True, metavar="YYYY-MM-DD", help="logical date")
    return parser


def run(
    main: Callable[[argparse.Namespace, Settings], None],
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run an application with the settings of the environment; its exit code."""
    options = parser.parse_args(arguments)
    configure_logging(load_log_format())
    try:
        settings = load_settings()
        with explained():
            main(options, settings)
    except errors.UserAnalyticsError as error:
        # the reason is for people
        log.error("application_failed", reason=str(error), final=error.final)  # noqa: TRY400
        return error.exit_code
    return 0


@contextmanager
def explained() -> Iterator[None]:
    """Raise what Spark raises as the error that a task raised on purpose, or else as StageFailed with the cause."""
    try:
        yield
    except (Py4JError, PySparkException) as error:
        raise _explanation(str(error)) from error


def _explanation(text: str) -> errors.UserAnalyticsError:
    tracebacks = list(TRACEBACK.finditer(text))
    if tracebacks:
        raised = tracebacks[-1]
        module, _, kind = raised["kind"].rpartition(".")
        if module.startswith("user_analytics."):
            error: errors.UserAnalyticsError = getattr(errors, kind, errors.StageFailed)(
                raised["message"] or f"the Spark job failed: {kind}"
            )
            return error
        reason = raised["kind"] if raised["message"] is None else f"{raised['kind']}: {raised['message']}"
        return errors.StageFailed(f"the Spark job failed: {reason}")
    return errors.StageFailed(f"the Spark job failed: {_innermost_cause(text)}")


def _innermost_cause(text: str) -> str:
    causes = JAVA_EXCEPTION.findall(text)
    if not causes:
        return text.strip().splitlines()[0]
    kind, message = causes.pop()
    # The one above may say the same and more: "Connection refused: localhost/127.0.0.1:9060".
    while causes and causes[-1][1].startswith(message):
        kind, message = causes.pop()
    return f"{kind}: {message}"


def _logical_date(text: str) -> date:
    try:
        return parse_logical_date(text)
    except ValueError as error:  # whose reason argparse would not tell
        raise argparse.ArgumentTypeError(str(error)) from error
