"""How a date is written, and that none after today is taken."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
import typer
from typer.testing import CliRunner, Result

from user_analytics import cli
from user_analytics.cluster import dag_run, launch, report
from user_analytics.logical_date import parse_date, parse_logical_date


def typed_into(main: Callable[..., None], *arguments: str) -> Callable[[str], Result]:
    """What a command of the cluster answers to a date, its last argument."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    return lambda text: CliRunner().invoke(app, [*arguments, text], env={"COLUMNS": "400"})


def typed_after(*arguments: str) -> Callable[[str], Result]:
    return lambda text: CliRunner().invoke(cli.app, [*arguments, text], env={"COLUMNS": "400"})


READING = {
    "quarantine show": typed_after("quarantine", "show", "--date"),
    "render": typed_after("render", "publish", "--ds"),
}
RUNNING = {
    "run": typed_after("run", "--date"),
    "run --from-raw": typed_after("run", "--from-raw", "--date"),
    "ingest reviews": typed_after("ingest", "reviews", "--source", "none.csv", "--date"),
    "ingest purchases": typed_after("ingest", "purchases", "--date"),
    "publish": typed_after("publish", "--date"),
    "report": typed_after("report", "--date"),
    "make ingest": typed_into(launch.main, "ingest-reviews", "--date"),
    "make report": typed_into(report.main, "--date"),
    "make dag-run": typed_into(dag_run.main, "--from"),
    "make backfill": typed_into(dag_run.main, "--from", "2010-12-08", "--to"),
}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a command went on to that took its date, where it ends: the settings, or the cluster."""
    names: list[str] = []

    def reach(name: str, *_: object) -> None:
        names.append(name)
        raise AssertionError(name)

    monkeypatch.setattr(cli, "_settings", partial(reach, "settings"))
    for module in (launch, report, dag_run):
        monkeypatch.setattr(module, "connected", partial(reach, module.__name__))
    return names


@pytest.mark.parametrize("command", [*RUNNING, *READING])
def test_a_malformed_date_is_wrong_usage_in_the_same_words_everywhere(reached: list[str], command: str) -> None:
    result = {**RUNNING, **READING}[command]("2010-02-30")

    assert result.exit_code == 2
    assert "'2010-02-30' is not a date like 2010-12-08" in result.stderr
    assert reached == []


@pytest.mark.parametrize("command", RUNNING)
def test_a_date_that_has_been_is_taken(reached: list[str], command: str) -> None:
    RUNNING[command]("2010-12-08")

    assert len(reached) == 1


@pytest.mark.parametrize("command", RUNNING)
def test_a_date_to_come_is_refused_before_anything_is_run_for_it(reached: list[str], command: str) -> None:
    result = RUNNING[command]("2159-01-01")

    assert result.exit_code == 2
    assert re.search(
        r"2159-01-01 is after today, \d{4}-\d\d-\d\d \(UTC\), and nothing is run for a day to come: "
        r"give today's date or an earlier one",
        result.stderr,
    )
    assert reached == []


@pytest.mark.parametrize(
    "text", ["2010-12-8", "20101208", "2010-W49-3", "08/12/2010", "2010-13-08", "yesterday", "2010-12-08 ", ""]
)
def test_a_date_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(text))} is not a date like 2010-12-08$"):
        parse_date(text)


def test_what_only_reads_or_renders_takes_a_date_to_come() -> None:
    assert parse_date("2159-01-01") == date(2159, 1, 1)
    assert "2159-01-01" in READING["render"]("2159-01-01").stdout


def test_today_in_utc_is_a_date_to_run() -> None:
    today = datetime.now(UTC).date()

    assert parse_logical_date(str(today)) == today
    with pytest.raises(ValueError, match="is after today"):
        parse_logical_date(str(today + timedelta(days=2)))
