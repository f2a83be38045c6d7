"""Numbers with what they count: magnitudes, units, money and nouns after them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kani.text.normalizer.rules.before_nouns import describes
from kani.text.normalizer.rules.fractions import gender_of_following, say_mixed
from kani.text.normalizer.rules.numerals import VULGAR_FRACTIONS, Numeral, parse_leading_point, say_numeral
from kani.text.normalizer.rules.units import (
    Measure,
    PhraseBuilder,
    gender_of,
    gender_of_counted,
    gender_of_forms,
    is_electric,
    is_letter,
    of_trade,
    resolve_unit,
    say_amount,
    split_per,
    unit_end,
)
from kani.text.normalizer.spoken import Verbalization
from kani.text.normalizer.tables.file import Forms
from kani.text.normalizer.tables.table import Currency, LanguageTable, Unit
from kani.text.normalizer.tokens import Token, TokenCursor

_CODE = re.compile(r"[A-Z]{3}")
_NOUN_AT, _FARTHEST = 4, 12
_PERFECT = re.compile(r"\w+(?:[aiu]do|[aiulnrst]to|cho|so)")
"""Participles after "ha" in Spanish and Italian, where it is a verb too."""
_ADVERBS = frozenset("junto tanto cuanto accanto spesso subito esto resto asunto punto".split())
_GROUP = re.compile(r"\d{3}(?:[.,]\d+)?")


@dataclass(slots=True)
class _Figures:
    """Places of one or two numbers in the text."""

    token: int  # of a sign before them, too
    start: int
    first_end: int
    last: int  # start of the second number; end of the first where it is the only one
    end: int

    @classmethod
    def of(cls, token: Token, match: re.Match[str], last: str) -> _Figures:
        """last: group of the last number."""
        base, (start, first_end) = token.core_start, match.span("number")
        second = first_end if last == "number" else match.start(last)
        return cls(base, base + start, base + first_end, base + second, base + match.end(last))


class CountedNumerals:
    """One or two numbers, and the tokens after them."""

    def __init__(
        self,
        cursor: TokenCursor,
        table: LanguageTable,
        token: Token,
        match: re.Match[str],
        first: Numeral,
        second: Numeral | None,
    ) -> None:
        self._cursor = cursor
        self._table = table
        self._first = first
        self._second = second
        self._at = _Figures.of(token, match, last="number" if second is None else "second")
        self.end = token.core_end
        self._measure_at = (self._at.end, token.core_end)
        self._gender = ""
        self._magnitude_word = ""
        self._noun = ""
        self.per = ""
        self.mixed_with: tuple[int, int] | None = None

    def take_per(self, suffix: str, money: bool) -> str:
        """``suffix`` without the unit that money is paid for ("€" of "€/kg", "k" of "k/yr", "" of "/h")."""
        suffix, self.per = split_per(suffix, self._table, money)
        return suffix

    def resolve(self, symbol: str, attached: bool) -> tuple[Measure | None, Forms | None]:
        """The unit and the magnitude of a symbol, in the sense that the words before give it."""
        other = of_trade(symbol, self._cursor, self._table)
        return (other, None) if other else resolve_unit(symbol, self._table, attached)

    def code_behind(self, money: Currency) -> Currency:
        """The currency of the amount: a code after it is more precise than "$" ("$50 CAD")."""
        ahead = 1
        while self._cursor.token(ahead).core and self._cursor.token(ahead).end <= self.end:
            ahead += 1
        if not self._cursor.is_adjacent(ahead):
            return money
        token = self._cursor.token(ahead)
        known = self._table.currencies.get(token.core) if _CODE.fullmatch(token.core) else None
        if known is None:
            return money
        self.end = token.core_end
        return known

    def find_measure(self, counted: bool) -> tuple[Measure | None, Forms | None]:
        """Read the tokens after the numbers; counted: whether a noun there sets the gender."""
        cursor, table = self._cursor, self._table
        if not cursor.is_adjacent(1):
            return None, None
        ahead = 1
        while self._second is None and self._takes_group(ahead):
            ahead += 1
        if not cursor.is_adjacent(ahead):
            return None, None
        token = cursor.token(ahead)
        if self._second is None and not self._first.decimals and self._takes_fraction(token, ahead):
            if (
                token.suffix.startswith(('"', "″", "”"))
                and not token.prefix
                and "in" in table.units
                and counted
            ):
                # 1 1/2"
                self._measure_at = self.end, self.end + 1
                self.end += 1
                return table.units["in"], None
            ahead += 1
            if not cursor.is_adjacent(ahead):
                return None, None
            token = cursor.token(ahead)
        path = token.core[:1] == "/" and token.core.count("/") > 1
        symbol = self.take_per(token.core, money=True) if counted and not path else token.core
        measure, magnitude = self.resolve(symbol, attached=False)
        after = cursor.token(ahead + 1).core if symbol == "x" else ""
        sized = after[:1].isdecimal() or (len(after) == 1 and after.isupper())
        if is_letter(symbol, cursor, ahead, table, self._first.decimals) or sized:
            # "12A" is a seat, "48 x 36" and "48 x H 36" a size.
            measure = None
        if measure is None and (
            (
                symbol == "x"
                and (cursor.token(ahead + 1).core.islower() or token.suffix[:1] in (",", ")", "."))
            )
            or (symbol in table.units and symbol != "x" and is_electric(cursor))
            or (symbol == "in" and token.suffix[:1] in tuple(".,;)"))
        ):
            # "3 x täglich"; "240 V or 13 A"
            measure = table.units.get(symbol)
        if not counted or (symbol == "ha" and self._is_verb(cursor.token(ahead + 1).core)):
            measure = None
        elif (
            measure is None
            and symbol != "x"
            and cursor.previous().core in table.units.keys() - {"x"}
            and cursor.previous(2).core[:1].isdecimal()
        ):
            # "5 ft 6 in"
            measure = table.units.get(token.core)
        if measure is not None or magnitude is not None:
            self.end = token.core_end if measure is None else unit_end(cursor, ahead, table)
            self._measure_at = (token.core_start, token.core_end)
            if measure is None and token.suffix == "." and self._goes_on(ahead + 1):
                self.end += 1
            if measure is None and counted and (money := self.currency_behind(ahead + 1)) is not None:
                return money, magnitude
            if measure is None and counted and (unit := self.unit_behind(ahead + 1)) is not None:
                return unit, magnitude
            return self.scale(token.core, measure, ahead + 1), magnitude
        if token.core.lower() in table.numbers.magnitude_words:
            self._magnitude_word = token.core
            self.end = token.core_end
            if (
                cursor.is_adjacent(ahead + 1)
                and cursor.token(ahead + 1).core.lower() in table.numbers.magnitude_words
            ):
                # "2 mil millones", "1.2 लाख करोड़"
                ahead, token = ahead + 1, cursor.token(ahead + 1)
                self._magnitude_word, self.end = f"{self._magnitude_word} {token.core}", token.core_end
            self._measure_at = (token.core_start, token.core_end)
            self._gender = table.numbers.magnitude_gender
            if counted and self._is_numeral(token.core):
                self._gender = gender_of_counted(cursor, table, ahead + 1, True) or self._gender
            return self._unit_of_many(ahead + 1) if counted else self.currency_behind(ahead + 1), None
        # "el nivel 21 necesitas": the number of a label counts nothing.
        label = "" if cursor.previous().suffix else cursor.previous().core.lower()
        if counted and label not in table.numbers.labels and label not in table.roman.cardinal:
            plural = self._second is not None or self._first.value != 1
            self._gender = gender_of_counted(cursor, table, ahead, plural)
            if ahead == 1 and label not in table.number_words.ordered:
                self._takes_noun(token)
        return None, None

    def _is_verb(self, following: str) -> bool:
        """True for the "ha" of "el 3 ha llovido", which is no hectare."""
        if "ha" not in self._table.agreement.not_nouns or self._first.decimals or self._first.digits == "1":
            return False
        adverb = following in _ADVERBS or following in self._table.agreement.not_nouns
        # An article of the singular counts nothing: "il 3 ha due figli".
        day = self._cursor.previous().core.lower() in ("el", "il") and following != ""
        return day or (_PERFECT.fullmatch(following) is not None and not adverb)

    def unit_behind(self, ahead: int) -> Unit | None:
        """The unit after a magnitude: the "mi" of "62K mi", the "Lj" of "2,5 Mio. Lj"."""
        token = self._cursor.token(ahead)
        if self._cursor.token(ahead - 1).suffix not in ("", ".") or token.start != token.core_start:
            return None
        symbol = token.core
        unit, _ = resolve_unit(symbol, self._table, attached=False)
        if not isinstance(unit, Unit) or len(symbol) < len("mi"):
            return None
        self.end = unit_end(self._cursor, ahead, self._table)
        self._measure_at = (self._cursor.token(ahead).core_start, self._cursor.token(ahead).core_end)
        return unit

    def currency_behind(self, ahead: int) -> Currency | None:
        """The currency after millions at ``ahead`` ("3,5 mln €"), if there is one."""
        token = self._cursor.token(ahead)
        # "2,5 mill. €"
        stopped = self._cursor.token(ahead - 1).suffix == "." and token.start == token.core_start
        if not (stopped or self._cursor.is_adjacent(ahead)):
            return None
        money = self._table.currencies.get(token.core)
        if money is not None:
            self.end = token.core_end
        return money

    def _unit_of_many(self, ahead: int) -> Measure | None:
        """The currency or unit after millions at ``ahead`` ("100 million kg"), if there is one."""
        money = self.currency_behind(ahead)
        if money is not None or not self._cursor.is_adjacent(ahead):
            return money
        token = self._cursor.token(ahead)
        unit, many = resolve_unit(token.core, self._table, attached=False)
        if unit is not None:
            self.end = token.core_end
            self._measure_at = (self._measure_at[0], token.core_end)
        if unit is not None and many is not None:
            # "3,5 mil M€"
            self._magnitude_word += f" {many['other']}"
        return unit

    def _is_numeral(self, magnitude: str) -> bool:
        """True if a magnitude is part of the number as "mil" is, rather than a noun as "millones"."""
        forms = self._table.numbers.magnitudes.values()
        return magnitude.lower() in {form["other"] for form in forms if len(form) == 1}

    def _goes_on(self, ahead: int) -> bool:
        """True if the token ``ahead`` may be counted ("3 Mio. Euro"), rather than begin a sentence."""
        token = self._cursor.token(ahead)
        return token.core[:1].islower() or (
            token.core != "" and token.core.lower() not in self._table.agreement.not_nouns
        )

    def scale(self, sign: str, measure: Measure | None, ahead: int) -> Measure | None:
        """The unit of "20 ° C" and "20° C": the letter ``ahead`` belongs to the degrees before it."""
        if sign not in ("°", "º") or not self._cursor.is_adjacent(ahead):
            return measure
        letter = self._cursor.token(ahead)
        scale = self._table.units.get(f"°{letter.core}")
        if scale is None:
            return measure
        self.end = letter.core_end
        self._measure_at = (self._measure_at[0], letter.core_end)
        return scale

    def _takes_group(self, ahead: int) -> bool:
        """Take "000" after "10" as a part of the same number."""
        if not self._cursor.is_adjacent(ahead):
            return False
        token = self._cursor.token(ahead)
        digits = self._first.digits
        if not _GROUP.fullmatch(token.core) or self._first.decimals or self._first.is_long:
            return False
        if (ahead == 1 and len(digits) > 3) or (self._first.grouped and ahead == 1) or digits == "0":
            return False
        more = parse_leading_point(token.core, self._table)
        whole, mark, decimals = token.core.partition(self._table.numbers.decimal)
        if more is None or (mark and not decimals):
            return False
        self._first = Numeral(digits + whole[:3], more.decimals, grouped=True)
        self.end = self._at.end = self._at.last = self._at.first_end = token.core_end
        self._measure_at = (token.core_end, token.core_end)
        return True

    def _takes_noun(self, noun: Token) -> None:
        """Take a noun that says its number too, unless it has a number of its own: "2 فقرة 3"."""
        last = self._second or Numeral("0", "")
        if self._first.decimals or last.decimals or self._first.is_long:
            return
        said = self._table.number_words.with_noun(int(self._first.digits), int(last.digits), noun.core)
        if said and not (self._cursor.is_adjacent(2) and self._cursor.token(2).core[0].isdecimal()):
            self._noun, self.end = said, noun.core_end

    def _takes_fraction(self, token: Token, ahead: int) -> bool:
        """Take "1/2" or "½" after a number as its fraction."""
        if token.core in VULGAR_FRACTIONS:
            self.mixed_with = VULGAR_FRACTIONS[token.core]
        elif found := re.fullmatch(r"(\d{1,2})[/⁄](\d{1,3})", token.core):
            part, of = int(found[1]), int(found[2])
            if not 0 < part < of:
                return False
            self.mixed_with = part, of
        else:
            return False
        self.end = self._at.end = token.core_end
        self._gender = gender_of_following(self._cursor, self._table, ahead + 1)
        return True

    def counted(self, phrase: PhraseBuilder, measure: Unit | None, magnitude: Forms | None) -> Verbalization:
        """The numbers and the name of what they count."""
        table = self._table
        if self.mixed_with is not None:
            one = measure.forms.get("one", "") if measure is not None else ""
            value = 1 if describes(self._cursor, self.end, one, table) else self._first.value + 1
            unit = table.form(measure.forms, value) if measure is not None else ""
            gender = self._gender if measure is None else measure.gender or gender_of(unit, table)
            phrase.add(say_mixed(self._first, self.mixed_with, table, gender), self._at.start, self._at.end)
            # "2 1/2 dozen"
            unit = f"{self._magnitude_word} {unit}".strip()
            if unit:
                phrase.add(unit, *self._measure_at)
            return phrase.build(self.end)
        if self._noun:
            phrase.add(self._noun, self._at.start, self.end)
            return phrase.build(self.end)
        last = self._second or self._first
        name = ""
        gender = self._gender or _as_before(self._cursor, table)
        if magnitude is not None:
            name = table.form(magnitude, last.value)
            gender = table.numbers.magnitude_gender if len(magnitude) > 1 else "m"
        if measure is not None:
            many = magnitude is not None or self._magnitude_word != ""
            value = (
                1 if describes(self._cursor, self.end, measure.forms.get("one", ""), table) else last.value
            )
            unit = self._of_many(measure.forms, magnitude) if many else table.form(measure.forms, value)
            if table.agreement.capitals and unit.islower():
                # "1 kl. Zwiebel"
                gender = gender or gender_of_counted(self._cursor, table, 2, plural=False)
            gender = gender or measure.gender or gender_of_forms(measure.forms, table)
            name = f"{name or self._magnitude_word} {unit}".strip()
        if not self._is_said_by(magnitude or (measure.forms if measure is not None else None)):
            self._say_figures(phrase, gender, year=measure is None and not name)
        if name or self._magnitude_word:
            start, end = self._measure_at
            if start == end:
                # Its sign stands before the digits ("%2").
                start, end = self._at.start if self._second is None else self._at.last, self._at.end
            phrase.add(name or self._magnitude_word, start, end)
        if self.per:
            phrase.add(self.per.lstrip(), self._at.end, self.end)
        return phrase.build(self.end)

    def _is_said_by(self, forms: Forms | None) -> bool:
        """True if the form of the counted thing includes the number."""
        first = self._first
        alone = forms is not None and self._second is None and not first.decimals and not first.is_long
        return alone and self._table.form_includes_number(forms or {}, first.value)

    def money(
        self, phrase: PhraseBuilder, money: Currency, magnitude: Forms | None, whole: bool
    ) -> Verbalization:
        """An amount; whole: the sign stands before it, so that it is one piece."""
        table = self._table
        numeral = self._second or self._first
        large, forms = bool(magnitude or self._magnitude_word), money.forms
        described = "one" in forms and describes(self._cursor, self.end, "dollar", table)
        gender = money.gender or gender_of_forms(money.forms, table)
        large_gender = table.numbers.magnitude_gender if large else gender
        if large or (self._second is not None and not self._first.decimals and not numeral.decimals):
            amount = say_numeral(numeral, table, large_gender)
            if self._second is not None:
                first = say_numeral(self._first, table, large_gender)
                amount = " ".join(filter(None, (first, self._to(), amount)))
            if large:
                name = self._magnitude_word or table.form(magnitude or {}, numeral.value)
                amount = name if self._is_said_by(magnitude) else before_thousand(amount, name)
                amount = f"{amount} {forms['one'] if described else self._of_many(forms, magnitude)}"
            else:
                amount = f"{amount} {table.form(forms, 1 if described else numeral.value)}"
        elif described and not numeral.decimals and self._second is None:
            amount = f"{say_numeral(numeral, table, gender)} {forms['one']}"
        else:
            amount = say_amount(numeral, money, gender, table)
            if self._second is not None:
                amount = f"{say_amount(self._first, money, gender, table)} {table.numbers.to} {amount}"
        start = self._at.token if whole and not phrase.pieces else self._at.start
        phrase.add(amount + self.per, start, self.end)
        return phrase.build(self.end)

    def _of_many(self, forms: Forms, magnitude: Forms | None) -> str:
        """The unit's form after a magnitude: a noun as "millones", or a numeral as "mil"."""
        thousand = magnitude is not None and len(magnitude) == 1
        thousand = thousand or self._is_numeral(self._magnitude_word)
        return forms["other"] if thousand else self._table.form_for_many(forms)

    def _say_figures(self, phrase: PhraseBuilder, gender: str, year: bool) -> None:
        table = self._table
        alone = self._second is not None and self._first.digits == "1" and not table.agreement.capitals
        first = self._say(self._first, "" if alone and gender == "m" else gender, year)
        phrase.add(first, self._at.start, self._at.first_end)
        if self._second is not None:
            if self._first != self._second:
                # Hindi "1-1 गोली" is one each.
                # German "3-0", a score, falls.
                won = table.language == "de" and year and self._cursor.token(1).core != "Grad"
                won = won and self._first.value > self._second.value
                to = table.signs_between_figures[":"] if won else self._to()
                phrase.add(to, self._at.first_end, self._at.last)
            phrase.add(self._say(self._second, gender, year), self._at.last, self._at.end)

    def _to(self) -> str:
        """Return the words between the numbers."""
        to = self._table.numbers.to
        rises = self._second is not None and self._first.value < self._second.value
        return self._table.number_words.until(self._cursor.previous().core.lower(), to) if rises else to

    def _say(self, numeral: Numeral, gender: str, year: bool) -> str:
        if year and not gender and is_year(numeral, self._cursor.previous(), self._table):
            return self._table.number_words.year(int(numeral.digits))
        return say_numeral(numeral, self._table, gender)


def _as_before(cursor: TokenCursor, table: LanguageTable) -> str:
    """ "f" if the same word had a feminine noun before: "PT com 51 cadeiras, MDB com 42;"."""
    word = cursor.previous().core
    if word not in ("com", "con") or not cursor.token().suffix:
        return ""
    for back in range(_NOUN_AT, _FARTHEST):
        if cursor.previous(back).core == word and cursor.previous(back - 1).core.isdecimal():
            gender = table.agreement.gender(cursor.previous(back - 2).core, plural=True)
            return "f" if gender == "f" else ""
    return ""


def before_thousand(amount: str, name: str) -> str:
    """A number and its magnitude: French "trois cent mille" loses an "s"."""
    plural = name == "mille" and amount.endswith(("cents", "vingts"))
    return f"{amount.removesuffix('s') if plural else amount} {name}"


def is_year(numeral: Numeral, previous: Token, table: LanguageTable) -> bool:
    """True if four digits that count nothing are a year."""
    if len(numeral.digits) != 4 or numeral.decimals or numeral.grouped:
        return False
    return 1100 <= int(numeral.digits) < 2100 or previous.core.lower() in table.numbers.year_after
