"""Review files become raw data: the verdict on each record and file, and what both stores then hold."""

import hashlib
import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.minio import MinioServer
from tests.fixtures.programs import peak_megabytes, run
from user_analytics import __version__
from user_analytics.errors import CorruptObject, InputError, LakeError, ManifestMissing, SettingsError
from user_analytics.ingest import parts
from user_analytics.ingest.quarantine import read_quarantine
from user_analytics.ingest.reviews import SCHEMA, ingest_reviews
from user_analytics.lake.clean_up import clean_up
from user_analytics.lake.manifest import Column, RawManifest, ReviewTotals, read_raw_manifest
from user_analytics.lake.store import Store, open_store
from user_analytics.lake.verified import read_verified
from user_analytics.settings import Settings, load_settings

DS = date(2010, 12, 8)
HEADER = b"cid,review_str\n"

on_the_local_store = pytest.mark.parametrize("lake_settings", ["local"], indirect=True)
"""For a test of what parsing does, which no store has a part in."""


@pytest.fixture
def ingest(lake_settings: Settings, lake: Store, tmp_path: Path) -> Callable[[bytes], RawManifest]:
    """Ingest a file with the given bytes."""
    path = tmp_path / "reviews.csv"

    def run(body: bytes) -> RawManifest:
        path.write_bytes(body)
        return ingest_reviews(lake_settings, lake, DS, source=str(path))

    return run


def rows(lake: Store, manifest: RawManifest) -> list[tuple[int, int, str]]:
    """The accepted rows as (review_id, cid, review_str)."""
    tables = [pq.read_table(pa.BufferReader(read_verified(lake, file))) for file in manifest.files]
    assert [table.num_rows for table in tables] == [file.rows for file in manifest.files]
    assert all(table.schema == SCHEMA for table in tables)
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def quarantined(lake: Store, manifest: RawManifest) -> list[tuple[int, int, str, str]]:
    """The quarantined rows as (record number, line, reason, raw text)."""
    if manifest.quarantine is None:
        return []
    table = read_quarantine(lake, manifest.quarantine)
    assert table.num_rows == manifest.quarantined_rows
    return [tuple(row.values()) for row in table.to_pylist()]


@on_the_local_store
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(HEADER + b"7,good\n8,bad\n", [(1, 7, "good"), (2, 8, "bad")], id="plain"),
        pytest.param(b"\xef\xbb\xbf" + HEADER + b"7,good\n", [(1, 7, "good")], id="byte order mark"),
        pytest.param(b"cid,review_str\r\n7,good\r\n", [(1, 7, "good")], id="CRLF"),
        pytest.param(b"review_str,cid\ngood,7\n", [(1, 7, "good")], id="columns in another order"),
        pytest.param(b"id,cid,stars,review_str\nx,7,5,good\n", [(1, 7, "good")], id="more columns"),
        pytest.param(HEADER + b"7,good\n7,good\n", [(1, 7, "good"), (2, 7, "good")], id="duplicate lines"),
        pytest.param(HEADER + b'7,"a ""b""\r\n<br />, c"\n', [(1, 7, 'a "b"\r\n<br />, c')], id="quotes and line ends"),
        pytest.param(HEADER + "7,naïve 🎬\n".encode(), [(1, 7, "naïve 🎬")], id="not ASCII"),
        pytest.param(HEADER + b"007,x\n9223372036854775807,y\n", [(1, 7, "x"), (2, 2**63 - 1, "y")], id="least, most"),
        pytest.param(HEADER + b"7,x", [(1, 7, "x")], id="no line end at the end"),
        pytest.param(HEADER, [], id="no record"),
    ],
)  # fmt: skip
def test_accepted(
    ingest: Callable[[bytes], RawManifest], lake: Store, body: bytes, expected: list[tuple[int, int, str]]
) -> None:
    manifest = ingest(body)

    assert rows(lake, manifest) == expected
    assert manifest.quarantine is None
    assert (manifest.source_rows, manifest.rows, manifest.quarantined_rows) == (len(expected), len(expected), 0)


@on_the_local_store
def test_a_review_of_10_megabytes_is_accepted(ingest: Callable[[bytes], RawManifest], lake: Store) -> None:
    text = "word, " * 1_750_000

    assert rows(lake, ingest(HEADER + f'7,"{text}"\n'.encode())) == [(1, 7, text)]


NOT_A_CID = "cid is not an integer from 1 to 2^63 - 1"


