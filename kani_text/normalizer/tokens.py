"""Tokens of a text, and a cursor that bounds how far ahead a rule may look."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from kani_text import writing
from kani_text.lexicon import Lexicon, LexiconEntry
from kani_text.markup import CODE_BLOCK, MASK
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable

_UNSPACED = writing.UNSPACED_SENTENCE_MARKS + writing.UNSPACED_CLAUSE_MARKS
_MARKS = rf"[{_UNSPACED}][{_UNSPACED}{re.escape(writing.CLOSERS + MASK)}]*"
# After the marks of scripts without spaces another token begins, as another segment may.
_WORD = re.compile(rf"—+|{CODE_BLOCK}|[^\s—{CODE_BLOCK}{_UNSPACED}]+(?:{_MARKS})?|{_MARKS}")
_OPENERS = writing.OPENERS + "’»›*_`"
_JOINED = re.compile(
    r"(?P<elided>[^\W\d_]{1,8})['’](?=[^\W_a-zß-öø-ÿ])|(?P<number>[^\W\d_]{1,3}\.?[°º])(?=\d)"
    rf"|(?P<short>(?:{writing.LETTER}{{2,20}}|[hpnNSMRV])\.)"
    r"(?=\d|[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]|[A-Z]{1,4}$|[\u0904-\u0939]{2})"
    r"|(?P<label>[A-Z][^\W\d_]{1,11}:(?=\d{3})|[LRD]\.(?=\d{1,4}-\d)|\d{1,2}\.(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ]{2}))"
)
_ELIDED = re.compile(r"(?P<elided>[^\W\d_]{1,8})['’](?P<rest>[a-zß-öø-ÿ]{2,8})$")
_HALF = re.compile(r"(?:[AaPp]\.?[Mm]\.?)(?=[-–]\d{1,2}(?:[:.]\d\d)?)")
# "500 mg/12 h": a dose, and how often.
_DOSE = re.compile(r"(?P<what>[^\W\d_]{2,}\.?|[gl])(?=/\d{1,2}(?:hs?)?$)")
_CLOSERS = writing.SENTENCE_MARKS + writing.CLAUSE_MARKS + writing.CLOSERS_AFTER_WORDS + "*_`" + _UNSPACED


class MoreTextNeeded(Exception):
    """A rule looked beyond the last token of a text that is still being written."""


@dataclass(frozen=True, slots=True)
class Token:
    """Text between white space: ``[start, end)`` of ``text``, and its core without the marks around it.

    entry: its lexicon entry, if it has one; that is said for all of it, marks too. kinds: what it is, as far
    as rules have asked (``kani_text.normalizer.kinds``).
    """

    text: str
    start: int
    end: int
    core: str
    core_start: int
    core_end: int
    entry: LexiconEntry | None = None
    kinds: dict[str, bool] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def suffix(self) -> str:
        """The marks after the core."""
        return self.text[self.core_end : self.end]

    @property
    def prefix(self) -> str:
        """The marks before the core."""
        return self.text[self.start : self.core_start]

    def said(self, text: str, end: int | None = None) -> Verbalization:
        """A reading of what is written from the core to ``end`` (without it, of the core)."""
        end = self.core_end if end is None else end
        return Verbalization((Piece(text, self.core_start, end),), end)

    def said_until(self, text: str, end: int) -> Verbalization:
        """A reading of the core; marks after it, up to ``end``, are not spoken."""
        return Verbalization((Piece(text, self.core_start, self.core_end),), end)

    def parted(self, first: str, at: int, last: str) -> Verbalization:
        """A reading of the core in two pieces; ``at``: where the second begins in the core."""
        at += self.core_start
        pieces = Piece(first, self.core_start, at), Piece(last, at, self.core_end)
        return Verbalization(pieces, self.core_end)


NO_TOKEN = Token("", 0, 0, "", 0, 0)
"""Stands after the last token, and before the first."""


def token_at(text: str, start: int, end: int) -> Token:
    """The token ``[start, end)`` of ``text``."""
    whole = text[start:end]
    opened = whole.lstrip(_OPENERS)
    core_start = end - len(opened)
    core = opened.rstrip(_CLOSERS)
    if not core:
        return Token(text, start, end, "", start, start)
    return Token(text, start, end, core, core_start, core_start + len(core))


def split_joined(tokens: Sequence[Token], table: LanguageTable) -> list[Token]:
    """Split tokens that are written together but verbalized apart.

    These are words that lost their end before an apostrophe ("l'" of "l'ONU"; before a capital or a digit
    only, because no rule needs others), abbreviations before a number or a name ("n°5", "pág.12", "Dr.Gil"),
    labels ("PIN:4821"), and a dose's unit and its hours ("mg/12", but not the month of "abr/24").
    """
    found: list[Token] = []
    for token in tokens:
        for length in _joints(token, table):
            middle = token.core_start + length
            found.append(token_at(token.text, token.start, middle))
            token = token_at(token.text, middle, token.end)
        found.append(token)
    return found


def _joints(token: Token, table: LanguageTable) -> Sequence[int]:
    """Lengths of the parts of a token's core that are verbalized apart, but for the last."""
    core = token.core
    if token.entry is not None or core.isalpha():
        return []
    length = _first_word(core, table) or _elided(token, table)
    if length:
        return [length]
    if (dose := _DOSE.match(core)) and dose["what"].rstrip(".").lower() not in table.dates.months:
        return [dose.end()]
    # "9:00 AM-5:00 PM"
    return [half.end(), 1] if (half := _HALF.match(core)) else []


