"""Reads a text word by word: which rule has something to say of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from speech.text.lexicon import Lexicon, LexiconEntry
from speech.text.markup import CODE_BLOCK
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
from speech.text.normalizer.rules.numerals import (
    NUMBER,
    VULGAR_FRACTIONS,
    parse_numeral,
    say_digits,
    say_numeral,
)
from speech.text.normalizer.rules.units import sign_name
from speech.text.normalizer.spoken import Piece, SpokenText, SpokenTextBuilder, Verbalization
from speech.text.normalizer.tables.load import table_for
from speech.text.normalizer.tables.table import LanguageTable
from speech.text.normalizer.tokens import MoreTextNeeded, Token, TokenCursor, split_joined, tokenize

_VOWEL_MARKS = "\u064b-\u065f\u0670"
_PLAIN = re.compile(rf"(?:[^\W\d_]|[{_VOWEL_MARKS}])+(?:['’-][^\W\d_]+)*")
_RUN = re.compile(r"([!?¡¿,;؟،؛])[!?¡¿,;؟،؛]*|\.{2,}|-{2,}|[*_`~|^\\]+|.", re.DOTALL)
_LETTERS = r"[^\W\d_⁰¹²³⁴-⁹½¼¾⅐-⅞]+"
_PARTS = re.compile(rf"{NUMBER}|{_LETTERS}(?:['’]{_LETTERS})*|.", re.DOTALL)
_SEEN_BEFORE = 80
"""Characters of the text before that are looked at."""


@dataclass(frozen=True, slots=True)
class NormalizerOptions:
    """How a text is read.

    language: BCP 47; without a table for it ("" has none) numbers, abbreviations and the like stay
    as they are written. lexicon: words that are said otherwise, before any rule. ipa: whether the
    engine says IPA; if not, an entry is said by its spelling, or as it is written.
    """

    language: str = ""
    lexicon: Lexicon | None = None
    accepts_ipa: bool = False


VERBATIM = NormalizerOptions()
"""As it is written."""


def normalize(
    written: str,
    offset: int = 0,
    options: NormalizerOptions = VERBATIM,
    *,
    complete: bool = True,
    preceding: str = "",
) -> SpokenText:
    """What is said of ``written``; origins are counted from ``offset``.

    complete: whether this is all of it; if not, it ends where a word does, and what further text
    may change is left out: what comes out is the beginning of what will. before: the last
    characters of the text before it, as far as they are known. Takes time linear in the text.
    Raises TableError where the language's table is broken.
    """
    text = clean(written)
    table = table_for(options.language) if options.language else None
    words = tokenize(text.text, options.lexicon, complete)
    if table is not None:
        words = split_joined(words, table.acronyms.elided, table.abbreviations)
    earlier = tokenize(clean(preceding[-_SEEN_BEFORE:]).text, None, True) if preceding and table else []
    cursor = TokenCursor(words, earlier, complete)
    speech = SpokenTextBuilder(text, offset)
    goes_on = preceding[-1:].isdecimal() and written[:1].isdecimal()
    done = 0
    while not cursor.exhausted:
        word = cursor.token()
        try:
            said = _read(cursor, word, table, goes_on)
        except MoreTextNeeded:
            break
        goes_on = False
        if done and (word.start > done or (word.core[:1].isdecimal() and text.text[done - 1] in "°º")):
            speech.append(" ", done, done + 1)
        if word.entry is not None:
            _say_entry(word, word.entry, options.accepts_ipa, speech)
            done = word.end
        elif said is None:
            _copy(word, word.start, table, speech)
            done = word.end
        else:
            begin = said.pieces[0].start if said.pieces else word.core_start
            _marks(word, word.start, min(begin, word.core_start), speech)
            for piece in said.pieces:
                speech.append(piece.text, piece.start, piece.end)
            done = said.end
        while not cursor.exhausted and cursor.token().end <= done:
            cursor.at += 1
        if not cursor.exhausted and (rest := cursor.token()).start < done:
            _marks(rest, done, rest.end, speech)
            done = rest.end
            cursor.at += 1
    return speech.build()


def _say_entry(word: Token, entry: LexiconEntry, ipa: bool, speech: SpokenTextBuilder) -> None:
    """Say what the lexicon says, apart from letters and figures that it touches ("50€")."""
    said = entry.spelling or " ".join(word.core.split())
    if word.text[max(word.start - 1, 0) : word.start].isalnum():
        speech.append(" ", word.start, word.end)
    if ipa and entry.ipa is not None:
        speech.append_pronounced(" ".join(word.core.split()), entry.ipa, word.start, word.end)
    else:
        speech.append(said, word.start, word.end)
    if word.text[word.end : word.end + 1].isalnum():
        speech.append(" ", word.start, word.end)


def _copy(word: Token, start: int, table: LanguageTable | None, speech: SpokenTextBuilder) -> None:
    """Say a word as it is written."""
    if table is None:
        if word.core != CODE_BLOCK:
            speech.copy(start, word.end)
        return
    _marks(word, start, word.core_start, speech)
    speech.copy(word.core_start, word.core_end)
    _marks(word, word.core_end, word.end, speech)


def _marks(word: Token, start: int, end: int, speech: SpokenTextBuilder) -> None:
    """Say marks; one of a row of them, and none that is only drawn."""
    if end - start == 1 and word.text[start] not in "*_`~|^\\":
        speech.copy(start, end)
        return
    for run in _RUN.finditer(word.text, start, end):
        marks = run.group()
        if marks[0] in "*_`~|^\\":
            continue
        kept = "…" if marks[0] == "." and len(marks) > 1 else "".join(dict.fromkeys(marks))
        speech.append(kept, run.start(), run.end())


_Rule = Callable[[TokenCursor, LanguageTable], Verbalization | None]

_WITH_DIGITS: tuple[_Rule, ...] = (
    acronyms.expand_abbreviation,
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
    alphanumerics.number_with_ending,
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
    acronyms.expand_abbreviation,
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


def _read(
    cursor: TokenCursor, word: Token, table: LanguageTable | None, goes_on: bool
) -> Verbalization | None:
    """What a rule says of the word; None where it is said as it is written."""
    core = word.core
    if table is None or word.entry is not None:
        return None
    if word.end - word.start == 1 and (sign := math.sign_between(cursor, table)) is not None:
        return sign
    if len(core) > 1 and core in table.signs:
        return Verbalization((Piece(table.signs[core], word.core_start, word.core_end),), word.core_end)
    if len(core) > 1 and len(set(core)) == 1 and not core[0].isalnum():
        # Hyphens in place of a dash are a breath; a rule, or a row of other signs, is only to be seen.
        dash = (Piece("—", word.core_start, word.core_end),) if core in ("--", "---") else ()
        return Verbalization(dash, word.core_end)
    if not core:
        return None
    if core == CODE_BLOCK:
        announced = (Piece(table.code_block, word.start, word.end),) if table.code_block else ()
        return Verbalization(announced, word.end)
    if core.islower() and core.isalpha() and len(core) > 1 and not word.suffix.startswith("."):
        if core in table.dates.months:
            return _month(cursor, table)
        if core not in table.abbreviations:
            return acronyms.roman(cursor, table) if acronyms.may_be_small_roman(cursor, table) else None
    if goes_on and core[0].isdecimal():
        return _rest_of_number(word, table)
    has_digits = any(map(str.isnumeric, core))
    if has_digits and (prefix := alphanumerics.number_prefix(core, table)):
        with cursor.without_prefix(len(prefix)) as rest:
            number = _read(cursor, rest, table, goes_on)
        if number is None:
            return None
        if cursor.previous().core[:1].isdecimal():
            # "between 10 and 20": the word before both governs this one too.
            number = _governed(number, cursor, table, 2)
        return alphanumerics.join_prefix(number, prefix, word, table)
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


def _governed(said: Verbalization, cursor: TokenCursor, table: LanguageTable, back: int = 1) -> Verbalization:
    """What is said, as the word so far back wants it."""
    previous = cursor.previous(back)
    if not previous.core or previous.suffix:
        return said
    before = previous.core.lower()
    return Verbalization(
        tuple(
            Piece(table.number_words.inflected_after(before, one.text), one.start, one.end)
            for one in said.pieces
        ),
        said.end,
    )


def _rest_of_number(word: Token, table: LanguageTable) -> Verbalization:
    """The digits of a number that began before the text, one by one."""
    end = next((at for at, character in enumerate(word.core) if not character.isdecimal()), len(word.core))
    if end < len(word.core):
        return _parts(word, table)
    return Verbalization(
        (Piece(say_digits(word.core, table), word.core_start, word.core_end),), word.core_end
    )


def _month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A month's short name, beside a day or a year, in full."""
    word = cursor.token()
    number = table.dates.months[word.core.lower()]
    name = table.dates.names[number - 1]
    if word.core.lower() == name.lower():
        return None
    beside = cursor.previous().core[:1].isdigit() or (
        cursor.previous().core.lower() in table.dates.joiners and cursor.previous(2).core[:1].isdigit()
    )
    if not beside:
        beside = word.suffix in ("", ".") and cursor.token(1).core[:1].isdigit()
    if not beside:
        return None
    stop = word.suffix.startswith(".") and (len(word.suffix) > 1 or not _ends_sentence(cursor))
    return Verbalization((Piece(name, word.core_start, word.core_end),), word.core_end + stop)


