"""What the report says, as data: read by `reading`, drawn by `charts`, shown by `page`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Literal, NamedTuple, TypeAlias, get_args

ExampleKind: TypeAlias = Literal["surely_positive", "surely_negative", "least_sure"]

CELLS_ACROSS, CELLS_UP = 45, 36
"""Cells of the scatter's grid: about 8 px each, the size of a dot. At most 1,620 dots, whatever the data."""

SKEWED = 12
"""A largest value this many times the median leaves no room for the rest on a linear axis."""


LOW_CONFIDENCE_FROM, LOW_CONFIDENCE_TO = 0.4, 0.6
"""Probabilities, both included, at which a verdict is little more than a guess: of the packaged model's, cross-
validated, more than four in ten are wrong there, one in ten in all."""

EXAMPLE_CANDIDATES = 10
"""Reviews read for each kind of example: enough to find EXAMPLES different texts among repeated ones."""
EXAMPLES = 2
LONGEST_EXAMPLE = 10_000
"""Characters of the longest review taken for an example, so that what the report reads is bounded."""
EXAMPLE_CHARACTERS = 200
"""What is shown of an example's text at most."""


class Spender(NamedTuple):
    """A row of top_5_customers_by_amount_spent_view."""

    rank: int
    customer_id: int
    amount_spent: Decimal


class Reviewer(NamedTuple):
    """A row of top_5_customers_by_positive_reviews_view."""

    rank: int
    customer_id: int
    num_positive_reviews: int


class Correlation(NamedTuple):
    """The row of correlation_amount_spent_vs_reviews_view: Pearson's r, None when undefined."""

    amount_spent_vs_num_reviews: float | None
    amount_spent_vs_num_positive_reviews: float | None
    num_customers: int


@dataclass(frozen=True)
class Summary:
    """user_behaviour_metrics_view as a whole, and the purchases it leaves out because they name no customer."""

    customers: int
    amount_spent: Decimal
    num_reviews: int
    num_positive_reviews: int
    guest_purchases: int
    guest_amount: Decimal


class Sentiment(NamedTuple):
    """Reviews by what the model says of them; `low_confidence` of those judged are near one half."""

    positive: int
    negative: int
    not_judged: int
    low_confidence: int

    @property
    def judged(self) -> int:
        """Reviews with a verdict."""
        return self.positive + self.negative

    @property
    def total(self) -> int:
        """All published reviews."""
        return self.judged + self.not_judged


class Spread(NamedTuple):
    """How a column is distributed: its extremes, and the quartiles of the absolute values that are not zero."""

    minimum: float
    maximum: float
    lower_quartile: float
    median: float


class Axis(NamedTuple):
    """A linear axis (`constant` None) or a symmetric-log one: sign(x) ln(1 + |x| / constant), as Vega's symlog."""

    minimum: float
    maximum: float
    constant: float | None

    def position(self, value: float) -> float:
        """Where `value` lies along the axis, in the axis' own units."""
        if self.constant is None:
            return value
        return math.copysign(math.log1p(abs(value) / self.constant), value)

    def cell(self, cells: int) -> float:
        """Width of one of `cells` equal cells, in the axis' own units; 1 when there is only one value."""
        return (self.position(self.maximum) - self.position(self.minimum)) / cells or 1.0


class Dot(NamedTuple):
    """The customers in one cell of the scatter's grid, counted `across` by amount spent and `up` by reviews."""

    across: int
    up: int
    customers: int
    amount_spent: Decimal
    num_reviews: int
    least_spent: Decimal
    most_spent: Decimal

    @property
    def mean_amount(self) -> float:
        """Amount spent per customer."""
        return float(self.amount_spent) / self.customers

    @property
    def mean_reviews(self) -> float:
        """Reviews per customer."""
        return self.num_reviews / self.customers


class SpendGroup(NamedTuple):
    """Customers who spent between two amounts, both included."""

    least_spent: Decimal
    most_spent: Decimal
    customers: int
    amount_spent: Decimal
    num_reviews: int