def _first_word(core: str, table: LanguageTable) -> int:
    """Length of a word that another one touches, if it is an elided one, a label or short; else 0."""
    match = _JOINED.match(core)
    if match is None:
        return 0
    short = match["number"] or match["short"]
    if short is None:
        return match.end() if match["label"] or match["elided"].lower() in table.acronyms.elided else 0
    known = not table.abbreviations.keys().isdisjoint((short, short[0].lower() + short[1:]))
    return match.end() if known or short == "h." or short.endswith(("str.", "pl.")) else 0


def _elided(token: Token, table: LanguageTable) -> int:
    """Length of the elided word before an abbreviation: "dell'art. 5"; else 0."""
    cut = _ELIDED.match(token.core) if token.suffix.startswith(".") else None
    if cut is None or cut["elided"].lower() not in table.acronyms.elided:
        return 0
    return cut.start("rest") if f"{cut['rest']}." in table.abbreviations else 0


def tokenize(text: str, lexicon: Lexicon | None, complete: bool) -> list[Token]:
    """The tokens of ``text``; a lexicon entry is a token of its own.

    Unless ``complete``, tokens that might begin a longer entry, its end not written yet, are left out.
    """
    if lexicon is None or not lexicon.max_words:
        return [token_at(text, *match.span()) for match in _WORD.finditer(text)]
    spans = [match.span() for match in _WORD.finditer(text)]
    unsure = len(text) if complete or lexicon.max_words == 1 else _begins_more(text, spans, lexicon)
    found: list[Token] = []
    done = 0
    for start, end in spans:
        if end > unsure:
            break
        at = start = max(start, done)
        while at < end:
            match = lexicon.match(text, at)
            if match is None:
                at += 1
                continue
            if at > start:
                found.append(token_at(text, start, at))
            start = done = match[0]
            core = token_at(text, at, start).core or text[at:start]
            found.append(Token(text, at, start, core, at, start, match[1]))
            at = start
        if start < end:
            found.append(token_at(text, start, end))
    return found


def _begins_more(text: str, spans: Sequence[tuple[int, int]], lexicon: Lexicon) -> int:
    """Start of the first token that may begin an entry, its end not written yet."""
    for start, end in spans[-lexicon.max_words :]:
        if any(lexicon.may_continue(text, at) for at in range(start, end)):
            return start
    return len(text)


class TokenCursor:
    """A position in a list of tokens, from which rules look ahead and back."""

    def __init__(self, tokens: list[Token], before: Sequence[Token], complete: bool) -> None:
        """before: the tokens before the text, as far as they are known."""
        self._tokens = tokens
        self._before = before
        self._complete = complete
        self.at = 0

    def token(self, ahead: int = 0) -> Token:
        """The token ``ahead`` positions further, ``NO_TOKEN`` after the last.

        Raises MoreTextNeeded where it may still be written, so that no verbalization depends on text that is
        not there yet.
        """
        at = self.at + ahead
        if at < len(self._tokens):
            return self._tokens[at]
        if not self._complete:
            raise MoreTextNeeded
        return NO_TOKEN

    def previous(self, back: int = 1) -> Token:
        """The token ``back`` positions before, ``NO_TOKEN`` before the first."""
        at = self.at - back
        if at >= 0:
            return self._tokens[at]
        return self._before[at] if -at <= len(self._before) else NO_TOKEN

    def begins_clause(self, back: int = 0) -> bool:
        """True if the token ``back`` positions before begins the text or a line, or follows a mark."""
        token, before = self.previous(back), self.previous(back + 1)
        between = before.text[before.end : token.start if before.text is token.text else None]
        return before.suffix != "" or not before.core or "\n" in between

    @property
    def exhausted(self) -> bool:
        """True if no token is left."""
        return self.at >= len(self._tokens)

    @contextmanager
    def without_prefix(self, length: int) -> Iterator[Token]:
        """The token without the first ``length`` characters of its core, while the context lasts."""
        token = self._tokens[self.at]
        start = token.core_start + length
        rest = replace(token, start=start, core=token.core[length:], core_start=start)
        self._tokens[self.at] = rest
        try:
            yield rest
        finally:
            self._tokens[self.at] = token

    def is_adjacent(self, ahead: int = 1) -> bool:
        """True if no mark stands between the token ``ahead`` and the one before it.

        False where it is missing or has a lexicon entry.
        """
        first = self.token(ahead - 1)
        if first.end > first.core_end:
            return False
        second = self.token(ahead)
        return second.core != "" and second.start == second.core_start and second.entry is None

    def adjacent(self, ahead: int = 1) -> Token:
        """The token ``ahead`` if it is adjacent, else ``NO_TOKEN``."""
        return self.token(ahead) if self.is_adjacent(ahead) else NO_TOKEN
