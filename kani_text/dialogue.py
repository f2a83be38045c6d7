"""Finds what persons of a story say: between quotation marks, or after a dash that begins a paragraph."""

from __future__ import annotations

import re

from kani_text.foreign_passages.quotations import QUOTES
from kani_text.languages import primary
from kani_text.writing import ENDING_MARKS

_OTHERS = "([（［【《〈『"
"""Marks around what nobody says: brackets, and the titles of books."""
# A quotation ends with its paragraph if the next one opens it again. Single marks look like apostrophes: what
# is between them ends with another mark.
_QUOTATION = re.compile(
    rf"(?<!\w)‘(?:[^‘\n]*?[{re.escape(ENDING_MARKS)}—–-]’(?!\w)|[^‘’\n]*(?=\n+‘))|"
    + "|".join(
        rf"(?<!\w){opening}[^{opening}{closing}\n]*(?:[{closing}]|(?=\n+{opening}))"
        for opening, closing in QUOTES.items()
        if opening not in _OTHERS
    )
)
_DASHED = re.compile(r"^[^\S\n]*([—–―]).*$", re.MULTILINE)
# "—Sí —dijo él—. Ya voy.", "— Да, — сказал он. — Иду."; in Polish any dash, as "— Tak — powiedział."
_TURN = re.compile(r"(?<=\s)[—–―](?=\w)|(?<=\S)[—–―](?=[\s.,;:!?…]|$)|(?<=[,.!?…»]\s)[—–―](?=\s)")
_TURNS = {"pl": re.compile(r"(?<=\s)[—–―](?=\s)")}
_BEFORE = tuple(",:—–-、。：，！？")


def dialogue(text: str, language: str = "") -> list[tuple[int, int]]:
    """Return begin and end of each part of a text that a person says, with its quotation marks, in order.

    A quoted word or title is none: what is said ends with a mark, and begins a sentence or goes on with one.
    language: of the text (BCP 47), "" if unknown.
    """
    found = list[tuple[int, int]]()
    for paragraph in _DASHED.finditer(text):
        turns = _TURNS.get(primary(language), _TURN).finditer(text, paragraph.end(1), paragraph.end())
        cuts = [paragraph.start(), *(each.start() for each in turns), paragraph.end()]
        found += zip(cuts[::2], cuts[1::2], strict=False)
    dashed = {begin for begin, _ in found}
    line = before = 0
    for quotation in _QUOTATION.finditer(text):
        line = text.rfind("\n", before, quotation.start()) + 1 or line
        before = quotation.start()
        if line not in dashed and _is_said(text, line, *quotation.span()):
            found.append(quotation.span())
    return sorted(found)


def _is_said(text: str, line: int, begin: int, end: int) -> bool:
    """Return True if somebody says a quotation in a line."""
    goes_on = text[end : end + 1] == "\n" and text[end - 1] not in "".join(QUOTES.values()) + "’"
    inner, before, after = (
        text[begin + 1 : end - 1].strip(),
        text[max(line, begin - 3) : begin].rstrip(),
        text[end : end + 1],
    )
    first = next(filter(str.isalnum, inner), "")
    opens = not before or before.endswith(_BEFORE)
    caseless = first.upper() == first.lower()
    ends = inner.endswith((*ENDING_MARKS, "—", "–")) or after in (*",.;:!?", "と") or (caseless and opens)
    return bool(first) and (goes_on or (ends and (opens or not first.islower())))
