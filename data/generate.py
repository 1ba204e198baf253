"""Generate linked, plausible input files of any size: movie_review.csv and user_purchase.csv.

Both files draw from one population of customers; 15 % of it only buys and 15 % only reviews. The files have
the oddities of real ones: purchases by guests, cancellations, stock adjustments at price zero, repeated lines,
prices of three decimals; reviews with HTML, newlines and quotes inside quotes, other scripts, from one word to
some thousand characters. Every row is valid.

The same arguments give the same bytes on any machine. All randomness is the raw output of PCG64, a stream that
NumPy guarantees for a fixed seed (numpy.random.PCG64, "Compatibility Guarantee"; the methods of its Generator
have no such guarantee), and all arithmetic on it is on integers. Rows are made and written chunk by chunk, so
that memory does not grow with their number.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
T = TypeVar("T")

REVIEW_COLUMNS = "cid,review_str"
PURCHASE_COLUMNS = "invoice_number,stock_code,detail,quantity,invoice_date,unit_price,customer_id,country"

FIRST_CUSTOMER = 12346
SCATTER = 2_654_435_761  # a prime above any count, so that x -> x * SCATTER % count is a bijection

SLOT = re.compile(r"\{(\w+)\}")

REVIEWS_PER_CHUNK = 2048
SENTENCES_PER_PATTERN = 64
STRIDES = np.array([1, 7, 11, 13, 17, 19])  # through the patterns; coprime to most numbers of them
SENTENCES_PER_PARAGRAPH = 4
SEPARATORS, SEPARATOR_WEIGHTS = (b" ", b"<br /><br />", b"\n\n"), (60, 32, 8)
FILM, LEAD, DIRECTOR, GENRE = "\1", "\2", "\3", "\4"  # stand for a review's names until it has them

INVOICES_PER_CHUNK = 1024
FIRST_INVOICE = 536365
FIRST_STOCK_CODE = 20000
GOODS = 2500
SALE, CANCELLATION, ADJUSTMENT = range(3)
# A sale has about 19 lines, a cancellation 2, an adjustment 1: of the lines 1.2 % are cancelled, 0.8 % adjustments.
INVOICE_WEIGHTS = (795, 90, 115)
GUESTS_IN_THOUSAND = (285, 50, 1000)
REPEATED_IN_THOUSAND, FREE_IN_THOUSAND = 18, 1
LIST_PRICE, WEB_PRICE, BULK_PRICE, FREE = range(4)
QUANTITIES = np.array([1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 25, 36, 48, 72, 96, 144, 288, 600, 1200])
QUANTITY_WEIGHTS = (320, 150, 60, 70, 90, 40, 40, 110, 20, 45, 15, 10, 12, 6, 5, 4, 1, 1, 1)
FEW = 4  # guests buy and customers return one of the first few quantities
BULK = 48
ORDERS_BY_HOUR = (0, 0, 0, 0, 0, 0, 0, 1, 9, 70, 102, 168, 156, 105, 130, 88, 92, 64, 8, 7, 0, 0, 0, 0)
SUNDAY_HOURS = range(10, 17)
SATURDAY, SUNDAY = 5, 6


class Draws:
    """Whole numbers drawn from one stream of PCG64."""

    def __init__(self, seed: int, stream: int) -> None:
        self._bits = np.random.PCG64([seed, stream])

    def below(self, bound: int | Integers, count: int) -> Integers:
        """Draw `count` numbers from 0 to `bound` - 1 (bound < 2^31; bias below bound / 2^32)."""
        raw: Integers = (self._bits.random_raw(count) >> np.uint64(32)).astype(np.int64)
        return (raw * bound) >> 32

    def skewed(self, bound: int, count: int) -> Integers:
        """Draw like a product of two uniforms: the lower a number, the more often it comes."""
        return self.below(self.below(bound, count) + 1, count)

    def weighted(self, weights: Sequence[int], count: int) -> Integers:
        """Draw indexes of `weights` in proportion to them."""
        return np.searchsorted(np.cumsum(weights), self.below(sum(weights), count), side="right")

    def single(self) -> Iterator[int]:
        """Numbers below 2^32, one at a time."""
        while True:
            yield from (self._bits.random_raw(4096) >> np.uint64(32)).tolist()


def choice(options: Sequence[T], single: Iterator[int]) -> T:
    """One of the options."""
    return options[next(single) * len(options) >> 32]


def fill(pattern: str, words: dict[str, list[str]], single: Iterator[int]) -> str:
    """Replace each {name} of a pattern by one of its words, and the names in that in turn."""
    return SLOT.sub(lambda name: fill(choice(words[name[1]], single), words, single), pattern)


def csv_field(text: str) -> str:
    """Quote a field the way csv.writer does: only where it has to be."""
    return '"' + text.replace('"', '""') + '"' if re.search('[,"\n]', text) else text


def load_vocabulary() -> dict[str, Any]:
    """Read the words and patterns beside this file."""
    return tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Customers:
    """Customers numbered from 0: of each 20, three only buy and three only review. Low numbers are the busiest."""

    count: int

    @property
    def buyers(self) -> int:
        """How many of them buy."""
        twenties, rest = divmod(self.count, 20)
        return 17 * twenties + min(rest, 17)

    @property
    def reviewers(self) -> int:
        """How many of them review."""
        twenties, rest = divmod(self.count, 20)
        return 17 * twenties + min(rest, 14) + max(rest - 17, 0)

    @staticmethod
    def buyer(index: Integers) -> Integers:
        """Number of the buyer at each index."""
        return index // 17 * 20 + index % 17

    @staticmethod
    def reviewer(index: Integers) -> Integers:
        """Number of the reviewer at each index."""
        return index // 17 * 20 + index % 17 + np.where(index % 17 >= 14, 3, 0)

    def identifier(self, number: Integers) -> Integers:
        """customer_id of each number, scattered: the busiest customers are not the first ones."""
        return FIRST_CUSTOMER + (number + 1) * SCATTER % self.count


class Phrases:
    """Sentences that reviews are put together from, expanded once; UTF-8, with quotes doubled.

    They lie in banks, one for each kind of sentence and for each tone's openings and verdicts. Bank b has
    `patterns[b]` patterns of SENTENCES_PER_PATTERN sentences each, from texts[start[b]] on. By tone: `opening` and
    `verdict` are banks, `body` is a row of banks of which the first `body_size` count.
    """

    def __init__(self, vocabulary: dict[str, Any], single: Iterator[int]) -> None:
        self._words = vocabulary["words"] | {"film": [FILM], "lead": [LEAD], "director": [DIRECTOR], "genre": [GENRE]}
        tones = list(vocabulary["tones"].values())
        kinds = list(vocabulary["sentences"])
        openings, verdicts = ([tone[part] for tone in tones] for part in ("openings", "verdicts"))
        banks = [*vocabulary["sentences"].values(), *openings, *verdicts]
        self.texts = [
            self._sentence(pattern, single)
            for patterns in banks
            for pattern in patterns
            for _ in range(SENTENCES_PER_PATTERN)
        ]
        self.patterns = np.array([len(patterns) for patterns in banks])
        self.start = (np.cumsum(self.patterns) - self.patterns) * SENTENCES_PER_PATTERN
        self.opening = len(kinds) + np.arange(len(tones))
        self.verdict = self.opening + len(tones)
        bodies = [[kinds.index(kind) for kind, weight in tone["body"].items() for _ in range(weight)] for tone in tones]
        self.body_size = np.array([len(body) for body in bodies])
        self.body = np.array([body + [0] * (max(1, *self.body_size) - len(body)) for body in bodies])
        self.tone_weights = [tone["weight"] for tone in tones]

    def _sentence(self, pattern: str, single: Iterator[int]) -> bytes:
        text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", fill(pattern, self._words, single))
        text = re.sub(r"(^|[.!?] )[a-z]", lambda start: start[0].upper(), text)
        return text.replace('"', '""').encode()


def review_chunks(count: int, customers: Customers, seed: int) -> Iterator[bytes]:
    """CSV rows of `count` reviews, without the header; more of them from the same seed begin with the same."""
    vocabulary = load_vocabulary()
    phrases = Phrases(vocabulary, Draws(seed, 0).single())
    names = vocabulary["names"]
    films = [f"{first} {second}".encode() for first, second in product(names["film_first"], names["film_second"])]
    people = [f"{first} {last}".encode() for first, last in product(names["person_first"], names["person_last"])]
    genres = [name.encode() for name in names["genre"]]
    draws = Draws(seed, 1)
    size = REVIEWS_PER_CHUNK
    for made in range(0, count, size):
        tone = draws.weighted(phrases.tone_weights, size)
        length = np.where(phrases.body_size[tone] == 0, 1, 1 + draws.below(6, size) + draws.skewed(44, size))
        ends = np.cumsum(length)
        tones = np.repeat(tone, length)
        bank = phrases.body[tones, draws.below(phrases.body_size[tones], len(tones))]
        bank[ends - length] = phrases.opening[tone]
        bank[ends - 1] = phrases.verdict[tone]
        # Each review walks through the patterns of a bank in its own stride, so that it seldom repeats one.
        stride = STRIDES[draws.below(len(STRIDES), size)]
        walk = draws.below(1000, size) - stride * (ends - length)
        step = np.repeat(walk, length) + np.repeat(stride, length) * np.arange(len(bank))
        variant = draws.below(SENTENCES_PER_PATTERN, len(bank))
        sentences = phrases.start[bank] + step % phrases.patterns[bank] * SENTENCES_PER_PATTERN + variant
        # Half of the reviews come from the busiest buyers, half from anyone: spend and reviews correlate somewhat.
        busiest = draws.skewed(customers.reviewers, size)
        reviewer = np.where(draws.below(2, size) == 0, busiest, busiest * SCATTER % customers.reviewers)
        reviews = zip(
            customers.identifier(customers.reviewer(reviewer)).tolist(),
            (ends - length).tolist(),
            ends.tolist(),
            draws.weighted(SEPARATOR_WEIGHTS, size).tolist(),
            draws.below(len(films), size).tolist(),
            draws.below(len(people), size).tolist(),
            draws.below(len(people), size).tolist(),
            draws.below(len(genres), size).tolist(),
            strict=True,
        )
        texts = [phrases.texts[index] for index in sentences.tolist()]
        rows = []
        for cid, begin, end, separator, film, lead, director, genre in reviews:
            if separator:
                cuts = [*range(begin, end, SENTENCES_PER_PARAGRAPH), end]
                review = SEPARATORS[separator].join([b" ".join(texts[first:last]) for first, last in pairwise(cuts)])
            else:
                review = b" ".join(texts[begin:end])
            review = review.replace(b"\1", films[film]).replace(b"\2", people[lead]).replace(b"\3", people[director])
            review = review.replace(b"\4", genres[genre])
            quoted = b"," in review or b'"' in review or b"\n" in review
            rows.append(b'%d,"%b"\n' % (cid, review) if quoted else b"%d,%b\n" % (cid, review))
        yield b"".join(rows[: count - made])


class Catalogue:
    """Everything on sale, as text for a CSV row.

    `lines` holds stock_code,detail: at item * variants the item by its name, in the places after that with each
    adjustment's note instead. `prices` holds unit_price: at item * 4 + LIST_PRICE, WEB_PRICE, BULK_PRICE or FREE.
    """

    def __init__(self, vocabulary: dict[str, Any], single: Iterator[int]) -> None:
        items = self._goods(vocabulary, single)
        for place, service in enumerate(vocabulary["services"], start=1):
            items.insert(30 * place, service)
        notes = vocabulary["adjustment_notes"]
        self.count = len(items)
        self.variants = 1 + len(notes)
        self.lines = [f"{code},{csv_field(text)}" for code, detail, _ in items for text in (detail, *notes)]
        self.prices = [
            price_text(thousandths)
            for *_, price in items
            for thousandths in (price, price * 119 // 1000 * 10, price * 85 // 100, 0)
        ]

    @staticmethod
    def _goods(vocabulary: dict[str, Any], single: Iterator[int]) -> list[tuple[str, str, int]]:
        things: dict[str, int] = vocabulary["things"]
        goods: dict[str, tuple[str, str, int]] = {}
        code = FIRST_STOCK_CODE
        while len(goods) < GOODS:
            code += 1 + choice(range(20), single)
            suffix = choice("ABCDEFGLNPRSW" + " " * 40, single).strip()
            thing = choice(list(things), single)
            detail = fill(choice(vocabulary["pattern"], single), vocabulary | {"thing": [thing]}, single)
            price = things[thing] * (80 + choice(range(60), single)) // 100
            # Shops like prices that end in 5 or 9.
            goods.setdefault(detail, (f"{code}{suffix}", detail, price // 100 * 100 + choice((50, 90), single)))
        return list(goods.values())


def price_text(thousandths: int) -> str:
    """Write a price with as many decimals as it needs, at most three."""
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}".rstrip("0").rstrip(".")


class Calendar:
    """The hours of the period, and how many orders to expect in each; the last day is always open."""

    def __init__(self, last_day: date, days: int) -> None:
        self._hours: list[str] = []
        orders = []
        for day in (last_day - timedelta(days=back) for back in reversed(range(days))):
            for hour, weight in enumerate(ORDERS_BY_HOUR):
                closed = day.weekday() == SATURDAY or (day.weekday() == SUNDAY and hour not in SUNDAY_HOURS)
                self._hours.append(f"{day.isoformat()} {hour:02d}:")
                orders.append(0 if closed and day != last_day else weight * 3600)
        self._orders = np.array(orders)
        self._ends = np.cumsum(self._orders)

    def times(self, place: Integers, count: int) -> list[str]:
        """Minute of each of the given places (1 to `count`) in a queue of `count` that fills the period."""
        order = place * self._ends[-1] // count - 1
        hour = np.searchsorted(self._ends, order, side="right")
        minute = (order - self._ends[hour] + self._orders[hour]) * 60 // self._orders[hour]
        return [f"{self._hours[h]}{m:02d}:00" for h, m in zip(hour.tolist(), minute.tolist(), strict=True)]


def purchase_chunks(count: int, customers: Customers, seed: int, last_day: date, days: int) -> Iterator[bytes]:
    """CSV rows of `count` purchases in the order of their dates, without the header."""
    vocabulary = load_vocabulary()
    catalogue = Catalogue(vocabulary["catalogue"], Draws(seed, 2).single())
    countries = [csv_field(name) for name in vocabulary["countries"]]
    country_ends = np.cumsum(list(vocabulary["countries"].values()))
    calendar = Calendar(last_day, days)
    draws = Draws(seed, 3)
    size = INVOICES_PER_CHUNK
    made, number = 0, FIRST_INVOICE
    while made < count:
        kind = draws.weighted(INVOICE_WEIGHTS, size)
        lines = np.choose(kind, [1 + draws.skewed(72, size), 1 + draws.below(3, size), np.ones_like(kind)])
        ends = np.minimum(made + np.cumsum(lines), count)
        buyer = customers.buyer(draws.skewed(customers.buyers, size))
        guest = draws.below(1000, size) < np.choose(kind, GUESTS_IN_THOUSAND)
        place = np.where(guest, draws.below(country_ends[-1], size), buyer * SCATTER % country_ends[-1])
        country = np.searchsorted(country_ends, place, side="right").tolist()
        identifiers = np.where(guest, 0, customers.identifier(buyer)).tolist()
        invoices = [f"{'C' if k == CANCELLATION else ''}{n}" for n, k in enumerate(kind.tolist(), start=number)]
        times = calendar.times(ends, count)
        tails = [f"{who or ''},{countries[where]}\n" for who, where in zip(identifiers, country, strict=True)]

        invoice = np.repeat(np.arange(size), np.diff(ends, prepend=made))
        line, quantity, price = line_columns(draws, catalogue, invoice, kind[invoice], guest[invoice])
        columns = zip(invoice.tolist(), line.tolist(), quantity.tolist(), price.tolist(), strict=True)
        rows = [
            f"{invoices[i]},{catalogue.lines[item]},{pieces},{times[i]},{catalogue.prices[each]},{tails[i]}"
            for i, item, pieces, each in columns
        ]
        yield "".join(rows).encode()
        made, number = made + len(rows), number + size


def line_columns(
    draws: Draws, catalogue: Catalogue, invoice: Integers, kind: Integers, guest: Booleans
) -> tuple[Integers, Integers, Integers]:
    """Index in catalogue.lines, quantity and index in catalogue.prices of each line, given its invoice's facts."""
    count = len(invoice)
    item = draws.skewed(catalogue.count, count)
    note = np.where(kind == ADJUSTMENT, 1 + draws.below(catalogue.variants - 1, count), 0)
    few = guest | (kind == CANCELLATION)
    pieces = QUANTITIES[np.where(few, draws.below(FEW, count), draws.weighted(QUANTITY_WEIGHTS, count))]
    lost = (kind == ADJUSTMENT) & (draws.below(4, count) > 0)
    quantity = np.where(lost | (kind == CANCELLATION), -pieces, pieces)
    price = np.where(guest, WEB_PRICE, np.where(pieces >= BULK, BULK_PRICE, LIST_PRICE))
    price[(kind == ADJUSTMENT) | (draws.below(1000, count) < FREE_IN_THOUSAND)] = FREE
    # A repeated line is the line before it in its invoice, to the letter.
    repeated = (draws.below(1000, count) < REPEATED_IN_THOUSAND) & (np.diff(invoice, prepend=-1) == 0)
    source = np.maximum.accumulate(np.where(repeated, 0, np.arange(count)))
    return (item * catalogue.variants + note)[source], quantity[source], (item * 4 + price)[source]