def _ends_sentence(cursor: TokenCursor) -> bool:
    following = cursor.token(1)
    return following.core == "" or following.core[0].isupper()


def _parts(word: Token, table: LanguageTable) -> Verbalization:
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
            figure = parse_numeral(part, table)
            text = say_numeral(figure, table) if figure is not None else _dotted(part, table)
            said: tuple[Piece, ...] = (Piece(text, start, end),)
        elif part[0].isalpha():
            kind = "letters"
            said = _letters(part, start, word.core, table)
        elif part in VULGAR_FRACTIONS:
            kind, said = "digits", (Piece(fractions.say_vulgar(part, table), start, end),)
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
    return Verbalization(tuple(piece for piece in pieces if piece.text), word.core_end)


def _dotted(written: str, table: LanguageTable) -> str:
    """Numbers that are not one, each by itself."""
    said = []
    for part in re.split(r"(\D)", written):
        if not part.isdecimal():
            said.append(table.web.signs.get(part, ","))
        else:
            long = len(part) > 15 or (part[0] == "0" and len(part) > 1)
            said.append(say_digits(part, table) if long else table.number_words.cardinal(int(part)))
    return " ".join(said)


def _letters(part: str, start: int, core: str, table: LanguageTable) -> tuple[Piece, ...]:
    """A run of letters inside of a word."""
    compound = part != core
    if "&" in core and len(part) <= 3 and part.isupper() and table.letters:
        return acronyms.spelled_pieces(part, start, table)
    if len(part) > 1 and part.isupper() and part.isalpha():
        return acronyms.capitals_pieces(part, start, table)
    if len(part) == 1 and compound and part.isupper() and part.lower() in table.letters:
        return acronyms.spelled_pieces(part, start, table)
    if part in table.greek:
        return (Piece(table.greek[part], start, start + 1),)
    return acronyms.camel_case_pieces(part, start, table) or (Piece(part, start, start + len(part)),)


def _sign(sign: str, before: str, following: str, table: LanguageTable) -> str:
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
