"""What `run` and `dag-run` print at their end."""

import pytest

from tests.fixtures.figures import some_figures
from user_analytics.outcome import print_outcome
from user_analytics.progress import Stage
from user_analytics.stages import Outcome
from user_analytics.warehouse.looker import LookerLinks

LINKS = LookerLinks("https://lookerstudio.google.com/report", "https://lookerstudio.google.com/source", None)


def printed(stages: list[Stage], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the stage times, without the rule."""
    print_outcome(Outcome(some_figures(), "report.html", LINKS, stages))
    table = capsys.readouterr().out.split("Stage times\n")[1].split("\n\n")[0]
    return [line for line in table.splitlines() if any(map(str.isalnum, line))]


def test_a_stage_has_the_memory_of_its_process_where_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    stages = [Stage("views", seconds=1.25), Stage("movie_review", seconds=31.5, peak_memory_bytes=700 << 20)]

    header, views, reviews = printed(stages, capsys)

    assert header.split() == ["stage", "seconds", "peak_memory_mb"]
    assert views.split() == ["views", "1.2"]
    assert reviews.split() == ["movie_review", "31.5", "700"]


def test_of_stages_in_pods_there_is_no_column_of_memory(capsys: pytest.CaptureFixture[str]) -> None:
    header, views = printed([Stage("views", seconds=9.0)], capsys)

    assert header.split() == ["stage", "seconds"]
    assert views.split() == ["views", "9.0"]
