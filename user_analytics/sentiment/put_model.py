"""A model that was trained here, put into the lake for the pipeline to judge by."""

from pathlib import Path

import structlog

from user_analytics.errors import ModelError
from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.sentiment.card import calibration_plot, model_card
from user_analytics.sentiment.model import FILE_NAME, decode_model

log = structlog.get_logger()


def put_model(store: Store, folder: Path) -> str:
    """Put `model.parquet` of a folder, and the card made from it, under the key of its version; returns the version.

    A version is the digest of its content: putting one again changes nothing, and no other model can take its
    place. The card goes first, so that a version that can be loaded has one. Raises ModelError when the file
    cannot be read, is no sound model or was never validated, LakeError when the store refuses.
    """
    path = folder / FILE_NAME
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; `user-analytics train` writes it") from error
    model = decode_model(body, str(path))
    if model.validation is None:
        raise ModelError(f"{path} does not say how well it does: train it by `user-analytics train`")
    store.put(keys.model_plot(model.version), calibration_plot(model.validation).encode())
    store.put(keys.model_card(model.version), model_card(model, model.validation, len(body)).encode())
    store.put(keys.model_file(model.version), body)
    log.info("model put", version=model.version, url=f"{store.url}/{keys.model_file(model.version)}")
    return model.version
