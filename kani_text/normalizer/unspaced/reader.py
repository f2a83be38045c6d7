"""Normalizes a text without spaces, figure by figure, with the readings that stand after words."""

import re
from collections.abc import Callable

from kani_text.lexicon import MAX_WORD, LexiconEntry
from kani_text.markup import CODE_BLOCK, PARAGRAPH_END
from kani_text.normalizer.cleaning import CleanText
from kani_text.normalizer.placed_lexicon import PlacedEntry
from kani_text.normalizer.spoken import FIGURES, NormalizerOptions, SpokenText, SpokenTextBuilder
from kani_text.normalizer.tokens import MoreTextNeeded
from kani_text.normalizer.unspaced import amounts, moments, numbers, sequences, signs
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading, is_katakana, is_wide
from kani_text.normalizer.unspaced.table import UnspacedTable
from kani_text.phonetics import to_katakana
from kani_text.writing import HAN

_Rule = Callable[[Scan, int], UnspacedReading | None]

_WITH_LETTER: tuple[_Rule, ...] = (
    sequences.address,
    sequences.dotted,
    sequences.number_sign,
    sequences.call_number,
    sequences.roman,
    sequences.mixed,
    amounts.money,
    amounts.per_unit,
    sequences.latin_word,
)
_WITH_DIGIT: tuple[_Rule, ...] = (
    sequences.address,
    sequences.phone,
    moments.verse,
    moments.date,
    sequences.mixed,
    sequences.dotted,
    sequences.hyphened,
    moments.time,
    amounts.fraction,
    moments.ratio,
    numbers.number,
)
_WITH_SIGN: tuple[_Rule, ...] = (
    sequences.mixed,
    sequences.number_sign,
    amounts.money,
    amounts.vulgar_fraction,
    signs.sign,
)
_SIGNED: tuple[_Rule, ...] = (sequences.phone, numbers.number)
_LETTER = re.compile(r"[A-Za-zÀ-ÖØ-öø-ɏ]")
_MARKS = re.compile(r"([^\w\s])\1+")
_LONGEST_LINE = 22
_SPACE = re.compile(r"\s+")
_QUIET = frozenset("。，、；：！？!?,.;:…\"'()（）「」『』《》〈〉【】[]{}“”‘’")
_REPEATED_ONCE = frozenset("。，、；：！？!?,;:…～")
_HAN = HAN + "ヶ"
_RUBY = re.compile(
    rf"(?:[|｜](?P<marked>[^\s|｜《》]{{1,30}})|(?P<base>[{_HAN}]{{1,30}}))"
    r"(?:《(?P<with_ruby>[\u3041-\u3096\u30a1-\u30fcー・]{1,40})》|[(（\[](?P<aside>[\u3041-\u3096ー]{1,40})[)）\]])"
)
_BEGUN = re.compile(
    rf"(?:[|｜][^\s|｜《》]{{0,30}}|[{_HAN}]{{1,30}})(?:[《\[(（][\u3041-\u3096\u30a1-\u30fcー・]{{0,40}})?\Z"
)
_IN_HAN = re.compile(rf"[{_HAN}]+")


