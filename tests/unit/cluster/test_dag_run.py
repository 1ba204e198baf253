"""Which dates a backfill runs, and what becomes of a run that a date has already."""

from datetime import date
from typing import Any

import pytest

from user_analytics.cluster.dag_run import FIRST_DATE, _does, _failures, dates
from user_analytics.errors import InputError


def test_dates_are_run_in_ascending_order_with_both_ends() -> None:
    assert list(dates(date(2010, 12, 30), date(2011, 1, 2))) == [
        date(2010, 12, 30),
        date(2010, 12, 31),
        date(2011, 1, 1),
        date(2011, 1, 2),
    ]


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InputError, match="FROM=2010-12-08 is after TO=2010-12-07"):
        dates(date(2010, 12, 8), date(2010, 12, 7))


def test_a_date_before_the_dag_s_start_is_refused_since_its_run_would_be_green_without_a_task() -> None:
    with pytest.raises(InputError, match="2010-11-30 is before 2010-12-01"):
        dates(date(2010, 11, 30), FIRST_DATE)


@pytest.mark.parametrize(
    ("has", "wanted", "again"),
    [
        (None, {"mode": "full"}, True),
        ({}, {"mode": "full", "force": True}, False),
        ({"force": True}, {"mode": "full", "force": True}, True),
        ({"force": True}, {"mode": "full"}, True),
        ({"mode": "incremental"}, {"mode": "full"}, False),
        ({"mode": "incremental"}, {"mode": "incremental"}, True),
        ({"model_version": "tfidf-1"}, {"mode": "full"}, False),
    ],
)
def test_a_run_begins_again_when_it_does_what_is_wanted_and_is_replaced_else(
    has: dict[str, Any] | None, wanted: dict[str, Any], again: bool
) -> None:
    assert _does({"conf": has}, wanted) is again


def test_failures_name_the_task_and_where_its_log_is() -> None:
    instances = {"publish": {"state": "failed"}, "views": {"state": "upstream_failed"}, "report": {"state": "success"}}

    assert list(_failures(instances, "manual__2010-12-08T00:00")) == [
        "publish failed; its log: http://127.0.0.1:8080/dags/user_analytics_dag/runs/manual__2010-12-08T00%3A00/tasks/publish",
        "views: upstream_failed",
    ]
