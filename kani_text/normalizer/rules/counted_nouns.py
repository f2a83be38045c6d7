"""Numbers with what they count: magnitudes, units, money and nouns after them."""

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.amounts import Counted
from kani_text.normalizer.rules.numerals import Numeral, parse_numeral
from kani_text.normalizer.rules.units import (
    Measure,
    gender_of_counted,
    is_letter,
    of_trade,
    resolve_unit,
    split_per,
    unit_end,
)
from kani_text.normalizer.tables.file import Forms
from kani_text.normalizer.tables.table import Currency
from kani_text.normalizer.tokens import Token, TokenCursor

_GROUP, _BEFORE_GROUP = re.compile(r"\d{3}(?:[.,]\d+)?"), re.compile(r"[1-9]\d{0,2}")
_FRACTION = re.compile(r"(\d{1,2})[/⁄](\d{1,3})")
_LONGEST_SCALE = 20
"""Numbers before another one, at most, that tell whether they are a scale."""
_OPERATORS = frozenset("+ - − – = < > ≤ ≥ ±".split())
_NUMBERED = Rows("label|numbered @")
_WITH_NUMBER = Rows("@ word figure")
_AFTER_UNIT = Rows("figure~ unit~ @")
_BEFORE_WORD = Rows("@ small")
_OF_DAY = Rows("day_article~ @~ word|figure")


