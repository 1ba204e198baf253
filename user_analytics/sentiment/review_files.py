"""Reviews outside the pipeline: files (CSV or Parquet) and streams, in batches, whatever their size."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from user_analytics.errors import InputError, UserAnalyticsError
from user_analytics.ingest.csv_records import RECORD_CHARACTERS, CsvRecords, Record
from user_analytics.sentiment.written_aside import naming_the_output, written_aside

TEXT_COLUMN = "review_str"

_ROWS_PER_BATCH = 8192
# So that long texts fit into an array, which holds 2 GiB, and into little memory.
_CHARACTERS_PER_BATCH = 1 << 24
# With `pre_buffer`, or without a buffer of its own, the Parquet reader takes a whole row group into memory.
_READ_BYTES = 1 << 20


class ReviewFile(NamedTuple):
    """An opened file or stream: what to call it in messages, its schema and its rows in order."""

    name: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


class ReviewWriter:
    """A file or stream that rows are appended to.

    Raises UserAnalyticsError naming it when it cannot be written.
    """

    def __init__(self, name: str, kind: str, sink: Path | BinaryIO, schema: pa.Schema) -> None:
        self._name = name
        self._stream = None if isinstance(sink, Path) else sink
        with naming_the_output(name):
            self._writer = (pq.ParquetWriter if kind == ".parquet" else pa_csv.CSVWriter)(sink, schema)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Append the rows of a batch, which has the schema of the file.

        Rows of a stream leave with their batch: who feeds the lines in may wait for what comes out.
        """
        with naming_the_output(self._name):
            self._writer.write_batch(batch)
            if self._stream:
                self._stream.flush()

    def close(self) -> None:
        """End the file; a stream stays open."""
        with naming_the_output(self._name):
            self._writer.close()
            if self._stream:
                self._stream.flush()


@contextmanager
def open_reviews(path: Path, required: tuple[str, ...] = (TEXT_COLUMN,)) -> Iterator[ReviewFile]:
    """Open a `.csv` (UTF-8, header; all columns are strings) or `.parquet` file that has the required columns.

    Raises InputError naming the file, and the line where there is one, when it cannot be read: here,
    or while the batches are.
    """
    kind = _kind(path)
    with ExitStack() as stack:
        with _naming_the_input(path):
            if kind == ".parquet":
                source = _open_parquet(
                    stack.enter_context(pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BYTES)), required, path
                )
            else:
                file = stack.enter_context(path.open("rb"))
                source = _open_csv(stack.enter_context(CsvRecords(file, str(path), required)), required, path)
        yield source


def read_lines(stream: BufferedIOBase, name: str) -> ReviewFile:
    """The lines of a UTF-8 stream as reviews, in batches of what has come; LF or CRLF ends a line.

    Raises InputError, naming the stream by `name` and the line, for one that is not UTF-8 or longer than a CSV
    record may be: while the batches are read.
    """
    schema = pa.schema([(TEXT_COLUMN, pa.string())])
    return ReviewFile(name, schema, _line_batches(stream, schema, name))


@contextmanager
def create_reviews(output: Path | BinaryIO, schema: pa.Schema) -> Iterator[ReviewWriter]:
    """A writer of rows to a file, which appears under its name when all are written, or as CSV to a stream.

    Raises UserAnalyticsError naming the file when it cannot be written; of a stream, BrokenPipeError
    when nobody reads it any more. Other errors of the body stay what they are.
    """
    if isinstance(output, Path):
        kind = _kind(output)
        with written_aside(output) as aside, _closed(ReviewWriter(str(output), kind, aside, schema)) as writer:
            yield writer
    else:
        with _closed(ReviewWriter("the output", ".csv", output, schema)) as writer:
            yield writer


@contextmanager
def _closed(writer: ReviewWriter) -> Iterator[ReviewWriter]:
    try:
        yield writer
    except BaseException:
        with suppress(UserAnalyticsError, BrokenPipeError):  # often of the same cause, which is the one to tell
            writer.close()
        raise
    writer.close()


