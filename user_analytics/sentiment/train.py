"""Training: labelled reviews, and unlabelled ones if there are any, in; a model file and its card out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sklearn
import structlog
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from user_analytics.errors import InputError, ModelError, UserAnalyticsError
from user_analytics.sentiment.card import calibration_plot, model_card
from user_analytics.sentiment.counts import count_ngrams
from user_analytics.sentiment.evaluate import validate
from user_analytics.sentiment.fit import Examples, Parameters, fit, with_pseudo_labels
from user_analytics.sentiment.kernel import words
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
from user_analytics.sentiment.written_aside import written_aside

CARD_NAME, PLOT_NAME = "model_card.md", "calibration.svg"
LABEL_COLUMN, SOURCE_COLUMN = "label", "source"
MINIMUM_ROWS_PER_LABEL = 50
"""Fewer leave less than ten of a label to validate each fold on."""

DEFAULTS = Parameters()

log = structlog.get_logger()


class _Reviews(NamedTuple):
    """Labelled reviews, without duplicates: aligned columns."""

    texts: pa.LargeStringArray
    labels: NDArray[np.int8]
    sources: NDArray[np.str_]


class _Counted(NamedTuple):
    """Counts of the labelled and of the unlabelled reviews, the texts of the latter, and the n-grams counted."""

    labelled: csr_matrix
    unlabelled: csr_matrix
    unlabelled_texts: pa.LargeStringArray
    ngrams: NDArray[np.object_]


class _Fitted(NamedTuple):
    coefficients: Coefficients
    pseudo_labelled_rows: int


def train(
    labelled: Sequence[Path], output: Path, unlabelled: Sequence[Path] = (), parameters: Parameters = DEFAULTS
) -> Model:
    """Train on labelled reviews and write `model.parquet`, `model_card.md` and `calibration.svg` into `output`.

    Files are CSV or Parquet with the column `review_str` (text); labelled ones also with `label` (0 or
    1) and optionally `source` (text; a file without it is a source of its own). Unlabelled reviews are
    judged by a first fit, and those it is sure of take part in a second one.

    First all of this is done within each fold of a cross-validation, and measured through the file and the
    scoring that are shipped; the model written is then fitted to all rows. The same files give the
    same bytes with the same libraries on the same kind of processor. Progress is logged.

    Raises InputError for a file or row that cannot be taken, ModelError when the rows do not
    suffice, UserAnalyticsError when `output` cannot be written.
    """
    files, reviews = _read_labelled(labelled)
    _check_labels(reviews.labels)
    unlabelled_files, unlabelled_texts = _read_unlabelled(unlabelled, set(reviews.texts.to_pylist()))
    counted = _count(reviews, unlabelled_texts, parameters)
    validation = _cross_validate(reviews, counted, parameters)
    log.info("fitting to all rows", rows=len(reviews.labels))
    fitted = _fit(counted, reviews.labels, np.arange(len(reviews.labels)), parameters)
    training = Training(
        files=files,
        unlabelled_files=unlabelled_files,
        rows=len(reviews.labels),
        duplicate_rows=sum(file.rows for file in files) - len(reviews.labels),
        rows_by_source=dict(sorted(Counter(reviews.sources.tolist()).items())),
        pseudo_labelled_rows=fitted.pseudo_labelled_rows,
        parameters=asdict(parameters),
        scikit_learn=sklearn.__version__,
    )
    body = encode_model(fitted.coefficients, training, validation)
    model = decode_model(body, "the trained model")
    try:
        output.mkdir(parents=True, exist_ok=True)
        _replace(
            {
                output / FILE_NAME: body,
                output / CARD_NAME: model_card(model, validation, len(body)).encode(),
                output / PLOT_NAME: calibration_plot(validation).encode(),
            }
        )
    except OSError as error:
        raise UserAnalyticsError(f"cannot write the model into {output}: {error}") from error
    log.info("model written", version=model.version, folder=str(output), bytes=len(body))
    return model


def _replace(contents: Mapping[Path, bytes]) -> None:
    """Write files aside and rename them when all are there: whatever stops this, no file is half written."""
    with ExitStack() as stack:
        aside = {stack.enter_context(written_aside(path)): body for path, body in contents.items()}
        for path, body in aside.items():
            path.write_bytes(body)


def _read_labelled(paths: Sequence[Path]) -> tuple[list[TrainingFile], _Reviews]:
    """The rows of all files, of equal texts the first only: the others could sit on both sides of a split."""
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
        files.append(_described(path, rows))
    labels = np.array([label for label, _ in kept.values()], dtype=np.int8)
    sources = np.array([source for _, source in kept.values()], dtype=np.str_)
    return files, _Reviews(pa.array(kept, pa.large_string()), labels, sources)


def _rows(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    with open_reviews(path, (TEXT_COLUMN, LABEL_COLUMN)) as reviews:
        for batch in reviews.batches:
            has_source = SOURCE_COLUMN in batch.schema.names
            sources = batch[SOURCE_COLUMN].to_pylist() if has_source else [None] * batch.num_rows
            yield from zip(batch[TEXT_COLUMN].to_pylist(), batch[LABEL_COLUMN].to_pylist(), sources, strict=True)


def _read_unlabelled(paths: Sequence[Path], labelled: set[str]) -> tuple[list[TrainingFile], pa.LargeStringArray]:
    """The different texts of all files that are not labelled ones."""
    files: list[TrainingFile] = []
    kept: dict[str, None] = {}
    for path in paths:
        rows = 0
        with open_reviews(path) as reviews:
            for batch in reviews.batches:
                rows += batch.num_rows
                kept.update(dict.fromkeys(batch[TEXT_COLUMN].drop_null().to_pylist()))
        files.append(_described(path, rows))
    return files, pa.array([text for text in kept if text not in labelled], pa.large_string())


def _described(path: Path, rows: int) -> TrainingFile:
    with path.open("rb") as file:
        return TrainingFile(name=path.name, sha256=file_digest(file, "sha256").hexdigest(), rows=rows)


def _check_labels(labels: NDArray[np.int8]) -> None:
    for label in (0, 1):
        rows = int((labels == label).sum())
        if rows < MINIMUM_ROWS_PER_LABEL:
            raise ModelError(
                f"{rows} different reviews with {LABEL_COLUMN} {label} are too few to train on: "
                f"at least {MINIMUM_ROWS_PER_LABEL} of each label are needed"
            )


def _count(reviews: _Reviews, unlabelled_texts: pa.LargeStringArray, parameters: Parameters) -> _Counted:
    rows = len(reviews.texts)
    log.info("counting n-grams", rows=rows, unlabelled_rows=len(unlabelled_texts))
    counts = count_ngrams(pa.concat_arrays([reviews.texts, unlabelled_texts]), parameters.minimum_rows)
    return _Counted(counts.matrix[:rows], counts.matrix[rows:], unlabelled_texts, counts.ngrams)


def _fit(counted: _Counted, labels: NDArray[np.int8], rows: NDArray[np.int64], parameters: Parameters) -> _Fitted:
    """Fit to some of the labelled rows, then once more with the unlabelled reviews that the first fit is sure of."""
    examples = Examples(counted.labelled[rows], labels[rows], np.ones(len(rows)))
    first = fit(examples, counted.ngrams, parameters)
    if not len(counted.unlabelled_texts):
        return _Fitted(first, 0)
    probabilities = score(_model(first), counted.unlabelled_texts).to_numpy(zero_copy_only=False)
    more = with_pseudo_labels(examples, counted.unlabelled, probabilities, parameters)
    return _Fitted(fit(more, counted.ngrams, parameters), len(more.labels) - len(rows))


def _cross_validate(reviews: _Reviews, counted: _Counted, parameters: Parameters) -> Validation:
    """Judge each labelled review by a model fitted to the other folds, rounded and scored as shipped."""
    folds = _folds(reviews, parameters)
    probabilities = np.full(len(folds), np.nan)
    for fold in range(parameters.folds):
        held_back = folds == fold
        log.info("cross-validating", fold=fold + 1, folds=parameters.folds)
        fitted = _fit(counted, reviews.labels, np.flatnonzero(~held_back), parameters)
        judged = score(_model(fitted.coefficients), reviews.texts.filter(pa.array(held_back)))
        probabilities[held_back] = judged.to_numpy(zero_copy_only=False)
    found = words(reviews.texts)
    number_of_words = pc.if_else(pc.equal(found, ""), 0, pc.add(pc.count_substring(found, " "), 1)).to_numpy()
    validation = validate(probabilities, reviews.labels, reviews.sources, folds, number_of_words)
    log.info("validated", **validation.total.model_dump())
    return validation


def _folds(reviews: _Reviews, parameters: Parameters) -> NDArray[np.int64]:
    """The fold of each row: every one has its share of each source and label."""
    chance = np.random.default_rng(parameters.seed).random(len(reviews.labels))
    order = np.lexsort((chance, reviews.sources, reviews.labels))
    folds = np.empty(len(order), np.int64)
    folds[order] = np.arange(len(order)) % parameters.folds
    return folds


def _model(coefficients: Coefficients) -> Model:
    """A model as it will be read from its file, but for what it says of itself."""
    nothing = Training(
        files=[],
        unlabelled_files=[],
        rows=0,
        duplicate_rows=0,
        rows_by_source={},
        pseudo_labelled_rows=0,
        parameters={},
        scikit_learn=sklearn.__version__,
    )
    return decode_model(encode_model(coefficients, nothing, None), "the fitted model")
