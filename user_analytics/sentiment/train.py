"""Training: labelled reviews in, a model file and its card out.

TF-IDF over words and pairs of words with logistic regression (Wang & Manning, ACL 2012, show how hard
that is to beat on reviews). scikit-learn, needed here only, counts and fits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import file_digest
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from user_analytics.errors import InputError, ModelError, UserAnalyticsError
from user_analytics.sentiment.card import model_card
from user_analytics.sentiment.evaluate import validate
from user_analytics.sentiment.model import (
    FILE_NAME,
    Coefficients,
    Model,
    Training,
    TrainingFile,
    Validation,
    decode_model,
    encode_model,
)
from user_analytics.sentiment.review_files import TEXT_COLUMN, open_reviews
from user_analytics.sentiment.score import score
from user_analytics.sentiment.tokeniser import tokenise

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

CARD_NAME = "model_card.md"
LABEL_COLUMN, SOURCE_COLUMN = "label", "source"
MINIMUM_ROWS_PER_LABEL = 50
"""Fewer leave less than five of a label to validate on."""

_EVERY = 10  # one row in ten validates
_ROWS_AT_ONCE = 1024

log = structlog.get_logger()


@dataclass(frozen=True)
class Parameters:
    """What was chosen by validation splits of the training data, never by a held-out set.

    `ngrams`: how many are kept; `minimum_rows`: rows an n-gram must occur in;
    `always_kept_rows`: a single word in so many rows is kept whatever its χ² says, since alone it
    drops words like "good" whose pairs say more; `inverse_regularisation`: C of the regression. Over
    four splits C = 3, 6, 10, 15 gave a log loss of 0.281, 0.271, 0.272, 0.275 and a calibration error of
    0.047, 0.025, 0.013, 0.013 at the same accuracy.
    """

    ngrams: int = 50_000
    minimum_rows: int = 3
    always_kept_rows: int = 50
    inverse_regularisation: float = 10.0
    seed: int = 0


DEFAULTS = Parameters()


class _Labelled(NamedTuple):
    texts: pa.LargeStringArray
    labels: NDArray[np.int8]
    sources: list[str]


def train(labelled: Sequence[Path], output: Path, parameters: Parameters = DEFAULTS) -> Model:
    """Train on labelled reviews and write `model.parquet` and `model_card.md` into the folder `output`.

    Files are CSV or Parquet with the columns `review_str` (text), `label` (0 or 1) and optionally
    `source` (text; a file without it is a source of its own). A tenth of the rows, the same share of every
    source and label, is held back from a first fit and measures it through `score`; the model
    written is then fitted to all rows. With the same libraries the same files give the same bytes.
    Progress is logged.

    Raises InputError for a file or row that cannot be taken, ModelError when the rows do not
    suffice or scikit-learn is not installed, UserAnalyticsError when `output` cannot be written.
    """
    scikit_learn = _scikit_learn_version()
    files, reviews, duplicate_rows = _read(labelled)
    _check_labels(reviews.labels)
    log.info("counting n-grams", rows=len(reviews.labels), duplicate_rows=duplicate_rows)
    counts, ngrams = _count(reviews.texts, parameters)
    training = Training(
        files=files,
        rows=len(reviews.labels),
        duplicate_rows=duplicate_rows,
        rows_by_source=dict(sorted(Counter(reviews.sources).items())),
        parameters=asdict(parameters),
        scikit_learn=scikit_learn,
    )

    validation = _validate(counts, ngrams, reviews, training, parameters)
    log.info("validated", **validation.total.model_dump())
    log.info("fitting to all rows", rows=len(reviews.labels))
    coefficients = _fit(counts, reviews.labels, ngrams, parameters)
    body = encode_model(coefficients, training, validation)
    model = decode_model(body, "the trained model")
    try:
        output.mkdir(parents=True, exist_ok=True)
        _replace({output / FILE_NAME: body, output / CARD_NAME: model_card(model, coefficients, len(body)).encode()})
    except OSError as error:
        raise UserAnalyticsError(f"cannot write the model into {output}: {error}") from error
    log.info("model written", version=model.version, folder=str(output), bytes=len(body))
    return model


def _replace(contents: Mapping[Path, bytes]) -> None:
    """Write files aside and rename them when all are there: whatever stops this, no file is half written."""
    aside = {path: path.with_name(f".{path.name}.{uuid4().hex}") for path in contents}
    try:
        for path, body in contents.items():
            aside[path].write_bytes(body)
        for path, written in aside.items():
            written.replace(path)
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)


def _scikit_learn_version() -> str:
    try:
        import sklearn  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ModelError("training needs scikit-learn: pip install 'user-analytics[train]'") from error
    return str(sklearn.__version__)


def _read(paths: Sequence[Path]) -> tuple[list[TrainingFile], _Labelled, int]:
    """The rows of all files, of equal texts the first only: the others could sit on both sides of the split."""
    files: list[TrainingFile] = []
    kept: dict[str, tuple[int, str]] = {}
    for path in paths:
        rows = 0
        for rows, (text, label, source) in enumerate(_rows(path), start=1):
            if text is None:
                raise InputError(f"{path}, row {rows}: {TEXT_COLUMN} is null; every labelled review needs its text")
            if label not in (0, 1, "0", "1"):
                raise InputError(f"{path}, row {rows}: {LABEL_COLUMN} is {label!r}; it must be 1 (positive) or 0")
            kept.setdefault(text, (int(label), str(source or path.stem)))
        with path.open("rb") as file:
            files.append(TrainingFile(name=path.name, sha256=file_digest(file, "sha256").hexdigest(), rows=rows))
    labels = np.array([label for label, _ in kept.values()], dtype=np.int8)
    reviews = _Labelled(pa.array(kept, pa.large_string()), labels, [source for _, source in kept.values()])
    return files, reviews, sum(file.rows for file in files) - len(kept)


def _rows(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    with open_reviews(path, (TEXT_COLUMN, LABEL_COLUMN)) as reviews:
        for batch in reviews.batches:
            has_source = SOURCE_COLUMN in batch.schema.names
            sources = batch[SOURCE_COLUMN].to_pylist() if has_source else [None] * batch.num_rows
            yield from zip(batch[TEXT_COLUMN].to_pylist(), batch[LABEL_COLUMN].to_pylist(), sources, strict=True)


def _check_labels(labels: NDArray[np.int8]) -> None:
    for label in (0, 1):
        rows = int((labels == label).sum())
        if rows < MINIMUM_ROWS_PER_LABEL:
            raise ModelError(
                f"{rows} different reviews with {LABEL_COLUMN} {label} are too few to train on: "
                f"at least {MINIMUM_ROWS_PER_LABEL} of each label are needed"
            )


def _validate(
    counts: "csr_matrix",
    ngrams: NDArray[np.object_],
    reviews: _Labelled,
    training: Training,
    parameters: Parameters,
) -> Validation:
    """How well a model fitted to nine tenths of the rows does on the others, rounded and scored as shipped."""
    held_back = _validation_rows(reviews, parameters.seed)
    log.info("fitting to validate", rows=int((~held_back).sum()), ngrams=len(ngrams))
    coefficients = _fit(counts[~held_back], reviews.labels[~held_back], ngrams, parameters)
    model = decode_model(encode_model(coefficients, training, None), "the model to validate")
    probabilities = score(model, reviews.texts.filter(pa.array(held_back)))
    sources = [reviews.sources[row] for row in np.flatnonzero(held_back)]
    return validate(probabilities, reviews.labels[held_back], sources)


def _validation_rows(reviews: _Labelled, seed: int) -> NDArray[np.bool_]:
    """Which rows validate: every tenth in the order of label, source and chance."""
    chance = np.random.default_rng(seed).random(len(reviews.labels))
    order = np.lexsort((chance, np.array(reviews.sources), reviews.labels))
    held_back = np.zeros(len(order), dtype=bool)
    held_back[order[_EVERY // 2 :: _EVERY]] = True
    return held_back


def _count(texts: pa.LargeStringArray, parameters: Parameters) -> tuple["csr_matrix", NDArray[np.object_]]:
    """How often each n-gram (column) occurs in each text (row), without the rarest; and the n-grams, sorted."""
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415

    vectorizer = CountVectorizer(analyzer=list, min_df=parameters.minimum_rows, dtype=np.int32)
    try:
        counts = vectorizer.fit_transform(_ngrams(texts))
    except ValueError as error:
        raise ModelError(
            f"no word occurs in {parameters.minimum_rows} reviews: there is nothing to learn from"
        ) from error
    return counts, vectorizer.get_feature_names_out()


def _ngrams(texts: pa.LargeStringArray) -> Iterator[list[str]]:
    """The words and pairs of neighbouring words of each text."""
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        chunk = texts.slice(start, _ROWS_AT_ONCE)
        rows, words = tokenise(chunk)
        ends = np.searchsorted(rows, np.arange(len(chunk)), side="right")
        for text in np.split(words.to_numpy(zero_copy_only=False), ends[:-1]):
            yield [*text, *(f"{first} {second}" for first, second in pairwise(text))]


def _fit(
    counts: "csr_matrix", labels: NDArray[np.int8], ngrams: NDArray[np.object_], parameters: Parameters
) -> Coefficients:
    """Choose n-grams and fit the regression to rows of counts."""
    from sklearn.feature_extraction.text import TfidfTransformer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415

    chosen = _choose(counts, labels, ngrams, parameters)
    transformer = TfidfTransformer(sublinear_tf=True)
    tfidf = transformer.fit_transform(counts[:, chosen])
    regression = LogisticRegression(C=parameters.inverse_regularisation, max_iter=1000)
    with threadpool_limits(1):  # the order of sums, and with it the last digits, would depend on the number of cores
        regression.fit(tfidf, labels)
    return Coefficients(
        ngrams=ngrams[chosen].tolist(),
        weights=regression.coef_[0],
        idf=transformer.idf_,
        bias=float(regression.intercept_[0]),
    )


def _choose(
    counts: "csr_matrix", labels: NDArray[np.int8], ngrams: NDArray[np.object_], parameters: Parameters
) -> NDArray[np.int64]:
    """Columns of the n-grams whose presence depends most on the label (χ²), and of all common words."""
    from sklearn.feature_selection import chi2  # noqa: PLC0415

    present = counts.sign()
    rows_with = np.asarray(present.sum(axis=0)).ravel()
    is_common_word = (rows_with >= parameters.always_kept_rows) & [" " not in ngram for ngram in ngrams]
    relevance = np.where(is_common_word, np.inf, chi2(present, labels)[0])
    frequent = np.flatnonzero(rows_with >= parameters.minimum_rows)
    best_first = frequent[np.argsort(-relevance[frequent], kind="stable")]
    return np.sort(best_first[: parameters.ngrams])
