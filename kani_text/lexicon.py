"""Words and their pronunciations, looked up in a written text, the longest first.

Entries come from the server's lexicon (``kani_text.lexicon_file``) and from a request. A spelling is final:
it is not looked up again, so entries that name each other are no loop.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from kani_text.errors import InvalidRequest, Reason
from kani_text.languages import primary
from kani_text.markup import MASK, PARAGRAPH_END
from kani_text.phonetics import canonicalize, canonicalize_pinyin, is_kana, looks_like_pinyin, to_katakana
from kani_text.writing import KATAKANA, UNSPACED, is_of_word, is_unspaced

MAX_WORD = 100
"""Characters of an entry's word."""

MAX_SPOKEN_FORM = 200
"""Characters of an entry's pronunciation."""

MAX_REQUEST_ENTRIES = 200
"""Entries of one request."""

MAX_UNITS = 24
"""Words, spaces and marks of an entry's word: it bounds the time of a look-up."""

_MAX_ECHO = 40
# In scripts without spaces every character is a word, of katakana every run.
_LETTERS = re.compile(rf"[^\W_{UNSPACED}]+")
# An ASCII character or the text's end, after a word; an ASCII character of no word, before one.
_ENDED, _APART = re.compile(r"[\x00-\x7f]|\Z"), re.compile(r"[^\w\x80-\U0010ffff]|_")
_IN_KATAKANA = re.compile(f"[{KATAKANA}]")


@dataclass(frozen=True, slots=True)
class LexiconEntry:
    """A pronunciation: another spelling, symbols, or both.

    The symbols are IPA (``canonicalize`` of ``kani_text.phonetics``) or pinyin (``canonicalize_pinyin``).
    With both, the symbols are used where an engine can; at least one of them is there.
    """

    spelling: str | None = None
    ipa: str | None = None
    pinyin: str | None = None

    def pronunciation(self, language: str) -> tuple[str, str] | None:
        """The symbols for a text in ``language`` (BCP 47), and their alphabet; None without any.

        Pinyin is only for Chinese.
        """
        if self.ipa is not None:
            return self.ipa, "ipa"
        return (self.pinyin, "pinyin") if self.pinyin is not None and primary(language) == "zh" else None


class LexiconTable:
    """Entries that are looked up together. All are added before the first look-up."""

    def __init__(self) -> None:
        self._any_case: dict[str, LexiconEntry] = {}
        self._exactly: dict[str, LexiconEntry] = {}
        self._most_units: dict[str, int] = {}
        self._beginnings: set[str] = set()
        self.max_words = 0
        """Words, separated by white space, of the entry that has most."""

    def __len__(self) -> int:
        return len(self._any_case) + len(self._exactly)

    def add(self, word: str, entry: LexiconEntry) -> bool:
        """Add an entry for a ``validate_word``; returns whether it replaces another."""
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
        """The longest entry at ``at``, where the folded unit ``first`` is, and its end; None without one."""
        found = None
        most = self._most_units.get(first, 0)
        name = key = ""
        for end, unit, folded in islice(_units(text, at), most):
            name += unit
            key += folded
            entry = self._exactly.get(name) or self._any_case.get(key)
            if entry is not None and not _continues_word(text, end, unit[-1]):
                found = end, entry
        return found

    def may_continue(self, text: str, at: int, first: str) -> bool:
        """True if an entry at ``at``, where the folded unit ``first`` is, may continue after the text."""
        units = list(islice(_units(text, at), self._most_units.get(first, 0)))
        return (
            bool(units)
            and next(_units(text, units[-1][0]), None) is None
            and "".join(key for _, _, key in units) in self._beginnings
        )


