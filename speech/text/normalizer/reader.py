"""Reads a text word by word: which rule has something to say of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from speech.text.lexicon import Entry, Words
from speech.text.markup import CODE
from speech.text.normalizer.cleaning import clean
from speech.text.normalizer.rules import (
    acronyms,
    alphanumerics,
    dates,
    digit_sequences,
    eras,
    fractions,
    math,
    ordinals,
    quantities,
    ranges,
    times,
    urls,
)
from speech.text.normalizer.rules.numerals import NUMBER, VULGAR, read_figure, say_digits, say_figure
from speech.text.normalizer.rules.units import sign_name
from speech.text.normalizer.spoken import Piece, Said, Speech, SpokenText
from speech.text.normalizer.tables.reading import table_for
from speech.text.normalizer.tables.table import Table
from speech.text.normalizer.tokens import Cursor, MoreNeeded, Word, split, taken_apart

_VOWEL_MARKS = "\u064b-\u065f\u0670"
_PLAIN = re.compile(rf"(?:[^\W\d_]|[{_VOWEL_MARKS}])+(?:['’-][^\W\d_]+)*")
_RUN = re.compile(r"([!?¡¿,;؟،؛])[!?¡¿,;؟،؛]*|\.{2,}|-{2,}|[*_`~|^\\]+|.", re.DOTALL)
_LETTERS = r"[^\W\d_⁰¹²³⁴-⁹½¼¾⅐-⅞]+"
_PARTS = re.compile(rf"{NUMBER}|{_LETTERS}(?:['’]{_LETTERS})*|.", re.DOTALL)
_SEEN_BEFORE = 80
"""Characters of the text before that are looked at."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text is read.

    language: BCP 47; without a table for it ("" has none) numbers, abbreviations and the like stay
    as they are written. lexicon: words that are said otherwise, before any rule. ipa: whether the
    engine says IPA; if not, an entry is said by its spelling, or as it is written.
    """

    language: str = ""
    lexicon: Words | None = None
    ipa: bool = False


PLAIN = Reading()
"""As it is written."""


def normalize(
    written: str, offset: int = 0, reading: Reading = PLAIN, *, complete: bool = True, before: str = ""
) -> SpokenText:
    """What is said of ``written``; origins are counted from ``offset``.

    complete: whether this is all of it; if not, it ends where a word does, and what further text
    may change is left out: what comes out is the beginning of what will. before: the last
    characters of the text before it, as far as they are known. Takes time linear in the text.
    Raises TableError where the language's table is broken.
    """
    text = clean(written)
    table = table_for(reading.language) if reading.language else None
    words = split(text.text, reading.lexicon, complete)
    if table is not None:
        words = taken_apart(words, table.acronyms.elided, table.abbreviations)
    earlier = split(clean(before[-_SEEN_BEFORE:]).text, None, True) if before and table else []
    cursor = Cursor(words, earlier, complete)
    speech = Speech(text, offset)
    goes_on = before[-1:].isdecimal() and written[:1].isdecimal()
    done = 0
    while not cursor.over:
        word = cursor.word()
        try:
            said = _read(cursor, word, table, goes_on)
        except MoreNeeded:
            break
        goes_on = False
        if done and (word.start > done or (word.core[:1].isdecimal() and text.text[done - 1] in "°º")):
            speech.say(" ", done, done + 1)
        if word.entry is not None:
            _say_entry(word, word.entry, reading.ipa, speech)
            done = word.end
        elif said is None:
            _copy(word, word.start, table, speech)
            done = word.end
        else:
            begin = said.pieces[0].start if said.pieces else word.core_start
            _marks(word, word.start, min(begin, word.core_start), speech)
            for piece in said.pieces:
                speech.say(piece.text, piece.start, piece.end)
            done = said.end
        while not cursor.over and cursor.word().end <= done:
            cursor.at += 1
        if not cursor.over and (rest := cursor.word()).start < done:
            _marks(rest, done, rest.end, speech)
            done = rest.end
            cursor.at += 1
    return speech.result()


def _say_entry(word: Word, entry: Entry, ipa: bool, speech: Speech) -> None:
    """Say what the lexicon says, apart from letters and figures that it touches ("50€")."""
    said = entry.spelling or " ".join(word.core.split())
    if word.text[max(word.start - 1, 0) : word.start].isalnum():
        speech.say(" ", word.start, word.end)
    if ipa and entry.ipa is not None:
        speech.pronounce(" ".join(word.core.split()), entry.ipa, word.start, word.end)
    else:
        speech.say(said, word.start, word.end)
    if word.text[word.end : word.end + 1].isalnum():
        speech.say(" ", word.start, word.end)


def _copy(word: Word, start: int, table: Table | None, speech: Speech) -> None:
    """Say a word as it is written."""
    if table is None:
        if word.core != CODE:
            speech.copy(start, word.end)
        return
    _marks(word, start, word.core_start, speech)
    speech.copy(word.core_start, word.core_end)
    _marks(word, word.core_end, word.end, speech)


def _marks(word: Word, start: int, end: int, speech: Speech) -> None:
    """Say marks; one of a row of them, and none that is only drawn."""
    if end - start == 1 and word.text[start] not in "*_`~|^\\":
        speech.copy(start, end)
        return
    for run in _RUN.finditer(word.text, start, end):
        marks = run.group()
        if marks[0] in "*_`~|^\\":
            continue
        kept = "…" if marks[0] == "." and len(marks) > 1 else "".join(dict.fromkeys(marks))
        speech.say(kept, run.start(), run.end())


_Rule = Callable[[Cursor, Table], Said | None]

_WITH_DIGITS: tuple[_Rule, ...] = (
    acronyms.is_abbreviation,
    digit_sequences.phone,
    digit_sequences.zone,
    digit_sequences.angle,
    dates.date,
    eras.era,
    times.time,
    ordinals.with_stop,
    ordinals.marked,
    dates.decade,
    digit_sequences.dotted,
    digit_sequences.hyphened,
    alphanumerics.ending,
    fractions.fraction,
    math.dimensions,
    math.power,
    ranges.measured,
    quantities.quantity,
    urls.tag,
    urls.address,
    urls.snake,
)
_WITHOUT_DIGITS: tuple[_Rule, ...] = (
    acronyms.is_abbreviation,
    acronyms.abbreviated_ending,
    ordinals.with_stop,
    quantities.currency_before,
    urls.tag,
    acronyms.dotted,
    urls.address,
    urls.snake,
    ranges.roman,
    acronyms.roman,
    acronyms.initial,
    acronyms.acronym,
)


def _read(cursor: Cursor, word: Word, table: Table | None, goes_on: bool) -> Said | None:
    """What a rule says of the word; None where it is said as it is written."""
    core = word.core
    if table is None or word.entry is not None:
        return None
    if word.end - word.start == 1 and (sign := math.sign_between(cursor, table)) is not None:
        return sign
    if len(core) > 1 and core in table.signs:
        return Said((Piece(table.signs[core], word.core_start, word.core_end),), word.core_end)
    if len(core) > 1 and len(set(core)) == 1 and not core[0].isalnum():
        # Hyphens in place of a dash are a breath; a rule, or a row of other signs, is only to be seen.
        dash = (Piece("—", word.core_start, word.core_end),) if core in ("--", "---") else ()
        return Said(dash, word.core_end)
    if not core:
        return None
    if core == CODE:
        announced = (Piece(table.code_block, word.start, word.end),) if table.code_block else ()
        return Said(announced, word.end)
    if core.islower() and core.isalpha() and len(core) > 1 and not word.close.startswith("."):
        if core in table.dates.months:
            return _month(cursor, table)
        if core not in table.abbreviations:
            return acronyms.roman(cursor, table) if acronyms.may_be_small_roman(cursor, table) else None
    if goes_on and core[0].isdecimal():
        return _rest_of_number(word, table)
    has_digits = any(map(str.isnumeric, core))
    if has_digits and (prefix := alphanumerics.prefix(core, table)):
        with cursor.without(len(prefix)) as rest:
            number = _read(cursor, rest, table, goes_on)
        if number is None:
            return None
        if cursor.previous().core[:1].isdecimal():
            # "between 10 and 20": the word before both governs this one too.
            number = _governed(number, cursor, table, 2)
        return alphanumerics.prefixed(number, prefix, word, table)
    if core.isupper() and core.lower() in table.dates.months and (month := _month(cursor, table)) is not None:
        return month
    for rule in _WITH_DIGITS if has_digits else _WITHOUT_DIGITS:
        said = rule(cursor, table)
        if said is not None:
            return _governed(said, cursor, table) if has_digits else said
    if core.lower() in table.dates.months:
        return _month(cursor, table)
    if not has_digits and _PLAIN.fullmatch(core) and not any(map(str.isupper, core[1:])):
        return None
    return _parts(word, table)


def _governed(said: Said, cursor: Cursor, table: Table, back: int = 1) -> Said:
    """What is said, as the word so far back wants it."""
    previous = cursor.previous(back)
    if not previous.core or previous.close:
        return said
    before = previous.core.lower()
    return Said(
        tuple(Piece(table.words.governed(before, one.text), one.start, one.end) for one in said.pieces),
        said.end,
    )


def _rest_of_number(word: Word, table: Table) -> Said:
    """The digits of a number that began before the text, one by one."""
    end = next((at for at, character in enumerate(word.core) if not character.isdecimal()), len(word.core))
    if end < len(word.core):
        return _parts(word, table)
    return Said((Piece(say_digits(word.core, table), word.core_start, word.core_end),), word.core_end)


def _month(cursor: Cursor, table: Table) -> Said | None:
    """A month's short name, beside a day or a year, in full."""
    word = cursor.word()
    number = table.dates.months[word.core.lower()]
    name = table.dates.names[number - 1]
    if word.core.lower() == name.lower():
        return None
    beside = cursor.previous().core[:1].isdigit() or (
        cursor.previous().core.lower() in table.dates.joiners and cursor.previous(2).core[:1].isdigit()
    )
    if not beside:
        beside = word.close in ("", ".") and cursor.word(1).core[:1].isdigit()
    if not beside:
        return None
    stop = word.close.startswith(".") and (len(word.close) > 1 or not _ends_sentence(cursor))
    return Said((Piece(name, word.core_start, word.core_end),), word.core_end + stop)


