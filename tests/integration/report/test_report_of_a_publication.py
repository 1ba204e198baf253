"""The report of what is published in a real warehouse: its figures, its refusals, its size."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page

from tests.fixtures.emulator import Emulator, settings_for
from tests.fixtures.warehouse import DS, Purchase, Review, ingest, prepare, stage
from user_analytics.errors import WarehouseError
from user_analytics.ingest.reviews import ingest_reviews
from user_analytics.lake.local_store import LocalStore
from user_analytics.lake.store import Store
from user_analytics.report import reading
from user_analytics.report.figures import Figures, QuarantineReason
from user_analytics.report.reading import read_figures
from user_analytics.report.write import write_report
from user_analytics.sentiment.explain import deciding_ngrams
from user_analytics.sentiment.model import load_model
from user_analytics.warehouse.client import Warehouse, open_warehouse
from user_analytics.warehouse.publications import Publication
from user_analytics.warehouse.publish import publish
from user_analytics.warehouse.views import create_views, query_view

REVIEWS = [
    *(Review(17850, 0.9) for _ in range(7)),
    *(Review(13047, probability) for probability in (0.8, 0.7, 0.2)),
    *(Review(12583, probability) for probability in (0.6, None)),
    *(Review(cid, 0.1) for cid in (1, 2, 3)),
    Review(9, 0.5),
    Review(8, 0.5),
    Review(7, 0.5),
]
PURCHASES = [
    Purchase(17850, 600, "2.550"),
    Purchase(17850, -100, "2.550"),
    Purchase(13047, 3, "1.065"),
    Purchase(12583, 1, "0.001"),
    Purchase(4, 100, "39.950"),
    Purchase(5, 10, "5.000"),
    Purchase(6, 9, "5.000"),
    Purchase(1, -2, "4.125"),
    Purchase(None, 1000, "9.000"),
    Purchase(None, -1, "0.500"),
]


class Shop(NamedTuple):
    """A warehouse with the rows above published, and the store with its report at `address`, of `figures`."""

    warehouse: Warehouse
    store: LocalStore
    address: str
    figures: Figures


def publish_rows(warehouse: Warehouse, store: LocalStore) -> None:
    prepare(warehouse, store, REVIEWS, PURCHASES)
    publish(warehouse, store, DS)
    create_views(warehouse)


@pytest.fixture(scope="module")
def shop(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """For tests that change nothing."""
    store = LocalStore(tmp_path_factory.mktemp("shop"))
    with pytest.MonkeyPatch.context() as patch:
        settings = settings_for(emulator, patch)
    with open_warehouse(settings) as warehouse:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tests.fixtures.warehouse.MODEL", load_model().version)
            publish_rows(warehouse, store)
        address = write_report(warehouse, store, DS, stage_times={"publish": 1.25})
        yield Shop(warehouse, store, address, read_figures(warehouse, store, DS))


@pytest.fixture(scope="module")
def page(chromium: Browser, shop: Shop) -> Iterator[Page]:
    """The report as the store holds it, to be looked at only."""
    page = chromium.new_page()
    page.goto(Path(shop.address).as_uri())
    yield page
    page.context.close()


def cells(page: Page, selector: str) -> list[list[str]]:
    """The texts of a table's body."""
    rows: list[list[str]] = page.eval_on_selector_all(
        f"{selector} tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    )
    return rows


def as_number(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace("−", "-"))


def test_the_headline_is_what_the_metrics_view_says(page: Page, shop: Shop) -> None:
    metrics = query_view(shop.warehouse, "user_behaviour_metrics_view").rows
    correlation = query_view(shop.warehouse, "correlation_amount_spent_vs_reviews_view").rows[0]

    shown = {name: as_number(page.locator(f"#{name}").inner_text()) for name in ("customers", "amount_spent")}
    assert shown == {"customers": len(metrics), "amount_spent": sum(row[1] for row in metrics)}
    assert as_number(page.locator("#num_positive_reviews").inner_text()) == sum(row[2] for row in metrics)
    assert as_number(page.locator("#num_reviews").inner_text()) == sum(row[3] for row in metrics)
    assert page.locator("#correlation").inner_text() == f"{correlation[0]:+.3f}"
    # Known by hand, so that page and view cannot be wrong together.
    assert shown == {"customers": 12, "amount_spent": Decimal("5359.946")}


@pytest.mark.parametrize(
    ("chart", "view"),
    [
        ("top-by-amount-spent", "top_5_customers_by_amount_spent_view"),
        ("top-by-positive-reviews", "top_5_customers_by_positive_reviews_view"),
    ],
)
def test_both_top_5_are_what_their_views_say(page: Page, shop: Shop, chart: str, view: str) -> None:
    expected = [list(row) for row in query_view(shop.warehouse, view).rows]
    assert len(expected) == 5

    assert [[as_number(cell) for cell in row] for row in cells(page, f"#{chart}")] == expected
    drawn = page.locator(f"#{chart} svg text").all_text_contents()
    assert drawn[:5] == [str(customer) for _, customer, _ in expected]
    assert [as_number(text) for text in drawn[5:]] == [value for _, _, value in expected]


def test_reviews_are_counted_by_sentiment(page: Page) -> None:
    assert cells(page, "#reviews-by-sentiment") == [
        ["Positive", "13", "72.2 %"],
        ["Negative", "4", "22.2 %"],
        ["Not judged", "1", "5.6 %"],
    ]


def test_verdicts_near_one_half_are_counted_as_of_low_confidence(page: Page) -> None:
    # 0.6 and three times 0.5
    assert page.locator("#low-confidence").inner_text().startswith("4 of those judged (23.5 %)")


def test_examples_are_published_reviews_with_what_decided(page: Page) -> None:
    shown = page.locator("section:has(> #examples)").inner_text()

    assert deciding_ngrams(load_model(), "Seen it.") is not None
    assert (
        f"Review 1: positive with probability 0.900. Decided by {deciding_ngrams(load_model(), 'Seen it.')}." in shown
    )


def test_the_surest_and_the_least_sure_reviews_are_the_examples_ties_going_to_the_earlier_one(
    tables: Warehouse, store: LocalStore
) -> None:
    endless = "good " * 2001
    reviews = [
        Review(1, 0.98, "fourth surest"),
        Review(1, 0.999, endless),
        Review(1, 0.99, "second surest"),
        Review(1, 0.99, "third surest"),
        Review(1, 0.995, "surest"),
        Review(1, 0.995, "surest"),
        Review(1, None, "nothing to judge"),
        Review(1, 0.45, "hardly negative"),
        Review(1, 0.55, "hardly positive"),
        Review(1, 0.51, "as good as a coin"),
        Review(1, 0.01, "surely not"),
        *(Review(1, 0.7, f"of no interest {number}") for number in range(30)),
    ]
    prepare(tables, store, reviews, PURCHASES)
    publish(tables, store, DS)
    create_views(tables)

    examples = read_figures(tables, store, DS).examples

    assert [(each.kind, each.review_id, each.positive_probability, each.text) for each in examples] == [
        ("surely_positive", 5, 0.995, "surest"),
        ("surely_positive", 3, 0.99, "second surest"),
        ("surely_negative", 11, 0.01, "surely not"),
        ("surely_negative", 8, 0.45, "hardly negative"),
        ("least_sure", 10, 0.51, "as good as a coin"),
        ("least_sure", 9, 0.55, "hardly positive"),
    ]
    assert {each.deciding_ngrams for each in examples} == {None}, "model-1 is nowhere"


def test_every_customer_is_in_the_scatter(page: Page, shop: Shop) -> None:
    dots = shop.figures.dots

    assert sum(dot.customers for dot in dots) == 12
    assert sum(dot.amount_spent for dot in dots) == Decimal("5359.946")
    assert page.locator("#spend-against-reviews .mark-symbol path").count() == len(dots)
    assert sum(as_number(row[1]) for row in cells(page, "#spend-against-reviews")) == 12


def test_rows_and_guests_are_accounted_for(page: Page) -> None:
    assert cells(page, "#rows") == [["movie_review", "18", "0", "18"], ["user_purchase", "10", "0", "10"]]
    assert "2 purchases name no customer; their 8,999.500 is in the table" in page.locator("#rows").inner_text()


def test_stage_times_are_shown_as_they_were_given(page: Page) -> None:
    assert cells(page, "#stage-times") == [["publish", "1.2 s"]]


def test_the_card_of_the_model_that_judged_is_shown(shop: Shop, page: Page) -> None:
    packaged = load_model()
    assert packaged.validation is not None

    quality = cells(page, "section:has(> #model)")

    assert packaged.version in page.locator("section:has(> #model)").inner_text()
    assert quality[-1][:2] == ["all", f"{packaged.validation.total.rows:,}"]
    total = packaged.validation.total
    assert quality[-1][2:] == [
        f"{100 * total.accuracy:.1f} ± {100 * total.accuracy_interval:.1f} %",
        f"{total.calibration_error:.3f}",
    ]
    assert len(quality) == len(packaged.validation.by_source) + 1


def test_writing_the_report_again_replaces_it(shop: Shop, tmp_path: Path) -> None:
    shutil.copytree(shop.store.root, tmp_path / "lake")
    store = LocalStore(tmp_path / "lake")
    address = f"{store.url}/reports/ds=2010-12-08/index.html"
    assert "Stage times" in Path(address).read_text(encoding="utf-8")

    assert write_report(shop.warehouse, store, DS) == address

    assert "Stage times" not in Path(address).read_text(encoding="utf-8")


def test_reasons_of_quarantine_are_counted_from_the_raw_data_that_was_published(
    tables: Warehouse, store: LocalStore, tmp_path: Path
) -> None:
    reviews = tmp_path / "movie_review.csv"
    reviews.write_text("cid,review_str\n1,Good.\n12.0,Bad.\nx,Bad.\n2,\n2,Good.\n" + "3,Good.\n" * 500)
    accepted = [Review(1), Review(2), *(Review(3) for _ in range(500))]
    ingest(store, accepted, PURCHASES)
    ingest_reviews(tables.settings, store, DS, source=str(reviews))
    stage(tables, store, accepted, PURCHASES)
    publish(tables, store, DS)
    create_views(tables)

    figures = read_figures(tables, store, DS)
    assert figures.model is None  # "model-1" is nowhere
    assert figures.quarantine_reasons == [
        QuarantineReason("movie_review", "cid is not an integer from 1 to 2^63 - 1", 2),
        QuarantineReason("movie_review", "review_str is empty", 1),
    ]

    ingest_reviews(tables.settings, store, DS, source=str(reviews))
    assert read_figures(tables, store, DS).quarantine_reasons == []


def test_without_a_publication_there_is_no_report(tables: Warehouse, store: LocalStore) -> None:
    with pytest.raises(WarehouseError, match="nothing is published yet"):
        write_report(tables, store, DS)


def test_a_date_that_the_tables_do_not_hold_is_refused(shop: Shop) -> None:
    with pytest.raises(WarehouseError, match="the tables hold 2010-12-08, not 2010-12-07: report on 2010-12-08"):
        write_report(shop.warehouse, shop.store, date(2010, 12, 7))

    assert shop.store.get("reports/ds=2010-12-07/index.html") is None


def test_figures_of_two_publications_are_never_mixed(
    tables: Warehouse, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_rows(tables, store)
    window = (datetime(2010, 12, 6, tzinfo=UTC), datetime(2010, 12, 9, tzinfo=UTC))
    read = reading._read
    reads: list[Figures] = []

    def publish_during_the_first_read(warehouse: Warehouse, store: Store, publication: Publication) -> Figures:
        reads.append(read(warehouse, store, publication))
        if len(reads) == 1:
            prepare(warehouse, store, REVIEWS[:3], PURCHASES[:3], window=window)
            publish(warehouse, store, DS)
        return reads[-1]

    monkeypatch.setattr(reading, "_read", publish_during_the_first_read)

    figures = read_figures(tables, store, DS)

    assert [each.summary.num_reviews for each in reads] == [18, 3]
    assert figures is reads[1]
    assert figures.summary.num_reviews == figures.sentiment.total == figures.tables[0].published == 3
    assert (figures.mode, figures.window) == ("incremental", window)


def test_tables_that_never_come_to_rest_are_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    publications = shop.warehouse.table_id("publications")

    def publish_during_each_read(warehouse: Warehouse, _store: Store, publication: Publication) -> Figures:
        warehouse.run(
            f"insert into `{publications}` select * replace (sequence + 1 as sequence) from `{publications}` "
            f"where sequence = {publication.sequence}"
        )
        return shop.figures

    monkeypatch.setattr(reading, "_read", publish_during_each_read)

    try:
        with pytest.raises(WarehouseError, match="published anew 3 times"):
            read_figures(shop.warehouse, shop.store, DS)
    finally:
        shop.warehouse.run(f"delete from `{publications}` where sequence > 1")


def test_a_hundred_thousand_customers_make_a_small_page(tables: Warehouse, store: LocalStore) -> None:
    publish_rows(tables, store)
    tables.run(
        f"insert into `{tables.table_id('user_purchase')}` "
        "select '536365', '85123A', 'A mug', mod(n * 7919, 37) - 1, timestamp '2010-12-08 12:00:00+00:00', "
        "cast(exp(mod(n * 104729, 1000) / 150) as numeric), 100000 + n, 'France', date '2010-12-08' "
        "from unnest(generate_array(1, 100000)) as n"
    )
    tables.run(
        f"insert into `{tables.table_id('movie_review')}` "
        "select 1000 + n, 100000 + cast(floor(pow(n / 200000, 2) * 100000) as int64), 'Seen it.', true, 0.9, "
        "'model-1', date '2010-12-08' "
        "from unnest(generate_array(1, 200000)) as n"
    )

    address = write_report(tables, store, DS)

    dots = read_figures(tables, store, DS).dots
    assert sum(dot.customers for dot in dots) > 100_000
    assert 200 < len(dots) <= 46 * 37
    assert Path(address).stat().st_size < 700_000
