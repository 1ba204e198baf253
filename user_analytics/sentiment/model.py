"""The model as a file: one self-describing Parquet table, loaded from the package or an object store.

Columns: `ngram` (one or two words of the tokeniser, joined by a space), `weight` (of the logistic
regression) and `idf` (inverse document frequency), both half-precision. All else is in the
file's key-value metadata: format, version, sha256, tokeniser, bias, and as JSON `training` (what it
was trained on) and `validation` (how well it did).

The version is the beginning of the SHA-256 of all other content: one content, one version.
"""

import hashlib
import json
from dataclasses import dataclass
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

FORMAT = "1"
FILE_NAME = "model.parquet"

_SCHEMA = pa.schema(
    [
        pa.field("ngram", pa.string(), nullable=False),
        pa.field("weight", pa.float16(), nullable=False),
        pa.field("idf", pa.float16(), nullable=False),
    ]
)


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingFile(_Document):
    """One file of labelled reviews: its name without folder, SHA-256 of its bytes, rows read."""

    name: str
    sha256: str
    rows: int


class Training(_Document):
    """What a model was trained on and how; counts are rows, `rows` without the duplicates."""

    files: list[TrainingFile]
    rows: int
    duplicate_rows: int
    rows_by_source: dict[str, int]
    parameters: dict[str, float]
    scikit_learn: str


class Metrics(_Document):
    """Figures over `rows` reviews, of which `unjudged_rows` got no probability.

    `accuracy` counts an unjudged row as wrong; `log_loss` (nats) and `calibration_error`
    (expected calibration error over ten equal bins) are over the judged ones.
    """

    rows: int
    unjudged_rows: int
    accuracy: float
    log_loss: float
    calibration_error: float


class CalibrationBin(_Document):
    """Judged rows with a probability from `lowest` up to the next bin: the mean of it, and the share positive."""

    lowest: float
    rows: int
    mean_probability: float
    positive_share: float


class Validation(_Document):
    """Metrics on reviews the measured model had not seen, over all of them and per source."""

    total: Metrics
    by_source: dict[str, Metrics]
    calibration: list[CalibrationBin]


class Coefficients(NamedTuple):
    """A fitted model: `weights` and `idf` are aligned with `ngrams`."""

    ngrams: list[str]
    weights: NDArray[np.float64]
    idf: NDArray[np.float64]
    bias: float


@dataclass(frozen=True)
class Model:
    """A model ready to score.

    An n-gram is found by number: word i of `words` is i + 1 and `ngram_keys` are numbers in base
    `len(words) + 1`, one digit a word. `weights` and `idf` are aligned with `ngram_keys`.
    """

    version: str
    words: pa.LargeStringArray
    ngram_keys: pa.Int64Array
    weights: NDArray[np.float64]
    idf: NDArray[np.float64]
    bias: float
    training: Training
    validation: Validation | None


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
            f"{store.url}/{key} does not exist: put the model there, or use the packaged one ({packaged.version})"
        )
    model = decode_model(body, f"{store.url}/{key}")
    if model.version != version:
        raise ModelError(f"{store.url}/{key} holds model {model.version}, not {version}")
    return model


def encode_model(coefficients: Coefficients, training: Training, validation: Validation | None) -> bytes:
    """The model file's bytes; the same content always gives the same bytes."""
    table = pa.table(
        [
            pa.array(coefficients.ngrams, pa.string()),
            coefficients.weights.astype(np.float16),
            coefficients.idf.astype(np.float16),
        ],
        schema=_SCHEMA,
    )
    content = {
        "bias": repr(coefficients.bias),
        "format": FORMAT,
        "tokeniser": tokeniser.NAME,
        "training": training.model_dump_json(),
        "validation": validation.model_dump_json() if validation else "null",
    }
    digest = _digest(table, content)
    metadata = content | {"sha256": digest, "version": _version(digest)}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(metadata), sink, compression="zstd", compression_level=19)
    return bytes(sink.getvalue())


def decode_model(body: bytes, origin: str) -> Model:
    """The model in a file's bytes; raises ModelError, naming `origin`, when they are not a sound model."""
    try:
        table = pq.read_table(pa.BufferReader(body))
    except (pa.ArrowException, OSError) as error:
        raise ModelError(f"{origin} is damaged or not a sentiment model: {error}") from error
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
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
    words, ngram_keys = _number(table["ngram"].to_pylist())
    return Model(
        version=version,
        words=words,
        ngram_keys=ngram_keys,
        weights=table["weight"].to_numpy().astype(np.float64),
        idf=table["idf"].to_numpy().astype(np.float64),
        bias=float(metadata["bias"]),
        training=training,
        validation=measured,
    )


def _number(ngrams: list[str]) -> tuple[pa.LargeStringArray, pa.Int64Array]:
    words = sorted({word for ngram in ngrams for word in ngram.split(" ")})
    numbers = {word: number for number, word in enumerate(words, start=1)}
    ngram_keys = []
    for ngram in ngrams:
        key = 0
        for word in ngram.split(" "):
            key = key * (len(words) + 1) + numbers[word]
        ngram_keys.append(key)
    return pa.array(words, pa.large_string()), pa.array(ngram_keys, pa.int64())


def _digest(table: pa.Table, content: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    digest.update("\n".join(table["ngram"].to_pylist()).encode())
    for name in ("weight", "idf"):
        digest.update(table[name].to_numpy().astype("<f2").tobytes())
    return digest.hexdigest()


def _version(digest: str) -> str:
    return f"tfidf-{digest[:8]}"