class Lexicon:
    """The entries that apply to one text; immutable, so that sessions share it."""

    def __init__(self, tables: tuple[LexiconTable, ...] = (), own: LexiconTable | None = None) -> None:
        """tables: of equally long entries the first one's applies. own: a request's, before all of them."""
        self._tables = tables
        self._own = own
        self.max_words = max((table.max_words for table in (*tables, own) if table is not None), default=0)
        """Words, separated by white space, of the entry that has most; 0 without entries."""

    def match(self, text: str, at: int) -> tuple[int, LexiconEntry] | None:
        """The longest entry that begins at ``at`` of the written text, and its end; None without one.

        None also where ``at`` is inside a word. A word is letters, digits and their marks; an entry begins
        and ends where one does. An entry without capitals matches in any case, another one only exactly; one
        space of it matches any white space inside a paragraph. Invisible characters do not count. Takes the
        time of the longest entry at most.
        """
        first = _first_unit(text, at) if self.max_words else None
        if first is None:
            return None
        if self._own is not None and (found := self._own.match(text, at, first)) is not None:
            return found
        longest = None
        for table in self._tables:
            found = table.match(text, at, first)
            if found is not None and (longest is None or found[0] > longest[0]):
                longest = found
        return longest

    def may_continue(self, text: str, at: int) -> bool:
        """True if an entry that begins at ``at`` may continue after the text's end, once more is written.

        Its ``match`` may change then. Takes the time of ``match``.
        """
        first = _first_unit(text, at)
        tables = self._tables if self._own is None else (self._own, *self._tables)
        return first is not None and any(table.may_continue(text, at, first) for table in tables)

    def followed_by(self, table: LexiconTable | None) -> "Lexicon":
        """These entries, and after them a table's."""
        return self if table is None else Lexicon((*self._tables, table), self._own)

    def with_request(self, lexicon: Mapping[str, str]) -> "Lexicon":
        """These entries, and before them a request's: each word with a pronunciation for ``parse_entry``.

        Raises InvalidRequest that names the entry, counted from 1, and the limit.
        """
        if not lexicon:
            return self
        if len(lexicon) > MAX_REQUEST_ENTRIES:
            raise InvalidRequest(
                "lexicon",
                f"too many entries (at most {MAX_REQUEST_ENTRIES})",
                Reason("too_many_entries", {"limit": MAX_REQUEST_ENTRIES}),
            )
        table = LexiconTable()
        for number, (word, pronunciation) in enumerate(lexicon.items(), 1):
            try:
                if not isinstance(pronunciation, str):
                    raise ValueError("is no text")
                table.add(validate_word(word), parse_entry(pronunciation))
            except ValueError as error:
                name = f"entry {number} ({word[:_MAX_ECHO]!r})"
                details = Reason("bad_entry", {"number": number, "word": word[:_MAX_ECHO]})
                raise InvalidRequest("lexicon", f"{name} {error}", details) from None
        return Lexicon(self._tables, table)


def validate_word(word: str) -> str:
    """An entry's word, composed and with its white space folded.

    Raises ValueError, with a message that continues a sentence about the entry.
    """
    if len(word) > MAX_WORD:
        raise ValueError(f"has a word that is too long (at most {MAX_WORD} characters)")
    plain = "".join(character for character in _fold(word) if not _is_invisible(character))
    if not plain:
        raise ValueError("has no word")
    if sum(1 for _ in _units(plain, 0)) > MAX_UNITS:
        raise ValueError(f"has a word of too many parts (at most {MAX_UNITS} words, spaces and marks)")
    return plain


def parse_entry(pronunciation: str) -> LexiconEntry:
    """An entry from its text: a spelling, symbols between slashes, or both in this order.

    The symbols are IPA (``/ˈsiːkwəl/``), pinyin (``/chong2 qing4/``) or kana (``/ちょうなん/``), which are a
    spelling in katakana.

    Raises ValueError, with a message that continues a sentence about the entry.
    """
    if len(pronunciation) > MAX_SPOKEN_FORM:
        raise ValueError(f"has a pronunciation that is too long (at most {MAX_SPOKEN_FORM} characters)")
    plain = _fold(pronunciation)
    spelling, symbols = _split(plain)
    if spelling and not any(character.isalnum() for character in spelling):
        raise ValueError("has a spelling without a letter")
    if symbols is None:
        if not spelling:
            raise ValueError("has no pronunciation")
        return LexiconEntry(spelling)
    if is_kana(symbols):
        if spelling:
            raise ValueError("has a spelling and kana, which are a spelling too")
        return LexiconEntry(to_katakana(symbols))
    if looks_like_pinyin(symbols):
        return LexiconEntry(spelling or None, pinyin=_canonical(canonicalize_pinyin, symbols, "pinyin"))
    return LexiconEntry(spelling or None, _canonical(canonicalize, symbols, "IPA"))


