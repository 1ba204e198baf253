"""Records of a CSV file (RFC 4180) in one pass and bounded memory, with the line each one starts at.

Stricter than Python's csv module where that would change a text without a word: a record with
characters after a closing quote, or with a carriage return outside quotes, is marked as malformed.
"""

import csv
from collections.abc import Iterator
from functools import partial
from io import TextIOWrapper
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from user_analytics.errors import InputError

RECORD_CHARACTERS = 32 << 20
"""Longest record taken: without a limit, one stray quote would read the rest of the file into memory."""

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Record(NamedTuple):
    """One data record. `line` is the first of its lines in the file, 1-based; `problem` is None when well-formed.

    Bytes that are not UTF-8 are lone surrogates in `fields`, as by the error handler `surrogateescape`.
    """

    line: int
    fields: list[str]
    problem: str | None


class CsvRecords:
    """Iterator over the data records of a CSV file with a header line. Lines without a character are skipped,
    unless the header has one column: there they are a record of one empty field.

    A context manager that leaves `stream` open; it reads ahead.
    `source` names the file in messages. Takes LF and CRLF line ends and a byte order mark. Raises
    InputError for what no record can be read from: no header or one without a column of `required`,
    lines that end in CR alone, UTF-16, a quote that is open at the end, a record of more than
    RECORD_CHARACTERS.
    """

    def __init__(self, stream: BinaryIO, source: str, required: tuple[str, ...]) -> None:
        self._source = source
        self._text = TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="\n")
        self._lines: list[str] = []
        self._characters = 0
        csv.field_size_limit(max(csv.field_size_limit(), RECORD_CHARACTERS))
        self._reader = csv.reader(self._read_lines(), strict=True)
        try:
            self.header = self._read_header(required)
        except BaseException:
            self._text.detach()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.detach()

    def __iter__(self) -> Iterator[Record]:
        reader = self._reader
        while True:
            line = self._next_line()
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(line, [], self._problem(error, line))
                continue
            if fields or len(self.header) == 1:
                yield Record(line, fields or [""], None)

    def raw_text(self) -> str:
        """The text of the record read last, without its line end; bytes that are not UTF-8 as `\\xNN`."""
        text = "".join(self._lines).removesuffix("\n").removesuffix("\r")
        return text.encode(errors="surrogateescape").decode(errors="backslashreplace")

    def _next_line(self) -> int:
        self._lines.clear()
        self._characters = 0
        return self._reader.line_num + 1

    def _read_lines(self) -> Iterator[str]:
        for line in iter(partial(self._text.readline, RECORD_CHARACTERS + 1), ""):
            self._lines.append(line)
            self._characters += len(line)
            if self._characters > RECORD_CHARACTERS and self._reader.line_num:
                first = self._reader.line_num + 2 - len(self._lines)
                raise InputError(
                    f"{self._source}: the record that starts at line {first} is longer than "
                    f"{RECORD_CHARACTERS:,} characters: is a quote missing there?"
                )
            yield line

    def _read_header(self, required: tuple[str, ...]) -> list[str]:
        header: list[str] = []
        malformed = None
        try:
            header = next(self._reader, [])
        except csv.Error as error:
            malformed = error
        first_line = self._lines[0].removesuffix("\n").removesuffix("\r") if self._lines else ""
        if "\r" in first_line:
            raise InputError(f"{self._source}: its lines end in CR alone; convert them to LF or CRLF")
        if first_line.encode(errors="surrogateescape").startswith(UTF16_MARKS):
            raise InputError(f"{self._source}: it is UTF-16; save it as UTF-8")
        if malformed:
            raise InputError(f"{self._source}: a quote in its header line has no partner") from malformed
        if not header:
            raise InputError(f"{self._source}: it is empty or has no header line; expected {','.join(required)}")
        for column in required:
            if header.count(column) != 1:
                found = ",".join(header)[:200].encode(errors="backslashreplace").decode()
                problem = "has no" if column not in header else "has more than one"
                raise InputError(f"{self._source}: its header {problem} column {column}; it reads {found}")
        return header

    def _problem(self, error: csv.Error, line: int) -> str:
        message = str(error)
        if message.startswith("unexpected end of data"):
            raise InputError(f"{self._source}: a quote opened in the record at line {line} is never closed") from error
        if message.startswith("new-line character"):
            return "carriage return outside quotes"
        return "characters after a closing quote"