@contextmanager
def _naming_the_input(name: Path | str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read {name}: {error}") from error


def _kind(path: Path) -> str:
    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise InputError(f"{path}: the name must end in .csv or .parquet, which says what the file is")
    return kind


def _checked(schema: pa.Schema, required: tuple[str, ...], path: Path) -> pa.Schema:
    missing = [name for name in required if name not in schema.names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(schema.names)}")
    if len(set(schema.names)) < len(schema.names):
        raise InputError(f"{path} has a column name twice: {', '.join(schema.names)}")
    text = schema.field(TEXT_COLUMN).type
    if pa.types.is_dictionary(text):
        text = text.value_type
    if not (pa.types.is_string(text) or pa.types.is_large_string(text) or pa.types.is_string_view(text)):
        raise InputError(f"{path}: the column {TEXT_COLUMN} holds {text}, not text")
    return schema


def _open_parquet(parquet: pq.ParquetFile, required: tuple[str, ...], path: Path) -> ReviewFile:
    schema = _checked(parquet.schema_arrow, required, path)
    return ReviewFile(str(path), schema, _parquet_batches(parquet, path))


def _parquet_batches(parquet: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    batches = parquet.iter_batches(_ROWS_PER_BATCH)
    while True:
        with _naming_the_input(path):
            batch = next(batches, None)
            if batch is None:
                return
            # Parquet does not promise that strings are UTF-8.
            batch[TEXT_COLUMN].validate(full=True)
        yield batch


def _open_csv(records: CsvRecords, required: tuple[str, ...], path: Path) -> ReviewFile:
    if not _is_utf8(records.header):
        raise InputError(f"{path}: its header is not UTF-8 text")
    schema = _checked(pa.schema([(name, pa.string()) for name in records.header]), required, path)
    return ReviewFile(str(path), schema, _csv_batches(records, schema, path))


def _csv_batches(records: CsvRecords, schema: pa.Schema, path: Path) -> Iterator[pa.RecordBatch]:
    batches = _bounded(_fields(record, len(schema), path) for record in records)
    while True:
        with _naming_the_input(path):
            batch = next(batches, None)
        if batch is None:
            return
        yield pa.record_batch([pa.array(column, pa.string()) for column in zip(*batch, strict=True)], schema=schema)


def _bounded(rows: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(map(len, row))
        if len(batch) == _ROWS_PER_BATCH or characters >= _CHARACTERS_PER_BATCH:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _fields(record: Record, width: int, path: Path) -> list[str]:
    """The record's fields; what an ingestion would quarantine refuses a file here, for rows keep their number."""
    if record.problem is not None:
        problem = record.problem
    elif len(record.fields) != width:
        problem = f"{len(record.fields)} fields instead of {width}"
    elif not _is_utf8(record.fields):
        problem = "it is not UTF-8 text"
    else:
        return record.fields
    raise InputError(f"{path}: line {record.line}: {problem}")


def _is_utf8(texts: list[str]) -> bool:
    try:
        for text in texts:
            if not text.isascii():
                text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _line_batches(stream: BufferedIOBase, schema: pa.Schema, name: str) -> Iterator[pa.RecordBatch]:
    for first, lines in _lines(stream, name):
        texts = [_line_text(line, number, name) for number, line in enumerate(lines, start=first)]
        yield pa.record_batch([pa.array(texts, pa.string())], schema=schema)


def _lines(stream: BufferedIOBase, name: str) -> Iterator[tuple[int, list[bytes]]]:
    """The number of the first line and lines without their LF, as soon as they have come whole.

    The last line may lack its LF. Holds no more than a block beyond the longest line that is taken.
    """
    first = 1
    begun: list[bytes] = []
    length = 0
    while block := _read(stream, name):
        *ended, rest = block.split(b"\n")
        if ended:
            ended[0] = b"".join([*begun, ended[0]])
            yield first, ended
            first += len(ended)
            begun, length = [], 0
        begun.append(rest)
        length += len(rest)
        _check_length(length, first, name)
    if last := b"".join(begun):
        yield first, [last]


def _read(stream: BufferedIOBase, name: str) -> bytes:
    with _naming_the_input(name):
        return stream.read1(_READ_BYTES)


def _check_length(length: int, number: int, name: str) -> None:
    if length > RECORD_CHARACTERS:
        raise InputError(
            f"{name}: line {number} is longer than {RECORD_CHARACTERS:,} bytes: is there one review on each line?"
        )


def _line_text(line: bytes, number: int, name: str) -> str:
    _check_length(len(line), number, name)
    try:
        return line.removesuffix(b"\r").decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: line {number}: it is not UTF-8 text") from error