def _canonical(canonical: Callable[[str], str], symbols: str, alphabet: str) -> str:
    try:
        return canonical(symbols)
    except ValueError as error:
        raise ValueError(f"has {alphabet} that {error}") from None


def _split(pronunciation: str) -> tuple[str, str | None]:
    """The spelling and the symbols."""
    both = re.fullmatch(r"([^/]*)(?:/([^/]*)/)?", pronunciation)
    if both is None:
        raise ValueError("has IPA that does not stand between two slashes at its end")
    return both[1].strip(), both[2]


def _fold(text: str) -> str:
    # White space first: tabs and line ends are control characters too.
    plain = unicodedata.normalize("NFC", " ".join(text.split()))
    for character in plain if not plain.isprintable() else "":
        # Control characters, halves of surrogate pairs, private and unassigned code points.
        if unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn"):
            raise ValueError(f"has the character U+{ord(character):04X}, which is no text")
    return plain


def _first_unit(text: str, at: int) -> str | None:
    """The folded unit at ``at``, if an entry may begin there."""
    if at >= len(text) or text[at].isspace():
        return None
    # At once, what ``_units`` and ``_is_inside_word`` would find.
    letters = _LETTERS.match(text, at, at + MAX_WORD + 1)
    if letters is None and text[at].isascii():
        return text[at]
    if letters and at and _LETTERS.match(text, at - 1, at):
        return None
    if letters and _ENDED.match(text, letters.end()) and (at == 0 or _APART.match(text, at - 1)):
        return letters[0].casefold()
    if _is_invisible(text[at]) or _is_inside_word(text, at):
        return None
    return next(_units(text, at))[2]


def _is_inside_word(text: str, at: int) -> bool:
    kind, before = _word_kind(text[at]), at
    while kind and before > 0 and _is_invisible(text[before - 1]):
        before -= 1
    return kind != "" and before > 0 and _word_kind(text[before - 1]) == kind


def _units(text: str, at: int) -> Iterator[tuple[int, str, str]]:
    """Units from ``at`` on: a word, white space or one other character each.

    As (end, written form, folded form); a word longer than any entry is cut there.
    """
    while at < len(text):
        letters = _LETTERS.match(text, at, at + MAX_WORD + 1)
        end = letters.end() if letters else at + 1
        if letters and (end == len(text) or text[end].isascii()):
            yield end, letters[0], letters[0].casefold()
        elif kind := _word_kind(text[at]):
            end = _end_of_word(text, end, at + MAX_WORD, kind)
            written = "".join(character for character in text[at:end] if not _is_invisible(character))
            written = unicodedata.normalize("NFC", written)
            yield end, written, written.casefold()
        elif text[at].isspace():
            while end < len(text) and text[end].isspace():
                end += 1
            if PARAGRAPH_END in text[at:end]:
                return
            yield end, " ", " "
        elif not _is_invisible(text[at]):
            yield end, text[at], text[at]
        at = end


def _end_of_word(text: str, end: int, last: int, kind: str) -> int:
    """The end of a word from ``end`` to ``last`` at most, without invisible characters after it."""
    while end < len(text) and end <= last and (_word_kind(text[end]) == kind or _is_invisible(text[end])):
        end += 1
    while _is_invisible(text[end - 1]):
        end -= 1
    return end


def _continues_word(text: str, end: int, last: str) -> bool:
    """True if the word that ends in the character ``last`` continues at ``end``."""
    if end < len(text) and is_unspaced(last) and unicodedata.category(text[end])[0] == "M":
        return True
    kind = _word_kind(last)
    while kind and end < len(text) and _is_invisible(text[end]):
        end += 1
    return kind != "" and end < len(text) and _word_kind(text[end]) == kind


def _word_kind(character: str) -> str:
    """ "letter" or "katakana" for a character that makes words with its neighbours of that kind, else ""."""
    if character.isascii():
        return "letter" if character.isalnum() else ""
    if _IN_KATAKANA.match(character):
        return "katakana"
    if is_unspaced(character):
        return ""
    return "letter" if is_of_word(character) else ""


def _is_invisible(character: str) -> bool:
    return character == MASK or unicodedata.category(character) == "Cf"
