"""The report of a date as a file on this machine."""

from datetime import date
from pathlib import Path

import pytest

from user_analytics.cluster.report import fetch_report
from user_analytics.errors import ClusterError
from user_analytics.lake.keys import report_page
from user_analytics.lake.store import Store

EARLIER, LATER = date(2010, 12, 8), date(2010, 12, 9)


@pytest.fixture
def reports(lake: Store) -> Store:
    """A lake with the reports of two dates."""
    for ds in (LATER, EARLIER):
        lake.put(report_page(ds), f"page of {ds}".encode())
    return lake


@pytest.mark.parametrize("ds", [EARLIER, LATER])
def test_the_page_of_the_date_is_copied(reports: Store, tmp_path: Path, ds: date) -> None:
    file = fetch_report(reports, ds, tmp_path / "pages")

    assert file == tmp_path / "pages" / f"{ds}.html"
    assert file.read_text() == f"page of {ds}"


def test_a_date_without_a_report_is_named_with_what_makes_one(reports: Store, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"holds no report of 2010-12-31: run `make report DATE=2010-12-31`"):
        fetch_report(reports, date(2010, 12, 31), tmp_path)
