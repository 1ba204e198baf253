"""The compiled kernel finds the words that the tokeniser defines, whatever the text."""

import ctypes
import mmap

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from user_analytics.errors import ModelError
from user_analytics.sentiment import tokeniser
from user_analytics.sentiment.kernel import NgramTable, words

# What the rules speak of, so that chance puts it side by side.
PIECES = st.sampled_from(
    [
        *("<", ">", "</", "<br />", "<!--", "&", ";", "#", "&#39;", "&#x27;", "&apos;", "&rsquo;", "&quot;", "&#8217;"),
        *("'", "‘", "’", "!", "?", "/", ".", " ", "\n", "\x00", "7", "a", "Z", "good", "DON", "t"),
        *("é", "É", "×", "÷", "ß", "ÿ", "þ", "İ", "ı", "Š", "ﬁ", "\u0301", "\u2019", "\u2028", "😀", "ф", "\U0010ffff"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join))


def kernel_words(*texts: str | None) -> list[list[str]]:
    return [found.split(" ") if found else [] for found in words(pa.array(texts, pa.large_string())).to_pylist()]


@settings(deadline=None)
@given(st.lists(TEXTS))
@example(["&#39;", "<a", "<a<b>c", "&a&b;", "don&rsquo;t", "''", "!'!", "'a'!'b'", "\u00c3", "&123456789;"])
def test_words_are_those_of_the_tokeniser(texts: list[str]) -> None:
    assert kernel_words(*texts) == [tokeniser.words(text) for text in texts]


@pytest.mark.parametrize("piece", ["a", "<a ", "&a", "! ", "é'", "don't good <br /> ", "\x00"])
def test_a_text_of_a_megabyte_gives_the_words_of_the_tokeniser(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert kernel_words(text) == [tokeniser.words(text)]


def test_a_null_and_a_slice_are_read_at_their_place() -> None:
    texts = pa.array(["good", None, "bad film", "!"], pa.large_string())
    assert words(texts.slice(1)).to_pylist() == ["", "bad film", "!"]


def test_bytes_under_a_null_are_not_read() -> None:
    _, offsets, content = pa.array(["good", "bad"], pa.large_string()).buffers()
    texts = pa.LargeStringArray.from_buffers(2, offsets, content, pa.py_buffer(b"\x02"), 1)
    assert words(texts).to_pylist() == ["", "bad"]
    table = NgramTable(pa.array(["good", "bad"]), np.ones(2, np.float32), np.ones(2, np.float32), 0.0)
    assert np.isnan(table.logits(texts.cast(pa.string()))).tolist() == [True, False]


@pytest.mark.parametrize(
    "text", ["good", "don't go", "so good!", "<a hre", "a &quo", "caf\u00e9", "it\u2019", "abcdefghij"]
)
def test_no_byte_after_the_last_text_is_read(text: str) -> None:
    page, encoded = mmap.PAGESIZE, text.encode()
    memory = mmap.mmap(-1, 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + page), page, 0) == 0  # reading there ends the process
    for kept in range(len(encoded) + 1):
        memory[page - kept : page] = encoded[:kept]
        content = pa.foreign_buffer(start + page - kept, kept, memory)
        offsets = pa.array([0, kept], pa.int64()).buffers()[1]
        found = words(pa.LargeStringArray.from_buffers(1, offsets, content))
        assert len(found) == 1


@settings(deadline=None)
@given(st.lists(st.binary() | st.sampled_from([b"\xc3", b"\xe2\x80", b"<a", b"&#3", b"'"])))
def test_the_end_of_a_text_is_its_end_even_where_it_is_no_utf_8(texts: list[bytes]) -> None:
    def found(*some: bytes) -> list[bytes]:
        _, offsets, content = pa.array(some, pa.large_binary()).buffers()
        strings = words(pa.LargeStringArray.from_buffers(len(some), offsets, content))
        binary: list[bytes] = strings.cast(pa.large_binary()).to_pylist()
        return binary

    assert found(*texts) == [found(text)[0] for text in texts]


def test_an_ngram_given_twice_is_refused() -> None:
    ones = np.ones(3, np.float32)
    with pytest.raises(ModelError, match=r"'good film', .*'good film'.* leave one of them out"):
        NgramTable(pa.array(["good film", "bad", "good film"]), ones, ones, 0.0)