class CountedNumerals(Counted):
    """Takes what is written after the numbers of a token, and counted by them."""

    def take_suffix(self, suffix: str) -> bool:
        """Take what is written to the numbers; False if nothing is known by that."""
        cursor, table, money = self._cursor, self._table, self._money
        suffix, self._per = split_per(suffix, table, money is not None)
        if not suffix:
            # "5/day"
            self._end = unit_end(cursor, 0, table)
            return True
        if money is not None:
            self._magnitude = {**table.numbers.money_magnitudes, **table.numbers.magnitudes}.get(suffix)
        elif not (is_letter(suffix, cursor, 0, table, self._first.decimals) or _is_variable(suffix, cursor)):
            self._measure, self._magnitude = self._resolve(suffix, attached=True)
        if self._measure is None and self._magnitude is None:
            return False
        self._take_scale(suffix, 1)
        if self._measure is None and money is None:
            self._take_measure_of_many(1)
        if suffix[-1].isalpha():
            self._end = max(self._end, unit_end(cursor, 0, table))
        return True

    def take_following(self, counts: bool) -> None:
        """Take what the tokens after the numbers say; counts: whether they may be a unit or a noun."""
        if not self._cursor.is_adjacent(1):
            return
        ahead = 1
        while self._second is None and self._part is None and self._takes_group(ahead):
            ahead += 1
        if self._part is None and self._takes_fraction(ahead):
            if self._takes_inches(ahead):
                return
            ahead += 1
        if not self._cursor.is_adjacent(ahead) or self._takes_symbol(ahead, counts):
            return
        if self._takes_magnitude(ahead, counts) or not counts:
            return
        if not _NUMBERED.hold(self._cursor, self._table):
            # "el nivel 21 necesitas": the number of a label counts nothing.
            plural = self._second is not None or self._first.value != 1
            self._gender = gender_of_counted(self._cursor, self._table, ahead, plural)
            self._take_noun(self._cursor.token(ahead))

    def _resolve(self, symbol: str, attached: bool) -> tuple[Measure | None, Forms | None]:
        """The unit and the magnitude of a symbol, in the sense that the words before give it."""
        other = of_trade(symbol, self._cursor, self._table)
        return (other, None) if other else resolve_unit(symbol, self._table, attached)

    def _takes_group(self, ahead: int) -> bool:
        """Take "000" after "10" as a part of the same number."""
        first = self._first
        if first.decimals or not self._cursor.is_adjacent(ahead):
            return False
        token = self._cursor.token(ahead)
        if not _GROUP.fullmatch(token.core):
            return False
        starts = not first.grouped and _BEFORE_GROUP.fullmatch(first.digits) and not self._is_of_scale()
        if ahead == 1 and not starts:
            # "In 2020 500 people"
            return False
        more = parse_numeral(token.core, self._table)
        if more is None or len(more.digits) != len("000"):
            return False
        self._first = Numeral(first.digits + more.digits, more.decimals, grouped=True)
        self._end = self._figures_end = self._last = self._first_end = token.core_end
        self._measure_at = (token.core_end, token.core_end)
        return True

    def _is_of_scale(self) -> bool:
        """True for a number of "0 100 200 300": no groups of one number begin with 0."""
        back = 1
        while (before := self._cursor.previous(back)).core.isdecimal() and not before.suffix:
            if before.core == "0" or back == _LONGEST_SCALE:
                return True
            back += 1
        return False

    def _takes_fraction(self, ahead: int) -> bool:
        """Take "1/2" after a number as its fraction."""
        if self._second is not None or self._first.decimals or not self._cursor.is_adjacent(ahead):
            return False
        token = self._cursor.token(ahead)
        match = _FRACTION.fullmatch(token.core)
        if match is None or not 0 < int(match[1]) < int(match[2]):
            return False
        self._part = int(match[1]), int(match[2])
        self._end = self._figures_end = token.core_end
        return True

    def _takes_inches(self, ahead: int) -> bool:
        """Take the sign of 1 1/2"."""
        if not self._cursor.token(ahead).suffix.startswith(('"', "″", "”")) or "in" not in self._table.units:
            return False
        self._measure, self._measure_at = self._table.units["in"], (self._end, self._end + 1)
        self._end += 1
        return True

    def _takes_symbol(self, ahead: int, counts: bool) -> bool:
        """Take a unit, a currency or a magnitude ("5 km", "5 €/kg", "3,5 mln €")."""
        cursor, table = self._cursor, self._table
        token = cursor.token(ahead)
        symbol, per = split_per(token.core, table, False) if counts else (token.core, "")
        measure, self._magnitude = self._resolve(symbol, attached=False)
        measure = self._in_context(measure, symbol, ahead) if counts else None
        if measure is None and self._magnitude is None and (symbol or not per):
            return False
        self._measure, self._per = measure, per
        self._measure_at = (token.core_start, token.core_end)
        if measure is not None:
            self._end = unit_end(cursor, ahead, table)
            self._take_scale(symbol, ahead + 1)
            return True
        self._end = token.core_end + (token.suffix == "." and self._goes_on(ahead + 1))
        if counts:
            self._take_measure_of_many(ahead + 1)
        return True

    def _in_context(self, measure: Measure | None, symbol: str, ahead: int) -> Measure | None:
        """The measure of a symbol; None where that is a verb or a letter."""
        if self._is_verb(ahead):
            return None
        if measure is None or is_letter(symbol, self._cursor, ahead, self._table, self._first.decimals):
            return self._table.units.get(symbol) if self._stands_apart(symbol, ahead) else None
        return measure

    def _stands_apart(self, symbol: str, ahead: int) -> bool:
        """True for a unit that mostly touches its number: "3 x täglich", "4 x.", "15.6 in.", "6 ft 5 in"."""
        closed = self._cursor.token(ahead).suffix[:1] in (".", ",", ";", ")")
        if symbol == "x":
            return closed or _BEFORE_WORD.hold(self._cursor, self._table, ahead)
        if symbol == "in" and closed:
            return True
        return self._cursor.previous().core != "x" and _AFTER_UNIT.hold(self._cursor, self._table)

    def _is_verb(self, ahead: int) -> bool:
        """True for the "ha" of "el 3 ha llovido", which is no hectare."""
        table, verb = self._table, self._cursor.token(ahead)
        if not is_kind(verb, "auxiliary", table) or self._first.decimals:
            return False
        following = self._cursor.token(ahead + 1).core
        ends = following.endswith(tuple(table.kinds.get("participle", ())))
        perfect = ends and following not in table.agreement.not_nouns
        return perfect or _OF_DAY.hold(self._cursor, self._table, ahead)

    def _takes_magnitude(self, ahead: int, counts: bool) -> bool:
        """Take words as "million", "mil millones", and what is counted by them."""
        cursor, numbers, words = self._cursor, self._table.numbers, []
        first = cursor.token(ahead)
        while cursor.adjacent(ahead).core.lower() in numbers.magnitude_words:
            words.append(cursor.token(ahead).core)
            self._end = cursor.token(ahead).core_end
            ahead += 1
        if not words:
            return False
        self._magnitude_word = " ".join(words)
        self._measure_at = (first.core_start, self._end)
        self._gender = numbers.magnitude_gender
        if counts:
            if self._is_numeral(words[-1]):
                self._gender = gender_of_counted(cursor, self._table, ahead, True) or self._gender
            self._take_measure_of_many(ahead)
        return True

    def _take_measure_of_many(self, ahead: int) -> None:
        """Take the currency or unit after millions: "3,5 mln €", "2,5 Mio. Lj", "62K mi", "3,5 mil M€"."""
        cursor, table = self._cursor, self._table
        if cursor.token(ahead - 1).suffix not in ("", "."):
            return
        token = cursor.token(ahead)
        measure, many = resolve_unit(token.core, table, attached=False)
        if measure is None or token.prefix or token.entry is not None:
            return
        if self._magnitude is not None and token.core.isalpha() and len(token.core) == 1:
            # "5k a la semana"
            return
        self._measure = measure
        self._end = token.core_end if isinstance(measure, Currency) else unit_end(cursor, ahead, table)
        self._measure_at = (self._measure_at[0], token.core_end)
        if many is not None:
            self._magnitude_word += f" {many['other']}"

    def _take_scale(self, sign: str, ahead: int) -> None:
        """Take the letter after the degrees of "20 ° C" and "20° C"."""
        if sign not in ("°", "º") or not self._cursor.is_adjacent(ahead):
            return
        letter = self._cursor.token(ahead)
        if (scale := self._table.units.get(f"°{letter.core}")) is not None:
            self._measure, self._end = scale, letter.core_end
            self._measure_at = (self._measure_at[0], letter.core_end)

    def _take_noun(self, noun: Token) -> None:
        """Take a noun that says its number too, unless it has a number of its own: "2 فقرة 3"."""
        last = self._second or Numeral("0", "")
        if self._first.decimals or last.decimals or self._first.is_long:
            return
        said = self._table.number_words.with_noun(int(self._first.digits), int(last.digits), noun.core)
        if said and not _WITH_NUMBER.hold(self._cursor, self._table):
            self._noun, self._end = said, noun.core_end

    def _goes_on(self, ahead: int) -> bool:
        """True if the token ``ahead`` may be counted ("3 Mio. Euro"), rather than begin a sentence."""
        token = self._cursor.token(ahead)
        return token.core != "" and (token.core[0].islower() or not is_kind(token, "not_noun", self._table))


def _is_variable(suffix: str, cursor: TokenCursor) -> bool:
    """True for the "2x" of a formula, but not of "2x dmg + 1x supp"."""
    if suffix != "x":
        return False
    apart, following = cursor.token().suffix != "", cursor.token(1).core
    if following.isalpha() and len(following) > 1 and not apart:
        return False
    return cursor.previous().core in _OPERATORS or (not apart and following in _OPERATORS)
