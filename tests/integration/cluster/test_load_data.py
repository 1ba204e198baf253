"""Loading the cluster's source data: what is given, whole or not at all, and the sample only where there is nothing."""

import signal
import uuid
from pathlib import Path

import pytest

from tests.fixtures.minio import MinioServer
from tests.fixtures.postgres import SourceDatabase
from tests.fixtures.programs import run
from user_analytics.cluster.load_data import REVIEWS_KEY, load_files, load_sample_if_empty
from user_analytics.errors import InputError
from user_analytics.lake.store import Store, open_store
from user_analytics.render import MANIFESTS
from user_analytics.sample import sample_file
from user_analytics.settings import Settings

REVIEWS = b"cid,review_str\n12345,A good film\n"
PURCHASES = (
    "invoice_number,stock_code,detail,quantity,invoice_date,unit_price,customer_id,country\n"
    "536365,85123A,WHITE HEART,6,2010-12-01 08:26:00,2.55,17850,United Kingdom\n"
)


@pytest.fixture
def settings(empty_source: SourceDatabase, minio: MinioServer) -> Settings:
    """An empty source database and a lake whose bucket does not exist yet."""
    lake = minio.settings(f"lake-{uuid.uuid4()}")
    return empty_source.settings.model_copy(
        update={name: getattr(lake, name) for name in Settings.model_fields if name.startswith("lake_")}
    )


@pytest.fixture
def store(settings: Settings) -> Store:
    store = open_store(settings)
    store.create()
    return store


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    reviews, purchases = tmp_path / "reviews.csv", tmp_path / "purchases.csv"
    reviews.write_bytes(REVIEWS)
    purchases.write_text(PURCHASES)
    return reviews, purchases


# Loads the sample, and is killed when it comes to what is named.
KILLED = """
import os, signal
from user_analytics.cluster import load_data
from user_analytics.lake.s3_store import S3Store
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{at} = die
load_data.load_sample_if_empty(settings)
"""


def purchases_in(source: SourceDatabase) -> int:
    [(rows,)] = source.execute("select count(*) from retail.user_purchase")
    assert isinstance(rows, int)
    return rows


def test_ingestion_looks_where_the_reviews_are_put(settings: Settings) -> None:
    default = MANIFESTS["ingest-reviews"].model_fields["reviews_source"].default

    assert default == f"s3://user-analytics/{REVIEWS_KEY}"


def test_reviews_go_to_the_lake_byte_for_byte_and_purchases_into_the_source(
    settings: Settings, empty_source: SourceDatabase, files: tuple[Path, Path]
) -> None:
    said = load_files(settings, *files)

    assert open_store(settings).get(REVIEWS_KEY) == REVIEWS
    assert purchases_in(empty_source) == 1
    assert [line.split(" from ")[0] for line in said] == ["1 purchases", f"{len(REVIEWS)} bytes of reviews"]


def test_what_is_not_given_stays(settings: Settings, empty_source: SourceDatabase, files: tuple[Path, Path]) -> None:
    load_files(settings, *files)
    files[0].write_bytes(REVIEWS + b"12345,Another\n")

    load_files(settings, files[0], None)

    assert open_store(settings).get(REVIEWS_KEY) == REVIEWS + b"12345,Another\n"
    assert purchases_in(empty_source) == 1


def test_when_the_reviews_file_is_missing_the_purchases_are_not_loaded_either(
    settings: Settings, empty_source: SourceDatabase, files: tuple[Path, Path]
) -> None:
    files[0].unlink()

    with pytest.raises(InputError, match=f"cannot read the reviews file {files[0]}: No such file"):
        load_files(settings, *files)

    assert empty_source.execute("select to_regclass('retail.user_purchase') is null") == [(True,)]


def test_the_sample_is_loaded_where_there_is_nothing(
    settings: Settings, empty_source: SourceDatabase, store: Store
) -> None:
    assert load_sample_if_empty(settings)

    assert purchases_in(empty_source) == 10_000
    assert store.get(REVIEWS_KEY) == Path(sample_file("movie_review")).read_bytes()


@pytest.mark.parametrize("at", ["load_data.load_purchases", "S3Store.put_stream"], ids=["purchases", "reviews"])
def test_a_load_of_the_sample_that_was_killed_is_completed(
    settings: Settings, empty_source: SourceDatabase, store: Store, at: str
) -> None:
    killed = run(KILLED.format(at=at), settings)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    assert load_sample_if_empty(settings)

    assert purchases_in(empty_source) == 10_000
    assert store.get(REVIEWS_KEY) == Path(sample_file("movie_review")).read_bytes()
    assert load_sample_if_empty(settings) == []


@pytest.mark.parametrize("given", [0, 1], ids=["reviews", "purchases"])
def test_the_sample_takes_the_place_of_nobody_s_data(
    settings: Settings, store: Store, files: tuple[Path, Path], given: int
) -> None:
    load_files(settings, files[0] if given == 0 else None, files[1] if given == 1 else None)

    assert load_sample_if_empty(settings) == []
