"""The report of a date as a file on this machine."""

from datetime import date
from pathlib import Path

import pytest

from user_analytics.cluster.fetch_report import fetch_report
from user_analytics.errors import ClusterError
from user_analytics.lake.keys import report_page
from user_analytics.lake.store import Store

EARLIER, LATER = date(2010, 12, 8), date(2010, 12, 9)


@pytest.fixture
def reports(lake: Store) -> Store:
    """A lake with the reports of two dates, and something else beside them."""
    for ds in (LATER, EARLIER):
        lake.put(report_page(ds), f"page of {ds}".encode())
    lake.put("reports/ds=2010-12-10/notes.txt", b"no page")
    return lake


@pytest.mark.parametrize(("asked", "got"), [(EARLIER, EARLIER), (None, LATER)])
def test_the_page_of_the_date_is_copied_or_else_the_latest(
    reports: Store, tmp_path: Path, asked: date | None, got: date
) -> None:
    file = fetch_report(reports, asked, tmp_path / "pages")

    assert file == tmp_path / "pages" / f"{got}.html"
    assert file.read_text() == f"page of {got}"


def test_a_date_without_a_report_is_named_with_what_makes_one(reports: Store, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"holds no report of 2010-12-31: run `make report`"):
        fetch_report(reports, date(2010, 12, 31), tmp_path)


def test_a_lake_without_any_report_says_so(lake: Store, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"holds no report: run `make report`"):
        fetch_report(lake, None, tmp_path)
