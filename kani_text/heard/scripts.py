"""The letters that speech is written in, for languages that have two scripts: Chinese and Serbian."""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opencc import OpenCC

CONTEXT = 8
"""Characters before a word that decide on its letters with it."""

_TABLES = {"zh": ("tw2s", "gb2312", "big5"), "zh-TW": ("s2tw", "big5", "gb2312")}
_TABLES["zh-HK"] = ("s2hk", *_TABLES["zh-TW"][1:])
"""For each variety OpenCC's table, and the character sets of its own letters and of the other ones."""

_CYRILLIC, _LATIN = (
    "абвгдђежзијклљмнњопрстћуфхцчџш",
    "a b v g d đ e ž z i j k l lj m n nj o p r s t ć u f h c č dž š".split(),
)
_SERBIAN = str.maketrans(
    dict(zip(_CYRILLIC, _LATIN, strict=True))
    | dict(zip(_CYRILLIC.upper(), (letters.title() for letters in _LATIN), strict=True))
)


def variety(tag: str) -> str:
    """Return a tag's primary subtag, with what tells its letters: ``zh``, ``zh-TW``, ``zh-HK``, ``sr-Latn``.

    Chinese without a script or a region is ``zh``, in simplified letters.
    """
    language, *parts = tag.lower().split("-")
    if language == "sr" and "latn" in parts:
        return "sr-Latn"
    if language != "zh" or "hans" in parts:
        return language
    if "hk" in parts or "mo" in parts:
        return "zh-HK"
    return "zh-TW" if "tw" in parts or "hant" in parts else language


def load(varieties: Iterable[str]) -> None:
    """Load the tables of varieties, once: 50 ms for simplified letters, 130 ms and 44 MB for others."""
    for one in _TABLES.keys() & {*varieties}:
        _table(one)


def written(text: str, variety: str, before: str = "") -> str:
    """Return a text in the letters of its variety, as ``variety`` returns it; others are left as they are.

    before: what was said before it. Chinese keeps its length.
    """
    if variety == "sr-Latn":
        return re.sub(r"\w+", _latin, text)
    if variety not in _TABLES or text.isascii():
        return text
    _, own, other = _TABLES[variety]
    whole = before[-CONTEXT:] + text
    # Letters of both scripts, as in 皇后, are other words in a text that is in its own letters already.
    kept = any(_is_in(letter, own) and not _is_in(letter, other) for letter in whole)
    if variety != "zh" and all(_is_in(letter, own) or not _is_in(letter, other) for letter in whole):
        return text
    changed = _table(variety).convert(whole)
    if len(changed) != len(whole):
        return text
    pairs = zip(whole, changed, strict=True)
    return "".join(old if kept and _is_in(old, own) else new for old, new in pairs)[-len(text) :]


def written_words(words: list[str], text: str, changed: str) -> list[str] | None:
    """Return the words of a text as they are in ``changed``, the same text in other letters of one length.

    None where the texts differ in length, or a word is not found.
    """
    if len(text) != len(changed):
        return None
    found, at = list[str](), 0
    for word in words:
        if (at := text.find(word, at)) < 0:
            return None
        found.append(changed[at : at + len(word)])
        at += len(word)
    return found


def _latin(found: re.Match[str]) -> str:
    word = found[0]
    latin = word.translate(_SERBIAN)
    return latin.upper() if len(word) > 1 and word.isupper() else latin


@functools.cache
def _table(variety: str) -> "OpenCC":
    from opencc import OpenCC

    return OpenCC(_TABLES[variety][0])


def _is_in(letter: str, character_set: str) -> bool:
    try:
        return bool(letter.encode(character_set))
    except UnicodeEncodeError:
        return False
