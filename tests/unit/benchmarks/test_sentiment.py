"""The comparison of judges: what they are given, and what is shown of them."""

from io import StringIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from benchmarks import judges
from benchmarks.sentiment import CONTENDERS, FLOOR, ROWS, SPARK_ML, Result, comparison, read_labelled, repeat, split
from user_analytics.errors import InputError
from user_analytics.lake.schemas import RAW_SCHEMAS


def shown(results: dict[str, Result]) -> dict[str, list[str]]:
    """The cells of each contender's line in the table; a missing result is one of a review a second."""
    console = Console(width=250, file=StringIO(), record=True)
    every = {contender.name: results.get(contender.name, Result(1.0, 1.0, {})) for contender in CONTENDERS}
    console.print(comparison(every, "Reviews"))
    lines = ([cell.strip() for cell in line.split("│")[1:-1]] for line in console.export_text().splitlines())
    return {cells[0]: cells[1:] for cells in lines if cells}


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rates_by_cpu_time_are_shown_as_ratios_to_the_transfer_and_to_pyspark_ml() -> None:
    floor, spark_ml, other = Result(1.0, 2000.0, {}), Result(2.0, 50.0, {}), Result(300.0, 500.0, {})
    lines = shown({FLOOR: floor, SPARK_ML: spark_ml, "VADER bare": other})

    assert lines[FLOOR] == ["100,000", "1", "2,000", "100", "40.0"]
    assert lines["VADER bare"] == ["1,000", "300", "500", "25", "10.0"]


def test_what_may_take_any_core_is_compared_with_the_transfer_that_may() -> None:
    unpinned = [contender for contender in CONTENDERS if not contender.pinned]
    floors = {contender.floor for contender in unpinned}

    assert floors == {contender.name for contender in unpinned if contender.judge == "spark_transfer"}


def test_accuracy_is_shown_for_each_source_and_left_out_for_what_judges_nothing() -> None:
    lines = shown({SPARK_ML: Result(50.0, 50.0, {"imdb": 0.8512, "rt": 1.0})})

    assert lines[SPARK_ML][-2:] == ["85.1", "100.0"]
    assert lines[FLOOR][-2:] == ["", ""]


def test_texts_are_repeated_as_rows_of_movie_review(tmp_path: Path) -> None:
    size = repeat(csv(tmp_path / "reviews.csv", "review_str", "good", "bad"), tmp_path)

    rows = pq.read_table(tmp_path / judges.REVIEWS)
    assert rows.schema.equals(RAW_SCHEMAS["movie_review"])
    assert rows["review_str"].to_pylist() == ["good", "bad"] * (ROWS // 2)
    assert size == 3.5


def test_a_file_without_reviews_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"reviews\.csv has no review"):
        repeat(csv(tmp_path / "reviews.csv", "review_str"), tmp_path)


def test_no_labelled_review_is_both_trained_on_and_validated_with(tmp_path: Path) -> None:
    lines = [f"review {number % 90},{number % 2}" for number in range(100)]
    split(read_labelled(csv(tmp_path / "labelled.csv", "review_str,label", *lines)), tmp_path)

    training, validation = (
        set(pq.read_table(tmp_path / name)["review_str"].to_pylist()) for name in (judges.TRAINING, judges.VALIDATION)
    )
    assert (len(training), len(validation)) == (81, 9)
    assert not training & validation


def test_accuracy_is_the_share_judged_right_by_source(tmp_path: Path) -> None:
    table = pa.table({"review_str": ["a", "b", "c"], "label": [1, 0, 1], "source": ["imdb", "imdb", "rt"]})
    pq.write_table(table, tmp_path / judges.VALIDATION)

    found = judges.accuracy_by_source(tmp_path, [True, True, True])

    assert found == {"imdb": 0.5, "rt": 1.0}
