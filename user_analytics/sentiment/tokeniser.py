"""The tokeniser: what a word is, for training and scoring alike.

This is the definition; kernel.c is the same in C, for speed, and tests hold the two to each other. A change of
the rules is a new tokeniser and needs a new `NAME`, since a model fits only the one it was trained with.

1. HTML tags (`<br />`) and entities (`&quot;`) separate words; an entity that stands for an apostrophe is one, and
   so are ‘ and ’.
2. A word is made of ASCII letters and digits, the letters of Latin-1 (é, ß, ø) and apostrophes, in lower case; an
   apostrophe at its beginning or end is a quotation mark and goes: "Don’t" is don't, "'quoted'" is quoted.
3. `!` and `?` are words of their own.
4. All else separates words: "7/10" is the two words 7 and 10, and a text in another script has none.
"""

import re

NAME = "words-2"

_MARKUP = re.compile(r"<[A-Za-z/!][^<>]*>|&(#?[0-9A-Za-z]{1,8});|[‘’]")
_APOSTROPHES = {"#39", "#x27", "apos", "rsquo", "lsquo", "#8216", "#8217"}
_WORD = re.compile(r"[0-9A-Za-zÀ-ÖØ-öø-ÿ']+|[!?]")


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    plain = _MARKUP.sub(_without_markup, text)
    found = (word.strip("'").lower() for word in _WORD.findall(plain))
    return [word for word in found if word]


def _without_markup(found: re.Match[str]) -> str:
    is_apostrophe = found[0] in "‘’" or found[1] in _APOSTROPHES
    return "'" if is_apostrophe else " "
