"""The page in a real browser: drawn, readable, silent, in light and dark, on a desk and on a phone."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, Page

from tests.fixtures.figures import some_figures
from user_analytics.report.figures import Example, Figures, QuarantineReason
from user_analytics.report.page import render_page
from user_analytics.warehouse.looker import LookerLinks

Scheme = Literal["light", "dark"]
Open = Callable[..., Page]

SCHEMES: tuple[Scheme, ...] = ("light", "dark")
DESK, PHONE = 1200, 390
LINKS = LookerLinks(
    "https://lookerstudio.google.com/reporting/create?a=1&b=2",
    "https://lookerstudio.google.com/datasources/create",
    "A note.",
)
STAGE_TIMES = {"create_bucket": 0.1, "ingest_reviews": 1.9, "movie_review": 19.2, "user_purchase": 14.8}
CHARTS = (
    "top-by-amount-spent",
    "top-by-positive-reviews",
    "spend-against-reviews",
    "reviews-by-sentiment",
    "stage-times",
)

# Each text and mark with the colour it is seen in and the colour behind it, both opaque.
SEEN_COLOURS = """
() => {
  const parse = (colour) => {
    const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = ([r, g, b, a], behind) => [r, g, b].map((value, i) => value * a + behind[i] * (1 - a));
  const behind = (element) => {
    for (let node = element; node; node = node.parentElement) {
      if (node instanceof HTMLElement) {
        const colour = parse(getComputedStyle(node).backgroundColor);
        if (colour[3] === 1) return colour.slice(0, 3);
      }
    }
    return [255, 255, 255];
  };
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || element.closest("details:not([open]) > :not(summary)")) continue;
    const style = getComputedStyle(element);
    const colour = parse(element instanceof SVGElement ? style.fill : style.color);
    const ground = behind(element);
    seen.push({ kind: "text", what: text, colour: over(colour, ground), ground });
  }
  for (const mark of document.querySelectorAll(".mark-rect path, .mark-symbol path")) {
    const style = getComputedStyle(mark), ground = behind(mark);
    const [r, g, b, a] = parse(style.fill);
    const colour = over([r, g, b, a * Number(style.fillOpacity)], ground);
    seen.push({ kind: "mark", what: mark.closest("figure").id, colour, ground });
  }
  return seen;
}
"""


@cache
def usual_page() -> str:
    return render_page(some_figures(), LINKS, STAGE_TIMES)


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[Page]:
    """A page without network for all tests, as opening one takes longer than showing another file in it."""
    page = chromium.new_page()
    page.context.set_offline(True)
    yield page
    page.context.close()


@pytest.fixture
def open_page(window: Page, tmp_path: Path) -> Iterator[Open]:
    """Opens figures as a file; fails on any message, error or request."""
    noise: list[str] = []

    def refuse(dialog: Dialog) -> None:
        noise.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    listeners: dict[str, Callable[[Any], None]] = {
        "console": lambda message: noise.append(f"console: {message.text}"),
        "pageerror": lambda error: noise.append(f"error: {error}"),
        "dialog": refuse,
        "request": lambda request: noise.append(f"request: {request.url}"),
    }

    def open_(figures: Figures | None = None, *, scheme: Scheme = "light", width: int = DESK) -> Page:
        path = tmp_path / "index.html"
        html = usual_page() if figures is None else render_page(figures, LINKS, STAGE_TIMES)
        path.write_text(html, encoding="utf-8")
        window.set_viewport_size({"width": width, "height": 844})
        window.emulate_media(color_scheme=scheme)
        window.goto(path.as_uri())
        window.wait_for_load_state("networkidle")
        assert noise == [f"request: {path.as_uri()}"]
        noise.clear()
        return window

    for event, listener in listeners.items():
        window.on(event, listener)  # type: ignore[call-overload]
    yield open_
    window.goto("about:blank")
    for event, listener in listeners.items():
        window.remove_listener(event, listener)
    assert noise == []


def luminance(colour: list[float]) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    """Contrast ratio as WCAG 2.2 defines it, from 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def boxes(page: Page, selector: str) -> list[dict[str, float]]:
    measured: list[dict[str, float]] = page.eval_on_selector_all(
        selector,
        "marks => marks.map(m => { const b = m.getBoundingClientRect(); "
        "return { left: b.left, right: b.right, top: b.top, bottom: b.bottom, width: b.width, height: b.height } })",
    )
    return measured


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [DESK, PHONE])
def test_every_chart_is_drawn_inside_its_card(open_page: Open, scheme: Scheme, width: int) -> None:
    figures = some_figures()
    page = open_page(scheme=scheme, width=width)

    marks = {chart: boxes(page, f"#{chart} .mark-rect path, #{chart} .mark-symbol path") for chart in CHARTS}

    assert {chart: len(drawn) for chart, drawn in marks.items()} == {
        "top-by-amount-spent": 5,
        "top-by-positive-reviews": 5,
        "spend-against-reviews": len(figures.dots),
        "reviews-by-sentiment": 3,
        "stage-times": len(STAGE_TIMES),
    }
    for chart, drawn in marks.items():
        (card,) = boxes(page, f"section:has(> #{chart})")
        for box in drawn:
            assert box["width"] > 0
            assert box["height"] > 0
            assert card["left"] < box["left"] < box["right"] < card["right"]
            assert card["top"] < box["top"] < box["bottom"] < card["bottom"]


