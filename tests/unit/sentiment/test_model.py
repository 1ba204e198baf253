import hashlib
import random
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sentiment.conftest import Trained, packaged
from user_analytics.errors import ModelError
from user_analytics.lake import keys
from user_analytics.lake.local_store import LocalStore
from user_analytics.sentiment import tokeniser
from user_analytics.sentiment.model import Coefficients, decode_model, load_model, quantise, restore
from user_analytics.sentiment.score import score

PACKAGE = resources.files("user_analytics.sentiment")


@pytest.fixture
def body(trained: Trained) -> bytes:
    return (trained.folder / "model.parquet").read_bytes()


def rewritten(body: bytes, change: dict[str, str]) -> bytes:
    """The same file with some of its metadata changed."""
    table = pq.read_table(pa.BufferReader(body))
    changed = {name.encode(): value.encode() for name, value in change.items()}
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | changed), sink)
    return bytes(sink.getvalue())


def test_the_file_describes_itself(trained: Trained, body: bytes) -> None:
    schema = pq.read_schema(pa.BufferReader(body))
    assert schema.names == ["ngram", "weight", "idf"]
    assert schema.metadata[b"tokeniser"] == tokeniser.NAME.encode()
    assert schema.metadata[b"version"] == trained.model.version.encode()
    (file,) = trained.model.training.files
    assert file.name == "labelled.parquet"
    assert file.sha256 == hashlib.sha256(trained.labelled.read_bytes()).hexdigest()
    assert file.rows == trained.model.training.rows == 400
    assert trained.model.training.unlabelled_files == []


def test_a_changed_weight_is_refused(body: bytes) -> None:
    table = pq.read_table(pa.BufferReader(body))
    negated = pa.array(-table["weight"].to_numpy(), pa.int8())
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(1, table.schema.field("weight"), negated), sink)
    with pytest.raises(ModelError, match=r"my file is damaged: its content does not match its checksum"):
        decode_model(bytes(sink.getvalue()), "my file")


@pytest.mark.parametrize(
    "change", [{"bias": "0.5"}, {"sha256": "0" * 64}, {"version": "tfidf-00000000"}, {"note": "x"}]
)
def test_changed_metadata_is_refused(body: bytes, change: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="does not match its checksum"):
        decode_model(rewritten(body, change), "my file")


def test_another_format_is_refused_by_its_number(body: bytes) -> None:
    with pytest.raises(ModelError, match="my file has format 3, this version of user-analytics reads format 2"):
        decode_model(rewritten(body, {"format": "3"}), "my file")


def test_a_model_for_another_tokeniser_is_refused(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokeniser, "NAME", "words-9")
    with pytest.raises(ModelError, match=r"needs the tokeniser words-2, .* has words-9"):
        decode_model(body, "my file")


def test_a_flipped_bit_is_refused_or_changes_nothing(body: bytes) -> None:
    chance = random.Random(5)  # noqa: S311 - test data
    sound = decode_model(body, "my file")
    footer = len(body) - 4000
    for _ in range(300):
        damaged = bytearray(body)
        damaged[chance.randrange(max(0, footer), len(body))] ^= 1 << chance.randrange(8)
        try:
            model = decode_model(bytes(damaged), "my file")
        except ModelError:
            continue
        assert (model.version, model.ngrams, model.bias) == (sound.version, sound.ngrams, sound.bias)


def test_a_truncated_file_is_refused(body: bytes) -> None:
    with pytest.raises(ModelError, match="my file is damaged or not a sentiment model"):
        decode_model(body[: len(body) // 2], "my file")


def test_a_parquet_file_of_something_else_is_refused(trained: Trained) -> None:
    with pytest.raises(ModelError, match="my file is not a sentiment model"):
        decode_model(trained.labelled.read_bytes(), "my file")


def test_a_version_is_loaded_from_the_store(trained: Trained, body: bytes, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(keys.model_file(trained.model.version), body)
    model = load_model(trained.model.version, store)
    assert model.version == trained.model.version
    texts = pa.array(["great", "dull"])
    assert score(model, texts).equals(score(trained.model, texts))


def test_the_packaged_version_needs_no_store() -> None:
    assert load_model(packaged().version).version == packaged().version


def test_a_version_that_the_store_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"models/sentiment/tfidf-12345678/model\.parquet does not exist"):
        load_model("tfidf-12345678", LocalStore(tmp_path))


def test_another_version_without_a_store_is_refused() -> None:
    with pytest.raises(ModelError, match="tfidf-12345678 is not the packaged one"):
        load_model("tfidf-12345678")


def test_a_model_kept_under_another_version_is_refused(trained: Trained, body: bytes, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put(keys.model_file("tfidf-12345678"), body)
    with pytest.raises(ModelError, match=f"holds model {trained.model.version}, not tfidf-12345678"):
        load_model("tfidf-12345678", store)


def test_the_packaged_model_is_small_and_its_card_is_of_the_same_version() -> None:
    model = packaged()
    assert len(PACKAGE.joinpath("model.parquet").read_bytes()) <= 500_000
    assert PACKAGE.joinpath("model_card.md").read_text().startswith(f"# Sentiment model {model.version}\n")


def test_scoring_needs_neither_scikit_learn_nor_scipy() -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'scipy', 'numba']))\n"
        "import pyarrow as pa\n"
        "from user_analytics.sentiment.model import load_model\n"
        "from user_analytics.sentiment.score import score\n"
        "assert score(load_model(), pa.array(['good']))[0].as_py() > 0.5\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@given(st.lists(st.tuples(st.integers(-5000, 5000), st.integers(100, 1200)), min_size=1))
def test_a_byte_is_off_by_half_a_step_at_most(fitted: list[tuple[int, int]]) -> None:
    weights, idf = (np.array(column) / 100 for column in zip(*fitted, strict=True))
    quantised = quantise(Coefficients([f"w{number}" for number in range(len(weights))], weights, idf, 0.0))
    restored_weights, restored_idf = restore(quantised)

    largest = np.abs(weights).max()
    roots, restored_roots = (np.sqrt(np.abs(each) / (largest or 1)) for each in (weights, restored_weights))
    assert np.abs(roots - restored_roots).max() <= 0.5 / 127 + 1e-6
    assert (np.sign(restored_weights) * np.sign(weights) >= 0).all()
    assert np.abs(idf - restored_idf).max() <= (idf.max() - idf.min()) / 255 / 2 + 1e-5
