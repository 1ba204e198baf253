"""The compiled kernel (kernel.c) on Arrow arrays: words of texts, and logits of texts under a model's n-grams."""

import ctypes
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from user_analytics.errors import ModelError

LIBRARY = Path(__file__).with_name("_kernel.so")

_PLACE = np.dtype([("tag", np.uint32), ("count", np.uint32)])
_VALUE = np.dtype([("weight", np.float32), ("idf", np.float32)])
_MOST_NGRAMS = (1 << 24) - 1
# With more places or smaller groups, the table outgrows the processor's cache; with fewer or larger, it takes long to
# make. A look for an n-gram that is not there gets past the filter one time in ten.
_PLACES_PER_NGRAM = 1.25
_NGRAMS_PER_GROUP = 4
_FILTER_BITS_PER_NGRAM = 8


class _Model(ctypes.Structure):
    """`model` in kernel.c."""

    _fields_ = (
        ("filter", ctypes.c_void_p),
        ("last_bit", ctypes.c_uint64),
        ("steps", ctypes.c_void_p),
        ("last_group", ctypes.c_uint64),
        ("places", ctypes.c_void_p),
        ("number_of_places", ctypes.c_uint64),
        ("values", ctypes.c_void_p),
        ("found", ctypes.c_void_p),
        ("bias", ctypes.c_double),
    )


def _load(path: Path) -> ctypes.PyDLL:
    # PyDLL keeps the interpreter's lock during a call: counts in the table belong to one call at a time.
    try:
        library = ctypes.PyDLL(str(path))
    except OSError as error:
        raise ModelError(
            f"the compiled scoring kernel cannot be loaded; install user-analytics again: {error}"
        ) from error
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.write_words.argtypes = (pointer, pointer, number, pointer, pointer)
    library.write_words.restype = None
    library.hash_ngrams.argtypes = (ctypes.POINTER(_Model), pointer, pointer, number, pointer, pointer)
    library.hash_ngrams.restype = None
    library.put_ngrams.argtypes = (ctypes.POINTER(_Model), pointer, number, pointer)
    library.put_ngrams.restype = number
    library.score.argtypes = (ctypes.POINTER(_Model), pointer, pointer, number, pointer)
    library.score.restype = None
    return library


_LIBRARY = _load(LIBRARY)


def words(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """The words of each text as tokeniser.py defines them, with one space between two; a null text has none."""
    texts = texts.fill_null("")  # there may be bytes under a null
    offsets = _offsets(texts, np.int64)
    written = np.empty(2 * int(offsets[-1] - offsets[0]), np.uint8)
    written_offsets = np.empty(len(texts) + 1, np.int64)
    _LIBRARY.write_words(
        _bytes_address(texts), offsets.ctypes.data, len(texts), written.ctypes.data, written_offsets.ctypes.data
    )
    return pa.LargeStringArray.from_buffers(
        len(texts), pa.py_buffer(written_offsets), pa.py_buffer(written[: written_offsets[-1]].copy())
    )


class NgramTable:
    """The n-grams of a model, to be found by hash while a text is read."""

    def __init__(
        self, ngrams: pa.StringArray, weights: NDArray[np.float32], idf: NDArray[np.float32], bias: float
    ) -> None:
        """All three are aligned; raises ModelError for n-grams that have the same hash (an n-gram twice, say)."""
        if len(ngrams) > _MOST_NGRAMS:
            raise ModelError(f"{len(ngrams):,} n-grams are more than the {_MOST_NGRAMS:,} that can be told apart")
        places = int(len(ngrams) * _PLACES_PER_NGRAM) + 1
        self._filter = np.zeros(_power_of_two(len(ngrams) * _FILTER_BITS_PER_NGRAM // 64), np.uint64)
        self._steps = np.zeros(_power_of_two(len(ngrams) // _NGRAMS_PER_GROUP), np.uint16)
        self._places = np.zeros(places, _PLACE)
        self._values = np.zeros(places, _VALUE)
        self._found = np.empty(places, np.uint32)
        self._model = _Model(
            self._filter.ctypes.data,
            64 * len(self._filter) - 1,
            self._steps.ctypes.data,
            len(self._steps) - 1,
            self._places.ctypes.data,
            places,
            self._values.ctypes.data,
            self._found.ctypes.data,
            bias,
        )
        self._put(ngrams, weights, idf)

    def _put(self, ngrams: pa.StringArray, weights: NDArray[np.float32], idf: NDArray[np.float32]) -> None:
        strings = ngrams.cast(pa.large_string())
        hashes, groups = np.empty(len(ngrams), np.uint64), np.empty(len(ngrams), np.uint64)
        _LIBRARY.hash_ngrams(
            self._model,
            _bytes_address(strings),
            _offsets(strings, np.int64).ctypes.data,
            len(strings),
            hashes.ctypes.data,
            groups.ctypes.data,
        )
        _, group_numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        order = np.lexsort((group_numbers, -sizes[group_numbers]))  # large groups first, while most places are free
        hashes, places = hashes[order], np.empty(len(ngrams), np.uint32)
        put = _LIBRARY.put_ngrams(self._model, hashes.ctypes.data, len(hashes), places.ctypes.data)
        if put < len(ngrams):
            alike = ngrams.filter(pa.array(groups == groups[order[put]])).to_pylist()
            raise ModelError(f"of the n-grams {alike} some have the same hash: leave one of them out")
        self._values["weight"][places], self._values["idf"][places] = weights[order], idf[order]

    def logits(self, texts: pa.StringArray) -> NDArray[np.float64]:
        """The logit of each text; NaN for a null one and for one without any of the n-grams."""
        found = np.empty(len(texts), np.float64)
        _LIBRARY.score(
            self._model, _bytes_address(texts), _offsets(texts, np.int32).ctypes.data, len(texts), found.ctypes.data
        )
        if texts.null_count:
            found[texts.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return found


def _power_of_two(number: int) -> int:
    """The lowest one above a number."""
    return 1 << number.bit_length()


def _offsets(strings: pa.Array, kind: type[np.signedinteger]) -> NDArray[np.signedinteger]:
    """The array's own offsets, not a copy: `len(strings) + 1` of them."""
    _, offsets, _ = strings.buffers()
    if offsets is None or offsets.size == 0:
        return np.zeros(1, kind)
    found: NDArray[np.signedinteger] = np.frombuffer(offsets, kind)[strings.offset : strings.offset + len(strings) + 1]
    return found


def _bytes_address(strings: pa.Array) -> int:
    _, _, content = strings.buffers()
    return content.address if content is not None else 0
