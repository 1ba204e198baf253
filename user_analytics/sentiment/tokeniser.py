"""The tokeniser: the one definition of a word that training and scoring share.

A change of the rules below is a new tokeniser and needs a new `NAME`, since a model only fits the
tokeniser it was trained with.

1. Lower case; typographic and escaped apostrophes become `'`, so that "don’t" stays one word.
2. HTML tags, HTML entities and everything that is not a letter, mark, digit, `'`, `!` or `?`
   separate words: "7/10" is the two words 7 and 10.
3. `!` and `?` are words of their own; apostrophes around a word are quotation marks and go.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

NAME = "words-1"

_APOSTROPHES = ("’", "&#39;", "&apos;")
_WORD_MARKS = ("!", "?")
_SEPARATOR = r"(?:<[a-z/][^<>]*>|&(?:[a-z]+|#[0-9]+);|[^\pL\pM\pN'!?])+"


class Tokens(NamedTuple):
    """The words of many texts, in order: `words[i]` belongs to the text at position `rows[i]`."""

    rows: NDArray[np.int64]
    words: pa.LargeStringArray


def tokenise(texts: pa.Array) -> Tokens:
    """The words of an array of strings (any Arrow string type); a null text has none."""
    text = pc.utf8_lower(texts.cast(pa.large_string()))
    for apostrophe in _APOSTROPHES:
        text = pc.replace_substring(text, apostrophe, "'")
    for mark in _WORD_MARKS:
        text = pc.replace_substring(text, mark, f" {mark} ")
    split = pc.split_pattern(pc.replace_substring_regex(text, _SEPARATOR, " "), " ")
    words = pc.utf8_trim(split.flatten(), "'")
    is_word = pc.not_equal(words, "")
    rows = pc.list_parent_indices(split).filter(is_word)
    return Tokens(rows.to_numpy(), words.filter(is_word))
