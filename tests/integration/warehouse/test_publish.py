"""Publish: one transaction, at most once, refused when it would be wrong; a refusal changes nothing."""

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest
from structlog.testing import capture_logs

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import (
    DS,
    MODEL,
    Pair,
    Purchase,
    Review,
    ingest,
    prepare,
    published_purchases,
    published_reviews,
)
from user_analytics import __version__
from user_analytics.errors import AuditFailed, PublishRefused
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.manifest import read_raw_manifest, read_staging_manifest
from user_analytics.mode import Mode
from user_analytics.settings import Settings
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publications import Publication, publications
from user_analytics.warehouse.publish import publish, refuse_wrong_order

EARLIER, LATER = date(2010, 12, 7), date(2010, 12, 9)
REVIEWS = [Review(10), Review(20, None)]
PURCHASES = [Purchase(10, 2, "1.500"), Purchase(None, -1, "0.005", invoice_number="C2")]
WINDOW = (datetime(2010, 12, 6, tzinfo=UTC), datetime(2010, 12, 10, tzinfo=UTC))


class State(NamedTuple):
    """All that a reader can see."""

    reviews: list[tuple[int, int, date]]
    purchases: list[tuple[str, int | None, Decimal, date]]
    published: list[date]


def state(warehouse: Warehouse) -> State:
    return State(
        published_reviews(warehouse),
        published_purchases(warehouse),
        [publication.ds for publication in publications(warehouse)],
    )


def staged_tables(warehouse: Warehouse) -> set[str]:
    return {table.name for table in warehouse.staging_tables()}


def reason(events: Iterable[Mapping[str, str]], name: str) -> str:
    """What the only event of that name gives as its reason."""
    [said] = [event["reason"] for event in events if event["event"] == name]
    return said


class Published(NamedTuple):
    """What was published in a warehouse, from which staging tables, the record that publish gave back, and when."""

    warehouse: Warehouse
    store: LocalStore
    pair: Pair
    publication: Publication
    began: datetime
    ended: datetime