def test_bars_on_the_screen_are_as_long_as_the_figures(open_page: Open) -> None:
    figures = some_figures()
    page = open_page()

    lengths = [box["width"] for box in boxes(page, "#top-by-amount-spent .mark-rect path")]

    longest = float(figures.top_by_amount_spent[0].amount_spent)
    assert [length / lengths[0] for length in lengths] == pytest.approx(
        [float(row.amount_spent) / longest for row in figures.top_by_amount_spent], abs=0.002
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_and_marks_stand_out_from_what_is_behind_them(open_page: Open, scheme: Scheme) -> None:
    page = open_page(scheme=scheme)
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")

    seen: list[dict[str, Any]] = page.evaluate(SEEN_COLOURS)

    # WCAG 2.2: 4.5 for text (1.4.3), 3 for what is needed to understand a drawing (1.4.11).
    required = {"text": 4.5, "mark": 3.0}
    assert {each["kind"] for each in seen} == set(required)
    weak = [each for each in seen if contrast(each["colour"], each["ground"]) < required[each["kind"]]]
    assert weak == []


def test_dark_is_dark_and_light_is_light(open_page: Open) -> None:
    grounds = {}
    for scheme in SCHEMES:
        page = open_page(scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        grounds[scheme] = luminance([float(value) for value in re.findall(r"[\d.]+", ground)])

    assert grounds["light"] > 0.8
    assert grounds["dark"] < 0.05


def test_a_phone_needs_no_sideways_scrolling_even_with_all_tables_open(open_page: Open) -> None:
    page = open_page(width=PHONE)
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    assert [
        box for box in boxes(page, "table, svg, p, li, blockquote") if box["right"] > PHONE or box["left"] < 0
    ] == []


def test_a_word_without_spaces_does_not_widen_a_phones_page(open_page: Open) -> None:
    endless = QuarantineReason("movie_review", "x" * 400, 1)
    examples = [Example("least_sure", 1, 0.5, "x" * 400, f"{'y' * 400} +1.00")]
    page = open_page(
        some_figures(quarantine_reasons=[endless], model_version="v" * 100, examples=examples), width=PHONE
    )

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE


def test_chart_texts_are_large_enough_to_read_on_a_phone(open_page: Open) -> None:
    page = open_page(width=PHONE)

    sizes = page.eval_on_selector_all(
        "svg text", "all => all.map(t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a)"
    )

    assert min(sizes) >= 11


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_chart_texts_do_not_touch_each_other(open_page: Open, width: int) -> None:
    page = open_page(width=width)

    for chart in CHARTS:
        texts = boxes(page, f"#{chart} svg text")
        for index, one in enumerate(texts):
            for other in texts[index + 1 :]:
                apart = (
                    one["right"] <= other["left"]
                    or other["right"] <= one["left"]
                    or one["bottom"] <= other["top"]
                    or other["bottom"] <= one["top"]
                )
                assert apart, (chart, one, other)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_barrier_for_people_with_disabilities(open_page: Open, scheme: Scheme) -> None:
    page = open_page(scheme=scheme)
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true })")

    results = Axe().run(page)

    assert results.response["violations"] == [], results.generate_report()
    assert len(results.response["passes"]) > 20


def test_a_screen_reader_finds_landmarks_headings_and_the_figures_of_each_chart(open_page: Open) -> None:
    page = open_page()

    for role in ("banner", "main", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert [heading.inner_text() for heading in page.get_by_role("heading", level=1).all()] == [
        "User behaviour, 8 December 2010"
    ]
    assert page.get_by_role("heading", level=2).count() == page.get_by_role("region").count() == 10
    names = [image.get_attribute("aria-label") for image in page.get_by_role("img").all()]
    assert names[0] == (
        "Bars: the customers who spent the most. 16029: 9,407.340; 17511: 6,585.160; 13694: 5,391.210; "
        "16210: 4,738.540; 15061: 4,271.520."
    )
    assert len(names) == len(CHARTS)
    assert page.locator("figure:has(figcaption):has(details table)").count() == len(CHARTS)


def test_the_table_behind_a_chart_opens_with_the_keyboard(open_page: Open) -> None:
    page = open_page()
    table = page.locator("#top-by-amount-spent table")
    assert not table.is_visible()

    page.locator("#top-by-amount-spent summary").focus()
    page.keyboard.press("Enter")

    assert table.is_visible()
    assert table.locator("tbody tr").first.inner_text().split("\t") == ["1", "16029", "9,407.340"]


def test_hostile_text_is_shown_and_does_nothing(open_page: Open) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script><style>body{display:none}</style>"

    page = open_page(
        some_figures(
            quarantine_reasons=[QuarantineReason("movie_review", hostile, 1)],
            examples=[Example("least_sure", 1, 0.5, hostile, None)],
        )
    )

    assert page.get_by_text(f"movie_review: {hostile}").is_visible()
    assert page.locator("blockquote").get_by_text(hostile).is_visible()


def test_a_review_in_a_script_from_right_to_left_leaves_what_stands_around_it_as_it_is(open_page: Open) -> None:
    page = open_page(some_figures(examples=[Example("least_sure", 1, 0.5, "סרט נהדר!", None)]))

    assert page.locator("blockquote").evaluate("quote => getComputedStyle(quote).direction") == "rtl"
    assert page.locator("blockquote + p").evaluate("note => getComputedStyle(note).direction") == "ltr"
