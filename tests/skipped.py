"""What was skipped, by what it lacks: how many tests, and the command after which they run.

A reason ends with its command: `helm is missing: make test-tools`.
"""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason, those of one command together."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if not reasons:
        return
    terminalreporter.section("skipped")
    for reason, tests in sorted(reasons.items(), key=lambda item: (item[0].rpartition(": ")[2], -item[1])):
        terminalreporter.write_line(f"{tests:6}  {reason}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    assert isinstance(report.longrepr, tuple)
    _, _, text = report.longrepr
    return str(text).removeprefix("Skipped: ")
