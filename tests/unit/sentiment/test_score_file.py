import csv
import io
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from threading import Thread
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.sentiment.conftest import no_file_larger_than, packaged
from user_analytics.errors import InputError, UserAnalyticsError
from user_analytics.sentiment import review_files
from user_analytics.sentiment import score_file as score_file_module
from user_analytics.sentiment.explain import deciding_ngrams
from user_analytics.sentiment.model import Model
from user_analytics.sentiment.review_files import create_reviews, open_reviews
from user_analytics.sentiment.score import score
from user_analytics.sentiment.score_file import Scored, score_file, score_lines

TEXTS = ['a "good", great film', "boring,\nawful", "", "7/10", "😀"]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    rows = [[f"00{number}", text] for number, text in enumerate(TEXTS)]
    return write_csv(tmp_path / "reviews.csv", [["cid", "review_str"], *rows])


def test_a_csv_keeps_its_rows_values_and_order_and_gains_two_columns(reviews: Path, tmp_path: Path) -> None:
    scored = score_file(packaged(), reviews, tmp_path / "scored.csv")

    rows = read_csv(tmp_path / "scored.csv")
    assert [(row["cid"], row["review_str"]) for row in rows] == [(f"00{i}", text) for i, text in enumerate(TEXTS)]
    assert [row["positive_review"] for row in rows] == ["true", "false", "", "true", ""]
    probabilities = [float(row["positive_probability"] or "nan") for row in rows]
    assert probabilities == pytest.approx(
        score(packaged(), pa.array(TEXTS)).to_numpy(zero_copy_only=False), nan_ok=True
    )
    assert scored == Scored(rows=5, positive_rows=2, unjudged_rows=2)


def test_a_parquet_file_keeps_its_types_and_nulls(tmp_path: Path) -> None:
    table = pa.table({"cid": pa.array([1, None], pa.int32()), "review_str": ["good", None]})
    pq.write_table(table, tmp_path / "reviews.parquet")

    score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.parquet")

    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored.drop_columns(["positive_probability", "positive_review"]).equals(table)
    assert scored["positive_review"].to_pylist() == [True, None]
    assert scored["positive_probability"].type == pa.float64()


def test_csv_and_parquet_convert_into_each_other(reviews: Path, tmp_path: Path) -> None:
    score_file(packaged(), reviews, tmp_path / "scored.parquet")
    assert pq.read_table(tmp_path / "scored.parquet")["cid"].to_pylist()[:2] == ["000", "001"]


def test_rows_are_kept_in_order_over_many_batches(tmp_path: Path) -> None:
    texts = [f"{'good' if number % 3 else 'bad'} {number}" for number in range(20_000)]
    pq.write_table(pa.table({"review_str": texts}), tmp_path / "reviews.parquet")
    assert score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.csv").rows == 20_000
    assert [row["review_str"] for row in read_csv(tmp_path / "scored.csv")] == texts


@contextmanager
def memory_held() -> Iterator[list[int]]:
    """Bytes that Python and Arrow have come to hold, at each batch that is judged."""
    packaged()
    held: list[int] = []
    arrow = pa.default_memory_pool()
    before = arrow.bytes_allocated()

    def weigh(model: Model, texts: pa.Array) -> pa.DoubleArray:
        held.append(tracemalloc.get_traced_memory()[0] + arrow.bytes_allocated() - before)
        return score(model, texts)

    tracemalloc.start()
    try:
        with patch.object(score_file_module, "score", weigh):
            yield held
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_a_parquet_file_of_one_row_group(tmp_path: Path) -> None:
    # 8 MB of text that compress to half: 12 MB are held when it is read whole, 5 MB in batches
    texts = [random.Random(number).randbytes(50).hex() for number in range(80_000)]  # noqa: S311 - test data
    pq.write_table(pa.table({"review_str": texts}), tmp_path / "reviews.parquet")
    with memory_held() as held:
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.parquet")
    assert max(held) < 7_000_000


def test_an_empty_line_of_a_one_column_file_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("review_str\ngood\n\nbad\n")
    score_file(packaged(), tmp_path / "reviews.csv", tmp_path / "scored.csv")
    assert [row["positive_review"] for row in read_csv(tmp_path / "scored.csv")] == ["true", "", "false"]


