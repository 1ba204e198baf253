"""The page as text: what it holds, and what it must never hold."""

import functools
from datetime import UTC, datetime
from html.parser import HTMLParser

from tests.fixtures.figures import some_dots, some_figures
from user_analytics.report.figures import Axis, Correlation, Example, QuarantineReason, Sentiment, Summary
from user_analytics.report.page import render_page
from user_analytics.warehouse.looker import LookerLinks

LINKS = LookerLinks("https://lookerstudio.google.com/report", "https://lookerstudio.google.com/source", None)
STAGE_TIMES = {"ingest reviews": 1.9, "movie_review": 180.0}


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@functools.cache
def page_of_a_run() -> str:
    return render_page(some_figures(), LINKS, STAGE_TIMES)


def test_the_page_needs_nothing_but_itself() -> None:
    page = Elements(page_of_a_run())

    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"href", "src", "srcset", "data", "action", "xlink:href"} or name.startswith("on")
    ]
    assert addresses == [LINKS.report, LINKS.data_source]


def test_the_page_forbids_scripts_and_every_load() -> None:
    page = Elements(page_of_a_run())

    (policy,) = [
        attributes["content"]
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def test_text_from_a_source_stays_text() -> None:
    hostile = "<img src=x onerror=alert(1)>'\"</table><script>alert(2)</script>{{ 7 * 7 }}"

    rendered = render_page(
        some_figures(
            quarantine_reasons=[QuarantineReason("movie_review", hostile, 1)],
            model_version=hostile,
            examples=[Example("least_sure", 1, 0.5, hostile, hostile)],
        ),
        LookerLinks(LINKS.report, LINKS.data_source, hostile),
        {hostile: 1.0},
    )

    page = Elements(rendered)
    assert not {"img", "script"} & {tag for tag, _ in page.tags}
    assert f"movie_review: {hostile}" in page.text
    assert f"Decided by {hostile}" in page.text
    assert hostile in page.text.partition("Least sure")[2].partition("Review 1:")[0]


def test_an_empty_warehouse_still_makes_a_page() -> None:
    figures = some_figures(
        summary=Summary(0, some_figures().summary.amount_spent * 0, 0, 0, 0, some_figures().summary.guest_amount * 0),
        sentiment=Sentiment(0, 0, 0, 0),
        correlation=Correlation(None, None, 0),
        top_by_amount_spent=[],
        top_by_positive_reviews=[],
        amount_axis=Axis(0, 0, None),
        reviews_axis=Axis(0, 0, None),
        dots=[],
        quarantine_reasons=[],
        examples=[],
    )

    page = Elements(render_page(figures, LINKS, None))

    assert "No customer has spent anything." in page.text
    assert "No customer has written a positive review." in page.text
    assert "No review is published." in page.text
    assert "undefined" in page.text
    assert "Examples of judged reviews" not in page.text
    assert "low confidence" not in page.text
    assert "svg" not in {tag for tag, _ in page.tags}


def test_stage_times_are_left_out_where_no_run_has_them() -> None:
    assert "3 min 00 s" in page_of_a_run()
    assert "Stage times" not in render_page(some_figures(), LINKS, None)


def test_an_incremental_load_says_which_purchases_it_read() -> None:
    window = (datetime(2010, 12, 5, tzinfo=UTC), datetime(2010, 12, 9, tzinfo=UTC))

    page = Elements(render_page(some_figures(mode="incremental", window=window), LINKS, None))

    assert "incremental load" in page.text
    assert "from 5 December 2010 up to, not including, 9 December 2010" in page.text


def test_the_card_of_the_model_gives_accuracy_with_its_interval_and_calibration_by_source() -> None:
    page = Elements(page_of_a_run())

    assert "Cross-validated over 5 folds" in page.text
    assert "sentences90080.3 ± 1.5 %0.031" in page.text


def test_verdicts_of_low_confidence_are_counted_as_a_share_of_those_judged() -> None:
    page = Elements(page_of_a_run())

    assert "389 of those judged (4.9 %) were judged with low confidence: a probability from 0.4 to 0.6." in page.text


def test_examples_show_probability_ngrams_and_the_beginning_of_a_long_text() -> None:
    long = "wonderful " * 40
    page = Elements(
        render_page(
            some_figures(examples=[Example("surely_positive", 17, 0.99971, long, "wonderful +3.10")]), LINKS, None
        )
    )

    assert "Most surely positive" in page.text
    assert "Least sure" not in page.text
    assert f"{long[:199].rstrip()}…" in page.text
    assert "wonderful " * 21 not in page.text
    assert "Review 17: positive with probability over 0.999. Decided by wonderful +3.10." in page.text


def test_a_model_that_is_not_here_is_named_and_the_examples_go_without_ngrams() -> None:
    examples = [each._replace(deciding_ngrams=None) for each in some_figures().examples]

    page = Elements(
        render_page(some_figures(model=None, model_version="tfidf-ffffffff", examples=examples), LINKS, None)
    )

    assert "tfidf-ffffffff" in page.text
    assert "This installation does not have it" in page.text
    assert "Review 17: positive with probability over 0.999." in page.text
    assert "Decided by" not in page.text


def test_the_note_of_the_looker_studio_links_is_shown_when_there_is_one() -> None:
    assert 'class="notice"' not in page_of_a_run()
    assert "once the dataset is on BigQuery" in render_page(
        some_figures(), LINKS._replace(note="works once the dataset is on BigQuery"), None
    )


def test_the_fullest_page_stays_under_a_megabyte() -> None:
    dots = some_dots(46 * 37)

    assert len(render_page(some_figures(dots=dots), LINKS, STAGE_TIMES).encode()) < 700_000
