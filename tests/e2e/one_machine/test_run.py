"""`run` as a person meets it: what it prints, what stays, and what is left when it is stopped or killed."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from data import generate
from tests.fixtures.command_line import CommandLine, assert_nothing_runs, processes_of, wait_for_stage
from user_analytics.embedded.processes import recorded_processes
from user_analytics.warehouse.view_names import METRICS_VIEW

SEED = 20101208
# Each stage at least once; those that others depend on more often.
KILLED_STAGES = [
    "start",
    "load_purchases",
    *["ingest_purchases"] * 2,
    *["movie_review"] * 4,
    "publish",
    "report",
]

Kill = Callable[[int, int], None]

pytestmark = pytest.mark.timeout(1800)


class Completed(NamedTuple):
    """An undisturbed run: its arguments, what it printed, and the views after it."""

    arguments: list[str]
    output: str
    views: dict[str, str]

    def seconds(self, stage: str) -> float:
        found = re.search(rf"^ *{stage} +(\d+\.\d)( +\d+)?$", self.output, re.MULTILINE)
        assert found is not None, self.output
        return float(found[1])


@pytest.fixture(scope="module")
def completed(command_line: CommandLine, tmp_path_factory: pytest.TempPathFactory) -> Completed:
    inputs = tmp_path_factory.mktemp("inputs")
    sizes = ["--reviews=60", "--purchases=600", "--customers=20", f"--seed={SEED}"]
    generate.main([*sizes, f"--output={inputs}"])
    arguments = ["run", f"--reviews={inputs}/movie_review.csv", f"--purchases={inputs}/user_purchase.csv"]
    output = command_line(*arguments)
    return Completed(arguments, output, command_line.views())


def kill_early(command_line: CommandLine, completed: Completed, stage: str, delay: float, kill: Kill) -> None:
    """Kill a run some seconds into a stage, or earlier where it had succeeded before; it leaves nothing running."""
    while not killed(command_line.start(*completed.arguments), stage, delay, kill):
        delay /= 2
    assert_nothing_runs(command_line)


def killed(run: subprocess.Popen[str], stage: str, delay: float, kill: Kill) -> bool:
    """Kill a run some seconds into a stage; False when it had succeeded before."""
    with run:
        wait_for_stage(run, stage)
        time.sleep(delay)
        early = run.poll() is None
        if early:
            kill(run.pid, signal.SIGKILL)
        _, said = run.communicate(timeout=60)
    assert early or run.returncode == 0, said
    return early


def test_it_prints_figures_tops_times_and_where_to_look(completed: Completed) -> None:
    assert re.search(r"^Published 2010-12-08 \(full\)$", completed.output, re.MULTILINE)
    assert re.search(r"^movie_review +60 rows published, 0 quarantined$", completed.output, re.MULTILINE)
    assert re.search(r"^user_purchase +600 rows published, 0 quarantined$", completed.output, re.MULTILINE)
    assert "Top 5 customers by amount spent" in completed.output
    assert "Top 5 customers by positive reviews" in completed.output
    assert re.search(
        r"^Looker Studio +https://lookerstudio\.google\.com/reporting/create\?", completed.output, re.MULTILINE
    )
    report = re.search(r"^Report +(/.*)$", completed.output, re.MULTILINE)
    assert report is not None
    assert "<html" in Path(report[1]).read_text()


def test_its_top_five_is_the_views(completed: Completed) -> None:
    _, *rows = completed.views["top_5_customers_by_amount_spent_view"].splitlines()
    assert len(rows) == 5
    for row in rows:
        assert re.search(r"^ *" + r" +".join(map(re.escape, row.split(","))) + "$", completed.output, re.MULTILINE)


def test_the_memory_of_ingestion_is_printed(completed: Completed) -> None:
    memory = re.findall(r"^ *ingest_\w+ +[\d.]+ +(\d+)$", completed.output, re.MULTILINE)
    assert len(memory) == 2
    assert all(20 < int(megabytes) < 400 for megabytes in memory)


def test_nothing_runs_when_it_has_ended(command_line: CommandLine, completed: Completed) -> None:
    assert processes_of(command_line) == []


def test_status_tells_what_was_published(command_line: CommandLine, completed: Completed) -> None:
    header, row = command_line("status", "--format", "csv").splitlines()
    published = dict(zip(header.split(","), row.split(","), strict=True))
    assert (published["ds"], published["mode"]) == ("2010-12-08", "full")
    assert (published["movie_review_rows"], published["user_purchase_rows"]) == ("60", "600")


@pytest.fixture(scope="module")
def older_purchases(completed: Completed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV whose latest invoice day is before the published date."""
    path = tmp_path_factory.mktemp("older") / "user_purchase.csv"
    path.write_text(
        f"{generate.PURCHASE_COLUMNS}\n536365,85123A,MUG,6,2010-12-07 08:26:00,2.550,12346,France\n", encoding="utf-8"
    )
    return path


