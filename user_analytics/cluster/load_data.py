"""`make load-data`: a purchases CSV into the cluster's Postgres, a reviews CSV into the lake under `landing/`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from kubernetes.client import CoreV1Api

from user_analytics.cluster.access import cluster_settings
from user_analytics.cluster.connection import connected
from user_analytics.cluster.messages import say
from user_analytics.cluster.sole_command import sole_command
from user_analytics.errors import InputError, UserAnalyticsError
from user_analytics.lake.bucket import create_bucket
from user_analytics.lake.store import open_store
from user_analytics.sample import sample_file
from user_analytics.settings import Settings
from user_analytics.source import has_purchases, load_purchases

# Where the default of `reviews_source` looks (user_analytics/render.py).
REVIEWS_KEY = "landing/movie_review.csv"


def load_files(settings: Settings, reviews: Path | None, purchases: Path | None) -> list[str]:
    """Load the files that are given, each whole or not at all; says what was loaded. What is not given stays.

    Raises InputError naming a file, and the line where it is one, that cannot be taken.
    """
    said = []
    with ExitStack() as opened:
        # before anything is replaced: when one of two files is missing, nothing is loaded
        reviews_file = opened.enter_context(_open(reviews)) if reviews else None
        if purchases is not None:
            said.append(f"{load_purchases(settings, purchases):,} purchases from {purchases}")
        if reviews_file is not None:
            store = open_store(settings)
            create_bucket(store)
            said.append(f"{store.put_stream(REVIEWS_KEY, reviews_file):,} bytes of reviews from {reviews}")
    return said


def load_sample_if_empty(settings: Settings) -> list[str]:
    """Load the sample where there is no data at all, or go on where that was killed; says what was loaded.

    The purchases come last, in one transaction. So where there are none, and the reviews are the sample's to the byte,
    these are what a killed one left; anything else is somebody's own data, and nothing is added to it.
    """
    if has_purchases(settings):
        return []
    reviews, purchases = Path(sample_file("movie_review")), Path(sample_file("user_purchase"))
    store = open_store(settings)
    sizes = {found.key: found.size for found in store.list(REVIEWS_KEY)}
    if not sizes:
        return load_files(settings, reviews, None) + load_files(settings, None, purchases)
    if sizes == {REVIEWS_KEY: reviews.stat().st_size} and store.get(REVIEWS_KEY) == reviews.read_bytes():
        return load_files(settings, None, purchases)
    return []


def _open(reviews: Path) -> BinaryIO:
    try:
        return reviews.open("rb")
    except OSError as error:
        raise InputError(f"cannot read the reviews file {reviews}: {error.strerror or error}") from error


def main(
    reviews: Annotated[Path | None, typer.Option(metavar="FILE", help="Reviews CSV (cid,review_str).")] = None,
    purchases: Annotated[Path | None, typer.Option(metavar="FILE", help="Purchases CSV.")] = None,
) -> None:
    """Load the named files into the cluster, or the sample when none is named."""
    if reviews is None and purchases is None:
        say("Neither REVIEWS nor PURCHASES is given: loading the sample")
        reviews, purchases = Path(sample_file("movie_review")), Path(sample_file("user_purchase"))
    try:
        # alone: a cluster-up that sees no purchases yet would put the sample in the place of these
        with (
            sole_command("load-data"),
            connected() as api,
            cluster_settings(CoreV1Api(api), {"lake", "source"}) as settings,
        ):
            for line in load_files(settings, reviews, purchases):
                say(f"Loaded {line}")
    except UserAnalyticsError as error:
        say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
    except OSError as error:  # as of a home that cannot be written, where the lock is
        say(f"error: {error}")
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
