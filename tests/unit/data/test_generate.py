"""The generator of linked input files: deterministic, streaming, with the oddities of real exports."""

import csv
import io
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from data import generate
from tests.fixtures.programs import GIVES_BACK_MEMORY

REPOSITORY = Path(__file__).parents[3]
Row = dict[str, str]
# Runs the generator, and says at last the most memory it was resident in, in kB.
PEAK = """
import atexit, runpy, sys
from pathlib import Path
atexit.register(lambda: print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0], file=sys.stderr))
runpy.run_path("data/generate.py", run_name="__main__")
"""


@dataclass(frozen=True)
class Files:
    """A folder of generated files and their rows."""

    folder: Path
    reviews: list[Row]
    purchases: list[Row]


def run(folder: Path, *, reviews: int, purchases: int, customers: int = 500, seed: int = 7, **options: object) -> Files:
    arguments = {"reviews": reviews, "purchases": purchases, "customers": customers, "seed": seed, "output": folder}
    arguments |= {name.replace("_", "-"): value for name, value in options.items()}
    generate.main([f"--{name}={value}" for name, value in arguments.items()])
    return Files(folder, rows(folder / "movie_review.csv"), rows(folder / "user_purchase.csv"))


def rows(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return run(tmp_path_factory.mktemp("generated"), reviews=8_000, purchases=60_000, customers=2_000)


def test_the_command_in_the_readme_makes_the_checked_in_sample(tmp_path: Path) -> None:
    readme = (REPOSITORY / "data" / "README.md").read_text(encoding="utf-8")
    command = re.search(r"python (data/generate\.py .+) --output data$", readme, re.MULTILINE)
    assert command
    subprocess.run(
        [sys.executable, *command[1].split(), "--output", tmp_path], cwd=REPOSITORY, check=True, capture_output=True
    )
    for name in ("movie_review.csv", "user_purchase.csv"):
        assert (tmp_path / name).read_bytes() == (REPOSITORY / "data" / name).read_bytes()


def test_the_sample_is_as_large_as_its_readme_says_and_under_three_megabytes() -> None:
    paths = [REPOSITORY / "data" / "movie_review.csv", REPOSITORY / "data" / "user_purchase.csv"]
    assert [len(rows(path)) for path in paths] == [2_000, 10_000]
    assert sum(path.stat().st_size for path in paths) < 3_000_000


def test_another_seed_makes_other_files(tmp_path: Path) -> None:
    one, other = (run(tmp_path, reviews=100, purchases=1_000, seed=seed) for seed in (7, 8))
    assert other.reviews != one.reviews
    assert other.purchases != one.purchases


def test_more_reviews_of_a_seed_begin_with_the_fewer() -> None:
    def first(count: int) -> bytes:
        return b"".join(generate.review_chunks(count, generate.Customers(500), seed=7))

    assert first(5_000).startswith(first(3_000))


@pytest.mark.parametrize("count", [0, 1, generate.REVIEWS_PER_CHUNK, 2 * generate.REVIEWS_PER_CHUNK + 1])
def test_a_file_has_as_many_rows_as_asked(tmp_path: Path, count: int) -> None:
    made = run(tmp_path, reviews=count, purchases=5 * count)
    assert (len(made.reviews), len(made.purchases)) == (count, 5 * count)


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    def peak(reviews: int, purchases: int) -> int:
        """Peak resident memory of one run, in bytes."""
        sizes = [f"--reviews={reviews}", f"--purchases={purchases}", "--customers=5000", "--seed=1"]
        command = [sys.executable, "-c", PEAK, *sizes, f"--output={tmp_path}"]
        environment = {**os.environ, **GIVES_BACK_MEMORY}
        made = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
        return int(made.stderr.splitlines()[-1]) * 1024

    small, large = peak(5_000, 30_000), peak(30_000, 180_000)
    written = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert written > 40_000_000
    assert large - small < written / 10


@pytest.mark.parametrize("columns", [("movie_review.csv", 2), ("user_purchase.csv", 8)], ids=lambda pair: pair[0])
def test_a_file_survives_pythons_csv_byte_for_byte(files: Files, columns: tuple[str, int]) -> None:
    name, width = columns
    text = (files.folder / name).read_bytes().decode("utf-8")
    records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(record) for record in records} == {width}
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n").writerows(records)
    assert written.getvalue() == text


