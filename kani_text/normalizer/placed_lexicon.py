"""A lexicon with entries for places of one text, before those for its words."""

import re
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from kani_text.lexicon import Lexicon, LexiconEntry
from kani_text.normalizer.cleaning import CleanText, overlaps
from kani_text.normalizer.say_as import Reader, say_as
from kani_text.normalizer.spellings import shared_readings
from kani_text.normalizer.spoken import NormalizerOptions, Piece
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.readings import Reading, Slot, certain_end, find_readings
from kani_text.normalizer.unspaced.table import unspaced_table_for
from kani_text.types import Replacement

Entries = Mapping[int, tuple[int, LexiconEntry]]
"""Entries by position in the client's text, with where each ends."""


@dataclass(frozen=True, slots=True)
class PlacedEntry(LexiconEntry):
    """An entry of several pieces: each stands for a part of the place, counted from its beginning."""

    pieces: tuple[Piece, ...] = ()


class PlacedLexicon(Lexicon):
    """Looks up the entries of places by their positions, then the words of a lexicon."""

    def __init__(self, words: Lexicon, text: CleanText, offset: int, entries: Entries):
        """offset: position of the text in the client's."""
        super().__init__()
        self._words = words
        self._text = text
        self._offset = offset
        self._entries = entries
        self.max_words = max(words.max_words, 1)

    def match(self, text: str, at: int) -> tuple[int, LexiconEntry] | None:
        """The entry of the place that begins at ``at``, else the words' longest one there, and its end."""
        if at < len(self._text.starts) and (
            placed := self._entries.get(self._offset + self._text.starts[at])
        ):
            end, entry = placed
            return max(bisect_left(self._text.starts, end - self._offset), at + 1), entry
        return self._words.match(text, at)

    def may_continue(self, text: str, at: int) -> bool:
        """True if an entry of the words that begins at ``at`` may continue after the text's end."""
        return self._words.may_continue(text, at)


def find_places(
    text: CleanText,
    options: NormalizerOptions,
    offset: int,
    speak: Callable[[str, NormalizerOptions], str],
    *,
    complete: bool,
) -> tuple[CleanText, Entries]:
    """Find the places of a text that its markup or a row of [readings] says how to read.

    Returns the text with these places final, and their entries. Markup goes before the words of the
    lexicon, and these before rows. speak: returns the spoken form of a text. complete: whether this is all of
    it; if not, it ends before the word that a row may still read otherwise.
    """
    last = offset + (text.ends[-1] if text.ends else 0)
    said_in = NormalizerOptions(options.said_in)
    entries = {
        at: (replacement.end, _entry(replacement, options.said_in, lambda said: speak(said, said_in)))
        for at, replacement in options.replacements.items()
        if offset <= at < last
    }
    final = sorted((at - offset, end - offset) for at, (end, _) in entries.items())
    rows = _rows(options)
    unsure = len(text.text) if complete else certain_end(text.text, rows)
    plain = NormalizerOptions(options.language, readings=False)
    for row, found in find_readings(text.text, rows):
        start, stop = row.place(found)
        first, end = text.starts[start], text.ends[stop - 1]
        if overlaps(final, first, end) or _has_entry(options.lexicon, text.text, start, stop):
            continue
        if found.end() > unsure:
            unsure = min(unsure, start)
            continue
        insort(final, (first, end))
        entries[offset + first] = offset + end, _reading(row, found, plain, lambda said: speak(said, plain))
    text = replace(text, final=tuple(final)) if final else text
    return text.until(_word_end(text.text, unsure, options)), entries


def _has_entry(lexicon: Lexicon | None, text: str, start: int, stop: int) -> bool:
    """True if an entry of the client's lexicon begins in ``[start, stop)``."""
    return lexicon is not None and any(lexicon.match(text, at) for at in range(start, stop))


def _word_end(text: str, end: int, options: NormalizerOptions) -> int:
    """The end of the last whole word before ``end``, in languages that have spaces between words."""
    if end < len(text) and unspaced_table_for(options.language) is None:
        while end > 0 and not text[end - 1].isspace():
            end -= 1
    return end


def _rows(options: NormalizerOptions) -> tuple[Reading, ...]:
    """The rows of [readings] that are asked, in order."""
    if not (options.readings and options.language):
        return ()
    table = unspaced_table_for(options.language) or table_for(options.language)
    return () if table is None else (*table.readings, *shared_readings(table.language))


def _reading(row: Reading, found: re.Match[str], options: NormalizerOptions, read: Reader) -> PlacedEntry:
    """The entry of a match: a slot stands for its group, words for what is between the groups beside them.

    All of it stands for the whole place where the slots are not in the order of their groups.
    """
    said = _parts(row, found)
    start, end = row.place(found)
    bounds = [at - start for part in said if isinstance(part, Slot) for at in found.span(part.name)]
    length = end - start
    ordered = bounds == sorted(bounds)
    pieces: list[Piece] = []
    done, left = 0, [*bounds, length, length]
    for part in said:
        if isinstance(part, str):
            spoken, end = part, left[0]
        else:
            spoken, end = _said(part, found[part.name], options.language, read), left[1]
            del left[:2]
        if pieces and (end == done or not ordered):
            before = pieces.pop()
            done, spoken = before.start, before.text + spoken
        pieces.append(Piece(spoken, done, end if ordered else length))
        done = end
    last = pieces.pop()
    pieces.append(replace(last, end=length))
    return PlacedEntry("".join(piece.text for piece in pieces), pieces=tuple(pieces))


def _parts(row: Reading, found: re.Match[str]) -> Sequence[str | Slot]:
    """The words of a row, and its slots for the groups that are there."""
    said: list[str | Slot] = []
    for part in row.said:
        if isinstance(part, str) or found[part.name]:
            said.append(part)
        elif said and isinstance(said[-1], str):
            # No space stays before a group that is not there.
            said[-1] = said[-1].rstrip(" ")
    return said


def _said(slot: Slot, written: str, language: str, read: Reader) -> str:
    usual = "cardinal" if any(map(str.isdecimal, written)) else "text"
    said = say_as(slot.kind or usual, slot.form, written, language, read) or written
    # "7 PM" is read as "7 p.m.", which may end a sentence.
    return said if written.endswith(".") else said.removesuffix(".")


def _entry(replacement: Replacement, language: str, read: Reader) -> LexiconEntry:
    if replacement.say_as is None:
        return LexiconEntry(replacement.spelling, replacement.ipa)
    kind, form = replacement.say_as
    return LexiconEntry(say_as(kind, form, replacement.spelling, language, read) or replacement.spelling)
