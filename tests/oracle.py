"""What the views must show, computed from the two source files in another way than the pipeline's.

Only Python's csv and decimal modules, one row at a time, and nothing of user_analytics. A decimal that would
have to be rounded, or a row that the pipeline would quarantine, is an error here.
"""

import csv
import decimal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

Amount = TypeVar("Amount", int, Decimal)

EXACT = decimal.Context(prec=100, traps=[decimal.Inexact, decimal.InvalidOperation])


@dataclass(frozen=True)
class Oracle:
    """Expected figures. `amount_spent` and `num_reviews` have every customer of either file, with 0 for nothing."""

    amount_spent: dict[int, Decimal]
    num_reviews: dict[int, int]
    total_spent: Decimal

    @property
    def customers(self) -> set[int]:
        """Everyone who bought or reviewed; guests are nobody."""
        return set(self.amount_spent)


def compute(reviews: Path, purchases: Path) -> Oracle:
    """Read both files (cid,review_str and the columns of retail.user_purchase)."""
    amount_spent: dict[int, Decimal] = {}
    num_reviews: dict[int, int] = {}
    total_spent = Decimal(0)
    with decimal.localcontext(EXACT):
        for row in read(purchases):
            if row["customer_id"]:
                customer = int(row["customer_id"])
                amount = int(row["quantity"]) * Decimal(row["unit_price"])
                amount_spent[customer] = amount_spent.get(customer, Decimal(0)) + amount
                total_spent += amount
    for row in read(reviews):
        customer = int(row["cid"])
        num_reviews[customer] = num_reviews.get(customer, 0) + 1
    customers = sorted(amount_spent.keys() | num_reviews.keys())
    return Oracle(
        amount_spent={customer: amount_spent.get(customer, Decimal(0)) for customer in customers},
        num_reviews={customer: num_reviews.get(customer, 0) for customer in customers},
        total_spent=total_spent,
    )


def top_five(amounts: Mapping[int, Amount]) -> list[tuple[int, int, Amount]]:
    """(rank, customer, amount) of the five largest amounts above zero; of equals the lower customer first."""
    best = sorted(((-amount, customer) for customer, amount in amounts.items() if amount > 0))[:5]
    return [(rank, customer, -negated) for rank, (negated, customer) in enumerate(best, start=1)]


def read(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a CSV by column; raises ValueError for one with more or fewer fields than the header."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        records: Iterable[list[str]] = csv.reader(file, strict=True)
        columns = next(iter(records))
        for record in records:
            yield dict(zip(columns, record, strict=True))
