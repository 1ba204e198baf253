"""Rows a second of data/generate.py, beside csv.writer writing one row again and again.

The floor's row is one the generator made, of the average length: the floor is what writing CSV from Python
costs when there is nothing to make up. Reading and expanding the vocabulary counts as the generator's time.
"""

import csv
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import repeat
from pathlib import Path

from data import generate

RUNS = 3
REVIEWS, PURCHASES = 100_000, 500_000
CUSTOMERS = generate.Customers(20_000)


def write_reviews(path: Path) -> None:
    """Generate the reviews."""
    generate.write_csv(path, generate.REVIEW_COLUMNS, generate.review_chunks(REVIEWS, CUSTOMERS, seed=1))


def write_purchases(path: Path) -> None:
    """Generate the purchases."""
    chunks = generate.purchase_chunks(PURCHASES, CUSTOMERS, seed=1, last_day=date(2010, 12, 8), days=90)
    generate.write_csv(path, generate.PURCHASE_COLUMNS, chunks)


def write_floor(path: Path, row: list[str], rows: int) -> None:
    """Write the same row as often as asked."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(repeat(row, rows))


def average_row(path: Path) -> list[str]:
    """A row of the average length of the file's rows."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    mean = sum(len("".join(row)) for row in rows) / len(rows)
    return min(rows, key=lambda row: abs(len("".join(row)) - mean))


def seconds(action: Callable[[], None]) -> float:
    """Time of the fastest of a few runs: the one least disturbed by other programs."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print one line for each file."""
    sys.stdout.write(f"{'file':<18}{'rows':>9}{'bytes/row':>11}{'generated/s':>13}{'csv.writer/s':>14}{'ratio':>7}\n")
    with tempfile.TemporaryDirectory() as folder:
        path, floor_path = Path(folder) / "generated.csv", Path(folder) / "floor.csv"
        for name, rows, write in (
            ("movie_review.csv", REVIEWS, write_reviews),
            ("user_purchase.csv", PURCHASES, write_purchases),
        ):
            generated = rows / seconds(partial(write, path))
            row = average_row(path)
            floor = rows / seconds(partial(write_floor, floor_path, row, rows))
            size = path.stat().st_size / rows
            rates = f"{generated:>13,.0f}{floor:>14,.0f}{generated / floor:>7.2f}"
            sys.stdout.write(f"{name:<18}{rows:>9,}{size:>11.0f}{rates}\n")


if __name__ == "__main__":
    main()
