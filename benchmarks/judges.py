"""Ways to tell whether reviews are positive: the pipeline's own, those of others, and the transfer alone.

Each runs in a process of its own, so that a core it is bound to is all that its JVM and its Python workers have. What
it judges is in memory before the clock starts: Arrow batches of as many rows as Spark makes, or a cached data frame.
"""

import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from psutil import Process

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

REVIEWS, TRAINING, VALIDATION = "reviews.parquet", "training.parquet", "validation.parquet"
"""What a work's folder holds: rows of movie_review; and review_str, label, source twice."""
SKLEARN_MODEL = "sklearn.pickle"
_ROWS_PER_BATCH = 10_000  # Spark's own default
_SKLEARN_FEATURES = 1 << 20


class Work(NamedTuple):
    """The folder of the reviews, how many rows of REVIEWS to judge and how often, after as many times to warm up.

    The JVM compiles for longer than one time takes.
    """

    folder: Path
    rows: int
    turns: int


class Measured(NamedTuple):
    """Medians of the turns: by the clock, and of all processes together."""

    seconds: float
    cpu_seconds: float


def report(measured: Measured, accuracy: dict[str, float] | None = None) -> None:
    """Print the result for the process that asked."""
    print(json.dumps({**measured._asdict(), "accuracy": accuracy}))  # noqa: T201


def kernel(work: Work) -> None:
    """The pipeline's scoring without Spark; its accuracy is that of the shipped model's cross-validation."""
    from user_analytics.sentiment.model import load_model
    from user_analytics.sentiment.score import is_positive, score

    model = load_model()
    measured = _timed(work, lambda batch: is_positive(score(model, batch["review_str"])))
    by_source = model.validation.by_source if model.validation else {}
    report(measured, {source: metrics.accuracy for source, metrics in by_source.items()})


def spark_kernel(work: Work) -> None:
    """The pipeline's own judgement of a data frame."""
    from user_analytics.sentiment.model import load_model
    from user_analytics.spark.sentiment import with_sentiment

    version = load_model().version
    report(_timed_in_spark(work, lambda reviews: with_sentiment(reviews, version)))


def spark_transfer(work: Work) -> None:
    """Every row to Python and back: what no judgement by mapInArrow can do without."""
    report(_timed_in_spark(work, lambda reviews: reviews.mapInArrow(_unchanged, reviews.schema)))


