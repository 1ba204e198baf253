"""Where the tests' time goes: seconds and CPU of each file, and of the fixtures that take longest to set up.

Printed after every run; `tests/README.md` has what it said of the checks of CI.
"""

import json
import time
from collections import defaultdict
from collections.abc import Generator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

SHOWN = 12


class Cost:
    """Adds up what the tests of this process, or those of all xdist's workers, took."""

    def __init__(self) -> None:
        self.tests: defaultdict[str, float] = defaultdict(float)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.cpu: defaultdict[str, float] = defaultdict(float)
        self.fixtures: defaultdict[str, float] = defaultdict(float)
        self._cpu_before = 0.0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        self._cpu_before = cpu_seconds()
        self.cpu["collection"] += self._cpu_before

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        started = time.monotonic()
        try:
            return (yield)
        finally:
            file = item.nodeid.partition("::")[0]
            self.tests[file] += 1
            self.seconds[file] += time.monotonic() - started
            if nextitem is None or nextitem.path != item.path:
                now = cpu_seconds()
                self.cpu[file] += now - self._cpu_before
                self._cpu_before = now

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        started = time.monotonic()
        try:
            return (yield)
        finally:
            self.fixtures[fixturedef.argname] += time.monotonic() - started

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)  # of one of xdist's workers
        if output is not None:
            output["cost"] = json.dumps([self.tests, self.seconds, self.cpu, self.fixtures])

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        of_worker = getattr(node, "workeroutput", {}).get("cost")  # nothing of one that crashed
        if of_worker:
            totals = (self.tests, self.seconds, self.cpu, self.fixtures)
            for total, part in zip(totals, json.loads(of_worker), strict=True):
                for name, value in part.items():
                    total[name] += value

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.tests:
            return
        write = terminalreporter.write_line
        terminalreporter.section("cost")
        write(f"{'tests':>6} {'seconds':>8} {'CPU':>8}")
        write(self._line("imports and collection", ["collection"]))
        for name, files in folders(self.tests).items():
            write(self._line(name, files))
        write(f"the {SHOWN} files that take most CPU:")
        for file in sorted(self.tests, key=lambda file: -self.cpu[file])[:SHOWN]:
            write(self._line(file, [file]))
        write(f"the {SHOWN} fixtures that take longest to set up:")
        for fixture, seconds in sorted(self.fixtures.items(), key=lambda item: -item[1])[:SHOWN]:
            write(f"{'':>6} {seconds:8.1f} {'':>8}  {fixture}")

    def _line(self, name: str, files: list[str]) -> str:
        tests, seconds, cpu = (
            sum(each.get(file, 0) for file in files) for each in (self.tests, self.seconds, self.cpu)
        )
        return f"{tests:6.0f} {seconds:8.1f} {cpu:8.1f}  {name}"


def folders(files: Iterable[str]) -> dict[str, list[str]]:
    """The files of each folder."""
    found: dict[str, list[str]] = {}
    for file in sorted(files):
        found.setdefault(str(Path(file).parent), []).append(file)
    return found


def cpu_seconds() -> float:
    """Of this process, all that it started, and all that those waited for."""
    this = psutil.Process()
    total = 0.0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def pytest_configure(config: pytest.Config) -> None:
    """Count in this process."""
    config.pluginmanager.register(Cost(), "cost")
