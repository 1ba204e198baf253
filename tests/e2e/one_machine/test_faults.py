"""What stands in the way of a run: each is said clearly, with its exit code, and the next run succeeds."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from data import generate
from tests.fixtures.command_line import CommandLine, wait_for_stage
from user_analytics.embedded.postgres import remove_data

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name tiny files."""
    folder = tmp_path_factory.mktemp("inputs")
    generate.main(["--reviews=60", "--purchases=600", "--customers=20", "--seed=7", f"--output={folder}"])
    return [f"--reviews={folder}/movie_review.csv", f"--purchases={folder}/user_purchase.csv"]


def refusal(command_line: CommandLine, *arguments: str | Path, **variables: str) -> tuple[int, str]:
    """Exit code and standard error of a command that starts nothing."""
    with command_line.start(*arguments, **variables) as command:
        _, said = command.communicate(timeout=60)
    assert not list(command_line.run_dir.glob("processes/*"))
    return command.returncode, said


def test_an_unknown_setting_is_named_with_the_one_that_was_meant(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "run", BIGQUERY_DATASETT="x")
    assert code == 2
    assert "BIGQUERY_DATASETT: no such setting; did you mean BIGQUERY_DATASET?" in said


def test_a_malformed_setting_is_named(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "run", LOOKBACK_DAYS="many")
    assert code == 2
    assert "LOOKBACK_DAYS: " in said


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--date", "2010-02-30", "'2010-02-30' is not a date like 2010-12-08"),
        ("--mode", "bad", "'bad' is not one of 'full', 'incremental'"),
        ("--lookback-days", "-1", "greater than or equal to 0"),
        ("--nonsense", "1", "No such option"),
    ],
)
def test_a_wrong_option_is_wrong_usage(command_line: CommandLine, option: str, value: str, message: str) -> None:
    code, said = refusal(command_line, "run", f"{option}={value}", COLUMNS="200")
    assert code == 2
    assert message in said


def test_purchases_for_a_database_of_the_users_own_are_wrong_usage(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "run", "--purchases=x.csv", SOURCE_HOST="db.example", COLUMNS="200")
    assert code == 2
    assert "SOURCE_HOST is set" in said


@pytest.mark.parametrize("option", ["--reviews=x.csv", "--purchases=x.csv", "--mode=incremental", "--lookback-days=1"])
def test_what_names_a_source_is_wrong_usage_beside_kept_raw_data(command_line: CommandLine, option: str) -> None:
    code, said = refusal(command_line, "run", "--from-raw", "--date=2010-12-08", option, COLUMNS="200")
    assert code == 2
    assert f"Invalid value for {option.split('=', maxsplit=1)[0]}: --from-raw reads no source" in said


@pytest.mark.parametrize(
    ("place", "options", "message"),
    [
        ({"GCP_PROJECT": "mine"}, [], "REVIEWS is not given, and the sample does not go to project mine unasked: give"),
        ({"GCP_PROJECT": "mine"}, ["--reviews=s3://b/k.csv"], "PURCHASES is not given, and the sample does not go to"),
        (
            {"LAKE_URL": "s3://mine"},
            [],
            "REVIEWS is not given, and the sample does not go to the lake s3://mine unasked",
        ),
    ],
)
def test_the_sample_does_not_leave_this_machine_unasked(
    command_line: CommandLine, place: dict[str, str], options: list[str], message: str
) -> None:
    code, said = refusal(command_line, "run", *options, **place)
    assert code == 2
    assert message in said


def test_purchases_of_the_users_own_are_not_added_to_the_reviews_of_the_sample(
    command_line: CommandLine, inputs: list[str]
) -> None:
    _, purchases = inputs
    code, said = refusal(command_line, "run", purchases, "--mode=incremental")
    assert code == 2
    assert "REVIEWS is not given, and an incremental run of your own purchases would replace the published" in said


def test_kept_raw_data_without_a_date_is_wrong_usage(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "run", "--from-raw", COLUMNS="200")
    assert code == 2
    assert "name the date with --date" in said


@pytest.mark.parametrize("option", ["--reviews", "--purchases"])
@pytest.mark.parametrize(("path", "reason"), [("no/such.csv", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(command_line: CommandLine, option: str, path: str, reason: str) -> None:
    code, said = refusal(command_line, "run", f"{option}={path}")
    assert code == 1
    assert f"cannot read {path}: {reason}" in said


def test_a_query_before_any_run_says_so(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "query", "user_behaviour_metrics_view")
    assert code == 1
    assert "nothing has been run" in said


def test_missing_java_is_said_before_anything_starts(command_line: CommandLine) -> None:
    code, said = refusal(command_line, "run", JAVA_HOME="/no/such/java")
    assert code == 1
    assert "/no/such/java/bin/java is missing" in said


def test_another_version_of_java_is_said_before_anything_starts(command_line: CommandLine, tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    java.chmod(0o755)

    code, said = refusal(command_line, "run", JAVA_HOME=str(tmp_path))
    assert code == 1
    assert "is Java 21" in said


class SmallDisk(CommandLine):
    """A pipeline whose run directory is a small file system that only its own processes see mounted."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        super().__init__(folder)
        self.run_dir.mkdir()
        mount = (
            f"mount -t tmpfs -o size={megabytes}m,mode=755 none {self.run_dir} && echo mounted && exec sleep infinity"
        )
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", mount], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "mounted\n"
        self.seen = Path(f"/proc/{self.holder.pid}/root{self.run_dir}")

    def command(self, arguments: Sequence[str | Path]) -> list[str | Path]:
        return [
            "nsenter",
            f"--mount=/proc/{self.holder.pid}/ns/mnt",
            f"--wd={self.folder}",
            *super().command(arguments),
        ]


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = SmallDisk(tmp_path, request.param)
    yield disk
    remove_data(disk.seen)
    disk.holder.kill()
    disk.holder.communicate()


@pytest.mark.parametrize("small_disk", [300], indirect=True)
def test_a_disk_with_too_little_space_is_refused_at_the_start(small_disk: SmallDisk, inputs: list[str]) -> None:
    with small_disk.start("run", *inputs) as run:
        _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "MB free, and a run needs at least" in said


@pytest.mark.parametrize("small_disk", [800], indirect=True)
def test_a_disk_that_fills_up_is_named_and_the_next_run_succeeds(small_disk: SmallDisk, inputs: list[str]) -> None:
    filler = small_disk.seen / "filler"
    with small_disk.start("run", *inputs) as run:
        wait_for_stage(run, "movie_review")
        with pytest.raises(OSError, match="No space left"):
            fill(filler)
        _, said = run.communicate(timeout=300)
    assert run.returncode == 1
    assert f"the disk of {small_disk.run_dir} is full" in said

    filler.unlink()
    small_disk("run", *inputs)
