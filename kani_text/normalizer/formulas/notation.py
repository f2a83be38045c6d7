"""The words of a language for the parts of a formula, with spaces between words and without."""

import functools
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from kani_text.normalizer.rules.acronyms import common_words, letter_name
from kani_text.normalizer.rules.fractions import say_fraction, say_vulgar
from kani_text.normalizer.rules.math import say_exponent
from kani_text.normalizer.rules.numerals import VULGAR_FRACTIONS, parse_numeral, say_numeral
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.table import Formulas, LanguageTable
from kani_text.normalizer.unspaced.table import UnspacedTable, unspaced_table_for


@dataclass(frozen=True, slots=True, eq=False)
class Notation:
    """The words of a language; ``letter``, ``number``, ``cardinal`` and ``exponent`` take what is written."""

    words: Formulas
    signs: Mapping[str, str]
    minus: str
    power: str
    """A template of ``{n}``."""
    over: str
    """A template of ``{numerator}`` and ``{denominator}``."""
    letter: Callable[[str], str]
    number: Callable[[str], str]
    cardinal: Callable[[str], str]
    exponent: Callable[[str], str]
    fraction: Callable[[int, int], str]
    space: str
    common: frozenset[str]
    units: Container[str]
    caret_is_power: bool


@functools.cache
def notation_of(tag: str) -> Notation | None:
    """The notation of a language (BCP 47); None where it has no table. Raises TableError."""
    unspaced = unspaced_table_for(tag)
    if unspaced is not None:
        return _unspaced(unspaced)
    table = table_for(tag)
    return _spaced(table) if table is not None else None


def _spaced(table: LanguageTable) -> Notation:
    words = table.number_words

    def number(written: str) -> str:
        if written in VULGAR_FRACTIONS:
            return say_vulgar(written, table)
        numeral = parse_numeral(written, table)
        return written if numeral is None else say_numeral(numeral, table)

    return Notation(
        words=table.formulas,
        signs={**table.signs_between_figures, **table.signs, "×": table.signs.get("×", table.numbers.by)},
        minus=table.numbers.minus,
        power=f"{table.numbers.power} {{n}}",
        over=table.fractions.over,
        letter=functools.partial(letter_name, table=table),
        number=number,
        cardinal=lambda figures: words.cardinal(int(figures)),
        exponent=functools.partial(say_exponent, table=table),
        fraction=functools.partial(say_fraction, table=table),
        space=" ",
        common=common_words(table.language) | common_words("en"),
        units=table.units,
        caret_is_power="^" not in table.ordinals,
    )


def _unspaced(table: UnspacedTable) -> Notation:
    over = table.numbers.fraction

    def as_written(text: str) -> str:
        return text

    return Notation(
        words=table.formulas,
        signs=table.formulas.signs,
        minus=table.formulas.signs["-"],
        power=table.formulas.power,
        over=over,
        letter=lambda letter: table.formulas.signs.get(letter, letter),
        # The reader of the language says figures.
        number=as_written,
        cardinal=as_written,
        exponent=as_written,
        fraction=lambda numerator, denominator: over.format(numerator=numerator, denominator=denominator),
        space="",
        common=common_words("en"),
        units=table.units,
        caret_is_power=True,
    )
