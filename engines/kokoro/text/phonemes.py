"""Text to what the model is given, and which of its symbols say which word.

espeak-ng gives the IPA of a clause at a time (word by word, liaison and weak forms would be lost);
the punctuation that Kokoro knows is put back between clauses. What a lexicon has IPA for is said by
that: in its clause another word stands in for it, so that the others are said as beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engines.kokoro.text.espeak_ipa import Phonemizer
from engines.kokoro.text.symbol_words import assign_symbols
from speech.types import Pronunciation

MAX_UTTERANCE_SYMBOLS = 250
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


@dataclass(frozen=True, slots=True)
class _Token:
    """Characters ``[start, end)`` that are said together, and what espeak-ng is given for them.

    joined: whether no white space is before them; said: of those that have IPA the words, each with its
    symbols.
    """

    start: int
    end: int
    written: str
    joined: bool
    said: tuple[tuple[int, int, str], ...] = ()


def split_utterances(
    text: str, say: Phonemizer, *, ending: str = "", pronunciations: Sequence[Pronunciation] = ()
) -> list[Utterance]:
    """What has to be said for ``text``; nothing if none of it can be.

    ending: the mark that closes the text if it has none of its own; pronunciations: parts of the text
    that are said by their IPA, in order and apart. More than one utterance only
    if the text has more than ``LONGEST`` symbols; then they are of like length, and cut at a
    mark, or between words, or inside a word that is too long by itself.
    """
    symbols: list[str] = []
    words: list[Word] = []
    pronounced = [
        _Token(one.start, one.end, say.placeholder(one.ipa), _is_joined(text, one.start), said)
        for one in pronunciations
        if (said := _said(text, one, say.symbols_of_ipa(one.ipa)))
    ]
    for mark, start, end in _pieces(text, pronounced):
        if mark:
            _add_mark(symbols, mark, spaced=start > 0 and text[start - 1].isspace())
        else:
            _add_clause(symbols, words, list(_tokens(text, start, end, pronounced)), say)
    while symbols and (symbols[-1] == " " or symbols[-1] in _OPENING):
        symbols.pop()
    if not words:
        return []
    if ending and symbols[-1] not in _CLOSING:
        symbols.append(ending)
    return list(_split("".join(symbols), words))


def _said(text: str, one: Pronunciation, symbols: str) -> tuple[tuple[int, int, str], ...]:
    """The symbols of each word that a pronunciation is for, where it has as many; else all as one word."""
    if not symbols:
        return ()
    written = [match.span() for match in _WORD.finditer(text, one.start, one.end)]
    groups = symbols.split(" ")
    if len(written) != len(groups):
        return ((one.start, one.end, symbols),)
    return tuple((*span, group) for span, group in zip(written, groups, strict=True))


def _pieces(text: str, pronounced: Sequence[_Token]) -> Iterator[tuple[str, int, int]]:
    """Marks and the clauses between them, as (mark or "", start, end)."""
    at = 0
    edges = [0, *(edge for token in pronounced for edge in (token.start, token.end)), len(text)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # Of what is pronounced nothing is a mark.
        for match in _MARK.finditer(text, first, last):
            if not _is_mark(text, match.start(), match.end()):
                continue
            if text[at : match.start()].strip():
                yield "", at, match.start()
            yield match[0], match.start(), match.end()
            at = match.end()
    if text[at:].strip():
        yield "", at, len(text)


def _tokens(text: str, start: int, end: int, pronounced: Sequence[_Token]) -> Iterator[_Token]:
    """What is said of a clause, in order."""
    for token in pronounced:
        if start <= token.start < end:
            yield from _written(text, start, token.start)
            yield token
            start = token.end
    yield from _written(text, start, end)


def _written(text: str, start: int, end: int) -> Iterator[_Token]:
    for match in _WORD.finditer(text, start, end):
        yield _Token(*match.span(), match[0], _is_joined(text, match.start()))


def _is_joined(text: str, start: int) -> bool:
    return start > 0 and not text[start - 1].isspace()


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


def _add_clause(symbols: list[str], words: list[Word], found: Sequence[_Token], say: Phonemizer) -> None:
    while found:
        first = found[0].start
        count = next(
            (at for at, token in enumerate(found) if token.end - first > _LONGEST_CLAUSE), len(found)
        )
        count = max(count, 1)
        _add_words(symbols, words, found[:count], say)
        found = found[count:]


def _add_words(symbols: list[str], words: list[Word], found: Sequence[_Token], say: Phonemizer) -> None:
    spaces = [_is_apart(found, at) for at in range(len(found))]
    said = say(
        "".join(" " * space + token.written for space, token in zip(spaces, found, strict=True)).strip()
    )
    if not said:
        return
    if symbols and symbols[-1] != " " and symbols[-1] not in _OPENING:
        symbols.append(" ")
    own = _by_token(said, found, say)
    for at, token in enumerate(found):
        # Where espeak-ng joins a stand-in to a word beside it, the IPA stays apart.
        beside = token.said or (at > 0 and found[at - 1].said)
        apart = own[at].startswith(" ") or (beside and spaces[at])
        parts = token.said or ((token.start, token.end, own[at].strip()),)
        for start, end, part in parts:
            if not part:
                continue
            if apart and symbols and symbols[-1] != " " and symbols[-1] not in _OPENING:
                symbols.append(" ")
            words.append(Word(start, end, len(symbols), len(symbols) + len(part)))
            symbols += part
            apart = True


def _is_apart(found: Sequence[_Token], at: int) -> bool:
    """Whether espeak-ng is given a space before a token, as it is where a long word was cut."""
    beside = found[at].said or (at > 0 and found[at - 1].said)
    return not (found[at].joined and beside)


def _by_token(said: str, found: Sequence[_Token], say: Phonemizer) -> list[str]:
    """The symbols of each token, with the spaces before and inside of them."""
    own = [""] * len(found)
    space = ""
    for symbol, index in zip(
        said, assign_symbols(said, [token.written for token in found], say), strict=True
    ):
        if index < 0:
            space = " "
        else:
            own[index] += space + symbol
            space = ""
    return own


def _split(symbols: str, words: list[Word]) -> Iterator[Utterance]:
    """Cut into pieces of nearly the same length, none longer than ``LONGEST``."""
    start = 0
    while start < len(symbols):
        left = len(symbols) - start
        pieces = -(-left // MAX_UTTERANCE_SYMBOLS)
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
            for match in re.finditer(kind, symbols[: MAX_UTTERANCE_SYMBOLS + 1])
            if 0.6 * wanted <= match.start() <= MAX_UTTERANCE_SYMBOLS
        ]
        if places:
            return min(places, key=lambda place: abs(place - wanted))
    return wanted