def write_csv(path: Path, columns: str, chunks: Iterable[bytes]) -> None:
    """Write a header and chunks of rows; the file takes its name when it is whole."""
    partial = path.with_suffix(".csv.partial")
    with partial.open("wb") as file:
        file.write(f"{columns}\n".encode())
        file.writelines(chunks)
    partial.replace(path)


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"{number} is not between 0 and {2**31 - 1}")
    return number


def _positive(text: str) -> int:
    if (number := _count(text)) == 0:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both files as the command line says."""
    parser = argparse.ArgumentParser(description="Generate linked movie_review.csv and user_purchase.csv of any size.")
    parser.add_argument("--reviews", type=_count, required=True, metavar="N", help="rows of movie_review.csv")
    parser.add_argument("--purchases", type=_count, required=True, metavar="M", help="rows of user_purchase.csv")
    parser.add_argument("--customers", type=_positive, required=True, metavar="C", help="customers both draw from")
    parser.add_argument("--seed", type=_count, required=True, metavar="S", help="same arguments, same bytes")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="folder to write to (default: here)")
    parser.add_argument(
        "--last-day", type=date.fromisoformat, default=date(2010, 12, 8), help="last day of purchases (2010-12-08)"
    )
    parser.add_argument("--days", type=_positive, default=90, metavar="D", help="length of their period (90)")
    given = parser.parse_args(arguments)
    customers = Customers(given.customers)
    given.output.mkdir(parents=True, exist_ok=True)
    reviews, purchases = given.output / "movie_review.csv", given.output / "user_purchase.csv"
    write_csv(reviews, REVIEW_COLUMNS, review_chunks(given.reviews, customers, given.seed))
    write_csv(
        purchases,
        PURCHASE_COLUMNS,
        purchase_chunks(given.purchases, customers, given.seed, given.last_day, given.days),
    )
    sys.stdout.write(f"{reviews}: {given.reviews:,} rows\n{purchases}: {given.purchases:,} rows\n")


if __name__ == "__main__":
    main()
