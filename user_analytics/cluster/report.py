"""`make report`: writes the report of a date, in a Job, and copies its page into `build/reports`, for a browser."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.connection import connected
from user_analytics.cluster.kind import CHECKOUT
from user_analytics.cluster.launch import launch_stages, stage_parameters
from user_analytics.cluster.messages import say
from user_analytics.errors import ClusterError, UserAnalyticsError
from user_analytics.lake import keys
from user_analytics.lake.store import Store, open_store
from user_analytics.logical_date import DateOrLatestInvoiceDay

REPORTS = CHECKOUT / "build" / "reports"


def fetch_report(store: Store, ds: date, directory: Path) -> Path:
    """Copy the report of a date as `DATE.html`. Raises ClusterError when there is none."""
    content = store.get(keys.report_page(ds))
    if content is None:
        raise ClusterError(f"{store.url} holds no report of {ds}: run `make report DATE={ds}`")
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{ds}.html"
    file.write_bytes(content)
    return file


def main(
    ds: DateOrLatestInvoiceDay = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the Job.")
    ] = None,
) -> None:
    """Write the report of a date on the cluster, copy it into build/reports, print where it is."""
    try:
        parameters = stage_parameters(settings or [], ["report"])
        with connected() as api:
            day = launch_stages(api, parameters, ds)
            with cluster_settings(CoreV1Api(api), {"lake"}) as lake:
                file = fetch_report(open_store(lake), day, REPORTS)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except UserAnalyticsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
    typer.echo(file)


if __name__ == "__main__":
    typer.run(main)