class UnspacedReader:
    """Reads one text; ``complete``: no more text follows it."""

    def __init__(
        self,
        text: CleanText,
        table: UnspacedTable,
        options: NormalizerOptions,
        offset: int,
        preceding: str,
        complete: bool,
    ) -> None:
        self._text = text.text
        self._table = table
        self._options = options
        self._builder = SpokenTextBuilder(text, offset)
        self._scan = Scan(text.text, table, preceding, complete)
        self._lexicon = options.lexicon if options.lexicon is not None and options.lexicon.max_words else None
        self._continues_number = preceding[-1:].isdecimal() and self._text[:1].isdecimal()
        self._at = 0
        self._space: tuple[int, int] | None = None
        self._last = ""
        self._last_spoken = False
        self._new_reading = False

    def read(self) -> SpokenText:
        """The spoken form, as far as more text cannot change it."""
        try:
            while self._at < len(self._text):
                self._step()
        except MoreTextNeeded:
            pass
        return self._builder.build()

    def _step(self) -> None:
        at, text = self._at, self._text
        if text[at].isspace():
            space = _SPACE.match(text, at)
            assert space is not None
            self._space = space.span()
            self._at = space.end()
            return
        if self._lexicon is None:
            if (plain := self._table.plain.match(text, at)) is not None:
                self._copy_plain(at, plain.end())
                return
        elif self._take_entry():
            return
        if text[at] == CODE_BLOCK:
            self._append(self._table.code_block, at, at + 1)
            self._at += 1
            return
        reading = self._reading(at)
        if reading is None:
            self._copy(at)
            return
        self._new_reading = reading.number
        for piece in reading.pieces:
            if piece.text:
                self._append(piece.text, piece.start, piece.end, spoken=reading.number)
                self._new_reading = False
        self._at = reading.end
        self._scan.last_number = reading.end if reading.number else -1

    def _take_entry(self) -> bool:
        """Append the lexicon's entry for the characters ahead, if there is one."""
        lexicon, at = self._lexicon, self._at
        assert lexicon is not None
        if (
            not self._scan.complete
            and len(self._text) - at <= 2 * MAX_WORD
            and lexicon.may_continue(self._text, at)
        ):
            raise MoreTextNeeded
        match = lexicon.match(self._text, at)
        if match is None:
            return False
        end, entry = match
        self._scan.require(end)
        self._append_entry(entry, at, end)
        self._at = end
        self._scan.last_number = -1
        return True

    def _append_entry(self, entry: LexiconEntry, at: int, end: int) -> None:
        written = " ".join(self._text[at:end].split())
        pronunciation = entry.pronunciation(self._options.language) if self._options.accepts_ipa else None
        if isinstance(entry, PlacedEntry):
            spoken = written[0].isdecimal()
            for piece in entry.pieces:
                self._append(piece.text, at + piece.start, at + piece.end, spoken)
        elif pronunciation is None:
            self._append(entry.spelling or written, at, end, spoken=True)
        else:
            self._divide(written, spoken=False)
            self._builder.append_pronounced(written, *pronunciation, at, end)
            self._last, self._last_spoken = written[-1], False

    def _reading(self, at: int) -> UnspacedReading | None:
        """The first rule's result; None for characters that are spoken as they are written."""
        scan, character = self._scan, self._scan.text[at]
        found = with_ruby(scan, at) if self._table.ruby else None
        if found is None and character in "(（":
            found = moments.weekday(scan, at)
        if found is not None or (is_wide(character) and character not in self._table.signs):
            return found
        rules = self._rules(at, character)
        if rules:
            scan.require_run(at)
        return next((found for rule in rules if (found := rule(scan, at)) is not None), None)

    def _rules(self, at: int, character: str) -> tuple[_Rule, ...]:
        """The rules for what begins with a character."""
        scan = self._scan
        if character.isdecimal():
            if at == 0 and self._continues_number:
                return (self._continued_number,)
            if scan.last_number != at or not scan.in_sum:
                scan.in_sum = signs.begins_sum(scan, at) or (scan.in_sum and scan.last_number >= 0)
            return _WITH_DIGIT
        if _LETTER.match(character):
            return _WITH_LETTER
        if (character.isalnum() and not character.isnumeric()) or character in _QUIET:
            return ()
        return (*_SIGNED, *_WITH_SIGN) if self._is_sign_of_number(at) else _WITH_SIGN

    def _is_sign_of_number(self, at: int) -> bool:
        """True for a sign that begins a number: "-5", not that of "3-5" or "A-5"."""
        text = self._scan.text
        if text[at] not in "+-±~≈" or not text[at + 1 : at + 2].isdecimal():
            return False
        if text[at] in "+-" and signs.joins_terms(self._scan, at):
            return False
        before = self._scan.before(at)
        follows = self._scan.last_number in (at, at - (before[-1:] == " "))
        if (follows and before[-1:] != "~") or self._scan.ends_quantity(at):
            return False
        return not (before[-1:].isascii() and before[-1:].isalnum())

    def _continued_number(self, scan: Scan, at: int) -> UnspacedReading:
        """The rest of a number that the text before began: digit by digit."""
        found = FIGURES.match(scan.text, at)
        assert found is not None
        return UnspacedReading.of(numbers.say_one_by_one(found[0], self._table), *found.span())

    def _copy_plain(self, at: int, end: int) -> None:
        self._divide(self._text[at], spoken=False)
        self._builder.copy(at, end)
        self._last, self._last_spoken = self._text[end - 1], False
        self._at = end
        self._scan.last_number = -1

    def _copy(self, at: int) -> None:
        """Copy a character; of a repeated mark only one."""
        end = at + 1
        character = self._text[at]
        marks = _MARKS.match(self._text, at) if character in _REPEATED_ONCE or character in ".—" else None
        if marks is not None:
            self._scan.require(marks.end())
            end = marks.end()
            character = "…" if character == "." else character
        self._append(character, at, end, spoken=False)
        self._at = end
        self._scan.last_number = -1

    def _append(self, text: str, start: int, end: int, spoken: bool = True) -> None:
        self._divide(text, spoken)
        self._builder.append(text, start, end)
        self._last, self._last_spoken = text[-1], spoken

    def _divide(self, text: str, spoken: bool) -> None:
        """Append a space where one is written, or where two katakana words would become one.

        A space between a number and a Han character is only typography.
        """
        space, self._space = self._space, None
        if not self._last:
            return
        katakana = is_katakana(self._last) and is_katakana(text[0])
        if space is not None and self._ends_line(*space):
            self._builder.append("、" if self._table.ruby else "，", *space)
        elif space is not None:
            typographic = spoken != self._last_spoken and is_wide(self._last) and is_wide(text[0])
            if katakana or not typographic:
                self._builder.append(" ", *space)
        elif katakana and (spoken != self._last_spoken or self._new_reading):
            self._builder.append(" ", self._at, self._at + 1)

    def _ends_line(self, start: int, end: int) -> bool:
        """True if the space ends a line of a list or a receipt that has no mark; one of prose is longer."""
        between = self._text[start:end]
        if not ({"\n", PARAGRAPH_END} & {*between}) or {self._last, self._text[end]} & _QUIET:
            return False
        return PARAGRAPH_END in between or len(self._text[:start].rpartition("\n")[2]) <= _LONGEST_LINE


def with_ruby(scan: Scan, at: int) -> UnspacedReading | None:
    """A word with its reading: the reading is spoken for both."""
    if _IN_HAN.match(scan.text[at - 1 : at]) or not (_IN_HAN.match(scan.text, at) or scan.text[at] in "|｜"):
        return None
    if not scan.complete and _BEGUN.match(scan.text, at):
        scan.require(len(scan.text))
    found = _RUBY.match(scan.text, at)
    if found is None:
        return None
    reading = (found["with_ruby"] or found["aside"]).replace("・", "")
    if not reading:
        return None
    return UnspacedReading.of(to_katakana(reading), at, found.end(), number=False)
