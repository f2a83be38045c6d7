"""Where a reader would breathe: the breaks in a text, each with its kind.

A break is found only when the character behind its white space is known (or the text is
complete), so that text which is still being written is never judged differently later.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

SENTENCE_MARKS = ".!?…‽"
# Arabic and Urdu, Devanagari, CJK (also half width), Ethiopic, Armenian, Khmer, Burmese, Tibetan.
UNSPACED_MARKS = "。！？｡．।॥۔؟።፧։។៕။།"
CLAUSE_MARKS = ",;:،؛"
UNSPACED_CLAUSE_MARKS = "、，；：､"
CLOSERS = "\"'»”’)]}」』）】》〉"
DASHES = "—–-"

ABBREVIATIONS = frozenset(
    """
    sr sra srta sres dr dra dres d dña prof profa lic ing arq gral cap tte exc ud uds vd vds av avda c pza
    pág págs núm nº art vol ed fig ej p.ej aprox tel etc a.c d.c ee.uu
    mr mrs ms st jr sen rep gov gen col lt sgt capt hon rev messrs dept est inc ltd co corp no vs e.g i.e
    cf al approx ca jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri a.m p.m u.s u.k
    m mm mme mlle mlles me pr p pp env bd
    hr fr frl z.b d.h u.a bzw usw ggf nr str inkl zzt vgl
    sig sigg dott avv ecc pag
    exmo exma sto nac
    """.split()
)
"""Words whose full stop doesn't end a sentence: Spanish, English, French, German, Italian, Portuguese."""

CONJUNCTIONS = frozenset(
    """
    y e o u pero sino pues aunque mientras cuando donde porque que si como ni
    and or but nor so yet because although though while when where unless until since which that if than then
    et ou mais donc car parce quand lorsque puisque comme tandis
    und oder aber denn weil dass wenn obwohl während sondern
    ma però perché quando mentre dove anche oppure
    mas quando enquanto onde embora ou pois
    """.split()
)
"""Words before which a reader may breathe, in the same languages."""

LONGEST_CONJUNCTION = max(map(len, CONJUNCTIONS))

_TOKEN_TAIL = re.compile(r"\S*\Z")
_WORD = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"\s*")
_UNSPACED = re.escape(UNSPACED_MARKS + UNSPACED_CLAUSE_MARKS)
_STOP = re.compile(rf"[\s—{_UNSPACED}]")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}{re.escape(CLOSERS)}]*")


class Kind(IntEnum):
    """How deep a breath is; a greater kind is a better place to cut.

    TORN is a space inside a number or behind an abbreviation: only for want of any other.
    """

    TORN = 0
    SPACE = 1
    CONJUNCTION = 2
    CLAUSE = 3
    SENTENCE = 4
    PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class Break:
    """A place to cut before character ``at`` (an index into the text that was searched)."""

    at: int
    kind: Kind


def breaks(text: str, start: int, complete: bool) -> Iterator[Break]:
    """The breaks of ``text`` behind ``start``, in order.

    Unless ``complete``, the first break that more text could still change ends the search. The end
    of the text itself is not a break. Takes time linear in what is searched.
    """
    at = start
    while stop := _STOP.search(text, at):
        at = stop.start()
        spaced = text[at].isspace()
        end = _SPACE.match(text, at).end() if spaced else _UNSPACED_RUN.match(text, at + 1).end()  # type: ignore[union-attr]
        if end >= len(text):
            return
        if spaced:
            kind = _kind_at_space(text, start, at, end, complete)
            if kind is None:
                return
            if at > start:
                yield Break(end, kind)
        elif not text[end].isspace() and (unspaced := _kind_unspaced(text, at, end)) is not None:
            yield Break(end, unspaced)
        at = end


def _kind_unspaced(text: str, at: int, end: int) -> Kind | None:
    """The kind of the break behind a mark ``[at, end)`` that no white space follows."""
    mark = text[at]
    if mark in UNSPACED_MARKS:
        return Kind.SENTENCE
    if mark in UNSPACED_CLAUSE_MARKS:
        inside_number = text[at - 1 : at].isdigit() and text[end].isdigit()
        return None if inside_number else Kind.CLAUSE
    token = _token_before(text, 0, at)
    if "://" in token or "@" in token or not token[-1:].isalpha():
        return None
    return Kind.CLAUSE if text[end].isalpha() else None


def _token_before(text: str, start: int, at: int) -> str:
    match = _TOKEN_TAIL.search(text, max(start, at - 64), at)
    return match.group() if match else ""


def _kind_at_space(text: str, start: int, at: int, end: int, complete: bool) -> Kind | None:
    """The kind of the break at the white space ``[at, end)``; None if that needs more text."""
    newlines = text.count("\n", at, end)
    following = text[end]
    if newlines > 1:
        return Kind.PARAGRAPH
    if newlines and not following.islower():
        return Kind.SENTENCE
    stem = _token_before(text, start, at).rstrip(CLOSERS)
    last = stem[-1:]
    if last and last in UNSPACED_MARKS:
        return Kind.SENTENCE
    if last and last in SENTENCE_MARKS:
        return _kind_after_sentence_mark(stem, following)
    if last and last in CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS:
        return Kind.CLAUSE
    if following in DASHES:
        if end + 1 >= len(text):
            return Kind.SPACE if complete else None
        return Kind.CLAUSE if text[end + 1].isspace() else Kind.SPACE
    word = _WORD.match(text, end)
    if word is not None:
        if word.end() == len(text) and not complete and len(word.group()) <= LONGEST_CONJUNCTION:
            return None
        if word.group().casefold() in CONJUNCTIONS:
            return Kind.CONJUNCTION
    tears = last.isdigit() or following.isdigit() or last in tuple("$€£¥#")
    return Kind.TORN if tears else Kind.SPACE


def _kind_after_sentence_mark(stem: str, following: str) -> Kind:
    body = stem.rstrip(SENTENCE_MARKS)
    marks = stem[len(body) :]
    if marks != ".":
        return Kind.CLAUSE if following.islower() else Kind.SENTENCE
    word = body.lstrip("\"'«“‘([{¿¡").casefold()
    if is_abbreviation(word):
        return Kind.TORN
    if following.islower():
        return Kind.CLAUSE if len(word) > 2 and word.isalpha() else Kind.TORN
    return Kind.SENTENCE


def is_abbreviation(word: str) -> bool:
    """Whether ``word`` (casefolded, its last full stop taken off) ends in a stop of its own.

    Known abbreviations, single initials ("J."), initials with stops ("e.e.u.u") and numbers of one or
    two digits, which may be ordinals or list items ("3. Mai", "1. Abrir").
    """
    if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()):
        return True
    if word.isdigit():
        return len(word) <= 2
    parts = word.split(".")
    return len(parts) > 1 and all(len(part) <= 2 and part.isalpha() for part in parts)


def is_grapheme_start(text: str, at: int) -> bool:
    """Whether cutting before ``at`` leaves marks, joined emoji and surrogate halves together."""
    character = text[at]
    return not (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or text[at - 1] == "\u200d"
        or "\udc00" <= character <= "\udfff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