def test_every_review_is_valid(files: Files) -> None:
    assert list(files.reviews[0]) == ["cid", "review_str"]
    for row in files.reviews:
        assert re.fullmatch(r"[1-9]\d*", row["cid"])
        assert row["review_str"].strip()
        assert not re.search(r"[\x00-\x09\x0b-\x1f{}]", row["review_str"])


def test_every_purchase_is_valid(files: Files) -> None:
    assert ",".join(files.purchases[0]) == generate.PURCHASE_COLUMNS
    for row in files.purchases:
        assert re.fullmatch(r"C?\d{6}", row["invoice_number"])
        assert row["stock_code"]
        assert row["country"]
        assert re.fullmatch(r"-?[1-9]\d*", row["quantity"])
        assert re.fullmatch(r"\d{1,5}(\.\d{1,3})?", row["unit_price"])
        assert re.fullmatch(r"([1-9]\d*)?", row["customer_id"])


def cancelled(row: Row) -> bool:
    return row["invoice_number"].startswith("C")


def repeated(purchases: list[Row]) -> int:
    return sum(former == latter for former, latter in pairwise(purchases))


@pytest.mark.parametrize(
    ("oddity", "least", "most"),
    [
        pytest.param(lambda row: not row["customer_id"], 0.26, 0.32, id="guests"),
        pytest.param(cancelled, 0.010, 0.014, id="cancellations"),
        pytest.param(lambda row: Decimal(row["unit_price"]) == 0, 0.006, 0.011, id="zero prices"),
        pytest.param(lambda row: not row["detail"], 0.001, 0.010, id="missing details"),
        pytest.param(lambda row: '"' in row["detail"], 0.01, 0.5, id="quotes"),
        pytest.param(lambda row: "," in row["detail"], 0.01, 0.5, id="commas"),
        pytest.param(lambda row: "\n" in row["detail"], 0.0001, 0.01, id="newlines"),
        pytest.param(lambda row: not row["detail"].isascii(), 0.01, 0.5, id="other letters"),
        pytest.param(lambda row: row["detail"].endswith(" "), 0.01, 0.5, id="trailing blanks"),
        pytest.param(lambda row: re.search(r"\.\d\d[1-9]", row["unit_price"]), 0.005, 0.1, id="three decimals"),
        pytest.param(lambda row: int(row["quantity"]) < 0 and not cancelled(row), 0.002, 0.02, id="stock lost"),
        pytest.param(lambda row: row["country"] != "United Kingdom", 0.05, 0.15, id="abroad"),
    ],
)
def test_purchases_have_the_oddities_of_real_ones(
    files: Files, oddity: Callable[[Row], object], least: float, most: float
) -> None:
    assert least < sum(bool(oddity(row)) for row in files.purchases) / len(files.purchases) < most


def test_some_purchases_repeat_the_line_before_them(files: Files) -> None:
    assert 0.01 < repeated(files.purchases) / len(files.purchases) < 0.03


@pytest.mark.parametrize(
    ("oddity", "least", "most"),
    [
        pytest.param(lambda text: "<br />" in text, 0.2, 0.4, id="HTML"),
        pytest.param(lambda text: "\n" in text, 0.02, 0.12, id="newlines"),
        pytest.param(lambda text: '"' in text, 0.1, 0.6, id="quotes"),
        pytest.param(lambda text: not text.isascii(), 0.2, 0.95, id="other letters"),
        pytest.param(lambda text: not re.search(r"[A-Za-z]", text), 0.001, 0.02, id="not a Latin letter"),
        pytest.param(lambda text: re.search("[\U00010000-\U0010ffff]", text), 0.0002, 0.01, id="emoji"),
        pytest.param(lambda text: len(text) < 40, 0.005, 0.05, id="very short"),
        pytest.param(lambda text: len(text) > 2_000, 0.01, 0.2, id="long"),
    ],
)
def test_reviews_have_the_oddities_of_real_ones(
    files: Files, oddity: Callable[[str], object], least: float, most: float
) -> None:
    assert least < sum(bool(oddity(row["review_str"])) for row in files.reviews) / len(files.reviews) < most