def test_a_byte_order_mark_and_crlf_are_taken(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_bytes(b"\xef\xbb\xbfreview_str,cid\r\ngood,1\r\n")
    score_file(packaged(), tmp_path / "reviews.csv", tmp_path / "scored.csv")
    assert read_csv(tmp_path / "scored.csv")[0]["cid"] == "1"


def test_a_review_of_ten_megabytes_is_taken(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", [["review_str"], ["good " * 2_000_000]])
    assert score_file(packaged(), path, tmp_path / "scored.csv") == Scored(1, 1, 0)


def test_long_reviews_come_in_batches_of_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_files, "_CHARACTERS_PER_BATCH", 1600)
    path = write_csv(tmp_path / "reviews.csv", [["review_str"], *[["good " * 100]] * 9])
    with open_reviews(path) as reviews:
        assert [batch.num_rows for batch in reviews.batches] == [4, 4, 1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty or has no header line; expected review_str"),
        (b"cid,text\n1,good\n", "its header has no column review_str; it reads cid,text"),
        (b"review_str,review_str\na,b\n", "its header has more than one column review_str"),
        (b"cid,cid,review_str\n1,2,a\n", "has a column name twice: cid, cid, review_str"),
        (b"cid,review_str\n1,good\n2,bad,worse\n", "line 3: 3 fields instead of 2"),
        (
            b'cid,review_str\n1,"two\nlines"\n2,"never closed\n',
            "a quote opened in the record at line 4 is never closed",
        ),
        (b'cid,review_str\n1,"good" film\n', "line 2: characters after a closing quote"),
        (b"cid,review_str\r1,good\r", "its lines end in CR alone"),
        (b"cid,review_str\n1,\xff\xfe\n", "line 2: it is not UTF-8 text"),
        (b"cid,review_str,\xff\n1,good,x\n", "its header is not UTF-8 text"),
        (b"cid,review_str,positive_review\n1,good,true\n", "already has the column positive_review"),
    ],
)
def test_a_csv_that_cannot_be_taken_is_refused_and_leaves_nothing(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        score_file(packaged(), tmp_path / "reviews.csv", tmp_path / "scored.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none\.csv"):
        score_file(packaged(), tmp_path / "none.csv", tmp_path / "scored.csv")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*folder\.parquet"):
        score_file(packaged(), tmp_path / "folder.parquet", tmp_path / "scored.csv")


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"review_str": ["good"] * 100}), tmp_path / "whole.parquet")
    body = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "reviews.parquet").write_bytes(body[: len(body) // 2])
    with pytest.raises(InputError, match=r"cannot read .*reviews\.parquet"):
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.csv")


def test_a_parquet_string_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    text = pa.array([b"\xff\xfe"]).view(pa.string())
    pq.write_table(pa.table({"review_str": text}), tmp_path / "reviews.parquet")
    with pytest.raises(InputError, match=r"cannot read .*reviews\.parquet: Invalid UTF8"):
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.parquet")
    assert not (tmp_path / "scored.parquet").exists()


def test_texts_that_are_too_long_together_are_the_inputs_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # in place of 2 GiB of text, which take as much memory and many seconds
    def overflow(*_: object) -> None:
        raise pa.ArrowInvalid("Take operation overflowed binary array capacity")

    monkeypatch.setattr(score_file_module, "score", overflow)
    pq.write_table(pa.table({"review_str": ["good", "bad"]}), tmp_path / "reviews.parquet")
    with pytest.raises(InputError, match=r"reviews\.parquet: rows 1 to 2 .* too long together: .*overflowed"):
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.parquet")
    assert not (tmp_path / "scored.parquet").exists()


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"review_str": [1, 2]}), tmp_path / "reviews.parquet")
    with pytest.raises(InputError, match="the column review_str holds int64, not text"):
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.parquet")