class TableRows(NamedTuple):
    """What became of one source: `read` = `quarantined` + `published`."""

    table: str
    read: int
    quarantined: int
    published: int


class QuarantineReason(NamedTuple):
    """How many rows of a source were quarantined for one reason. The reason may quote the source: hostile text."""

    table: str
    reason: str
    rows: int


class ModelQuality(NamedTuple):
    """How well the model did on labelled reviews of one kind that it had not seen.

    `accuracy` is a share of `reviews`, `accuracy_interval` half of its 95% interval, `calibration_error` the
    mean gap between probability and share of positive reviews.
    """

    kind: str
    reviews: int
    accuracy: float
    accuracy_interval: float
    calibration_error: float


@dataclass(frozen=True)
class ModelCard:
    """What the model that judged the reviews was trained on, in labelled reviews, and how well it does.

    `quality` is measured by cross-validation over so many `folds`; 0 and none when it was never measured.
    """

    training_reviews: int
    folds: int
    quality: Sequence[ModelQuality]


class Candidate(NamedTuple):
    """A published review that may become an example. Its text is hostile text."""

    kind: ExampleKind
    review_id: int
    positive_probability: float
    text: str


class Example(NamedTuple):
    """A published review and why it was judged as it was: its n-grams that decided, None without the model."""

    kind: ExampleKind
    review_id: int
    positive_probability: float
    text: str
    deciding_ngrams: str | None


@dataclass(frozen=True)
class Figures:
    """Everything the report of one date shows, as of one publication.

    `window` is the half-open UTC interval of purchases that an incremental publication replaced, None for a
    full one. `model` is None when the model is neither in this installation nor in the store.
    """

    ds: date
    mode: str
    window: tuple[datetime, datetime] | None
    published_at: datetime
    version: str
    summary: Summary
    sentiment: Sentiment
    correlation: Correlation
    top_by_amount_spent: Sequence[Spender]
    top_by_positive_reviews: Sequence[Reviewer]
    amount_axis: Axis
    reviews_axis: Axis
    dots: Sequence[Dot]
    tables: Sequence[TableRows]
    quarantine_reasons: Sequence[QuarantineReason]
    model_version: str
    model: ModelCard | None
    examples: Sequence[Example]


def choose_axis(spread: Spread) -> Axis:
    """Linear, unless a few large values would press the rest against zero."""
    reach = max(abs(spread.minimum), abs(spread.maximum))
    if reach <= SKEWED * max(spread.median, 1.0):
        return Axis(spread.minimum, spread.maximum, None)
    return Axis(spread.minimum, spread.maximum, 10.0 ** math.floor(math.log10(max(spread.lower_quartile, 1.0))))


def choose_examples(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The first EXAMPLES of each kind, kind by kind; a text that was chosen is not chosen again."""
    chosen: dict[str, Candidate] = {}
    for kind in get_args(ExampleKind):
        enough = len(chosen) + EXAMPLES
        for each in candidates:
            if each.kind == kind and len(chosen) < enough:
                chosen.setdefault(each.text, each)
    return list(chosen.values())


def spend_groups(dots: Sequence[Dot], groups: int = 5) -> list[SpendGroup]:
    """Customers in at most `groups` groups of about equal size, from the least to the most spent.

    Groups are made of whole grid columns, so ranges never overlap and every sum is exact.
    """
    columns = [_together(list(cells)) for _, cells in groupby(sorted(dots), key=lambda dot: dot.across)]
    total = sum(column.customers for column in columns)
    made: dict[int, list[SpendGroup]] = {}
    before = 0
    for column in columns:
        middle = before + column.customers / 2
        made.setdefault(int(middle * groups / total), []).append(column)
        before += column.customers
    return [_together(parts) for parts in made.values()]


def _together(parts: Sequence[Dot] | Sequence[SpendGroup]) -> SpendGroup:
    return SpendGroup(
        min(part.least_spent for part in parts),
        max(part.most_spent for part in parts),
        sum(part.customers for part in parts),
        sum((part.amount_spent for part in parts), Decimal(0)),
        sum(part.num_reviews for part in parts),
    )
