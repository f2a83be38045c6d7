"""Normalizes a text token by token with the first rule that applies."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from kani.text.lexicon import Lexicon, LexiconEntry
from kani.text.markup import CODE_BLOCK, PARAGRAPH_END
from kani.text.normalizer.cleaning import clean
from kani.text.normalizer.floor import append_plain
from kani.text.normalizer.options import VERBATIM, NormalizerOptions
from kani.text.normalizer.parts import verbalize_parts
from kani.text.normalizer.placed_lexicon import PlacedEntry, PlacedLexicon, find_places
from kani.text.normalizer.respelling import respelled
from kani.text.normalizer.rules import (
    abbreviations,
    acronyms,
    compounds,
    fractions,
    math,
    ordinals,
    quantities,
    roman,
    trades,
    urls,
)
from kani.text.normalizer.rules.moments import dates, days, decades, durations, times, weekdays
from kani.text.normalizer.rules.named import (
    codes,
    digit_sequences,
    games,
    identifiers,
    marks,
    places,
    ranges,
    verses,
)
from kani.text.normalizer.rules.numerals import say_digits
from kani.text.normalizer.spoken import Piece, SpokenText, SpokenTextBuilder, Verbalization
from kani.text.normalizer.tables.loaded import table_for
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import MoreTextNeeded, Token, TokenCursor, split_joined, tokenize
from kani.text.normalizer.unspaced.reader import UnspacedReader
from kani.text.normalizer.unspaced.table import unspaced_table_for
from kani.text.pronunciations.homographs import homograph
from kani.text.writing import ENDING_MARKS, LETTER

_PLAIN = re.compile(rf"{LETTER}+(?:['’-][^\W\d_]+)*")
_RUN = re.compile(r"([!?¡¿,;؟،؛])[!?¡¿,;؟،؛]*|\.{2,}|-{2,}|[*_`~|^\\]+|.", re.DOTALL)
_DRAWN = frozenset("*_`~|^\\{}")
"""Characters that set type, and are not spoken."""
_FARTHEST_GOVERNOR = 8
_LONGEST_LINE = 45
_MAX_PRECEDING = 80
"""Characters of the preceding text that rules can see."""


def normalize(
    written: str,
    offset: int = 0,
    options: NormalizerOptions = VERBATIM,
    *,
    complete: bool = True,
    preceding: str = "",
) -> SpokenText:
    """The spoken form of ``written``; its origins are counted from ``offset``.

    complete: whether this is all of it; if not, it ends where a word does, and words are left out that
    further text may change: the result is the beginning of that for the whole. preceding: the end of the text
    before it, as far as it is known. Takes time linear in the text. Raises TableError where the language's
    table is broken.
    """
    text, places = find_places(clean(written, options.language), options, offset, _speak, complete=complete)
    text = respelled(text, options.language, complete=complete)
    if places:
        placed = PlacedLexicon(options.lexicon or Lexicon(), text, offset, places)
        options = replace(options, lexicon=placed)
    unspaced = unspaced_table_for(options.language) if options.language else None
    if unspaced is not None:
        return UnspacedReader(text, unspaced, options, offset, preceding[-_MAX_PRECEDING:], complete).read()
    table = table_for(options.language) if options.language else None
    tokens = tokenize(text.text, options.lexicon, complete)
    if table is not None:
        tokens = split_joined(tokens, table.acronyms.elided, table.abbreviations, table.dates.months)
    cursor = TokenCursor(tokens, _earlier(preceding, table), complete)
    builder = SpokenTextBuilder(text, offset)
    continues_number = preceding[-1:].isdecimal() and written[:1].isdecimal()
    homographs = options.homographs and options.language.startswith("en")
    done = 0
    while not cursor.exhausted:
        token = cursor.token()
        try:
            entry = token.entry or (homograph(cursor) if homographs else None)
            verbalization = None if entry else _verbalize(cursor, token, table, continues_number)
        except MoreTextNeeded:
            break
        continues_number = False
        if done and (token.start > done or (token.core[:1].isalnum() and text.text[done - 1] in "°º.:/")):
            apart = table is not None and _ends_line(text.text, done, token.start, preceding, table)
            apart = apart and builder.last not in ENDING_MARKS
            builder.append(", " if apart else " ", done, done + 1)
        if entry is not None:
            _append_entry(cursor, entry, table, options, builder)
            done = token.end
        elif verbalization is None:
            _append_verbatim(token, table, builder, options.language)
            done = token.end
        else:
            begin = verbalization.pieces[0].start if verbalization.pieces else token.core_start
            _append_marks(token, token.start, min(begin, token.core_start), builder)
            for piece in verbalization.pieces:
                builder.append(piece.text, piece.start, piece.end)
            done = verbalization.end
        while not cursor.exhausted and cursor.token().end <= done:
            cursor.at += 1
        if not cursor.exhausted and (rest := cursor.token()).start < done:
            _append_marks(rest, done, rest.end, builder)
            done = rest.end
            cursor.at += 1
    return builder.build()


def _speak(written: str, options: NormalizerOptions) -> str:
    return normalize(written, 0, options).text


def _earlier(preceding: str, table: LanguageTable | None) -> Sequence[Token]:
    """The last words before a text, as far as rules look."""
    if table is None or not preceding:
        return []
    context = clean(preceding[-_MAX_PRECEDING:], table.language)
    return tokenize(respelled(context, table.language).text, None, True)


def _ends_line(text: str, end: int, start: int, preceding: str, table: LanguageTable) -> bool:
    """True if a short line, from a signature, an address or a list, is apart from the next one by itself.

    A line of prose that was wrapped is longer, or goes on with a small letter.
    """
    between = text[end:start]
    if PARAGRAPH_END in between:
        return True
    if "\n" not in between or text[start].islower():
        return False
    line = (preceding[-_LONGEST_LINE:] + text[max(0, end - _LONGEST_LINE - 1) : end]).rpartition("\n")[2]
    if len(line) > _LONGEST_LINE:
        return False
    words = ["", *line.split()]
    first, last, before = line.lstrip()[:1], words[-1], words[-2]
    if not last[0].islower() or before[-1:].isdecimal() or last.endswith("."):
        # "Mehl 250 g", "Temp. mín."
        return True
    heads = first.isdecimal() or (first.isupper() and text[start].isupper())
    return heads and not table.agreement.capitals and last not in acronyms.common_words(table.language)


def _append_entry(
    cursor: TokenCursor,
    entry: LexiconEntry,
    table: LanguageTable | None,
    options: NormalizerOptions,
    builder: SpokenTextBuilder,
) -> None:
    """Append a lexicon entry with its marks, separated from letters and digits that it touches ("50€")."""
    token = cursor.token()
    _append_marks(token, token.start, token.core_start, builder)
    written = " ".join(token.text[token.core_start : token.core_end].split())
    pronunciation = entry.pronunciation(options.language) if options.accepts_ipa else None
    start, end = token.core_start, token.core_end
    if token.text[max(start - 1, 0) : start].isalnum():
        builder.append(" ", start, end)
    if pronunciation is not None:
        builder.append_pronounced(written, *pronunciation, start, end)
    elif isinstance(entry, PlacedEntry):
        said = Verbalization(entry.pieces, token.end)
        for piece in (said if table is None else _inflected(said, cursor, table)).pieces:
            builder.append(piece.text, start + piece.start, start + piece.end)
    else:
        builder.append(entry.spelling or written, start, end)
    if token.text[end : end + 1].isalnum():
        builder.append(" ", start, end)
    _append_marks(token, token.core_end, token.end, builder)


def _append_verbatim(
    token: Token, table: LanguageTable | None, builder: SpokenTextBuilder, language: str
) -> None:
    """Copy a token as it is written; its signs have words in a language without a table."""
    if table is None:
        if token.core != CODE_BLOCK:
            append_plain(token, token.start, builder, language)
        return
    _append_marks(token, token.start, token.core_start, builder)
    builder.copy(token.core_start, token.core_end)
    _append_marks(token, token.core_end, token.end, builder)


def _append_marks(token: Token, start: int, end: int, builder: SpokenTextBuilder) -> None:
    """Append punctuation: one mark of a repeated one, and no character that is only drawn."""
    if end - start == 1 and token.text[start] not in _DRAWN:
        builder.copy(start, end)
        return
    for run in _RUN.finditer(token.text, start, end):
        marks = run.group()
        if marks[0] in _DRAWN:
            continue
        kept = "…" if marks[0] == "." and len(marks) > 1 else "".join(dict.fromkeys(marks))
        builder.append(kept, run.start(), run.end())


_Rule = Callable[[TokenCursor, LanguageTable], Verbalization | None]

_WITH_DIGITS: tuple[_Rule, ...] = (
    abbreviations.expand_abbreviation,
    compounds.compound,
    trades.numbered,
    times.four_figures,
    codes.dialled,
    digit_sequences.phone,
    codes.code,
    identifiers.iban,
    games.move,
    games.ranking,
    games.innings,
    verses.verse,
    verses.number_of_book,
    ranges.letters,
    places.angle,
    marks.period,
    codes.numbered,
    marks.graded,
    marks.height,
    marks.factor,
    codes.labelled,
    marks.adjective,
    durations.elapsed,
    durations.prime,
    durations.duration,
    durations.every,
    digit_sequences.zone,
    days.year_of_date,
    dates.date,
    dates.era,
    times.time,
    ordinals.with_stop,
    ordinals.marked,
    decades.decade,
    digit_sequences.dotted,
    digit_sequences.hyphened,
    marks.years,
    marks.account,
    math.dimensions,
    codes.hyphened,
    codes.formula,
    identifiers.mixed,
    digit_sequences.number_with_ending,
    fractions.fraction,
    dates.loose,
    math.power,
    quantities.measured_range,
    quantities.quantity,
    urls.keys,
    urls.tag,
    urls.address,
    urls.snake,
)
_WITHOUT_DIGITS: tuple[_Rule, ...] = (
    weekdays.weekday,
    verses.book,
    places.direction,
    abbreviations.expand_abbreviation,
    compounds.abbreviated_ending,
    compounds.compound,
    ordinals.with_stop,
    quantities.currency_before,
    quantities.unit_before,
    quantities.per_unit,
    marks.note,
    marks.endings,
    urls.keys,
    urls.flag,
    urls.tag,
    codes.lettered_code,
    acronyms.dotted,
    urls.address,
    urls.snake,
    ranges.letters,
    quantities.roman_range,
    roman.roman,
    marks.graded,
    codes.formula,
    acronyms.initial,
    acronyms.acronym,
    acronyms.unspeakable,
)


def _verbalize(
    cursor: TokenCursor, token: Token, table: LanguageTable | None, continues_number: bool, back: int = 1
) -> Verbalization | None:
    """The first rule's result, governed by the word ``back`` before (0: a verb only); None: as written."""
    core = token.core
    if table is None or token.entry is not None:
        return None
    alone = token.end - token.start == 1
    sign = math.sign_between(cursor, table) if alone else None
    sign = sign or marks.emoticon(cursor, table) or math.path_step(cursor, table)
    if (sign := sign or math.number_sign(cursor, table)) is not None:
        return sign
    # ">= 5" becomes one word where the figure is there.
    rule_of_signs = core in ("==", ">=", "<=") and not (cursor.token(1).core and cursor.previous().core)
    if len(core) > 1 and core in table.signs and not (core == "==" and rule_of_signs):
        return Verbalization((Piece(table.signs[core], token.core_start, token.core_end),), token.core_end)
    if len(core) > 1 and len(set(core)) == 1 and not core[0].isalnum():
        # Hyphens instead of a dash are a phrase break; a rule, or a row of other signs, is not spoken.
        dash = (Piece("—", token.core_start, token.core_end),) if core in ("--", "---") else ()
        return Verbalization(dash, token.core_end)
    if not core:
        return None
    if core == CODE_BLOCK:
        announced = (Piece(table.code_block, token.start, token.end),) if table.code_block else ()
        return Verbalization(announced, token.end)
    if core.islower() and core.isalpha() and len(core) > 1 and not token.suffix.startswith("."):
        if core in table.dates.short_weekdays and (named := weekdays.weekday(cursor, table)) is not None:
            return named
        if core in table.dates.months:
            return days.month(cursor, table)
        if core not in table.abbreviations and not trades.is_of_a_trade(core, table):
            if roman.may_be_small_roman(cursor, table):
                return roman.roman(cursor, table)
            return quantities.unit_before(cursor, table) or acronyms.unspeakable(cursor, table)
    if continues_number and core[0].isdecimal():
        return _continue_number(token, table)
    has_digits = any(map(str.isnumeric, core))
    if has_digits and (prefix := digit_sequences.number_prefix(core, table)):
        back = _before_joined(cursor) if prefix == table.signs.get("&") else 1
        with cursor.without_prefix(len(prefix)) as rest:
            number = _verbalize(cursor, rest, table, continues_number, back)
        return None if number is None else digit_sequences.join_prefix(number, prefix, token, table)
    capitals = core.isupper() and core.lower() in table.dates.months
    if capitals and (month := days.month(cursor, table)) is not None:
        return month
    for rule in _WITH_DIGITS if has_digits else _WITHOUT_DIGITS:
        verbalization = rule(cursor, table)
        if verbalization is not None:
            return _inflected(verbalization, cursor, table, back) if has_digits else verbalization
    if core.lower() in table.dates.months:
        return days.month(cursor, table)
    if not has_digits and _PLAIN.fullmatch(core) and not any(map(str.isupper, core[1:])):
        return None
    before = cursor.previous().core
    after_figure = before[-1:].isdecimal() or before in table.currencies
    return verbalize_parts(token, table, after_figure=after_figure)