@pytest.mark.parametrize("output", ["missing/scored.csv", "missing/scored.parquet"])
def test_an_output_that_cannot_be_written_is_named(output: str, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(UserAnalyticsError, match=f"cannot write .*{output}"):
        score_file(packaged(), reviews, tmp_path / output)


def test_a_folder_in_place_of_the_output_is_named_and_nothing_is_left(reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "scored.csv").mkdir()
    with pytest.raises(UserAnalyticsError, match=r"cannot write .*scored\.csv: .*Is a directory"):
        score_file(packaged(), reviews, tmp_path / "scored.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.csv", "scored.csv"]


@pytest.mark.parametrize("output", ["scored.csv", "scored.parquet"])
def test_a_disk_that_is_full_is_named_and_leaves_what_was_there(output: str, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / output).write_text("before")
    with no_file_larger_than(100), pytest.raises(UserAnalyticsError, match=f"cannot write .*{output}: .*too large"):
        score_file(packaged(), reviews, tmp_path / output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.csv", output]
    assert (tmp_path / output).read_text() == "before"


@pytest.mark.parametrize("error", [OSError("not the output"), pa.ArrowInvalid("not the output")], ids=["OS", "Arrow"])
@pytest.mark.parametrize("output", ["scored.csv", "scored.parquet", "a stream"])
def test_an_error_of_who_has_the_rows_is_not_said_to_be_the_outputs(
    output: str, error: Exception, tmp_path: Path
) -> None:
    destination = io.BytesIO() if output == "a stream" else tmp_path / output
    with pytest.raises(type(error)) as raised, create_reviews(destination, pa.schema([("review_str", pa.string())])):
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", ["scored.csv", "scored.parquet"])
def test_of_two_scorings_into_one_output_the_last_to_end_stays_whole(output: str, tmp_path: Path) -> None:
    first, second = (pa.record_batch({"review_str": [text]}) for text in ("first", "second"))
    with create_reviews(tmp_path / output, first.schema) as of_first:
        of_first.write_batch(first)
        with create_reviews(tmp_path / output, second.schema) as of_second:
            of_second.write_batch(second)
        assert b"second" in (tmp_path / output).read_bytes()
    assert b"first" in (tmp_path / output).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [output]


def test_what_a_killed_scoring_left_is_removed_by_the_next_one_into_the_same_file(
    reviews: Path, tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from user_analytics.sentiment.written_aside import written_aside\n"
        "with written_aside(Path(sys.argv[1])) as scored, written_aside(Path(sys.argv[2])) as other:\n"
        "    scored.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    outputs = [str(tmp_path / name) for name in ("scored.csv", "other.csv")]
    subprocess.run([sys.executable, "-c", program, *outputs], check=False)
    assert len(list(tmp_path.glob(".*"))) == 2

    score_file(packaged(), reviews, tmp_path / "scored.csv")

    [left] = tmp_path.glob(".*")
    assert left.name.startswith(".other.csv.")
    assert len(read_csv(tmp_path / "scored.csv")) == len(TEXTS)


def test_an_unknown_ending_is_refused(reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"scored\.txt: the name must end in \.csv or \.parquet"):
        score_file(packaged(), reviews, tmp_path / "scored.txt")


def test_a_column_that_csv_cannot_hold_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"review_str": ["good"], "tags": [["a", "b"]]}), tmp_path / "reviews.parquet")
    with pytest.raises(UserAnalyticsError, match=r"cannot write .*scored\.csv"):
        score_file(packaged(), tmp_path / "reviews.parquet", tmp_path / "scored.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.parquet"]


def test_an_explanation_is_one_more_column_empty_where_there_is_nothing_to_judge(reviews: Path, tmp_path: Path) -> None:
    score_file(packaged(), reviews, tmp_path / "scored.csv", explain=True)

    rows = read_csv(tmp_path / "scored.csv")
    assert list(rows[0]) == ["cid", "review_str", "positive_probability", "positive_review", "deciding_ngrams"]
    assert [row["deciding_ngrams"] for row in rows] == [deciding_ngrams(packaged(), text) or "" for text in TEXTS]
    assert rows[2]["deciding_ngrams"] == ""