def _ends_sentence(cursor: Cursor) -> bool:
    following = cursor.word(1)
    return following.core == "" or following.core[0].isupper()


def _parts(word: Word, table: Table) -> Said:
    """A word of several kinds of characters, each by itself."""
    pieces: list[Piece] = []
    found = list(_PARTS.finditer(word.core))
    kind_before = ""
    for at, match in enumerate(found):
        part = match.group()
        start, end = word.core_start + match.start(), word.core_start + match.end()
        following = found[at + 1].group()[0] if at + 1 < len(found) else ""
        if part[0].isdecimal():
            kind = "digits"
            figure = read_figure(part, table)
            text = say_figure(figure, table) if figure is not None else _dotted(part, table)
            said: tuple[Piece, ...] = (Piece(text, start, end),)
        elif part[0].isalpha():
            kind = "letters"
            said = _letters(part, start, word.core, table)
        elif part in VULGAR:
            kind, said = "digits", (Piece(fractions.vulgar(part, table), start, end),)
        else:
            kind = "sign"
            said = (
                Piece(_sign(part, found[at - 1].group()[-1] if at else "", following, table), start, end),
            )
        apart = kind != kind_before and {kind, kind_before} == {"digits", "letters"}
        if pieces and apart:
            pieces.append(Piece(" ", start, start + 1))
        pieces += said
        kind_before = kind
    if pieces:
        last = pieces.pop()
        pieces.append(Piece(last.text.rstrip(" "), last.start, last.end))
    return Said(tuple(piece for piece in pieces if piece.text), word.core_end)


