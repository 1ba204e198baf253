"""The model as a file: one self-describing Parquet table, loaded from the package or an object store.

Columns: `ngram` (up to three words of the tokeniser, joined by spaces), `weight` (int8) and `idf` (uint8), which
stand for the numbers of `Coefficients` as `quantise` says. All else is in the file's key-value metadata: format,
version, sha256, tokeniser, the scales of both columns, bias, and as JSON `training` (what it was trained on) and
`validation` (how well it did).

The version is the beginning of the SHA-256 of all other content: one content, one version.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from user_analytics.errors import ModelError
from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.sentiment import tokeniser
from user_analytics.sentiment.kernel import NgramTable

FORMAT = "2"
FILE_NAME = "model.parquet"
LONGEST_NGRAM = 3

_SCHEMA = pa.schema(
    [
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("weight", pa.int8(), nullable=False),
        pa.field("idf", pa.uint8(), nullable=False),
    ]
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingFile(_Document):
    """One file of reviews: its name without folder, SHA-256 of its bytes, rows read."""

    name: str
    sha256: str
    rows: int


class Training(_Document):
    """What a model was trained on and how.

    Counts are rows of labelled reviews, `rows` without the duplicates; `pseudo_labelled_rows` are those of
    `unlabelled_files` that the first fit was sure enough of.
    """

    files: list[TrainingFile]
    unlabelled_files: list[TrainingFile]
    rows: int
    duplicate_rows: int
    rows_by_source: dict[str, int]
    pseudo_labelled_rows: int
    parameters: dict[str, float]
    scikit_learn: str


class Metrics(_Document):
    """Figures over `rows` reviews, of which `unjudged_rows` got no probability.

    `accuracy` is the mean over the folds, half of its 95% interval `accuracy_interval`; an unjudged row counts as
    wrong. `log_loss` (nats) and `calibration_error` (expected calibration error over ten equal bins) are
    over the judged rows of all folds together.
    """

    rows: int
    unjudged_rows: int
    accuracy: float
    accuracy_interval: float
    log_loss: float
    calibration_error: float


class CalibrationBin(_Document):
    """Judged rows with a probability from `lowest` up to the next bin: the mean of it, and the share positive."""

    lowest: float
    rows: int
    mean_probability: float
    positive_share: float


class LengthBin(_Document):
    """Rows of so many words or more, but less than the next bin's: the share of them that was judged right."""

    least_words: int
    rows: int
    accuracy: float


class Validation(_Document):
    """Cross-validation: each review judged by a model that had not seen it; over all of them and per source."""

    folds: int
    total: Metrics
    by_source: dict[str, Metrics]
    calibration: list[CalibrationBin]
    by_length: list[LengthBin]


class Coefficients(NamedTuple):
    """A fitted model: `weights` and `idf` are aligned with `ngrams`."""

    ngrams: list[str]
    weights: NDArray[np.float64]
    idf: NDArray[np.float64]
    bias: float


class Quantised(NamedTuple):
    """Coefficients in a byte each: `weights` int8, `idf` uint8, and the numbers their codes are scaled by."""

    weights: NDArray[np.int8]
    idf: NDArray[np.uint8]
    largest_weight: float
    least_idf: float
    largest_idf: float


@dataclass(frozen=True)
class Model:
    """A model ready to score: `weights` and `idf` (float32) are aligned with `ngrams`, `table` finds them."""

    version: str
    ngrams: list[str]
    weights: NDArray[np.float32]
    idf: NDArray[np.float32]
    bias: float
    training: Training
    validation: Validation | None
    table: NgramTable

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each n-gram stands."""
        return {ngram: position for position, ngram in enumerate(self.ngrams)}


def quantise(coefficients: Coefficients) -> Quantised:
    """Round weights and inverse document frequencies to a byte each; `restore` is the way back.

    Most weights are small and matter by their number, so their codes stand for roots: steps are
    fine near zero. With even steps sentences, which have few n-grams, are judged worse.
    """
    weights, idf = coefficients.weights, coefficients.idf
    largest = float(np.abs(weights).max()) or 1.0
    codes = np.rint(np.sign(weights) * np.sqrt(np.abs(weights) / largest) * 127)
    least_idf, largest_idf = float(idf.min()), float(idf.max())
    span = largest_idf - least_idf or 1.0
    return Quantised(
        weights=codes.astype(np.int8),
        idf=np.rint((idf - least_idf) / span * 255).astype(np.uint8),
        largest_weight=largest,
        least_idf=least_idf,
        largest_idf=largest_idf,
    )


def restore(quantised: Quantised) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and inverse document frequencies as a model uses them."""
    codes = quantised.weights.astype(np.float64) / 127
    weights = np.sign(codes) * codes**2 * quantised.largest_weight
    span = quantised.largest_idf - quantised.least_idf
    idf = quantised.least_idf + quantised.idf / 255 * span
    return weights.astype(np.float32), idf.astype(np.float32)


