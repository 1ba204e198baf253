"""`make load-data`: a purchases CSV into the cluster's Postgres, a reviews CSV into the lake under `landing/`."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.kind import connect
from user_analytics.errors import InputError, UserAnalyticsError
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.store import Store, open_store
from user_analytics.sample import sample_file
from user_analytics.settings import Settings
from user_analytics.source import has_purchases, load_purchases

# Where the default of `reviews_source` looks (user_analytics/render.py).
REVIEWS_KEY = "landing/movie_review.csv"


def load_data(core: CoreV1Api, reviews: Path | None, purchases: Path | None) -> list[str]:
    """Load the files that are given; says what was loaded. Each replaces what was there, whole or not at all."""
    said = []
    with cluster_settings(core, {"lake", "source"}) as settings:
        if purchases is not None:
            said.append(f"{load_purchases(settings, purchases):,} purchases from {purchases}")
        if reviews is not None:
            said.append(f"{_upload(open_store(settings), reviews):,} bytes of reviews from {reviews}")
    return said


def load_sample_if_empty(core: CoreV1Api) -> list[str]:
    """Load the sample when the cluster has neither purchases nor reviews; says what was loaded."""
    with cluster_settings(core, {"lake", "source"}) as settings:
        if not _is_empty(settings):
            return []
    return load_data(core, Path(sample_file("movie_review")), Path(sample_file("user_purchase")))


def _is_empty(settings: Settings) -> bool:
    return not any(open_store(settings).list(REVIEWS_KEY)) and not has_purchases(settings)


def _upload(store: Store, reviews: Path) -> int:
    try:
        with reviews.open("rb") as file:
            create_bucket(store)
            return store.put_stream(REVIEWS_KEY, file)
    except OSError as error:
        raise InputError(f"cannot read the reviews file {reviews}: {error.strerror or error}") from error


def main(
    reviews: Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews CSV (cid,review_str).")] = None,
    purchases: Annotated[Path | None, typer.Option(metavar="FILE", help="Purchases CSV.")] = None,
) -> None:
    """Load the named files into the cluster, or the sample when none is named."""
    if reviews is None and purchases is None:
        _say("Neither REVIEWS nor PURCHASES is given: loading the sample")
        reviews, purchases = Path(sample_file("movie_review")), Path(sample_file("user_purchase"))
    try:
        for line in load_data(CoreV1Api(connect()), reviews, purchases):
            _say(f"Loaded {line}")
    except UserAnalyticsError as error:
        _say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    typer.run(main)