def _dotted(written: str, table: Table) -> str:
    """Numbers that are not one, each by itself."""
    said = []
    for part in re.split(r"(\D)", written):
        if not part.isdecimal():
            said.append(table.web.signs.get(part, ","))
        else:
            long = len(part) > 15 or (part[0] == "0" and len(part) > 1)
            said.append(say_digits(part, table) if long else table.words.cardinal(int(part)))
    return " ".join(said)


def _letters(part: str, start: int, core: str, table: Table) -> tuple[Piece, ...]:
    """A run of letters inside of a word."""
    compound = part != core
    if "&" in core and len(part) <= 3 and part.isupper() and table.letters:
        return acronyms.spelled(part, start, table)
    if len(part) > 1 and part.isupper() and part.isalpha():
        return acronyms.capitals(part, start, table)
    if len(part) == 1 and compound and part.isupper() and part.lower() in table.letters:
        return acronyms.spelled(part, start, table)
    if part in table.greek:
        return (Piece(table.greek[part], start, start + 1),)
    return acronyms.humps(part, start, table) or (Piece(part, start, start + len(part)),)


def _sign(sign: str, before: str, following: str, table: Table) -> str:
    """What a sign inside a word says."""
    if before.isnumeric() and following.isnumeric() and sign in table.signs_between_figures:
        return f" {table.signs_between_figures[sign]} "
    if sign in table.signs:
        return f" {table.signs[sign]} "
    if sign in "-–‐‑" and (before.isnumeric() or following.isnumeric()):
        return " "
    if sign in "+-−±~" and following.isnumeric():
        return f" {sign_name(sign, table)} "
    if sign in "/_":
        return " "
    return "" if sign in "*`~|^\\" else sign