def spark_ml(work: Work) -> None:
    """pyspark.ml's own transformers and logistic regression, all of them in the JVM."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import IDF, HashingTF, NGram, SQLTransformer, Tokenizer

    with _session(work) as spark:
        pipeline = Pipeline(
            stages=[
                Tokenizer(inputCol="review_str", outputCol="words"),
                NGram(n=2, inputCol="words", outputCol="pairs"),
                NGram(n=3, inputCol="words", outputCol="triples"),
                SQLTransformer(statement="select *, concat(words, pairs, triples) as ngrams from __THIS__"),
                HashingTF(inputCol="ngrams", outputCol="counts"),
                IDF(inputCol="counts", outputCol="features", minDocFreq=3),
                LogisticRegression(maxIter=25, regParam=0.1),
            ]
        )
        model = pipeline.fit(spark.read.parquet(str(work.folder / TRAINING)))
        judged = model.transform(spark.read.parquet(str(work.folder / VALIDATION))).select("prediction").collect()
        accuracy = accuracy_by_source(work.folder, [row.prediction == 1 for row in judged])
        columns = ("review_id", "cid", "review_str", "probability", "prediction")
        measured = _timed_frame(work, spark, lambda reviews: model.transform(reviews).select(*columns))
    report(measured, accuracy)


def fit_sklearn(folder: Path) -> None:
    """Fit scikit-learn's pipeline to the reviews to train on and leave it in the folder."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    training = pq.read_table(folder / TRAINING).to_pydict()
    model = make_pipeline(
        HashingVectorizer(ngram_range=(1, 3), n_features=_SKLEARN_FEATURES, alternate_sign=False, norm=None),
        TfidfTransformer(sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit(training["review_str"], training["label"])
    (folder / SKLEARN_MODEL).write_bytes(pickle.dumps(model))


def sklearn(work: Work) -> None:
    """scikit-learn's HashingVectorizer and a dot product, without Spark."""
    model = _sklearn_model(work.folder)
    validation = pq.read_table(work.folder / VALIDATION)["review_str"].to_pylist()
    accuracy = accuracy_by_source(work.folder, (model.decision_function(validation) > 0).tolist())
    report(_timed(work, lambda batch: model.decision_function(batch["review_str"].to_pylist())), accuracy)


def spark_sklearn(work: Work) -> None:
    """The same inside mapInArrow."""
    judge = partial(_judged_by_sklearn, work.folder)
    report(_timed_in_spark(work, lambda reviews: reviews.mapInArrow(judge, f"{_ddl(reviews)}, logit double")))


def vader(work: Work) -> None:
    """VADER, a lexicon with rules (Hutto & Gilbert, ICWSM 2014); it needs no training."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    judge = SentimentIntensityAnalyzer()

    def is_positive(texts: pa.Array) -> list[bool]:
        return [judge.polarity_scores(text)["compound"] > 0 for text in texts.to_pylist()]

    accuracy = accuracy_by_source(work.folder, is_positive(pq.read_table(work.folder / VALIDATION)["review_str"]))
    report(_timed(work, lambda batch: is_positive(batch["review_str"])), accuracy)


def _timed(work: Work, judge: Callable[[pa.RecordBatch], object]) -> Measured:
    reviews = pq.read_table(work.folder / REVIEWS).slice(0, work.rows).combine_chunks()
    batches = reviews.to_batches(_ROWS_PER_BATCH)

    def judge_all() -> None:
        for batch in batches:
            judge(batch)

    return _measured(judge_all, work.turns)


def _timed_in_spark(work: Work, judge: Callable[["DataFrame"], "DataFrame"]) -> Measured:
    with _session(work) as spark:
        return _timed_frame(work, spark, judge)


def _timed_frame(work: Work, spark: "SparkSession", judge: Callable[["DataFrame"], "DataFrame"]) -> Measured:
    """From the cached reviews, in as many tasks as an ingestion makes parts, to a sink that drops all rows."""
    from user_analytics.ingest.parts import PART_BYTES

    parts = -(-pq.read_table(work.folder / REVIEWS).slice(0, work.rows).nbytes // PART_BYTES)
    reviews = spark.read.parquet(str(work.folder / REVIEWS)).limit(work.rows).repartition(parts).cache()
    reviews.count()
    judged = judge(reviews)
    return _measured(judged.write.format("noop").mode("overwrite").save, work.turns)


def _session(work: Work) -> Any:
    from user_analytics.spark.session import spark_session

    return spark_session(work.folder.name)


def _measured(judge: Callable[[], None], turns: int) -> Measured:
    for _ in range(turns):
        judge()
    seconds, cpu_seconds = [], []
    for _ in range(turns):
        begin, cpu_begin = perf_counter(), _cpu_seconds()
        judge()
        seconds.append(perf_counter() - begin)
        cpu_seconds.append(_cpu_seconds() - cpu_begin)
    return Measured(median(seconds), median(cpu_seconds))


def _cpu_seconds() -> float:
    """What this process, its JVM and its Python workers have used so far."""
    this = Process()
    return sum(times.user + times.system for times in (each.cpu_times() for each in (this, *this.children(True))))


def accuracy_by_source(folder: Path, judged_positive: list[bool]) -> dict[str, float]:
    """The share of each source's validation reviews that was judged right."""
    validation = pq.read_table(folder / VALIDATION, columns=["label", "source"]).to_pylist()
    rows = Counter(row["source"] for row in validation)
    right = Counter(
        row["source"]
        for row, positive in zip(validation, judged_positive, strict=True)
        if positive == (row["label"] == 1)
    )
    return {source: right[source] / rows[source] for source in rows}


def _unchanged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from batches


def _judged_by_sklearn(folder: Path, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    model = _sklearn_model(folder)
    for batch in batches:
        logits = model.decision_function(batch["review_str"].to_pylist())
        yield batch.append_column("logit", pa.array(logits))


@cache
def _sklearn_model(folder: Path) -> Any:
    return pickle.loads((folder / SKLEARN_MODEL).read_bytes())  # noqa: S301 - of this run's own making


def _ddl(frame: "DataFrame") -> str:
    return ", ".join(f"{name} {kind}" for name, kind in frame.dtypes)