def test_a_file_with_a_column_of_that_name_is_refused_only_when_an_explanation_is_asked_for(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", [["review_str", "deciding_ngrams"], ["good", "mine"]])

    score_file(packaged(), path, tmp_path / "scored.csv")
    assert read_csv(tmp_path / "scored.csv")[0]["deciding_ngrams"] == "mine"

    with pytest.raises(InputError, match="already has the column deciding_ngrams"):
        score_file(packaged(), path, tmp_path / "scored.csv", explain=True)


def scored_lines(content: bytes, **options: bool) -> list[dict[str, str]]:
    output = io.BytesIO()
    score_lines(packaged(), io.BytesIO(content), "standard input", output, **options)
    return list(csv.DictReader(io.StringIO(output.getvalue().decode(), newline="")))


def test_each_line_of_a_stream_is_a_review_whatever_is_in_it() -> None:
    rows = scored_lines('\ufeffgood\r\n\n"bad, very bad"\n\u2028\x0b😀\nfine'.encode())
    assert [row["review_str"] for row in rows] == ["good", "", '"bad, very bad"', "\u2028\x0b😀", "fine"]
    assert [row["positive_review"] for row in rows] == ["true", "", "false", "", "true"]
    assert list(rows[0]) == ["review_str", "positive_probability", "positive_review"]


def test_lines_are_explained_as_files_are() -> None:
    (row,) = scored_lines(b"not good\n", explain=True)
    assert row["deciding_ngrams"] == deciding_ngrams(packaged(), "not good")


def test_a_stream_without_lines_gives_the_header_alone() -> None:
    output = io.BytesIO()
    assert score_lines(packaged(), io.BytesIO(b""), "standard input", output) == Scored(0, 0, 0)
    assert output.getvalue() == b'"review_str","positive_probability","positive_review"\n'


def test_lines_may_go_into_a_file(tmp_path: Path) -> None:
    score_lines(packaged(), io.BytesIO(b"good\nbad\n"), "standard input", tmp_path / "scored.parquet")
    assert pq.read_table(tmp_path / "scored.parquet")["positive_review"].to_pylist() == [True, False]


def test_a_line_is_answered_before_the_next_one_comes() -> None:
    read, write = os.pipe()
    with open(read, "rb") as lines, open(write, "wb", buffering=0) as feeder:  # noqa: PTH123 - a pipe
        answers, answered = os.pipe()
        with open(answers, "rb", buffering=0) as answer, open(answered, "wb") as output:  # noqa: PTH123
            # a daemon, and a deadline: were the answer to wait for more lines, each side would wait for the other
            scoring = Thread(target=score_lines, args=(packaged(), lines, "standard input", output), daemon=True)
            scoring.start()
            for line in (b"good", b"bad"):
                feeder.write(line + b"\n")
                said = b""
                while b'"%s"' % line not in said:
                    assert select([answer], [], [], 30)[0], f"no answer to {line!r}"
                    said += answer.read(4096)
            feeder.close()
            scoring.join(timeout=30)
            assert not scoring.is_alive()


class Lines(io.RawIOBase):
    """A million bytes of short lines, as they come through a pipe: a few at a time."""

    left = 1_000_000

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        given = b"a good film\n" * 1000 if self.left > 0 else b""
        self.left -= len(given)
        buffer[: len(given)] = given
        return len(given)


def test_memory_does_not_grow_with_the_number_of_lines() -> None:
    with memory_held() as held, open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a stream
        score_lines(packaged(), io.BufferedReader(Lines(), 1 << 16), "the lines", nowhere)
    assert max(held) < 1_500_000


@pytest.fixture
def longest_line(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many bytes as a line may have; it comes in several reads, as one of 32 MB does."""
    monkeypatch.setattr(review_files, "_READ_BYTES", 100)
    monkeypatch.setattr(review_files, "RECORD_CHARACTERS", 1000)
    return 1000


def test_a_line_that_is_not_utf_8_is_named() -> None:
    with pytest.raises(InputError, match="standard input: line 2: it is not UTF-8 text"):
        score_lines(packaged(), io.BytesIO(b"good\n\xff\n"), "standard input", io.BytesIO())


@pytest.mark.parametrize("end", [b"", b"\nbad\n"], ids=["not ended", "ended"])
def test_a_line_that_is_too_long_is_named(longest_line: int, end: bytes) -> None:
    lines = io.BytesIO(b"good\n" + b"x" * (longest_line + 1) + end)
    with pytest.raises(InputError, match="standard input: line 2 is longer than 1,000 bytes"):
        score_lines(packaged(), lines, "standard input", io.BytesIO())


def test_a_line_as_long_as_a_csv_record_may_be_is_taken(longest_line: int) -> None:
    lines, output = io.BytesIO(b"x" * longest_line + b"\n"), io.BytesIO()
    assert score_lines(packaged(), lines, "standard input", output) == Scored(1, 0, 1)


def test_a_stream_that_takes_no_more_is_an_error() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(UserAnalyticsError, match="No space left"):  # noqa: PTH123
        score_lines(packaged(), io.BytesIO(b"good\n"), "standard input", full)


def test_a_stream_that_nobody_reads_any_more_ends_the_scoring() -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as output, pytest.raises(BrokenPipeError):  # noqa: PTH123 - a pipe
        score_lines(packaged(), io.BytesIO(b"good\n"), "standard input", output)
