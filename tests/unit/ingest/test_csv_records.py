"""Records of a CSV file: what is taken, what is marked as malformed, what refuses the whole file."""

import csv
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from user_analytics.errors import InputError
from user_analytics.ingest import csv_records
from user_analytics.ingest.csv_records import CsvRecords, Record

HEADER = b"a,b\n"


def read(body: bytes, required: tuple[str, ...] = ("a", "b")) -> list[Record]:
    return list(CsvRecords(io.BytesIO(body), "file.csv", required))


def fields(body: bytes) -> list[list[str]]:
    records = read(body)
    assert not any(record.problem for record in records)
    return [record.fields for record in records]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"1,x\n2,y\n", [["1", "x"], ["2", "y"]], id="plain"),
        pytest.param(b"1,x\n2,y", [["1", "x"], ["2", "y"]], id="no line end at the end"),
        pytest.param(b"1,x\r\n2,y\r\n", [["1", "x"], ["2", "y"]], id="CRLF"),
        pytest.param(b'1,"x,y"\n', [["1", "x,y"]], id="comma in quotes"),
        pytest.param(b'1,"say ""x"""\n', [["1", 'say "x"']], id="doubled quotes"),
        pytest.param(b'1,"x\ny\r\nz\r"\n', [["1", "x\ny\r\nz\r"]], id="line ends in quotes stay as they are"),
        pytest.param(b'1,a"b\n', [["1", 'a"b']], id="a quote inside an unquoted field is text"),
        pytest.param(b'1, "x"\n', [["1", ' "x"']], id="a blank before a quote is text"),
        pytest.param(b"1,\n,\n", [["1", ""], ["", ""]], id="empty fields"),
        pytest.param(b'1,""\n', [["1", ""]], id="empty quoted field"),
        pytest.param(b"\n1,x\n\r\n\n2,y\n\n", [["1", "x"], ["2", "y"]], id="lines without a character"),
        pytest.param(b"1,x\x00y\n", [["1", "x\x00y"]], id="NUL"),
        pytest.param("1,naïve 🎬 \u2028 \u0085\n".encode(), [["1", "naïve 🎬 \u2028 \u0085"]], id="not ASCII"),
        pytest.param(b"1,\xff\n", [["1", "\udcff"]], id="not UTF-8"),
        pytest.param(b"", [], id="no record"),
    ],
)
def test_records_are_read_by_rfc_4180(body: bytes, expected: list[list[str]]) -> None:
    assert fields(HEADER + body) == expected


def test_a_line_without_a_character_is_an_empty_field_where_there_is_one_column() -> None:
    records = CsvRecords(io.BytesIO(b"a\n1\n\n2\n\n"), "file.csv", ("a",))

    assert [(record.line, record.fields) for record in records] == [(2, ["1"]), (3, [""]), (4, ["2"]), (5, [""])]


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=20), st.sampled_from(["\n", "\r\n"]))
@hypothesis_settings(deadline=None, derandomize=True, database=None)
def test_whatever_a_csv_writer_writes_is_read_back(rows: list[list[str]], line_end: str) -> None:
    target = io.StringIO(newline="")
    csv.writer(target, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])

    assert fields(target.getvalue().encode("utf-8", "surrogatepass")) == [
        [text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape") for text in row] for row in rows
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_column() -> None:
    assert fields(b"\xef\xbb\xbfa,b\n1,x\n") == [["1", "x"]]


def test_the_header_names_the_columns_in_any_order_and_may_have_more() -> None:
    records = CsvRecords(io.BytesIO(b'more,"b",a\r\n1,2,3\r\n'), "file.csv", ("a", "b"))

    assert records.header == ["more", "b", "a"]
    assert [record.fields for record in records] == [["1", "2", "3"]]


def test_each_record_knows_the_first_of_its_lines() -> None:
    body = HEADER + b'1,x\n2,"y\n\ny"\n\n3,z\n4,"w"w\n5,v\n'

    assert [record.line for record in read(body)] == [2, 3, 7, 8, 9]


def test_a_record_of_another_width_is_given_as_it_is() -> None:
    assert fields(HEADER + b"1\n1,2,3\n") == [["1"], ["1", "2", "3"]]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'1,"good" film', "characters after a closing quote"),
        (b'1,"good\nfilm" !', "characters after a closing quote"),
        (b"1,good\rfilm", "carriage return outside quotes"),
    ],
)
def test_a_malformed_record_is_marked_and_the_next_line_is_a_new_record(line: bytes, problem: str) -> None:
    records = CsvRecords(io.BytesIO(HEADER + line + b"\n2,x\n"), "file.csv", ("a", "b"))
    found = [(record.problem, record.fields, records.raw_text()) for record in records]

    assert found == [(problem, [], line.decode()), (None, ["2", "x"], "2,x")]


def test_the_raw_text_is_the_record_as_it_stands_in_the_file() -> None:
    records = CsvRecords(io.BytesIO(HEADER + b'1,"x\r\n""y"""\r\n2,\xff\n'), "file.csv", ("a", "b"))

    assert [records.raw_text() for _ in records] == ['1,"x\r\n""y"""', "2,\\xff"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b"", "file.csv: it is empty or has no header line; expected a,b", id="empty"),
        pytest.param(b"\n1,2\n", "it is empty or has no header line", id="first line empty"),
        pytest.param(b"\xef\xbb\xbf", "it is empty or has no header line", id="only a byte order mark"),
        pytest.param(b"a,c\n1,2\n", "its header has no column b; it reads a,c", id="column missing"),
        pytest.param(b"1,2\n3,4\n", "its header has no column a; it reads 1,2", id="no header"),
        pytest.param(b"a;b\n1;2\n", "its header has no column a; it reads a;b", id="semicolons"),
        pytest.param(b"a,b,a\n1,2,3\n", "its header has more than one column a", id="column twice"),
        pytest.param(b"a,b\r1,2\r", "its lines end in CR alone; convert them to LF or CRLF", id="CR only"),
        pytest.param(b"\xff\xfea\x00,\x00b\x00\n\x00", "it is UTF-16; save it as UTF-8", id="UTF-16 little-endian"),
        pytest.param(b"\xfe\xff\x00a\x00,\x00b\x00\n", "it is UTF-16; save it as UTF-8", id="UTF-16 big-endian"),
        pytest.param(b'"a,b\n1,2\n', "a quote in its header line has no partner", id="quote open in the header"),
        pytest.param(
            b'a,b\n1,2\n3,"4\n5,6\n7,8\n', "a quote opened in the record at line 3 is never closed", id="quote open"
        ),
    ],
)
def test_a_file_without_readable_records_is_refused_by_name(body: bytes, message: str) -> None:
    with pytest.raises(InputError, match=r"^file\.csv: ") as error:
        read(body)

    assert message in str(error.value)


def test_a_record_without_an_end_is_refused_naming_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "RECORD_CHARACTERS", 1000)

    with pytest.raises(InputError, match="the record that starts at line 3 is longer than 1,000 characters"):
        read(HEADER + b'1,2\n3,"' + b"4\n" * 2000)


def test_a_single_endless_line_is_refused_without_reading_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "RECORD_CHARACTERS", 100_000)

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="its header has no column a"):
            CsvRecords(io.BufferedReader(Endless()), "file.csv", ("a", "b"))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_a_text_of_10_megabytes_is_taken() -> None:
    text = "word, " * 1_750_000

    assert fields(HEADER + f'1,"{text}"\n'.encode()) == [["1", text]]
