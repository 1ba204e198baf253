"""Of which date stages are launched, and with which parameters."""

import subprocess
from datetime import date
from pathlib import Path

import pytest
from kubernetes.client import ApiClient

from user_analytics.cluster import launch
from user_analytics.cluster.kind import CHECKOUT
from user_analytics.cluster.launch import launch_stages, stage_parameters
from user_analytics.errors import SettingsError


def test_each_stage_gets_the_parameters_that_it_has() -> None:
    given = ["mode=incremental", "reviews_source=s3://bucket/key=1.csv"]

    assert stage_parameters(given, ["ingest-reviews", "ingest-purchases"]) == {
        "ingest-reviews": {"reviews_source": "s3://bucket/key=1.csv"},
        "ingest-purchases": {"mode": "incremental"},
    }


def test_a_parameter_that_no_stage_has_is_refused_by_its_name() -> None:
    with pytest.raises(SettingsError, match="forse: no such parameter of publish"):
        stage_parameters(["forse=true"], ["publish"])


def test_a_wrong_value_for_one_stage_is_refused_before_any_is_launched() -> None:
    problem = "wrong parameters of ingest-purchases:\n  mode: 'ful' is not one of 'full', 'incremental'$"
    with pytest.raises(SettingsError, match=problem):
        stage_parameters(["mode=ful"], ["ingest-reviews", "ingest-purchases"])


def test_what_is_no_assignment_is_refused_as_it_was_given() -> None:
    with pytest.raises(SettingsError, match="'force' is not of the form NAME=VALUE"):
        stage_parameters(["force"], ["publish"])


@pytest.mark.parametrize(("given", "used"), [(None, date(2010, 12, 8)), (date(2010, 12, 7), date(2010, 12, 7))])
def test_all_stages_are_of_one_date_which_whoever_launches_them_learns(
    monkeypatch: pytest.MonkeyPatch, given: date | None, used: date
) -> None:
    launched = []
    monkeypatch.setattr(launch, "launch", lambda _, stage, ds, parameters: launched.append((stage, ds, parameters)))
    latest = iter([date(2010, 12, 8)])  # asked for once: it may change meanwhile
    monkeypatch.setattr(launch, "_latest_day", lambda _: next(latest))

    assert launch_stages(ApiClient(), {"views": {}, "report": {"cpu_limit": "1"}}, given) == used
    assert launched == [("views", used, {}), ("report", used, {"cpu_limit": "1"})]


def make_apply(application: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """`make apply` with a Python that says only what it was asked for."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    # -o: the environment stays as it is
    command = ["make", "-o", ".venv/.cluster", "apply", f"APP={application}", f"BIN={tmp_path}"]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("application", ["movie-review", "user-purchase"])
def test_make_applies_both_spark_applications(tmp_path: Path, application: str) -> None:
    assert make_apply(application, tmp_path).stdout == f"-m user_analytics.cluster.launch {application}\n"


@pytest.mark.parametrize("application", ["movie_review", "publish", "movie-review user-purchase"])
def test_make_applies_nothing_else_and_says_what_there_is(tmp_path: Path, application: str) -> None:
    done = make_apply(application, tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"APP={application} is neither movie-review nor user-purchase\n")