@pytest.fixture(scope="module")
def published(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """DS in full: 2 reviews and 3 purchases, and 2 more of each in quarantine; for tests that change nothing."""
    store = LocalStore(tmp_path_factory.mktemp("published"))
    with pytest.MonkeyPatch.context() as patch:
        settings = settings_for(emulator, patch).model_copy(update={"max_quarantine_ratio": Decimal(1)})
    with open_warehouse(settings) as warehouse:
        pair = prepare(warehouse, store, REVIEWS, [*PURCHASES, Purchase(20)], quarantined=2)
        began = datetime.now(UTC)
        publication = publish(warehouse, store, DS)
        yield Published(warehouse, store, pair, publication, began, datetime.now(UTC))


@pytest.fixture(scope="module")
def replaced(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """DS in full, which is what is told of, and LATER in full over it; for tests that change nothing."""
    store = LocalStore(tmp_path_factory.mktemp("replaced"))
    with pytest.MonkeyPatch.context() as patch:
        settings = settings_for(emulator, patch)
    with open_warehouse(settings) as warehouse:
        pair = prepare(warehouse, store, REVIEWS, PURCHASES)
        began = datetime.now(UTC)
        publication = publish(warehouse, store, DS)
        ended = datetime.now(UTC)
        prepare(warehouse, store, [Review(30)], [Purchase(30, 1, "7.000")], ds=LATER)
        publish(warehouse, store, LATER)
        yield Published(warehouse, store, pair, publication, began, ended)


class TestFull:
    def test_staged_rows_become_the_tables_with_the_date_of_the_run(self, published: Published) -> None:
        assert state(published.warehouse) == State(
            reviews=[(1, 10, DS), (2, 20, DS)],
            purchases=[
                ("536365", 10, Decimal("3.000"), DS),
                ("536365", 20, Decimal("1.000"), DS),
                ("C2", None, Decimal("-0.005"), DS),
            ],
            published=[DS],
        )

    def test_it_records_what_was_published_from_what(self, published: Published) -> None:
        _, store, pair, publication, began, ended = published

        assert publications(published.warehouse) == [publication]
        assert began < publication.published_at < ended
        assert publication._asdict() == {
            "sequence": 1,
            "publication_id": publication.publication_id,
            "ds": DS,
            "mode": "full",
            "window_start": None,
            "window_end": None,
            "published_at": publication.published_at,
            "version": __version__,
            "model_version": MODEL,
            "movie_review_source_rows": 4,
            "movie_review_rows": 2,
            "movie_review_quarantined_rows": 2,
            "movie_review_raw_digest": read_raw_manifest(store, "movie_review", DS).digest,
            "movie_review_staging_digest": read_staging_manifest(store, "movie_review", DS).digest,
            "movie_review_staging_table": pair.movie_review,
            "user_purchase_source_rows": 5,
            "user_purchase_rows": 3,
            "user_purchase_quarantined_rows": 2,
            "user_purchase_raw_digest": read_raw_manifest(store, "user_purchase", DS).digest,
            "user_purchase_staging_digest": read_staging_manifest(store, "user_purchase", DS).digest,
            "user_purchase_staging_table": pair.user_purchase,
        }

    def test_staging_tables_are_dropped(self, published: Published) -> None:
        assert staged_tables(published.warehouse) == set()

    def test_both_tables_are_replaced_whole(self, replaced: Published) -> None:
        assert state(replaced.warehouse) == State(
            reviews=[(1, 30, LATER)],
            purchases=[("536365", 30, Decimal("7.000"), LATER)],
            published=[LATER, DS],
        )

    def test_the_same_date_may_be_published_again_from_new_staging(
        self, warehouse: Warehouse, store: LocalStore
    ) -> None:
        prepare(warehouse, store, REVIEWS, PURCHASES)
        publish(warehouse, store, DS)
        prepare(warehouse, store, REVIEWS[:1], PURCHASES[:1])
        assert publish(warehouse, store, DS).sequence == 2
        assert state(warehouse).reviews == [(1, 10, DS)]


class TestRerun:
    def test_publishing_the_same_staging_again_changes_nothing_and_gives_the_same_publication(
        self, published: Published
    ) -> None:
        before = state(published.warehouse)
        with capture_logs() as events:
            assert publish(published.warehouse, published.store, DS) == published.publication
        assert publications(published.warehouse) == [published.publication]
        assert state(published.warehouse) == before
        assert reason(events, "already_published") == (
            "the tables hold what is staged for 2010-12-08 already (number 1): nothing was done; "
            "to publish 2010-12-08 again, run its Spark applications again, then publish (cluster: "
            "`make apply APP=movie-review DATE=2010-12-08`, the same with APP=user-purchase, then "
            "`make publish DATE=2010-12-08`); `user-analytics run --from-raw --date 2010-12-08` does both"
        )

    def test_a_run_killed_before_it_dropped_the_staging_tables_drops_them_when_it_is_repeated(
        self, warehouse: Warehouse, store: LocalStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pair = prepare(warehouse, store, REVIEWS, PURCHASES)
        with monkeypatch.context() as killed:
            killed.setattr(Warehouse, "delete_table", _killed)
            with pytest.raises(KeyboardInterrupt):
                publish(warehouse, store, DS)
        assert staged_tables(warehouse) == set(pair)

        publish(warehouse, store, DS)
        assert staged_tables(warehouse) == set()
        assert len(publications(warehouse)) == 1

    def test_staging_that_was_replaced_since_is_not_published_over_newer_data(self, replaced: Published) -> None:
        before = state(replaced.warehouse)

        with capture_logs() as events:
            assert publish(replaced.warehouse, replaced.store, DS) == replaced.publication
        assert state(replaced.warehouse) == before
        assert re.fullmatch(
            "what is staged for 2010-12-08 was published before .number 1. and replaced since: the tables hold the "
            "data of 2010-12-09 .number 2., and nothing was done; to publish 2010-12-08 again, run its Spark "
            r"applications again, then publish --force .* `make publish DATE=2010-12-08 ARGS='--set force=true'`\); "
            "`user-analytics run --from-raw --date 2010-12-08 --force` does both",
            reason(events, "published_and_replaced_since"),
        )

    def test_going_back_is_refused_while_the_date_is_not_staged_again(self, replaced: Published) -> None:
        with pytest.raises(PublishRefused, match="`user-analytics run --from-raw --date 2010-12-08 --force` does both"):
            publish(replaced.warehouse, replaced.store, DS, force=True)

    def test_going_back_is_done_when_it_is_forced_and_staged_again(
        self, warehouse: Warehouse, store: LocalStore
    ) -> None:
        prepare(warehouse, store, [Review(30)], PURCHASES, ds=LATER)
        publish(warehouse, store, LATER)
        prepare(warehouse, store, REVIEWS, PURCHASES)
        publish(warehouse, store, DS, force=True)
        assert state(warehouse) == State(
            reviews=[(1, 10, DS), (2, 20, DS)],
            purchases=[("536365", 10, Decimal("3.000"), DS), ("C2", None, Decimal("-0.005"), DS)],
            published=[DS, LATER],
        )


class TestIncremental:
    def test_the_window_is_replaced_and_the_rest_of_the_purchases_stays(
        self, warehouse: Warehouse, store: LocalStore
    ) -> None:
        def purchase(name: str, moment: datetime) -> Purchase:
            return Purchase(1, invoice_number=name, invoice_date=moment)

        before_window = datetime(2010, 12, 5, 23, 59, 59, 999999, tzinfo=UTC)
        prepare(
            warehouse,
            store,
            REVIEWS,
            [
                purchase("kept-before", before_window),
                purchase("replaced-first", WINDOW[0]),
                purchase("replaced-last", datetime(2010, 12, 9, 23, 59, 59, 999999, tzinfo=UTC)),
                purchase("kept-after", WINDOW[1]),
            ],
        )
        publish(warehouse, store, DS)
        prepare(warehouse, store, [Review(30)], [purchase("late", WINDOW[0])], ds=LATER, window=WINDOW)
        published = publish(warehouse, store, LATER)

        assert (published.mode, published.window_start, published.window_end) == ("incremental", *WINDOW)
        assert [(row[0], row[3]) for row in published_purchases(warehouse)] == [
            ("kept-after", DS),
            ("kept-before", DS),
            ("late", LATER),
        ]
        assert published_reviews(warehouse) == [(1, 30, LATER)]

    def test_it_is_refused_while_nothing_full_was_ever_published(self, warehouse: Warehouse, store: LocalStore) -> None:
        prepare(warehouse, store, REVIEWS, PURCHASES, window=WINDOW)
        with pytest.raises(PublishRefused, match="run 2010-12-08 in mode full"):
            publish(warehouse, store, DS)
        assert state(warehouse) == State([], [], [])

    def test_an_older_window_may_be_read_again(self, warehouse: Warehouse, store: LocalStore) -> None:
        prepare(warehouse, store, REVIEWS, PURCHASES, ds=LATER)
        publish(warehouse, store, LATER)
        prepare(warehouse, store, REVIEWS, PURCHASES, ds=DS, window=WINDOW)
        assert publish(warehouse, store, DS).mode == "incremental"


class TestRefused:
    """Nothing changes, staging included."""

    @pytest.fixture
    def held(self, published: Published) -> Iterator[Warehouse]:
        """With DS published from another store; what a test stages goes."""
        yield published.warehouse
        for name in staged_tables(published.warehouse):
            published.warehouse.delete_table(published.warehouse.staging_table_id(name))

    @staticmethod
    def refusal(warehouse: Warehouse, store: LocalStore, ds: date = DS, *, allow_empty: bool = False) -> str:
        seen, staged = state(warehouse), staged_tables(warehouse)
        with pytest.raises((PublishRefused, AuditFailed)) as refused:
            publish(warehouse, store, ds, allow_empty=allow_empty)
        assert (state(warehouse), staged_tables(warehouse)) == (seen, staged)
        return str(refused.value)

    def test_staging_that_fails_its_audit(self, held: Warehouse, store: LocalStore) -> None:
        pair = prepare(held, store, REVIEWS, PURCHASES, ds=LATER)
        held.run(f"delete from `{held.staging_table_id(pair.user_purchase)}` where invoice_number = 'C2'")
        held.run(f"update `{held.staging_table_id(pair.movie_review)}` set review_id = 1 where review_id = 2")
        assert self.refusal(held, store, LATER) == (
            "5 of 13 checks of 2010-12-09 failed; the published tables are as they were, the staging tables were "
            "kept:\n"
            f"  movie_review review_id_unique ({pair.movie_review}): 1 offending keys, first: review_id 1, "
            "occurrences 2\n"
            f"  user_purchase null_customer_ids ({pair.user_purchase}): found 0, expected 1\n"
            f"  user_purchase rows ({pair.user_purchase}): found 1, expected 2\n"
            f"  user_purchase sum_amount ({pair.user_purchase}): found 3, expected 2.995\n"
            f"  user_purchase sum_quantity ({pair.user_purchase}): found 2, expected 1"
        )

    def test_an_older_full_date(self, held: Warehouse, store: LocalStore) -> None:
        prepare(held, store, REVIEWS, PURCHASES, ds=EARLIER)
        assert self.refusal(held, store, EARLIER) == (
            "the tables hold the data of 2010-12-08, and 2010-12-07 is older: to go back to 2010-12-07, publish with "
            "--force (cluster: `make publish DATE=2010-12-07 ARGS='--set force=true'`; Airflow: the run's parameter "
            "force)"
        )

    def test_a_full_date_older_than_an_increment_on_top_of_the_last_full_one(
        self, tables: Warehouse, store: LocalStore
    ) -> None:
        prepare(tables, store, REVIEWS, PURCHASES, ds=EARLIER)
        publish(tables, store, EARLIER)
        prepare(tables, store, REVIEWS, PURCHASES, ds=LATER, window=WINDOW)
        publish(tables, store, LATER)
        prepare(tables, store, REVIEWS, PURCHASES, ds=DS)
        assert self.refusal(tables, store).startswith("the tables hold the data of 2010-12-09, and 2010-12-08 is older")

    def test_staging_made_from_raw_data_that_was_replaced(self, held: Warehouse, store: LocalStore) -> None:
        pair = prepare(held, store, REVIEWS, PURCHASES)
        ingest(store, REVIEWS, PURCHASES)
        assert self.refusal(held, store) == (
            f"the raw data of movie_review for 2010-12-08 was replaced after {pair.movie_review} was made from it: "
            "run the Spark application of movie_review for 2010-12-08 again, then publish; "
            "`user-analytics run --from-raw --date 2010-12-08` does both"
        )

    @pytest.mark.parametrize(("reviews", "purchases"), [([], PURCHASES), (REVIEWS, [])])
    def test_a_table_without_rows(
        self, held: Warehouse, store: LocalStore, reviews: list[Review], purchases: list[Purchase]
    ) -> None:
        prepare(held, store, reviews, purchases)
        empty = "user_purchase" if reviews else "movie_review"
        assert self.refusal(held, store) == (
            f"{empty} of 2010-12-08 has no rows ({empty}.csv): check the source, or publish with --allow-empty"
        )

    def test_but_not_tables_without_rows_where_that_is_allowed(self, tables: Warehouse, store: LocalStore) -> None:
        prepare(tables, store, [], [])
        publish(tables, store, DS, allow_empty=True)
        assert state(tables) == State([], [], [DS])

    def test_more_quarantined_rows_than_the_setting_allows(self, tables: Warehouse, store: LocalStore) -> None:
        prepare(tables, store, [Review(1)] * 98, [Purchase(1)] * 98, quarantined=2)
        assert self.refusal(tables, store, allow_empty=True).startswith(
            "2 of 100 rows of movie_review of 2010-12-08 were quarantined, more than MAX_QUARANTINE_RATIO 0.01 allows "
            "(movie_review.csv): look at them with `user-analytics quarantine show --date 2010-12-08`"
        )
        with open_warehouse(tables.settings.model_copy(update={"max_quarantine_ratio": Decimal("0.02")})) as lenient:
            assert publish(lenient, store, DS).movie_review_quarantined_rows == 2

    def test_staging_tables_that_no_longer_exist(self, held: Warehouse, store: LocalStore) -> None:
        pair = prepare(held, store, REVIEWS, PURCHASES)
        held.delete_table(held.staging_table_id(pair.user_purchase))
        assert self.refusal(held, store) == (
            f"{pair.user_purchase} of 2010-12-08 no longer exist(s) in {held.settings.bigquery_staging_dataset}: "
            "run the Spark applications of 2010-12-08 again, then publish; "
            "`user-analytics run --from-raw --date 2010-12-08` does both"
        )


class TestOrder:
    """What a run asks before it replaces the raw data of its date."""

    def test_an_older_full_date_is_refused_with_both_ways_back(self, published: Published) -> None:
        with pytest.raises(PublishRefused) as refusal:
            refuse_wrong_order(published.warehouse, EARLIER, "full", force=False)
        assert str(refusal.value) == (
            "the tables hold the data of 2010-12-08, and 2010-12-07 is older: "
            "if the lake keeps data of 2010-12-07, `user-analytics run --from-raw --date 2010-12-07 --force` publishes "
            "it again (with make: DATE=2010-12-07 ARGS='--from-raw --force'); data that is new goes under a later "
            "--date, or with --force under 2010-12-07, in place of what is kept of it"
        )

    @pytest.mark.parametrize(
        ("ds", "mode", "force"),
        [(EARLIER, "full", True), (EARLIER, "incremental", False), (DS, "full", False), (LATER, "full", False)],
    )
    def test_what_publish_would_let_through_is_not_refused(
        self, published: Published, ds: date, mode: Mode, force: bool
    ) -> None:
        refuse_wrong_order(published.warehouse, ds, mode, force=force)

    def test_a_first_full_date_is_not_refused_by_a_warehouse_without_tables(self, warehouse: Warehouse) -> None:
        refuse_wrong_order(warehouse, DS, "full", force=False)

    @pytest.mark.parametrize("force", [False, True])
    def test_an_increment_is_refused_while_nothing_full_was_ever_published(
        self, warehouse: Warehouse, force: bool
    ) -> None:
        with pytest.raises(PublishRefused, match="nothing full was ever published: run 2010-12-08 in mode full"):
            refuse_wrong_order(warehouse, DS, "incremental", force=force)


class TestAtOnce:
    """Several publishes at the same time, each by a process of its own."""

    @staticmethod
    def publish_both(settings: Settings, store: LocalStore, *dates: date) -> list[object]:
        """The publication or the error of each."""
        start = threading.Barrier(len(dates))

        def run(ds: date) -> object:
            with open_warehouse(settings) as own:
                start.wait()
                try:
                    return publish(own, store, ds)
                except PublishRefused as refusal:
                    return refusal

        with ThreadPoolExecutor() as pool:
            return list(pool.map(run, dates))

    def test_two_publishes_of_the_same_staging_commit_once(self, tables: Warehouse, store: LocalStore) -> None:
        prepare(tables, store, REVIEWS, PURCHASES)
        first, second = self.publish_both(tables.settings, store, DS, DS)
        assert first == second
        assert publications(tables) == [first]
        assert state(tables).reviews == [(1, 10, DS), (2, 20, DS)]
        assert staged_tables(tables) == set()

    def test_of_two_dates_the_later_one_is_published_last_or_the_earlier_refused(
        self, tables: Warehouse, store: LocalStore
    ) -> None:
        prepare(tables, store, [Review(8)], [Purchase(8)], ds=DS)
        prepare(tables, store, [Review(9)], [Purchase(9)], ds=LATER)
        earlier, later = self.publish_both(tables.settings, store, DS, LATER)

        assert not isinstance(later, PublishRefused)
        seen = state(tables)
        assert seen.published in ([LATER], [LATER, DS])
        assert isinstance(earlier, PublishRefused) == (seen.published == [LATER])
        assert (seen.reviews, [row[1] for row in seen.purchases]) == ([(1, 9, LATER)], [9])

    def test_readers_see_one_whole_publication_at_any_time(self, tables: Warehouse, store: LocalStore) -> None:
        customers = 20_000
        prepare(tables, store, [Review(1)] * customers, [Purchase(1)] * customers)
        publish(tables, store, DS)
        prepare(tables, store, [Review(2)] * customers, [Purchase(2)] * customers, ds=LATER)
        done = threading.Event()
        seen: list[tuple[object, ...]] = []

        def read() -> None:
            both = f"""
                select
                    (select concat(min(cid), '-', max(cid), ' ', count(*)) from `{tables.table_id("movie_review")}`),
                    (select concat(min(customer_id), '-', max(customer_id), ' ', count(*))
                     from `{tables.table_id("user_purchase")}`),
                    (select max(sequence) from `{tables.table_id("publications")}`)
            """
            with open_warehouse(tables.settings) as reader:
                while not done.is_set() or len(seen) < 4:
                    seen.extend(reader.rows(both).rows)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            while not seen:
                assert thread.is_alive()
                time.sleep(0.01)
            publish(tables, store, LATER)
        finally:
            done.set()
            thread.join()

        assert set(seen) <= {("1-1 20000", "1-1 20000", 1), ("2-2 20000", "2-2 20000", 2)}


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
