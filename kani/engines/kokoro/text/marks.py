"""The marks of a text: Kokoro's symbols for them, and the pauses at them."""

import re
from collections.abc import Sequence
from itertools import pairwise

from kani.core.audio.prosody_filter import LIST_COMMA, MARK_PAUSES_S
from kani_text.short_forms import is_abbreviated

MARK = re.compile(
    r"\.{2,}|[.,:;!?…—–\"“”«»„()\[\]{}¿¡。，、！？；：．｡､।॥؟《》〈〉「」『』【】〔〕（）]|(?<=\s)-(?=\s)"
)
_SYMBOLS = {
    **dict(zip(";:,.!?—…()“”", ";:,.!?—…()“”", strict=True)),
    **dict(zip("–-«»„[{]}", "——“”“(())", strict=True)),
    **dict(zip("。，、！？；：．｡､", ".,,!?;:..,", strict=True)),
    **dict(zip("।॥؟《》〈〉「」『』【】〔〕（）", "..?“”“”“”“”“”()()", strict=True)),
    "¿": "",
    "¡": "",
}
MARK_SYMBOLS = frozenset("".join(_SYMBOLS.values()) + " ")
"""Symbols of marks and of the space."""

CLOSING = frozenset(";:,.!?…)”")
OPENING = frozenset("(“")


def is_mark(text: str, start: int, end: int) -> bool:
    """True if this is punctuation, and not part of a number, name or address."""
    if text[start] not in ".,:" or end - start > 1:
        return True
    before, after = text[:start], text[end : end + 1]
    if text[start] == ".":
        # The last period of "e.g." and "U.S.A." is a mark only at the end of the text.
        inner = "." in before[max(before.rfind(" "), before.rfind("\n")) + 1 :].lstrip("._")
        return not after.isalnum() and not (inner and text[end:].strip())
    return not (before[-1:].isdigit() and after.isdigit()) and after != "/"


def add_mark(symbols: list[str], mark: str, *, spaced: bool) -> None:
    """Add a mark to the symbols of a text; spaced: whether white space precedes it."""
    if mark == '"':
        symbol = "“" if not symbols or spaced else "”"
    else:
        symbol = "…" if mark[:2] == ".." else _SYMBOLS[mark]
    if symbol in OPENING:
        if symbols and symbols[-1] != " ":
            symbols.append(" ")
    elif not symbols or not symbol:
        return
    else:
        while symbols and symbols[-1] == " " and symbol in CLOSING:
            symbols.pop()
        if not symbols or symbols[-1] == symbol or symbols[-1] in OPENING:
            return
        if symbol == "—" and spaced and symbols[-1] != " ":
            symbols.append(" ")
    symbols.append(symbol)
    if symbol not in OPENING:
        symbols.append(" ")


_LONGEST_ITEM = 4
"""Words of a list's item, at most."""

_LONGEST_LAST = 2
"""Words of the last of three items without a conjunction, at most."""

_SHORTEST_CLAUSE = 3
"""Words on either side of a comma with a pause, at least: "Hello, Anna" and "Yes, please" have none."""

_MOST_COMMAS, _LEAST_SHARE = 5, 0.5
"""Commas of a list beyond which their pauses get shorter, and the least share that is left of them."""

_CONJUNCTIONS = {
    "en": "and or nor",
    "es": "y e o u ni",
    "fr": "et ou ni",
    "it": "e ed o od né",
    "pt": "e ou nem",
    "de": "und oder",
    "nl": "en of",
    "pl": "i oraz lub",
    "ru": "и или",
    "tr": "ve veya",
    "hi": "और या",
}
"""Words before a list's last item, by language."""


def pauses_s(words: Sequence[str], marks: Sequence[str], language: str) -> list[float]:
    """Return the seconds of silence wanted after each word; 0 where the voice's own pause will do.

    words: as they are written; marks: the symbols and spaces after each, the last one's empty where the text
    goes on; language: a primary subtag.
    """
    pauses, begin = [0.0] * len(words), 0
    conjunctions = _CONJUNCTIONS.get(language, "").split()
    for at, mark in enumerate(marks):
        last = at + 1 == len(words)
        if last or not set(mark) <= set(", ”“"):
            _set_commas(pauses, words, marks, range(begin, at + 1), conjunctions)
            begin = at + 1
        if not last and begin > at:
            pauses[at] = max(MARK_PAUSES_S.get(symbol, 0.0) for symbol in mark)
            short = "." in mark and is_abbreviated(f"{words[at]}.", words[at + 1], language)
            if short or (words[at + 1][:1].islower() and not {"!", "?"}.isdisjoint(mark)):
                # "¡Ay! dijo" goes on; a list's item ends with a full stop, whatever the next begins with.
                pauses[at] = MARK_PAUSES_S[","]
    return pauses


def _set_commas(
    pauses: list[float],
    words: Sequence[str],
    marks: Sequence[str],
    stretch: range,
    conjunctions: Sequence[str],
) -> None:
    """Set the pauses at the commas of a stretch of words without other marks."""
    begin, last = stretch[0] - 1, stretch[-1]
    commas = [at for at in stretch[:-1] if "," in marks[at]]
    listed = _listed(words, stretch, commas, conjunctions)
    share = max(min(_MOST_COMMAS / max(len(listed.intersection(commas)), 1), 1.0), _LEAST_SHARE)
    for before, at, after in zip([begin, *commas], commas, [*commas[1:], last], strict=False):
        if at in listed:
            pauses[at] = share * MARK_PAUSES_S[LIST_COMMA]
        elif at - before >= _SHORTEST_CLAUSE and (after - at >= _SHORTEST_CLAUSE or not marks[after]):
            pauses[at] = MARK_PAUSES_S[","]


def _listed(
    words: Sequence[str], stretch: range, commas: Sequence[int], conjunctions: Sequence[str]
) -> set[int]:
    """Return the words after which the next item of a list begins: with a comma, a conjunction or both."""
    begin, last = stretch[0] - 1, stretch[-1]
    cuts = [at for at in stretch[:-1] if at in commas or words[at + 1] in conjunctions]
    items = [
        end - start - (start > begin and words[start + 1] in conjunctions)
        for start, end in pairwise([begin, *cuts, last])
    ]
    # "Yes, Anna, I am coming": no list.
    if len(cuts) == 2 and cuts == commas and items[-1] > _LONGEST_LAST:
        return set()
    listed: set[int] = set()
    for index, at in enumerate(cuts):
        before, after = items[index : index + 2]
        begins = after <= _LONGEST_ITEM and at != cuts[-1]
        goes_on = index > 0 and cuts[index - 1] in listed and before <= _LONGEST_ITEM
        if begins or goes_on:
            listed.add(at)
    return listed