@pytest.fixture(scope="module")
def kept_raw(command_line: CommandLine, completed: Completed) -> Path:
    """The lake's folder of raw data, which has some of 2010-12-07."""
    _, reviews, _ = completed.arguments
    command_line("ingest", "reviews", reviews.replace("--reviews", "--source"), "--date=2010-12-07")
    command_line("ingest", "purchases", "--date=2010-12-07")
    return command_line.folder / "lake" / "raw"


@pytest.mark.parametrize("way", ["date", "latest invoice day", "kept raw data"])
def test_a_date_older_than_the_published_one_is_refused_with_its_kept_raw_data_as_it_was(
    command_line: CommandLine, completed: Completed, kept_raw: Path, older_purchases: Path, way: str
) -> None:
    arguments = {
        "date": [*completed.arguments, "--date=2010-12-07"],
        "latest invoice day": [*completed.arguments, f"--purchases={older_purchases}"],
        "kept raw data": ["run", "--from-raw", "--date=2010-12-07"],
    }[way]
    before = {path: path.read_bytes() for path in kept_raw.rglob("*") if path.is_file()}
    assert len([path for path in before if path.match("ds=2010-12-07/_manifest.json")]) == 2

    with command_line.start(*arguments) as run:
        _, said = run.communicate(timeout=600)

    assert run.returncode == 1
    assert {path: path.read_bytes() for path in kept_raw.rglob("*") if path.is_file()} == before
    assert "the tables hold the data of 2010-12-08, and 2010-12-07 is older" in said
    assert "`user-analytics run --from-raw --date 2010-12-07 --force`" in said
    begun = re.findall(r"^(\w+) …$", said, re.MULTILINE)
    assert begun == ["start", "create_bucket", *(["load_purchases"] if way == "latest invoice day" else [])]


def test_while_it_runs_others_read_and_a_second_run_is_refused(command_line: CommandLine, completed: Completed) -> None:
    with command_line.start(*completed.arguments) as first:
        wait_for_stage(first, "movie_review")
        first.send_signal(signal.SIGSTOP)  # else it may end before the others have begun

        assert command_line("query", METRICS_VIEW, "--format", "csv") == completed.views[METRICS_VIEW]
        with command_line.start(*completed.arguments) as second:
            _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"is in use by process {first.pid}" in said

        os.killpg(first.pid, signal.SIGINT)
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=60)
    assert first.returncode == 130
    assert_nothing_runs(command_line)


def test_sigterm_stops_it_and_all_it_started(command_line: CommandLine, completed: Completed) -> None:
    with command_line.start(*completed.arguments) as run:
        wait_for_stage(run, "ingest_reviews")

        run.terminate()
        run.communicate(timeout=60)

    assert run.returncode == 128 + signal.SIGTERM
    assert processes_of(command_line) == []


def test_the_end_of_the_emulator_ends_the_run_at_once(command_line: CommandLine, completed: Completed) -> None:
    with command_line.start(*completed.arguments) as run:
        wait_for_stage(run, "movie_review")
        # said just before the stage's process is started, which there is then nothing to stop of
        while "movie_review" not in recorded_processes(command_line.run_dir):
            assert run.poll() is None
            time.sleep(0.05)
        os.kill(recorded_processes(command_line.run_dir)["emulator"], signal.SIGKILL)
        killed = time.monotonic()
        assert run.stderr is not None
        ended = next(line for line in run.stderr if line.startswith("movie_review: "))
        seconds = time.monotonic() - killed
        _, said = run.communicate(timeout=120)
    assert run.returncode == 1
    assert ended.startswith("movie_review: stopped")
    log = command_line.run_dir / "logs" / "emulator.log"
    assert f"the BigQuery emulator ended with exit code 137 (its log: {log})" in said
    assert seconds < 60
    assert_nothing_runs(command_line)
    assert command_line.views() == completed.views


def test_killed_while_spark_is_at_work_it_leaves_nothing_running_and_the_next_run_ends_as_ever(
    command_line: CommandLine, completed: Completed
) -> None:
    kill_early(command_line, completed, "movie_review", delay=completed.seconds("movie_review") / 2, kill=os.kill)
    assert command_line.views() == completed.views, "a killed run left the tables changed"

    command_line(*completed.arguments)

    assert command_line.views() == completed.views


@pytest.mark.long
def test_killed_at_ten_random_instants_it_leaves_nothing_running_and_the_next_run_ends_as_ever(
    command_line: CommandLine, completed: Completed
) -> None:
    chance = random.Random(SEED)  # noqa: S311
    stages = chance.sample(KILLED_STAGES, len(KILLED_STAGES))
    kills: list[Kill] = [os.kill, os.killpg]
    for number, stage in enumerate(stages):
        delay = chance.uniform(0, 0.9) * completed.seconds(stage)
        kill_early(command_line, completed, stage, delay, kills[number % 2])
    assert command_line.views() == completed.views, "a killed run left the tables changed"

    command_line(*completed.arguments)

    assert command_line.views() == completed.views
