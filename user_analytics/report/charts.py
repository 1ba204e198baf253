"""Figures drawn as static SVG: Altair specifications, rendered without a browser and without JavaScript.

Colours are CSS variables of the page, so the same drawing serves light and dark. Room for labels is set aside
here instead of measured, because the reader's fonts are not this machine's. Text is 14 units of a drawing
WIDTH units wide: about 15 px in the page's two columns, 11 px on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from user_analytics.report.figures import Axis, Dot

WIDTH = 420
FONT_SIZE = 14
DIGIT_WIDTH, LETTER_WIDTH = 9.0, 8.0
"""Room for a character of a label in the widest of the page's usual fonts (DejaVu Sans): 0.64 and about 0.57 em."""

SMALLEST_DOT, LARGEST_DOT = 28, 170
"""Areas of the dots of one customer and of the fullest cell, when that holds at least MANY."""
MANY = 8

ACCENT, NEGATIVE, NEUTRAL = "var(--accent)", "var(--negative)", "var(--neutral)"
TEXT, MUTED, LINE, SURFACE = "var(--text)", "var(--muted)", "var(--line)", "var(--surface)"

VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


@dataclass(frozen=True)
class Bar:
    """One bar: its length is `value` (≥ 0), `text` is written at its end; labels of one drawing are distinct."""

    label: str
    value: float
    text: str
    colour: str = ACCENT


def bars(rows: Sequence[Bar]) -> str:
    """Horizontal bars from a common zero, each labelled with its exact figure, so that no axis is needed."""
    row_height = 38
    left = max(_room(row.label) for row in rows) + 12
    right = max(_room(row.text) for row in rows) + 10
    base = alt.Chart(
        alt.InlineData(values=[{"label": r.label, "value": r.value, "text": r.text, "colour": r.colour} for r in rows])
    ).encode(
        y=alt.Y(
            "label:N",
            sort=None,
            title=None,
            axis=alt.Axis(domain=False, ticks=False, labelColor=TEXT, labelPadding=10, labelLimit=0),
            scale=alt.Scale(paddingInner=0.36, paddingOuter=0.18),
        ),
        x=alt.X(
            "value:Q",
            axis=None,
            stack=None,
            scale=alt.Scale(domain=[0, max(row.value for row in rows) or 1], nice=False),
        ),
    )
    drawn = base.mark_bar().encode(color=alt.Color("colour:N", scale=None, legend=None))
    written = base.mark_text(align="left", dx=8, fontWeight=600).encode(text="text:N")
    height = row_height * len(rows)
    return _svg((drawn + written).properties(width=WIDTH - left - right, height=height), left, right, 0, 0)


def scatter(dots: Sequence[Dot], amount: Axis, reviews: Axis) -> str:
    """Amount spent (across) against number of reviews (up); the area of a dot is its number of customers."""
    left, right, top, bottom = 46, 14, 34, 48
    most = max(dot.customers for dot in dots)
    points = alt.InlineData(values=[{"x": d.mean_amount, "y": d.mean_reviews, "n": d.customers} for d in dots])
    size = alt.Size("n:Q", legend=None, scale=alt.Scale(domain=[1, max(most, MANY)], range=[SMALLEST_DOT, LARGEST_DOT]))
    chart = (
        alt.Chart(points)
        .mark_circle(opacity=1, fillOpacity=0.75, stroke=SURFACE, strokeWidth=0.8, color=ACCENT)
        .encode(
            x=alt.X("x:Q", title="Amount spent", scale=_scale(amount), axis=_axis(amount, "bottom")),
            y=alt.Y("y:Q", title="Number of reviews", scale=_scale(reviews), axis=_axis(reviews, "left")),
            size=size,
            order=alt.Order("n:Q", sort="descending"),
        )
    )
    return _svg(chart.properties(width=WIDTH - left - right, height=290), left, right, top, bottom)


def _room(text: str) -> float:
    return sum(DIGIT_WIDTH if character.isdigit() else LETTER_WIDTH for character in text)


def _scale(axis: Axis) -> alt.Scale:
    domain = [min(0.0, axis.minimum), max(axis.maximum, 1.0)]
    if axis.constant is None:
        return alt.Scale(domain=domain, nice=True)
    return alt.Scale(type="symlog", constant=axis.constant, domain=domain, nice=False, padding=8)


def _axis(axis: Axis, orient: str) -> alt.Axis:
    common: dict[str, Any] = {
        "orient": orient,
        "labelExpr": "datum.value === 0 ? '0' : format(datum.value, abs(datum.value) >= 1000 ? '~s' : '~f')",
        "grid": True,
        "gridColor": LINE,
        "domainColor": MUTED,
        "ticks": False,
        "labelColor": MUTED,
        "labelPadding": 8,
        "labelOverlap": "greedy",
        "titleColor": TEXT,
        "titleFontWeight": 600,
    }
    if orient == "left":
        common |= {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": -38, "titleY": -18}
    else:
        common |= {"titlePadding": 12, "titleAnchor": "end"}
    if axis.constant is None:
        return alt.Axis(tickCount=5, **common)
    return alt.Axis(values=decades(axis), **common)


def decades(axis: Axis) -> list[float]:
    """Zero and the powers of ten, from the scale's constant up, that lie within a symmetric-log axis."""
    reach = max(abs(axis.minimum), abs(axis.maximum), 1.0)
    first = round(math.log10(axis.constant or 1))
    powers = [10.0**exponent for exponent in range(first, math.floor(math.log10(reach)) + 1)]
    ticks = [-power for power in reversed(powers)] + [0.0] + powers
    return [tick for tick in ticks if axis.minimum <= tick <= axis.maximum or tick == 0]


def _svg(chart: alt.Chart | alt.LayerChart, left: float, right: float, top: float, bottom: float) -> str:
    """Render with fixed margins, hidden from screen readers: the page describes each drawing as a whole."""
    specification = chart.to_dict() | {
        "autosize": "none",
        "padding": {"left": left, "right": right, "top": top, "bottom": bottom},
        "config": {
            "aria": False,
            "background": "transparent",
            "view": {"stroke": None},
            "font": "sans-serif",
            "axis": {"labelFontSize": FONT_SIZE, "titleFontSize": FONT_SIZE},
            "text": {"fontSize": FONT_SIZE, "color": TEXT, "baseline": "middle"},
        },
    }
    svg = str(vl_convert.vegalite_to_svg(specification, vl_version=VEGA_LITE))
    return svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