def _inflected(
    verbalization: Verbalization, cursor: TokenCursor, table: LanguageTable, back: int = 1
) -> Verbalization:
    """Inflect a verbalization as the token ``back`` before it governs it."""
    words, previous = table.number_words, cursor.previous(back or 1)
    governed = previous.core != "" and not previous.suffix
    if not governed and not words.verbs:
        return verbalization
    before = _governor(cursor, table, back) if governed else ""
    pieces = []
    for one in verbalization.pieces:
        pieces.append(Piece(words.inflected_after(before, one.text), one.start, one.end))
        joins = words.verbs and one.text.strip() in (table.numbers.to, table.numbers.by)
        if joins and before.rpartition(" ")[2] not in words.ordered:
            before = one.text.strip()
    return Verbalization(tuple(pieces), verbalization.end)


def _governor(cursor: TokenCursor, table: LanguageTable, back: int) -> str:
    """The word that a number is inflected after: the one before it, or one that governs it from afar.

    Where verbs govern, with the word before it.
    """
    before, verbs = cursor.previous(back or 1).core.lower(), table.number_words.verbs
    joined = before == table.signs.get("&")
    if before == table.numbers.to and cursor.previous(back + 2).core in table.number_words.ordered:
        # "الدرس 3 إلى 5"
        back, before = back + 2, cursor.previous(back + 2).core
    ordered = before in table.number_words.ordered
    article = table.agreement.not_noun_beginnings
    if ordered and cursor.is_adjacent(1) and not cursor.token(1).core.startswith(article):
        # "دفعت اليوم 45 ريال" is no day's number.
        noun = cursor.token(1).core
        counts = noun in table.units or noun.endswith(("ا", "ً"))
        if counts or (before not in table.numbers.labels and table.agreement.gender(noun, plural=True)):
            before, ordered = "", False
    afar = (verbs and not ordered) or joined
    for step in range(back or 1, back + _FARTHEST_GOVERNOR) if afar else ():
        token = cursor.previous(step)
        core = token.core.lower()
        if (verbs and verbs.fullmatch(core)) or (
            joined and cursor.previous(step - 1).core == "1" and step > back
        ):
            # "بلغ عدد القتلى 21", "mit 1 TL Zucker und 1 Prise Salz"
            return core
        if not core or (verbs and (token.suffix or core[0].isdecimal())):
            break
    if not verbs or not back:
        return before if back else ""
    earlier = cursor.previous(back + 1)
    return f"{earlier.core * (not earlier.suffix)} {table.signs.get(before, before)}"


def _before_joined(cursor: TokenCursor) -> int:
    """Tokens back to the word that governs a number after "and", before a row of numbers; 0: none does."""
    found = 0
    for back in range(1, _FARTHEST_GOVERNOR):
        token = cursor.previous(back)
        if not token.core or token.suffix[back == 1 and token.suffix == "،" :]:
            break
        if token.core[0].isdecimal():
            return back + 1
        if token.core[1:2].isdecimal():
            # "و20" goes with another number, "ب20" is governed already.
            found = back + (token.core[0] == "و")
    return found


def _continue_number(token: Token, table: LanguageTable) -> Verbalization:
    """Verbalize digits of a number that began before the text, one by one."""
    end = next((at for at, character in enumerate(token.core) if not character.isdecimal()), len(token.core))
    if end < len(token.core):
        return verbalize_parts(token, table)
    return Verbalization(
        (Piece(say_digits(token.core, table), token.core_start, token.core_end),), token.core_end
    )
