"""Generated labelled reviews, a small model trained on them, and the packaged model."""

import functools
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from user_analytics.sentiment.model import Model, load_model

PRAISE = ("great", "lovely", "a delight", "not bad", "worth seeing", "don't miss it")
BLAME = ("awful", "dull", "a bore", "not good", "a waste", "don't bother")
FILLER = ("the film", "this plot", "her role", "the end", "every scene", "his score", "was", "is", "and", "!")


def labelled_reviews(rows: int = 400, seed: int = 7) -> pa.Table:
    """Reviews of praise or blame among filler, in two sources; a few say the opposite of their label."""
    chance = random.Random(seed)  # noqa: S311 - test data
    records = []
    for number in range(rows):
        label = number % 2
        opinions = PRAISE if (label == 1) != (chance.random() < 0.05) else BLAME
        parts = [*chance.choices(FILLER, k=6), *chance.choices(opinions, k=2)]
        chance.shuffle(parts)
        source = "club" if chance.random() < 0.3 else "press"
        records.append({"review_str": f"{' '.join(parts)} no{number}", "label": label, "source": source})
    return pa.Table.from_pylist(records)


@functools.cache
def packaged() -> Model:
    return load_model()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk does, to this process alone: writing beyond so many bytes is an error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


class Trained(NamedTuple):
    """A labelled file, the folder its model was written into, and the model."""

    labelled: Path
    folder: Path
    model: Model


Train = Callable[..., Model]


@pytest.fixture(scope="session")
def train() -> Train:
    # scikit-learn takes a second to load, in every process that collects tests
    from user_analytics.sentiment.train import train  # noqa: PLC0415

    return train


@pytest.fixture(scope="session")
def trained(train: Train, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("model")
    labelled = folder / "labelled.parquet"
    pq.write_table(labelled_reviews(), labelled)
    return Trained(labelled, folder / "output", train([labelled], folder / "output"))