def test_cancelled_lines_are_returns_of_something_paid(files: Files) -> None:
    returns = [row for row in files.purchases if cancelled(row)]
    assert all(int(row["quantity"]) < 0 for row in returns)
    assert sum(Decimal(row["unit_price"]) > 0 for row in returns) > 0.95 * len(returns)


def test_the_lines_of_an_invoice_share_its_minute_its_customer_and_country(files: Files) -> None:
    invoices: defaultdict[str, list[Row]] = defaultdict(list)
    for row in files.purchases:
        invoices[row["invoice_number"]].append(row)
    for lines in invoices.values():
        assert len({(line["invoice_date"], line["customer_id"], line["country"]) for line in lines}) == 1
    assert max(map(len, invoices.values())) > 40


def test_a_customer_has_one_country(files: Files) -> None:
    pairs = {(row["customer_id"], row["country"]) for row in files.purchases if row["customer_id"]}
    assert len(pairs) == len({customer for customer, _ in pairs})


def test_most_customers_are_in_both_files_and_some_in_one_only(files: Files) -> None:
    reviewers = {row["cid"] for row in files.reviews}
    buyers = {row["customer_id"] for row in files.purchases} - {""}
    everyone = reviewers | buyers
    assert len(everyone) <= 2_000
    assert len(reviewers & buyers) > 0.4 * len(everyone)
    assert len(reviewers - buyers) > 0.1 * len(everyone)
    assert len(buyers - reviewers) > 0.1 * len(everyone)


@pytest.mark.parametrize("customers", [1, 19, 20, 400])
def test_no_more_customers_come_up_than_asked(tmp_path: Path, customers: int) -> None:
    made = run(tmp_path, reviews=400 + 9 * customers, purchases=3_000 + 70 * customers, customers=customers)
    seen = {row["cid"] for row in made.reviews} | {row["customer_id"] for row in made.purchases} - {""}
    assert {int(customer) for customer in seen} <= {generate.FIRST_CUSTOMER + i for i in range(customers)}
    assert len(seen) > 0.9 * customers


def test_a_few_customers_write_many_of_the_reviews(files: Files) -> None:
    written = sorted(Counter(row["cid"] for row in files.reviews).values(), reverse=True)
    assert sum(written[: len(written) // 10]) > 0.25 * len(files.reviews)
    assert written[-1] == 1


def test_some_customers_returned_more_than_they_bought(files: Files) -> None:
    spent: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in files.purchases:
        spent[row["customer_id"]] += int(row["quantity"]) * Decimal(row["unit_price"])
    assert sum(amount < 0 for amount in spent.values()) >= 3


def moments(made: Files) -> list[datetime]:
    return [datetime.fromisoformat(row["invoice_date"]) for row in made.purchases]


def test_purchases_come_in_the_order_of_their_dates_in_business_hours(files: Files) -> None:
    times = moments(files)
    assert times == sorted(times)
    assert sum(9 <= time.hour < 18 for time in times) > 0.9 * len(times)
    assert {time.isoweekday() for time in times} == {1, 2, 3, 4, 5, 7}


@pytest.mark.parametrize(("last_day", "days"), [("2010-12-08", 1), ("2010-12-04", 5), ("2012-03-01", 400)])
def test_purchases_fill_a_period_that_ends_on_the_last_day(tmp_path: Path, last_day: str, days: int) -> None:
    """2010-12-04 is a Saturday, when the shop is closed but for the last day."""
    made = {time.date() for time in moments(run(tmp_path, reviews=0, purchases=9_000, last_day=last_day, days=days))}
    assert max(made) == date.fromisoformat(last_day)
    assert days - 7 <= (max(made) - min(made)).days < days


@pytest.mark.parametrize("wrong", ["--reviews=-1", "--customers=0", "--last-day=yesterday", "--purchases=many"])
def test_an_argument_out_of_range_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    arguments = ["--reviews=1", "--purchases=1", "--customers=1", "--seed=1", f"--output={tmp_path / 'made'}", wrong]
    with pytest.raises(SystemExit) as stop:
        generate.main(arguments)
    assert stop.value.code == 2
    assert wrong.partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
