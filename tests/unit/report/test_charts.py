"""The drawings: marks of the right number, size and colour, and nothing that an HTML page could trip over."""

import re
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from user_analytics.report.charts import ACCENT, NEGATIVE, Bar, bars, decades, scatter
from user_analytics.report.figures import Axis, Dot

SVG = "{http://www.w3.org/2000/svg}"


def marks(svg: str) -> list[ET.Element]:
    """The filled shapes that stand for data."""
    return [
        path
        for group in ET.fromstring(svg).iter(f"{SVG}g")  # noqa: S314
        if re.search(r"\bmark-(rect|symbol)\b", group.get("class", ""))
        for path in group.iter(f"{SVG}path")
    ]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314


def width(path: ET.Element) -> float:
    numbers = re.fullmatch(r"M[-\d.]+,[-\d.]+h([-\d.]+)v[-\d.]+h[-\d.]+Z", path.get("d", ""))
    assert numbers is not None, path.get("d")
    return float(numbers[1])


def test_bars_are_as_long_as_their_values() -> None:
    lengths = [width(mark) for mark in marks(bars([Bar("a", 100, "100"), Bar("b", 25, "25"), Bar("c", 0, "0")]))]

    assert lengths[1] / lengths[0] == pytest.approx(0.25)
    assert lengths[2] == 0


def test_bars_keep_their_order_and_carry_their_figures() -> None:
    assert texts(bars([Bar("15311", 2, "2"), Bar("00042", 30, "thirty")])) == ["15311", "00042", "2", "thirty"]


def test_colours_are_the_pages_variables() -> None:
    drawn = marks(bars([Bar("a", 1, "1"), Bar("b", 1, "1", NEGATIVE)]))

    assert [mark.get("fill") for mark in drawn] == [ACCENT, NEGATIVE] == ["var(--accent)", "var(--negative)"]


def test_bars_of_nothing_at_all_are_drawn() -> None:
    assert texts(bars([Bar("a", 0, "0.0 s")])) == ["a", "0.0 s"]


def test_a_label_cannot_become_markup() -> None:
    hostile = "</text><script>alert(1)</script>"

    assert "<script" not in bars([Bar(hostile, 1, hostile)])


def dots(*places: tuple[float, float, int]) -> list[Dot]:
    return [
        Dot(0, 0, customers, Decimal(str(amount)) * customers, round(reviews * customers), Decimal(0), Decimal(0))
        for amount, reviews, customers in places
    ]


def positions(svg: str) -> list[tuple[float, float]]:
    places = (re.fullmatch(r"translate\(([-\d.]+),([-\d.]+)\)", mark.get("transform", "")) for mark in marks(svg))
    return [(float(place[1]), float(place[2])) for place in places if place]


def test_every_dot_is_drawn_in_its_place_on_linear_axes() -> None:
    svg = scatter(dots((0, 0, 1), (50, 5, 1), (100, 10, 1)), Axis(0, 100, None), Axis(0, 10, None))

    (left, bottom), (middle_x, middle_y), (right, top) = positions(svg)
    assert left < middle_x < right
    assert bottom > middle_y > top
    assert middle_x - left == pytest.approx(right - middle_x)
    assert bottom - middle_y == pytest.approx(middle_y - top)


def test_a_logarithmic_axis_shows_zero_and_negative_amounts() -> None:
    svg = scatter(dots((-1000, 1, 1), (0, 1, 1), (1000, 1, 1)), Axis(-1000, 1000, 10.0), Axis(0, 2, None))

    (negative, _), (zero, _), (positive, _) = positions(svg)
    assert zero - negative == pytest.approx(positive - zero)
    assert {"−1k", "0", "1k"} <= set(texts(svg))


def test_a_dot_of_more_customers_is_larger_and_lies_below() -> None:
    drawn = marks(scatter(dots((1, 1, 1), (2, 2, 9)), Axis(0, 3, None), Axis(0, 3, None)))

    radius = [float(re.match(r"M([\d.]+),0", mark.get("d", ""))[1]) for mark in drawn]  # type: ignore[index]
    assert radius[0] > radius[1]


def test_a_customer_who_neither_bought_nor_reviewed_can_be_drawn() -> None:
    assert len(marks(scatter(dots((0, 0, 1)), Axis(0, 0, None), Axis(0, 0, None)))) == 1


def test_logarithmic_axes_have_ticks_at_powers_of_ten_within_reach() -> None:
    assert decades(Axis(-1192.2, 9407.34, 100.0)) == [-1000.0, -100.0, 0.0, 100.0, 1000.0]
    assert decades(Axis(5, 120, 1.0)) == [0.0, 10.0, 100.0]


def test_drawings_bring_no_ids_that_could_clash_on_one_page() -> None:
    for svg in (
        bars([Bar("a", 1, "1")]),
        scatter(dots((1, 1, 1)), Axis(0, 1, None), Axis(0, 1, None)),
    ):
        assert " id=" not in svg