def load_model(version: str | None = None, store: Store | None = None) -> Model:
    """The packaged model, or the version kept in the store as `models/sentiment/VERSION/model.parquet`.

    Raises ModelError when there is no such version, or its file is damaged or of another format.
    """
    packaged = decode_model(resources.files(__package__).joinpath(FILE_NAME).read_bytes(), f"the packaged {FILE_NAME}")
    if version in (None, packaged.version):
        return packaged
    if store is None:
        raise ModelError(f"model {version} is not the packaged one ({packaged.version}), and no store was given")
    key = keys.model_file(version)
    body = store.get(key)
    if body is None:
        raise ModelError(
            f"{store.url}/{key} does not exist: `user-analytics put-model` puts it there; "
            f"or use the packaged one ({packaged.version})"
        )
    model = decode_model(body, f"{store.url}/{key}")
    if model.version != version:
        raise ModelError(f"{store.url}/{key} holds model {model.version}, not {version}")
    return model


def encode_model(coefficients: Coefficients, training: Training, validation: Validation | None) -> bytes:
    """The model file's bytes; the same content always gives the same bytes."""
    quantised = quantise(coefficients)
    table = pa.table(
        [pa.array(coefficients.ngrams, pa.string()), pa.array(quantised.weights), pa.array(quantised.idf)],
        schema=_SCHEMA,
    )
    content = {
        # the last digits of a fit differ from one kind of processor to another
        "bias": f"{coefficients.bias:.6g}",
        "format": FORMAT,
        "largest_idf": f"{quantised.largest_idf:.6g}",
        "largest_weight": f"{quantised.largest_weight:.6g}",
        "least_idf": f"{quantised.least_idf:.6g}",
        "tokeniser": tokeniser.NAME,
        "training": training.model_dump_json(),
        "validation": validation.model_dump_json() if validation else "null",
    }
    digest = _digest(table, content)
    metadata = content | {"sha256": digest, "version": _version(digest)}
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={"ngram": "DELTA_BYTE_ARRAY"},  # sorted: each says what it shares with the one before
    )
    return bytes(sink.getvalue())


def decode_model(body: bytes, origin: str) -> Model:
    """The model in a file's bytes; raises ModelError, naming `origin`, when they are not a sound model."""
    try:
        table = pq.read_table(pa.BufferReader(body))
        table.validate(full=True)  # Parquet does not promise that strings are UTF-8
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{origin} is damaged or not a sentiment model: {error}") from error
    if "format" not in metadata:
        raise ModelError(f"{origin} is not a sentiment model: it has no format")
    if metadata["format"] != FORMAT:
        raise ModelError(
            f"{origin} has format {metadata['format']}, this version of user-analytics reads format {FORMAT}: "
            "train the model again, or use the version that wrote it"
        )
    digest, version = metadata.pop("sha256", ""), metadata.pop("version", "")
    if not table.schema.equals(_SCHEMA) or digest != _digest(table, metadata) or version != _version(digest):
        raise ModelError(f"{origin} is damaged: its content does not match its checksum; get or train it again")
    if metadata["tokeniser"] != tokeniser.NAME:
        raise ModelError(
            f"{origin} needs the tokeniser {metadata['tokeniser']}, this version of user-analytics has "
            f"{tokeniser.NAME}: train the model again"
        )
    try:
        training = Training.model_validate_json(metadata["training"])
        validation = metadata["validation"]
        measured = None if validation == "null" else Validation.model_validate_json(validation)
    except ValidationError as error:
        raise ModelError(f"{origin} has a description that this version cannot read: {error}") from error
    weights, idf = restore(
        Quantised(
            weights=table["weight"].to_numpy(),
            idf=table["idf"].to_numpy(),
            largest_weight=float(metadata["largest_weight"]),
            least_idf=float(metadata["least_idf"]),
            largest_idf=float(metadata["largest_idf"]),
        )
    )
    ngrams, bias = table["ngram"].combine_chunks(), float(metadata["bias"])
    return Model(
        version=version,
        ngrams=ngrams.to_pylist(),
        weights=weights,
        idf=idf,
        bias=bias,
        training=training,
        validation=measured,
        table=NgramTable(ngrams, weights, idf, bias),
    )


def _digest(table: pa.Table, content: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    digest.update("\n".join(table["ngram"].to_pylist()).encode())
    for name in ("weight", "idf"):
        digest.update(table[name].to_numpy().tobytes())
    return digest.hexdigest()


def _version(digest: str) -> str:
    return f"tfidf-{digest[:8]}"
