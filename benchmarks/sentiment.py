"""How fast the pipeline judges reviews, beside the transfer alone and others that judge them, and how right all are.

Each contender runs in a process of its own; all but those that say so are bound to the same core, the JVM and its
Python workers together. It judges the reviews several times to warm up and as often to be measured; the median counts.
Reading files, starting processes, loading models and training are not measured. Rates are by the clock, and by the CPU
time of all of a contender's processes: on one core the two are the same, unless something else uses it. Ratios are of
the latter.

Accuracy is that on a tenth of the labelled reviews, which those that need training are not shown; that of the
pipeline's model is the mean of its cross-validation.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from benchmarks import judges
from user_analytics.errors import InputError
from user_analytics.lake.schemas import RAW_SCHEMAS
from user_analytics.sentiment.review_files import TEXT_COLUMN, open_reviews
from user_analytics.spark.submit import CHECKOUT, JAVA_OPTIONS, LOOPBACK

ROWS, SLOW_ROWS, SLOWEST_ROWS = 100_000, 10_000, 1_000
TURNS = 3
VALIDATION_SHARE = 10
SEED = 0

SCRIPT = """
import sys
from pathlib import Path
from benchmarks import judges
judges.{judge}(judges.Work(Path(sys.argv[1]), rows={rows}, turns={turns}))
"""
SPARK = (
    "--master local[1] --driver-memory 4g --driver-java-options '{java_options}' "
    "--conf spark.ui.enabled=false pyspark-shell"
)

OURS_IN_SPARK = "user-analytics in Spark"
SPARK_ML = "pyspark.ml: Tokenizer, NGram, HashingTF, IDF, LogisticRegression"
NOTES = (
    "Spark is local[1] from a cached data frame to a noop sink; transfer is mapInArrow that returns what it gets.",
    "Ratios are those of CPU time, which is the time on the clock of a core that does nothing else.",
    "Ours and scikit-learn's, in Spark and bare, are the same model each: the accuracy is shown once.",
)


class Labelled(NamedTuple):
    """Reviews with the label 1 (positive) or 0; all are aligned."""

    texts: list[str]
    labels: list[int]
    sources: list[str]


@dataclass(frozen=True)
class Contender:
    """One way to judge, a function of benchmarks.judges, for so many reviews.

    `floor` names the contender that moves the same rows on the same cores; `pinned` binds it to one. The JVM has the
    options of an application, unless others suit it better.
    """

    name: str
    judge: str
    floor: str
    rows: int = ROWS
    turns: int = TURNS
    pinned: bool = True
    java_options: tuple[str, ...] = JAVA_OPTIONS


@dataclass(frozen=True)
class Result:
    """Reviews a second by the clock and of CPU time; the share judged right for each source, if it is measured."""

    rate: float
    cpu_rate: float
    accuracy: dict[str, float]


FLOOR, UNPINNED_FLOOR = "transfer alone in Spark (floor)", "transfer alone in Spark, any core (floor)"
CONTENDERS = (
    Contender(FLOOR, "spark_transfer", FLOOR),
    Contender(OURS_IN_SPARK, "spark_kernel", FLOOR),
    Contender("user-analytics bare", "kernel", FLOOR),
    # All its work is the JVM's, which it lets compile as well as it can.
    Contender(SPARK_ML, "spark_ml", FLOOR, rows=SLOW_ROWS, java_options=()),
    Contender("scikit-learn: HashingVectorizer, dot in Spark", "spark_sklearn", FLOOR, rows=SLOW_ROWS),
    Contender("scikit-learn: HashingVectorizer, dot bare", "sklearn", FLOOR, rows=SLOW_ROWS),
    Contender("VADER bare", "vader", FLOOR, rows=SLOWEST_ROWS, turns=1),
    Contender(UNPINNED_FLOOR, "spark_transfer", UNPINNED_FLOOR, pinned=False),
    Contender(f"{OURS_IN_SPARK}, any core", "spark_kernel", UNPINNED_FLOOR, pinned=False),
)


def measure(contender: Contender, folder: Path, core: int) -> Result:
    """Run a contender in a process of its own."""
    script = SCRIPT.format(judge=contender.judge, rows=contender.rows, turns=contender.turns)
    binding = ["taskset", "--cpu-list", str(core)] if contender.pinned else []
    done = subprocess.run(  # noqa: S603
        [*binding, sys.executable, "-c", script, folder],
        env={
            **os.environ,
            "LAKE_URL": str(folder),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": SPARK.format(java_options=" ".join(contender.java_options)),
            "PYTHONPATH": str(CHECKOUT),
            "SPARK_LOCAL_DIRS": str(folder),
            "SPARK_LOCAL_IP": LOOPBACK,
        },
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(f"{contender.name} failed:\n{done.stdout}{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Result(contender.rows / found["seconds"], contender.rows / found["cpu_seconds"], found["accuracy"] or {})


def comparison(results: dict[str, Result], title: str) -> Table:
    """The results as a table: rates, ratios by CPU time to the floor and to pyspark.ml, accuracy by source."""
    table = Table(title=title)
    table.add_column("")
    sources = sorted({source for result in results.values() for source in result.accuracy})
    for heading in (
        "reviews",
        "reviews/s",
        "reviews/CPU s",
        "% of floor",
        "× pyspark.ml",
        *(f"{source} %" for source in sources),
    ):
        table.add_column(heading, justify="right")
    for contender in CONTENDERS:
        result = results[contender.name]
        table.add_row(
            contender.name,
            f"{contender.rows:,}",
            f"{result.rate:,.0f}",
            f"{result.cpu_rate:,.0f}",
            f"{result.cpu_rate / results[contender.floor].cpu_rate:.0%}".rstrip("%"),
            f"{result.cpu_rate / results[SPARK_ML].cpu_rate:.1f}",
            *(f"{result.accuracy[source]:.1%}".rstrip("%") if source in result.accuracy else "" for source in sources),
            style="bold" if contender.judge in ("kernel", "spark_kernel") else None,
        )
    return table


def read_labelled(path: Path) -> Labelled:
    """The different reviews of a file; one without `source` is a source of its own."""
    rows: dict[str, tuple[int, str]] = {}
    with open_reviews(path, (TEXT_COLUMN, "label")) as reviews:
        for batch in reviews.batches:
            for row in batch.to_pylist():
                rows.setdefault(row[TEXT_COLUMN], (int(row["label"]), str(row.get("source") or path.stem)))
    return Labelled(list(rows), [label for label, _ in rows.values()], [source for _, source in rows.values()])


def split(reviews: Labelled, folder: Path) -> None:
    """Write a tenth, by chance but always the same, to validate with, and the others to train on."""
    chance = np.random.default_rng(SEED).permutation(len(reviews.texts)) % VALIDATION_SHARE
    table = pa.table({TEXT_COLUMN: reviews.texts, "label": reviews.labels, "source": reviews.sources})
    pq.write_table(table.filter(pa.array(chance == 0)), folder / judges.VALIDATION)
    pq.write_table(table.filter(pa.array(chance != 0)), folder / judges.TRAINING)


def repeat(path: Path, folder: Path) -> float:
    """Write ROWS rows of movie_review with the texts of a file, over and over; returns their mean size in bytes."""
    texts = pa.array(islice(cycle(_texts(path)), ROWS), pa.string())
    if not len(texts):
        raise InputError(f"{path} has no review")
    numbers = pa.array(np.arange(ROWS))
    pq.write_table(pa.table([numbers, numbers, texts], schema=RAW_SCHEMAS["movie_review"]), folder / judges.REVIEWS)
    return float(pc.mean(pc.binary_length(texts)).as_py())


def _texts(path: Path) -> Iterator[str]:
    with open_reviews(path) as reviews:
        for batch in reviews.batches:
            yield from batch[TEXT_COLUMN].drop_null().to_pylist()


def main() -> None:
    """Measure all of them and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--labelled", type=Path, required=True, help="CSV or Parquet: review_str, label (1 or 0) and maybe source"
    )
    parser.add_argument("--reviews", type=Path, help="CSV or Parquet: review_str, to measure speed with (LABELLED)")
    given = parser.parse_args()
    progress = Console(stderr=True)
    core = max(os.sched_getaffinity(0))
    results: dict[str, Result] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        progress.print("Reading the reviews")
        try:
            size = repeat(given.reviews or given.labelled, folder)
            split(read_labelled(given.labelled), folder)
        except InputError as error:
            parser.error(str(error))
        progress.print("Training scikit-learn's")
        judges.fit_sklearn(folder)
        for contender in CONTENDERS:
            results[contender.name] = measure(contender, folder, core)
            progress.print(f"{contender.name}: {results[contender.name].rate:,.0f} reviews/s")
    output = Console(width=None if sys.stdout.isatty() else 150)
    output.print(comparison(results, f"Reviews of {size:,.0f} bytes, all on core {core} unless it says any core"))
    for note in NOTES:
        output.print(note, highlight=False)


if __name__ == "__main__":
    main()
