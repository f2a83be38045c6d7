"""Words and how they are said: looked up in a written text, the longest first.

Entries come from the server's lexicon (``speech.text.lexicon_file``) and from a request. What an entry says
is final: nothing of it is looked up again, so entries that name each other are no loop.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from speech.errors import InvalidRequest
from speech.text import ipa

MAX_WORD = 100
"""Characters of what is looked up."""

MAX_SPOKEN_FORM = 200
"""Characters of what is said."""

MAX_REQUEST_ENTRIES = 200
"""Entries of one request."""

MAX_UNITS = 24
"""Words, spaces and marks of what is looked up: so the time that a text takes stays in bounds."""

_LONGEST_ECHO = 40
_LETTERS = re.compile(r"[^\W_]+")
# What is no part of a word wherever it stands: a mask of ``speech.text.markup``, and invisible characters.
_MASK = "\ue000"
_PARAGRAPH = "\u2029"


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """How something is said: spelled otherwise, in the IPA (``speech.text.ipa.checked``), or both.

    Of both the IPA is said where an engine can; at least one of them is there.
    """

    spelling: str | None = None
    ipa: str | None = None


class LexiconTable:
    """Entries that are looked up together. They are added one by one, before anything is looked up."""

    def __init__(self) -> None:
        self._any_case: dict[str, LexiconEntry] = {}
        self._exactly: dict[str, LexiconEntry] = {}
        self._most_units: dict[str, int] = {}
        self._beginnings: set[str] = set()
        self.max_words = 0
        """Words, as white space parts them, of the entry that has most."""

    def __len__(self) -> int:
        return len(self._any_case) + len(self._exactly)

    def add(self, word: str, entry: LexiconEntry) -> bool:
        """Add an entry for a ``checked_word``; returns whether it takes the place of another."""
        units = [(written, key) for _, written, key in _units(word, 0)]
        first = units[0][1]
        self._most_units[first] = max(self._most_units.get(first, 0), len(units))
        self._beginnings.update("".join(key for _, key in units[:count]) for count in range(1, len(units)))
        self.max_words = max(self.max_words, word.count(" ") + 1)
        written = "".join(written for written, _ in units)
        if written == written.lower():
            table, name = self._any_case, "".join(key for _, key in units)
        else:
            table, name = self._exactly, written
        known = name in table
        table[name] = entry
        return known

    def match(self, text: str, at: int, first: str) -> tuple[int, LexiconEntry] | None:
        """See ``Words.match``; at ``at``, where a word may begin, stands ``first`` as it is looked up."""
        found = None
        most = self._most_units.get(first, 0)
        name = key = ""
        for end, unit, folded in islice(_units(text, at), most):
            name += unit
            key += folded
            entry = self._exactly.get(name) or self._any_case.get(key)
            if entry is not None and not (_in_word(unit[-1]) and _is_inside(text, end)):
                found = end, entry
        return found

    def may_continue(self, text: str, at: int, first: str) -> bool:
        """See ``Words.goes_on``; at ``at``, where a word may begin, stands ``first`` as it is looked up."""
        units = list(islice(_units(text, at), self._most_units.get(first, 0)))
        return (
            bool(units)
            and _ends(text, units[-1][0])
            and "".join(key for _, _, key in units) in self._beginnings
        )


class Lexicon:
    """The entries that count for one text; plain data, fit to be shared."""

    def __init__(self, tables: tuple[LexiconTable, ...] = (), own: LexiconTable | None = None) -> None:
        """tables: of equally long entries the first one's counts; own: a request's, before all of them."""
        self._tables = tables
        self._own = own
        self.max_words = max((table.max_words for table in (*tables, own) if table is not None), default=0)
        """Words, as white space parts them, of the entry that has most; 0 where there is none."""

    def match(self, text: str, at: int) -> tuple[int, LexiconEntry] | None:
        """The longest entry that begins at ``at`` of the written text, and where it ends.

        None where there is none, or where ``at`` is inside of a word. A word is letters, digits and their
        marks; an entry begins and ends where one does. An entry without capitals is found in any case,
        another one only exactly so; one space of it is any white space inside a paragraph. Invisible
        characters do not count. Takes the time of the longest entry at most.
        """
        first = _first(text, at)
        if first is None:
            return None
        if self._own is not None and (found := self._own.match(text, at, first)) is not None:
            return found
        matches = [found for table in self._tables if (found := table.match(text, at, first)) is not None]
        # The first of the longest.
        return max(matches, key=lambda found: found[0], default=None)

    def may_continue(self, text: str, at: int) -> bool:
        """Whether an entry that begins at ``at`` may go on behind the text's end, when more is written.

        What is found there by now may change then. Takes the time of ``match``.
        """
        first = _first(text, at)
        tables = self._tables if self._own is None else (self._own, *self._tables)
        return first is not None and any(table.may_continue(text, at, first) for table in tables)

    def with_request(self, lexicon: Mapping[str, str]) -> Lexicon:
        """These entries and before them a request's: words, and for each what ``said`` reads.

        Raises InvalidRequest that names the entry, counted from 1, and the limit.
        """
        if not lexicon:
            return self
        if len(lexicon) > MAX_REQUEST_ENTRIES:
            raise InvalidRequest("lexicon", f"too many entries (at most {MAX_REQUEST_ENTRIES})")
        table = LexiconTable()
        for number, (word, how) in enumerate(lexicon.items(), 1):
            try:
                if not isinstance(how, str):
                    raise ValueError("is no text")
                table.add(validate_word(word), parse_entry(how))
            except ValueError as error:
                name = f"entry {number} ({word[:_LONGEST_ECHO]!r})"
                raise InvalidRequest("lexicon", f"{name} {error}") from None
        return Lexicon(self._tables, table)


def validate_word(word: str) -> str:
    """What is to be looked up, composed and with its white space folded.

    Raises ValueError, whose message goes on a sentence about the entry.
    """
    if len(word) > MAX_WORD:
        raise ValueError(f"has a word that is too long (at most {MAX_WORD} characters)")
    plain = "".join(character for character in _plain(word) if not _unseen(character))
    if not plain:
        raise ValueError("has no word")
    if sum(1 for _ in _units(plain, 0)) > MAX_UNITS:
        raise ValueError(f"has a word of too many parts (at most {MAX_UNITS} words, spaces and marks)")
    return plain


def parse_entry(how: str) -> LexiconEntry:
    """What an entry says: a spelling, IPA between slashes (``/ˈsiːkwəl/``), or both in this order.

    Raises ValueError, whose message goes on a sentence about the entry.
    """
    if len(how) > MAX_SPOKEN_FORM:
        raise ValueError(f"says too much (at most {MAX_SPOKEN_FORM} characters)")
    plain = _plain(how)
    spelling, sounds = _split(plain)
    if spelling and not any(character.isalnum() for character in spelling):
        raise ValueError("has a spelling without a letter")
    if sounds is None:
        if not spelling:
            raise ValueError("says nothing")
        return LexiconEntry(spelling)
    try:
        return LexiconEntry(spelling or None, ipa.canonicalize(sounds))
    except ValueError as error:
        raise ValueError(f"has IPA that {error}") from None


def _split(how: str) -> tuple[str, str | None]:
    """The spelling and the IPA."""
    both = re.fullmatch(r"([^/]*)(?:/([^/]*)/)?", how)
    if both is None:
        raise ValueError("has IPA that does not stand between two slashes at its end")
    return both[1].strip(), both[2]


def _plain(text: str) -> str:
    # White space first: tabs and line ends are control characters too.
    plain = unicodedata.normalize("NFC", " ".join(text.split()))
    for character in plain if not plain.isprintable() else "":
        # Control characters, halves of surrogate pairs, private and unassigned code points.
        if unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn"):
            raise ValueError(f"has the character U+{ord(character):04X}, which is no text")
    return plain


def _first(text: str, at: int) -> str | None:
    """What stands at ``at`` as it is looked up, if an entry may begin there."""
    if at >= len(text) or text[at].isspace() or _unseen(text[at]):
        return None
    if _in_word(text[at]) and _follows(text, at):
        return None
    return next(_units(text, at))[2]


def _units(text: str, at: int) -> Iterator[tuple[int, str, str]]:
    """What stands from ``at`` on, a word, white space or one other character at a time.

    As (where it ends, as it is written, as it is looked up); a word longer than any entry is cut there.
    """
    while at < len(text):
        letters = _LETTERS.match(text, at, at + MAX_WORD + 1)
        end = letters.end() if letters else at + 1
        if letters and (end == len(text) or text[end].isascii()):
            yield end, letters[0], letters[0].casefold()
        elif _in_word(text[at]):
            while end < len(text) and end - at <= MAX_WORD and (_in_word(text[end]) or _unseen(text[end])):
                end += 1
            # What is invisible behind a word is not its own.
            while _unseen(text[end - 1]):
                end -= 1
            written = "".join(character for character in text[at:end] if not _unseen(character))
            written = unicodedata.normalize("NFC", written)
            yield end, written, written.casefold()
        elif text[at].isspace():
            while end < len(text) and text[end].isspace():
                end += 1
            if _PARAGRAPH in text[at:end]:
                return
            yield end, " ", " "
        elif not _unseen(text[at]):
            yield end, text[at], text[at]
        at = end


def _ends(text: str, end: int) -> bool:
    """Whether nothing that counts is behind ``end``."""
    return next(_units(text, end), None) is None


def _is_inside(text: str, end: int) -> bool:
    """Whether a word goes on at ``end``."""
    while end < len(text) and _unseen(text[end]):
        end += 1
    return end < len(text) and _in_word(text[end])


def _follows(text: str, at: int) -> bool:
    """Whether a word goes on at ``at``, where it does not begin."""
    while at > 0 and _unseen(text[at - 1]):
        at -= 1
    return at > 0 and _in_word(text[at - 1])


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _unseen(character: str) -> bool:
    return character == _MASK or unicodedata.category(character) == "Cf"
