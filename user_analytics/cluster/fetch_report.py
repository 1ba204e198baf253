"""The end of `make report`: the page of a date from the cluster's lake into `build/reports`, for a browser to open."""

import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer
from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.connection import connected
from user_analytics.cluster.kind import CHECKOUT
from user_analytics.errors import ClusterError, UserAnalyticsError
from user_analytics.lake import keys
from user_analytics.lake.store import Store, open_store

PAGE = re.compile(r"reports/ds=(\d{4}-\d\d-\d\d)/index\.html")


def fetch_report(store: Store, ds: date | None, directory: Path) -> Path:
    """Copy the report of a date, or the latest one, as `DATE.html`. Raises ClusterError when there is none."""
    dates = [date.fromisoformat(page[1]) for found in store.list("reports/") if (page := PAGE.fullmatch(found.key))]
    wanted = ds or max(dates, default=None)
    content = store.get(keys.report_page(wanted)) if wanted else None
    if content is None:
        raise ClusterError(f"{store.url} holds no report{f' of {wanted}' if wanted else ''}: run `make report`")
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{wanted}.html"
    file.write_bytes(content)
    return file


def main(
    ds: Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Default: the latest.")] = None,
) -> None:
    """Copy the report of a date, or the latest one, into build/reports; print where it is."""
    try:
        with connected() as api, cluster_settings(CoreV1Api(api), {"lake"}) as settings:
            file = fetch_report(open_store(settings), ds.date() if ds else None, CHECKOUT / "build" / "reports")
    except UserAnalyticsError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        raise typer.Exit(error.exit_code) from error
    typer.echo(file)


if __name__ == "__main__":
    typer.run(main)
