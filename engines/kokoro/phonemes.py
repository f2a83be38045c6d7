"""Text to what the model is given, and which of its symbols say which word.

espeak-ng gives the IPA of a clause at a time (word by word, liaison and weak forms would be lost);
the punctuation that Kokoro knows is put back between clauses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from engines.kokoro.words import owners

Say = Callable[[str], str]
"""Kokoro's symbols for a clause without punctuation, its words apart by one space."""


LONGEST = 250
"""Most symbols of one utterance, some 15 s of speech: half of what the model takes, since its
memory grows by 25 MB for each second that is said in one go, and it hurries through long ones."""


@dataclass(frozen=True, slots=True)
class Word:
    """Characters ``[start, end)`` of the text, said by the symbols ``[first, stop)``."""

    start: int
    end: int
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class Utterance:
    """What the model says in one go: 1 to ``LONGEST`` symbols, and the words in their order."""

    symbols: str
    words: tuple[Word, ...]


_MARK = re.compile(r"\.{2,}|[.,:;!?…—–\"“”«»„()\[\]{}¿¡。，、！？；：]|(?<=\s)-(?=\s)")
_SYMBOLS = {
    **dict(zip(";:,.!?—…()“”", ";:,.!?—…()“”", strict=True)),
    **dict(zip("–-«»„[{]}", "——“”“(())", strict=True)),
    **dict(zip("。，、！？；：", ".,,!?;:", strict=True)),
    "¿": "",
    "¡": "",
}
# espeak-ng forgets what a word has beyond some 40 digits or 150 letters, and what a clause has
# beyond 1,000 phonemes; a spelt letter has up to eight.
_LONGEST_CLAUSE = 120
_WORD = re.compile(r"\d{1,20}(?=\d{20})|\S{1,40}")
_CLOSING = frozenset(";:,.!?…)”")
_OPENING = frozenset("(“")


def utterances(text: str, say: Say, *, ending: str = "") -> list[Utterance]:
    """What has to be said for ``text``; nothing if none of it can be.

    ending: the mark that closes the text if it has none of its own. More than one utterance only
    if the text has more than ``LONGEST`` symbols; then they are of like length, and cut at a
    mark, or between words, or inside a word that is too long by itself.
    """
    symbols: list[str] = []
    words: list[Word] = []
    for mark, start, end in _pieces(text):
        if mark:
            _add_mark(symbols, mark, spaced=start > 0 and text[start - 1].isspace())
        else:
            _add_clause(symbols, words, text, start, end, say)
    while symbols and (symbols[-1] == " " or symbols[-1] in _OPENING):
        symbols.pop()
    if not words:
        return []
    if ending and symbols[-1] not in _CLOSING:
        symbols.append(ending)
    return list(_split("".join(symbols), words))


def _pieces(text: str) -> Iterator[tuple[str, int, int]]:
    """Marks and the clauses between them, as (mark or "", start, end)."""
    at = 0
    for match in _MARK.finditer(text):
        if not _is_mark(text, match.start(), match.end()):
            continue
        if text[at : match.start()].strip():
            yield "", at, match.start()
        yield match[0], match.start(), match.end()
        at = match.end()
    if text[at:].strip():
        yield "", at, len(text)


def _is_mark(text: str, start: int, end: int) -> bool:
    """Whether a reader would see a mark here, and not a part of a number, name or address."""
    if text[start] not in ".,:" or end - start > 1:
        return True
    before, after = text[:start], text[end : end + 1]
    if text[start] == ".":
        # The last point of "e.g." and "U.S.A." is a mark only where the text ends with it.
        inner = "." in before[max(before.rfind(" "), before.rfind("\n")) + 1 :].lstrip("._")
        return not after.isalnum() and not (inner and text[end:].strip())
    return not (before[-1:].isdigit() and after.isdigit()) and after != "/"


def _add_mark(symbols: list[str], mark: str, *, spaced: bool) -> None:
    if mark == '"':
        symbol = "“" if not symbols or spaced else "”"
    else:
        symbol = "…" if mark[:2] == ".." else _SYMBOLS[mark]
    if symbol in _OPENING:
        if symbols and symbols[-1] != " ":
            symbols.append(" ")
    elif not symbols or not symbol:
        return
    else:
        while symbols and symbols[-1] == " " and symbol in _CLOSING:
            symbols.pop()
        if not symbols or symbols[-1] == symbol or symbols[-1] in _OPENING:
            return
        if symbol == "—" and spaced and symbols[-1] != " ":
            symbols.append(" ")
    symbols.append(symbol)
    if symbol not in _OPENING:
        symbols.append(" ")


def _add_clause(symbols: list[str], words: list[Word], text: str, start: int, end: int, say: Say) -> None:
    found = [match.span() for match in _WORD.finditer(text, start, end)]
    while found:
        count = next((at for at, word in enumerate(found) if word[1] - found[0][0] > _LONGEST_CLAUSE), None)
        _add_words(symbols, words, text, found[:count], say)
        found = found[count:] if count else []


def _add_words(
    symbols: list[str], words: list[Word], text: str, found: list[tuple[int, int]], say: Say
) -> None:
    written = [text[start:end] for start, end in found]
    said = say(" ".join(written))
    if not said:
        return
    if symbols and symbols[-1] != " " and symbols[-1] not in _OPENING:
        symbols.append(" ")
    at = len(symbols)
    symbols += said
    for index, run in groupby(owners(said, written, say)):
        length = len(list(run))
        if index >= 0:
            if words and words[-1].end == found[index][1]:
                words[-1] = replace(words[-1], stop=at + length)
            else:
                words.append(Word(*found[index], at, at + length))
        at += length


def _split(symbols: str, words: list[Word]) -> Iterator[Utterance]:
    """Cut into pieces of nearly the same length, none longer than ``LONGEST``."""
    start = 0
    while start < len(symbols):
        left = len(symbols) - start
        pieces = -(-left // LONGEST)
        stop = len(symbols) if pieces == 1 else start + _cut(symbols[start:], left // pieces)
        piece = symbols[start:stop]
        # A number has spaces of its own, and may be cut at one.
        first, end = start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        inside = tuple(
            Word(w.start, w.end, max(w.first, first) - first, min(w.stop, end) - first)
            for w in words
            if w.first < end and w.stop > first
        )
        if inside:
            yield Utterance(piece.strip(), inside)
        start = stop


def _cut(symbols: str, wanted: int) -> int:
    """Where to cut near ``wanted``: behind a mark, else at a space, else before a stress."""
    for kind in (r"(?<=[.!?…] )", r"(?<=[;:,—)”] )", r"(?<= )", r"(?=[ˈˌ])"):
        places = [
            match.start()
            for match in re.finditer(kind, symbols[: LONGEST + 1])
            if 0.6 * wanted <= match.start() <= LONGEST
        ]
        if places:
            return min(places, key=lambda place: abs(place - wanted))
    return wanted
