"""A trained model put into a lake: what is there then, and what is refused."""

import functools
from pathlib import Path

import numpy as np
import pytest

from user_analytics.errors import ModelError
from user_analytics.lake import keys
from user_analytics.lake.store import Store
from user_analytics.sentiment.model import Coefficients, Model, encode_model, load_model
from user_analytics.sentiment.put_model import put_model


@functools.cache
def packaged() -> Model:
    return load_model()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model that is not the packaged one."""
    coefficients = Coefficients(["bleak", "gloomy"], np.array([9.0, -9.0]), np.array([1.0, 1.5]), 0.25)
    (tmp_path / "model.parquet").write_bytes(encode_model(coefficients, packaged().training, packaged().validation))
    return tmp_path


def content(lake: Store) -> dict[str, bytes | None]:
    return {found.key: lake.get(found.key) for found in lake.list("")}


def test_a_model_is_loaded_from_where_it_was_put_with_its_card_beside_it(lake: Store, folder: Path) -> None:
    version = put_model(lake, folder)

    model = load_model(version, lake)
    assert (model.version, model.ngrams, model.bias) == (version, ["bleak", "gloomy"], 0.25)
    prefix = f"models/sentiment/{version}"
    stored = content(lake)
    assert list(stored) == [f"{prefix}/calibration.svg", f"{prefix}/model.parquet", f"{prefix}/model_card.md"]
    assert stored[f"{prefix}/model.parquet"] == (folder / "model.parquet").read_bytes()
    assert (stored[f"{prefix}/model_card.md"] or b"").startswith(b"# Sentiment model %s\n" % version.encode())
    assert (stored[f"{prefix}/calibration.svg"] or b"").startswith(b"<svg ")


def test_putting_it_again_with_the_same_package_changes_nothing(lake: Store, folder: Path) -> None:
    first = put_model(lake, folder)
    before = content(lake)

    assert put_model(lake, folder) == first
    assert content(lake) == before


def test_putting_it_again_writes_its_card_anew(lake: Store, folder: Path) -> None:
    version = put_model(lake, folder)
    before = content(lake)
    lake.put(keys.model_card(version), b"in the words of an earlier version of the package")

    put_model(lake, folder)
    assert content(lake) == before


def test_another_model_of_the_same_version_keeps_its_place(lake: Store, folder: Path) -> None:
    # a version is 8 digits of 64: what two contents that share them look like, without a search for such two
    version = put_model(lake, folder)
    coefficients = Coefficients(["bleak"], np.array([9.0]), np.array([1.0]), 0.25)
    lake.put(keys.model_file(version), encode_model(coefficients, packaged().training, packaged().validation))
    lake.delete(keys.model_card(version))
    before = content(lake)

    with pytest.raises(ModelError, match=rf"models/sentiment/{version}/model\.parquet holds another model .*SHA-256"):
        put_model(lake, folder)
    assert content(lake) == before


def test_a_damaged_file_in_its_place_is_replaced(lake: Store, folder: Path) -> None:
    version = put_model(lake, folder)
    lake.put(keys.model_file(version), b"no model")

    put_model(lake, folder)
    assert lake.get(keys.model_file(version)) == (folder / "model.parquet").read_bytes()


def test_what_is_no_sound_model_is_not_put(lake: Store, folder: Path) -> None:
    body = (folder / "model.parquet").read_bytes()
    (folder / "model.parquet").write_bytes(body.replace(b"bleak", b"blear"))

    with pytest.raises(ModelError, match=r"model\.parquet is damaged"):
        put_model(lake, folder)
    assert content(lake) == {}


def test_a_folder_without_a_model_is_named(lake: Store, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*model\.parquet: No such file .* writes it"):
        put_model(lake, tmp_path)


def test_a_model_that_was_never_validated_is_not_put(lake: Store, folder: Path) -> None:
    coefficients = Coefficients(["bleak"], np.array([9.0]), np.array([1.0]), 0.25)
    (folder / "model.parquet").write_bytes(encode_model(coefficients, packaged().training, None))

    with pytest.raises(ModelError, match="does not say how well it does"):
        put_model(lake, folder)
    assert content(lake) == {}
