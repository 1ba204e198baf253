"""Making the report of a date: read the figures, render the page, put it into the store."""

from collections.abc import Mapping
from datetime import date

import structlog

from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.report.figures import Figures
from user_analytics.report.page import render_page
from user_analytics.report.reading import read_figures
from user_analytics.warehouse.client import Warehouse
from user_analytics.warehouse.looker import LookerLinks, looker_links

log = structlog.get_logger()


def write_report(
    warehouse: Warehouse, store: Store, ds: date, *, stage_times: Mapping[str, float] | None = None
) -> str:
    """Write `reports/ds=…/index.html` of the published date, replacing the one that was there; returns its address.

    `stage_times` are seconds by stage, in the order to show; None where the stages ran apart from each
    other. Raises WarehouseError when the tables do not hold `ds`, LakeError when the store refuses.
    """
    return write_page(store, read_figures(warehouse, store, ds), looker_links(warehouse.settings), stage_times)


def write_page(store: Store, figures: Figures, links: LookerLinks, stage_times: Mapping[str, float] | None) -> str:
    """Write the report of figures that were read already, as `write_report` does."""
    page = render_page(figures, links, stage_times).encode()
    key = keys.report_page(figures.ds)
    store.put(key, page)
    address = f"{store.url}/{key}"
    log.info("reported", ds=str(figures.ds), address=address, bytes=len(page))
    return address