@on_the_local_store
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        *[
            pytest.param(cid.encode() + b",x", NOT_A_CID, id=f"cid {cid!r}")
            for cid in ("12.0", "", "x", "0", "-1", "+1", " 1", "1_0", "1e3", "٣", "NaN", str(2**63), "9" * 5000)
        ],
        pytest.param(b"7,", "review_str is empty", id="empty text"),
        pytest.param(b'7,""', "review_str is empty", id="empty text in quotes"),
        pytest.param(b'7," \t\n "', "review_str is empty", id="only white space"),
        pytest.param(b"7,bad \xff byte", "review_str is not valid UTF-8", id="invalid UTF-8"),
        pytest.param(b"7,\xed\xa0\x80", "review_str is not valid UTF-8", id="surrogate as UTF-8"),
        pytest.param(b"7", "1 fields instead of 2", id="field missing"),
        pytest.param(b"7,good, really", "3 fields instead of 2", id="field too many"),
        pytest.param(b'7,"good" film', "characters after a closing quote", id="text after a quote"),
        pytest.param(b"7,good\rfilm", "carriage return outside quotes", id="bare carriage return"),
    ],
)
def test_quarantined_with_record_number_line_reason_and_raw_text(
    ingest: Callable[[bytes], RawManifest], lake: Store, record: bytes, reason: str
) -> None:
    manifest = ingest(HEADER + b'1,"two\nlines"\n' + record + b"\n3,after\n")

    assert rows(lake, manifest) == [(1, 1, "two\nlines"), (3, 3, "after")]
    assert quarantined(lake, manifest) == [(2, 4, reason, record.decode(errors="backslashreplace"))]
    assert (manifest.source_rows, manifest.rows, manifest.quarantined_rows) == (3, 2, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "it is empty or has no header line", id="empty"),
        pytest.param(b"cid,text\n1,x\n", "its header has no column review_str; it reads cid,text", id="column missing"),
        pytest.param(b"cid,review_str\r1,x\r", "its lines end in CR alone", id="CR only"),
        pytest.param(HEADER + b'1,x\n2,"open\n3,y\n', "a quote opened in the record at line 3", id="quote open"),
    ],
)  # fmt: skip
def test_a_refused_file_is_named_and_leaves_the_date_as_it_was(
    ingest: Callable[[bytes], RawManifest], lake: Store, tmp_path: Path, body: bytes, message: str
) -> None:
    before = ingest(HEADER + b"1,x\n")

    with pytest.raises(InputError, match=f"^{tmp_path}/reviews.csv: {message}"):
        ingest(body)

    assert read_raw_manifest(lake, "movie_review", DS).manifest == before
    assert rows(lake, ingest(HEADER + b"2,next\n")) == [(1, 2, "next")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nonexistent/reviews.csv", "No such file or directory"),
        ("/proc", "Is a directory"),
        ("/proc/self/mem", "Input/output error"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name(
    lake_settings: Settings, lake: Store, path: str, reason: str
) -> None:
    with pytest.raises(InputError, match=f"cannot read the reviews file {path}: {reason}"):
        ingest_reviews(lake_settings, lake, DS, source=path)

    with pytest.raises(ManifestMissing):
        read_raw_manifest(lake, "movie_review", DS)


def test_a_source_that_is_not_given_is_an_error_that_names_the_setting(lake_settings: Settings, lake: Store) -> None:
    with pytest.raises(SettingsError, match="REVIEWS_SOURCE is not set"):
        ingest_reviews(lake_settings, lake, DS)


def test_the_source_may_be_an_object_of_the_lake_itself(minio: MinioServer) -> None:
    settings = minio.settings("with-landing")
    lake = open_store(settings)
    lake.create()
    lake.put("landing/reviews.csv", HEADER + b"7,good\n")

    manifest = ingest_reviews(
        settings.model_copy(update={"reviews_source": "s3://with-landing/landing/reviews.csv"}), lake, DS
    )

    assert rows(lake, manifest) == [(1, 7, "good")]
    assert manifest.source == "s3://with-landing/landing/reviews.csv"


def test_a_missing_source_object_is_refused_by_name(minio: MinioServer) -> None:
    settings = minio.settings("without-landing")
    lake = open_store(settings)
    lake.create()

    with pytest.raises(LakeError, match=r"s3://without-landing at .*: cannot read landing/reviews.csv: NoSuchKey"):
        ingest_reviews(settings, lake, DS, source="s3://without-landing/landing/reviews.csv")


def test_the_manifest_says_all_about_the_data(ingest: Callable[[bytes], RawManifest], lake: Store) -> None:
    body = HEADER + b"7,good\nx,bad\n9,fine\n"
    manifest = ingest(body)

    assert read_raw_manifest(lake, "movie_review", DS).manifest == manifest
    assert (manifest.table, manifest.ds, manifest.mode, manifest.window) == ("movie_review", DS, "full", None)
    assert manifest.control_totals == ReviewTotals(sum_cid=16)
    assert manifest.columns == [
        Column(name="review_id", type="int64"),
        Column(name="cid", type="int64"),
        Column(name="review_str", type="string"),
    ]
    assert manifest.version == __version__
    assert abs(manifest.created_at - datetime.now(UTC)) < timedelta(minutes=5)


def test_the_file_is_kept_byte_for_byte(ingest: Callable[[bytes], RawManifest], lake: Store) -> None:
    body = b"\xef\xbb\xbf" + HEADER + b'7,"\xff"\r\nx,,,\n' + b"8,\n"
    original = ingest(body).original

    assert original is not None
    assert lake.get(original.key) == body
    assert (original.size, original.sha256) == (len(body), hashlib.sha256(body).hexdigest())


class Intercepted:
    """A store that calls back after each stream it has written."""

    def __init__(self, store: Store, after_stream: Callable[[str], object]) -> None:
        self._store = store
        self._after_stream = after_stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_stream(self, key: str, stream: BinaryIO) -> int:
        size = self._store.put_stream(key, stream)
        self._after_stream(key)
        return size


def test_a_file_that_changes_meanwhile_is_parsed_as_it_was_kept(
    lake_settings: Settings, lake: Store, tmp_path: Path
) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(HEADER + b"7,first\n")
    changing = Intercepted(lake, lambda key: path.write_bytes(HEADER + b"7,second\n8,third\n"))

    manifest = ingest_reviews(lake_settings, cast("Store", changing), DS, source=str(path))

    assert manifest.original is not None
    assert lake.get(manifest.original.key) == HEADER + b"7,first\n"
    assert rows(lake, manifest) == [(1, 7, "first")]


def test_a_kept_file_that_comes_back_shorter_is_refused(lake_settings: Settings, lake: Store, tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_bytes(HEADER + b"7,first\n8,second\n")
    damaging = Intercepted(lake, lambda key: lake.put(key, HEADER + b"7,first\n"))

    with pytest.raises(CorruptObject, match="32 bytes were written and 23 came back"):
        ingest_reviews(lake_settings, cast("Store", damaging), DS, source=str(path))

    with pytest.raises(ManifestMissing):
        read_raw_manifest(lake, "movie_review", DS)


def test_parts_are_bounded_and_together_hold_every_row_once(
    ingest: Callable[[bytes], RawManifest], lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("user_analytics.ingest.reviews.BATCH_ROWS", 100)
    monkeypatch.setattr(parts, "PART_ROWS", 300)
    expected = [(number, number, f"review {number}") for number in range(1, 1001)]

    manifest = ingest(HEADER + b"".join(f"{cid},{text}\n".encode() for _, cid, text in expected))

    assert [file.rows for file in manifest.files] == [300, 300, 300, 100]
    assert rows(lake, manifest) == expected


def test_a_file_of_nothing_but_bad_records_is_quarantined_whole(
    ingest: Callable[[bytes], RawManifest], lake: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("user_analytics.ingest.quarantine.BATCH_ROWS", 1000)
    monkeypatch.setattr("user_analytics.ingest.quarantine.MEMORY_BYTES", 10_000)

    manifest = ingest(HEADER + b"x,bad\n" * 10_500)

    assert manifest.files == []
    assert [number for number, *_ in quarantined(lake, manifest)] == list(range(1, 10_501))


def test_the_last_manifest_wins_whole_and_no_writer_deletes(
    ingest: Callable[[bytes], RawManifest], lake: Store
) -> None:
    first = ingest(HEADER + b"1,first\nx,bad\n")
    second = ingest(HEADER + b"2,second\n")

    assert read_raw_manifest(lake, "movie_review", DS).manifest == second
    assert rows(lake, second) == [(1, 2, "second")]
    assert rows(lake, first) == [(1, 1, "first")]
    assert len(quarantined(lake, first)) == 1


def test_killed_before_the_manifest_nothing_shows_and_the_next_run_succeeds(
    lake_settings: Settings, lake: Store, tmp_path: Path
) -> None:
    (tmp_path / "reviews.csv").write_bytes(HEADER + b"7,good\nx,bad\n")
    killed = run(
        "import os, signal\n"
        "from user_analytics.ingest import reviews\n"
        "reviews.write_raw_manifest = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"reviews.ingest_reviews(settings, store, date(2010, 12, 8), source='{tmp_path}/reviews.csv')\n",
        lake_settings,
    )

    assert killed.returncode == -signal.SIGKILL
    left = [item.key for item in lake.list("")]
    assert len(left) == 3  # the file, a part, the quarantined row
    with pytest.raises(ManifestMissing):
        read_raw_manifest(lake, "movie_review", DS)

    manifest = ingest_reviews(lake_settings, lake, DS, source=str(tmp_path / "reviews.csv"))
    assert rows(lake, manifest) == [(1, 7, "good")]
    assert clean_up(lake, datetime.now(UTC) - timedelta(hours=1)).keys == []
    assert sorted(clean_up(lake, datetime.now(UTC) + timedelta(hours=1)).keys) == sorted(left)
    assert rows(lake, manifest) == [(1, 7, "good")]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    # Text that compresses well would take no memory as Parquet either.
    block = b"".join(b'%d,"%s"\n' % (number, os.urandom(550).hex().encode()) for number in range(1, 1001))
    peaks = []
    for megabytes in (10, 40):
        path = tmp_path / f"{megabytes}.csv"
        with path.open("wb") as file:
            file.write(HEADER)
            for _ in range(megabytes):
                file.write(block)
        peaks.append(
            peak_megabytes(
                "from user_analytics.ingest import parts, reviews\n"
                "parts.PART_BYTES = 8 << 20\n"
                f"reviews.ingest_reviews(settings, store, date(2010, 12, 8), source={str(path)!r})\n",
                load_settings().model_copy(update={"lake_url": str(tmp_path / "lake")}),
            )
        )

    assert peaks[1] < 300
    assert peaks[1] < peaks[0] + 10
