"""Of which date stages are launched, and with which parameters."""

from datetime import date

import pytest
from kubernetes.client import ApiClient

from user_analytics.cluster import launch
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
    with pytest.raises(SettingsError, match="wrong parameters of ingest-purchases:\n  mode: Input should be 'full' or"):
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
