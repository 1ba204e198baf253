"""A model that was trained here, put into the lake for the pipeline to judge by."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import structlog

from user_analytics.errors import ModelError
from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.sentiment.card import calibration_plot, model_card
from user_analytics.sentiment.model import FILE_NAME, decode_model

log = structlog.get_logger()


def put_model(store: Store, folder: Path) -> str:
    """Put `model.parquet` of a folder, and the card made from it, under the key of its version; returns the version.

    A version is the first 8 digits of the SHA-256 of a model's content, so that two models may share one: the first
    keeps it. Putting a model again leaves the model as it is and writes its card anew, in the words of the
    user-analytics that is installed. The card goes first, so that a version that can be loaded has one.

    Raises ModelError when the file cannot be read, is no sound model or was never validated, or when another
    model has its version; LakeError when the store refuses.
    """
    path = folder / FILE_NAME
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; `user-analytics train` writes it") from error
    model = decode_model(body, str(path))
    if model.validation is None:
        raise ModelError(f"{path} does not say how well it does: train it by `user-analytics train`")
    key = keys.model_file(model.version)
    _check_place(store, key, _sha256(body))
    store.put(keys.model_plot(model.version), calibration_plot(model.validation).encode())
    store.put(keys.model_card(model.version), model_card(model, model.validation, len(body)).encode())
    store.put(key, body)
    log.info("model put", version=model.version, url=f"{store.url}/{key}")
    return model.version


def _check_place(store: Store, key: str, sha256: str | None) -> None:
    """A damaged file may be replaced, for nothing can load it."""
    stored = store.get(key)
    there = None if stored is None else _sha256(stored)
    if there not in (None, sha256):
        raise ModelError(
            f"{store.url}/{key} holds another model of the same version, with the SHA-256 {there} and not {sha256}: "
            "train again with a row more or less, which gives another version, or delete it if nothing was judged by it"
        )


def _sha256(body: bytes) -> str | None:
    """The digest that a model file gives of its content; None when it is no such file."""
    try:
        metadata = pq.read_schema(pa.BufferReader(body)).metadata or {}
    except (pa.ArrowException, OSError):
        return None
    digest = metadata.get(b"sha256")
    return digest.decode() if digest else None
