"""A publish takes what both pairs of manifests say, and only when they do not contradict each other."""

from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from tests.fixtures.warehouse import DS, MODEL, NOON, Purchase, Review, ingest
from user_analytics.errors import ManifestMissing, PublishRefused
from user_analytics.lake import keys
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import StagingManifest, Table, read_raw_manifest, write_staging_manifest
from user_analytics.warehouse.staging import read_staged, staging_name

ATTEMPT = UUID("0123456789abcdef0123456789abcdef")


def write_staging(store: LocalStore, table: Table, **changes: object) -> StagingManifest:
    manifest = StagingManifest(
        table=table,
        ds=DS,
        attempt=ATTEMPT,
        staging_table=staging_name(table, DS, ATTEMPT),
        raw_digest=read_raw_manifest(store, table, DS).digest,
        rows=1,
        model_version=MODEL if table == "movie_review" else None,
        created_at=NOON,
        version="0.1.0",
    ).model_copy(update=changes)
    write_staging_manifest(store, manifest)
    return manifest


@pytest.fixture
def staged(tmp_path: Path) -> LocalStore:
    """A store with the manifests of both tables."""
    store = LocalStore(tmp_path)
    ingest(store, [Review(1)], [Purchase(1)])
    write_staging(store, "movie_review")
    write_staging(store, "user_purchase")
    return store


def test_both_tables_are_read_with_their_digests(staged: LocalStore) -> None:
    pair = read_staged(staged, DS)
    assert pair.movie_review.raw == read_raw_manifest(staged, "movie_review", DS)
    assert pair.user_purchase.staging.manifest.staging_table == (
        "user_purchase__20101208__0123456789abcdef0123456789abcdef"
    )


def test_a_staging_table_that_is_not_of_the_manifests_attempt_is_refused(staged: LocalStore) -> None:
    write_staging(staged, "user_purchase", staging_table="movie_review`; drop table x; --")
    with pytest.raises(PublishRefused, match=r"names movie_review`; .* but its attempt's table is user_purchase__2010"):
        read_staged(staged, DS)


def test_reviews_that_no_model_judged_are_refused(staged: LocalStore) -> None:
    write_staging(staged, "movie_review", model_version=None)
    with pytest.raises(PublishRefused, match="the staging manifest of movie_review for 2010-12-08 names no model"):
        read_staged(staged, DS)


@pytest.mark.parametrize("key", [keys.raw_manifest, keys.staging_manifest])
def test_a_manifest_copied_to_another_date_is_refused(staged: LocalStore, key: object) -> None:
    other = date(2010, 12, 9)
    for of in (keys.raw_manifest, keys.staging_manifest):
        for table in ("movie_review", "user_purchase"):
            body = staged.get(of(table, DS))
            assert body is not None
            staged.put(of(table, other), body if of is key else body.replace(b"2010-12-08", b"2010-12-09"))
    what = "raw" if key is keys.raw_manifest else "staging"
    with pytest.raises(PublishRefused, match=f"the {what} manifest of movie_review for 2010-12-09 .* of movie_review"):
        read_staged(staged, other)


def test_a_table_that_was_not_staged_is_named(staged: LocalStore) -> None:
    staged.delete(keys.staging_manifest("user_purchase", DS))
    with pytest.raises(ManifestMissing, match=r"staging/user_purchase/ds=2010-12-08/_manifest.json does not exist"):
        read_staged(staged, DS)
