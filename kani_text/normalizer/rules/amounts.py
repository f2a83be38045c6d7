"""Says numbers with what they count: "3-5 kg", "12,50 €", "2 1/2 cups", "a 60 L tank"."""

import re
from decimal import Decimal

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules import units
from kani_text.normalizer.rules.fractions import say_mixed
from kani_text.normalizer.rules.numerals import VULGAR_FRACTIONS, YEARS, Numeral, parse_numeral, say_numeral
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.file import Forms
from kani_text.normalizer.tables.table import Currency, LanguageTable, Unit
from kani_text.normalizer.tokens import Token, TokenCursor

_CODE = re.compile(r"[A-Z]{3}")
_WORD, _PLURAL = re.compile(r"[^\W\d_][a-zß-ÿ-]{2,}(?<!ly)"), re.compile(r"[a-zß-ÿ-]{4,}(?<![siu])s")
_NOUN_AT, _FARTHEST = 4, 12
_GROUP = re.compile(r"\d{3}(?:[.,]\d+)?")
_FRACTION = re.compile(r"(\d{1,2})[/⁄](\d{1,3})")
_LONGEST_SCALE = 20
"""Numbers before another one, at most, that tell whether they are a scale."""
_OPERATORS = frozenset("+ - − – = < > ≤ ≥ ±".split())
_NUMBERED = Rows("label|numbered @")
_WITH_NUMBER = Rows("@ word figure")
_AFTER_UNIT = Rows("figure~ unit~ @")
_BEFORE_WORD = Rows("@ small")
_OF_DAY = Rows("day_article~ @~ word|figure")


def describes(cursor: TokenCursor, end: int, name: str, table: LanguageTable) -> bool:
    """True if the measure ``name`` before ``end`` describes a noun, so that it has no plural: "a 60 L tank".

    In English it does after an article, and before a plural.
    """
    articles = table.agreement.measures_after
    if not articles or name == "time":
        return False
    ahead, before = _ahead_of(cursor, end), cursor.previous()
    noun = cursor.token(ahead)
    word = "" if noun.prefix or cursor.token(ahead - 1).end > end else noun.core
    if not _WORD.fullmatch(word) or word in table.agreement.not_nouns:
        return False
    if not before.suffix and before.core.lower() in articles:
        # "a 5 mm Allen key", too
        return True
    owner = before.core.replace("’", "'").removesuffix("'s")
    owned = owner != before.core and owner.lower() not in table.common_words
    if owned and not word.endswith("er") and table.is_money(name):
        # "NASA's $2.7bn probe", but "that's $5 more" and "Bill's $5 richer"
        return True
    if name in table.kinds.get("ingredient_measure", ()):
        # "500 g carrots", but "500 g bags"
        return word.removesuffix("s") in table.kinds.get("container", ())
    begins = not before.core or before.suffix in tuple(",;:")
    if begins and name.endswith(tuple(table.kinds.get("size", ()))):
        # "Bike, 54 cm frame"
        return True
    return _PLURAL.fullmatch(word) is not None


def _ahead_of(cursor: TokenCursor, end: int) -> int:
    """The number of tokens to the first one after ``end``."""
    ahead = 1
    while (token := cursor.token(ahead)).core and token.core_end <= end:
        ahead += 1
    return ahead


class Counted:
    """One or two numbers, or one with a fraction, and what they count."""

    def __init__(
        self,
        cursor: TokenCursor,
        table: LanguageTable,
        match: re.Match[str],
        numbers: tuple[Numeral, Numeral | None],
        money: Currency | None,
    ) -> None:
        """money: the currency that is named before the numbers."""
        self._cursor = cursor
        self._table = table
        self._first, self._second = numbers
        self._part = VULGAR_FRACTIONS.get(match["vulgar"])
        self._money = money
        token = cursor.token()
        # Places in the text: of the first number, of the last one if there are two, and what they count.
        at = token.core_start
        self._start, self._first_end = (at + place for place in match.span("number"))
        self._figures_end = at + match.start("suffix")
        self._last = at + match.start("second") if match["second"] else self._first_end
        self._end = token.core_end
        self._measure_at = (self._figures_end, token.core_end)
        self._measure: units.Measure | None = None
        self._magnitude: Forms | None = None
        self._magnitude_word = ""
        self._gender = ""
        self._noun = ""
        self._per = ""

    def take_suffix(self, suffix: str) -> bool:
        """Take what is written to the numbers; False if nothing is known by that."""
        cursor, table, money = self._cursor, self._table, self._money
        suffix, self._per = units.split_per(suffix, table, money is not None)
        if not suffix:
            # "5/day"
            self._end = units.unit_end(cursor, 0, table)
            return True
        if money is not None:
            self._magnitude = {**table.numbers.money_magnitudes, **table.numbers.magnitudes}.get(suffix)
        elif not (
            units.is_letter(suffix, cursor, 0, table, self._first.decimals) or _is_variable(suffix, cursor)
        ):
            self._measure, self._magnitude = self._resolve(suffix, attached=True)
        if self._measure is None and self._magnitude is None:
            return False
        self._take_scale(suffix, 1)
        if self._measure is None and money is None:
            self._take_measure_of_many(1)
        if suffix[-1].isalpha():
            self._end = max(self._end, units.unit_end(cursor, 0, table))
        return True

    def take_following(self, counts: bool) -> None:
        """Take what the tokens after the numbers say; counts: whether they may be a unit or a noun."""
        ahead = 1
        while self._second is None and self._part is None and self._takes_group(ahead):
            ahead += 1
        if self._part is None and self._takes_fraction(ahead):
            if self._cursor.token(ahead).suffix.startswith(('"', "″", "”")) and "in" in self._table.units:
                # The sign of 1 1/2"
                self._measure, self._measure_at = self._table.units["in"], (self._end, self._end + 1)
                self._end += 1
                return
            ahead += 1
        if not self._cursor.is_adjacent(ahead) or self._takes_symbol(ahead, counts):
            return
        if self._takes_magnitude(ahead, counts) or not counts:
            return
        if not _NUMBERED.hold(self._cursor, self._table):
            # "el nivel 21 necesitas": the number of a label counts nothing.
            plural = self._second is not None or self._first.value != 1
            self._gender = units.gender_of_counted(self._cursor, self._table, ahead, plural)
            self._take_noun(self._cursor.token(ahead))

    def _resolve(self, symbol: str, attached: bool) -> tuple[units.Measure | None, Forms | None]:
        """The unit and the magnitude of a symbol, in the sense that the words before give it."""
        other = units.of_trade(symbol, self._cursor, self._table)
        return (other, None) if other else units.resolve_unit(symbol, self._table, attached)

    def _takes_group(self, ahead: int) -> bool:
        """Take "000" after "10" as a part of the same number."""
        first = self._first
        if first.decimals or not self._cursor.is_adjacent(ahead):
            return False
        token = self._cursor.token(ahead)
        if not _GROUP.fullmatch(token.core):
            return False
        starts = not first.grouped and first.digits[0] != "0" and len(first.digits) <= len("000")
        if ahead == 1 and not (starts and (token.core == "000" or not self._is_of_scale())):
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

    def _takes_symbol(self, ahead: int, counts: bool) -> bool:
        """Take a unit, a currency or a magnitude ("5 km", "5 €/kg", "3,5 mln €")."""
        cursor, table = self._cursor, self._table
        token = cursor.token(ahead)
        symbol, per = units.split_per(token.core, table, money=not counts)
        measure, self._magnitude = self._resolve(symbol, attached=False)
        measure = self._in_context(measure, symbol, ahead) if counts else None
        if measure is None and self._magnitude is None and (symbol or not per):
            return False
        self._measure, self._per = measure, per
        self._measure_at = (token.core_start, token.core_end)
        if measure is not None:
            self._end = units.unit_end(cursor, ahead, table)
            self._take_scale(symbol, ahead + 1)
            return True
        self._end = token.core_end
        if token.suffix == ".":
            # "3 Mio. Euro", rather than another sentence
            following = cursor.token(ahead + 1)
            noun = not is_kind(following, "not_noun", table)
            self._end += following.core != "" and (following.core[0].islower() or noun)
        if counts:
            self._take_measure_of_many(ahead + 1)
        return True

    def _in_context(self, measure: units.Measure | None, symbol: str, ahead: int) -> units.Measure | None:
        """The measure of a symbol; None where that is a verb or a letter."""
        if self._is_verb(ahead):
            return None
        if measure is None or units.is_letter(symbol, self._cursor, ahead, self._table, self._first.decimals):
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
        while not self._per:
            word, per = units.split_per(cursor.adjacent(ahead).core, self._table, money=not counts)
            if word.lower() not in numbers.magnitude_words:
                break
            words.append(word)
            # "R$ 2,5 mil/mês"
            self._per, self._end = per, cursor.token(ahead).core_end
            ahead += 1
        if not words:
            return False
        self._magnitude_word = " ".join(words)
        self._measure_at = (first.core_start, self._end)
        self._gender = numbers.magnitude_gender
        if counts:
            if self._is_numeral(words[-1]):
                self._gender = units.gender_of_counted(cursor, self._table, ahead, True) or self._gender
            self._take_measure_of_many(ahead)
        return True

    def _take_measure_of_many(self, ahead: int) -> None:
        """Take the currency or unit after millions: "3,5 mln €", "2,5 Mio. Lj", "62K mi", "3,5 mil M€"."""
        cursor, table = self._cursor, self._table
        if cursor.token(ahead - 1).suffix not in ("", "."):
            return
        token = cursor.token(ahead)
        measure, many = units.resolve_unit(token.core, table, attached=False)
        if measure is None or token.prefix or token.entry is not None:
            return
        if self._magnitude is not None and token.core.isalpha() and len(token.core) == 1:
            # "5k a la semana"
            return
        self._measure = measure
        self._end = token.core_end if isinstance(measure, Currency) else units.unit_end(cursor, ahead, table)
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

    def say(self, phrase: units.PhraseBuilder) -> Verbalization:
        """Add the numbers, and what they count, to the signs before them."""
        if self._money is not None:
            return self._say_money(phrase, self._more_precise(self._money), whole=True)
        if isinstance(self._measure, Currency):
            return self._say_money(phrase, self._measure, whole=False)
        return self._say_counted(phrase, self._measure)

    def _say_counted(self, phrase: units.PhraseBuilder, measure: Unit | None) -> Verbalization:
        """The numbers and the name of what they count."""
        if self._part is not None:
            return self._say_mixed(phrase, self._part, measure)
        if self._noun:
            phrase.add(self._noun, self._start, self._end)
            return phrase.build(self._end)
        table, last, magnitude = self._table, self._second or self._first, self._magnitude
        name, gender = self._magnitude_word, self._gender or _as_before(self._cursor, table)
        if magnitude is not None:
            name = table.form(magnitude, last.value)
            gender = table.numbers.magnitude_gender if len(magnitude) > 1 else "m"
        if measure is not None:
            unit = self._unit(measure.forms, last.value)
            name, gender = f"{name} {unit}".strip(), gender or self._gender_of(measure, unit)
        if not self._is_said_by(magnitude or (measure.forms if measure is not None else None)):
            self._say_figures(phrase, gender, bare=not name)
        if name:
            phrase.add(name, *self._name_at())
        if self._per:
            phrase.add(self._per, self._figures_end, self._end)
        return phrase.build(self._end)

    def _gender_of(self, measure: Unit, unit: str) -> str:
        adjective = self._table.agreement.capitals and unit.islower()
        # "1 kl. Zwiebel"
        gender = units.gender_of_counted(self._cursor, self._table, 2, plural=False) if adjective else ""
        return (
            gender
            or measure.gender
            or units.gender_of(units.singular(measure.forms, self._table), self._table)
        )

    def _say_mixed(
        self, phrase: units.PhraseBuilder, part: tuple[int, int], measure: units.Measure | None
    ) -> Verbalization:
        """A number with a fraction, and the name of what they count: "2 1/2 dozen"."""
        unit, gender = "", self._gender
        if measure is not None:
            unit = self._unit(measure.forms, self._first.value + 1)
            gender = measure.gender or units.gender_of(unit, self._table)
        phrase.add(say_mixed(self._first, part, self._table, gender), self._start, self._figures_end)
        if name := f"{self._magnitude_word} {unit}".strip():
            phrase.add(name, *self._name_at())
        return phrase.build(self._end)

    def _name_at(self) -> tuple[int, int]:
        """The place of what is counted: with the last number, if a sign before that names it ("%2")."""
        start, end = self._measure_at
        last = self._start if self._second is None else self._last
        return (start, end) if start < end else (last, self._figures_end)

    def _say_money(self, phrase: units.PhraseBuilder, money: Currency, whole: bool) -> Verbalization:
        """An amount; whole: the sign stands before it, so that it is one piece."""
        if self._part is not None:
            return self._say_mixed(phrase, self._part, money)
        amount = self._amount_of_many(money) or self._amount(money)
        start = self._cursor.token().core_start if whole and not phrase.pieces else self._start
        phrase.add(f"{amount} {self._per}".rstrip(), start, self._end)
        return phrase.build(self._end)

    def _amount_of_many(self, money: Currency) -> str:
        """Thousands or millions of a currency; "" for just the number."""
        magnitude, numbers = self._magnitude, self._table.numbers
        if magnitude is None and not self._magnitude_word:
            return ""
        last = (self._second or self._first).value
        name = self._magnitude_word or self._table.form(magnitude or {}, last)
        if not self._is_said_by(magnitude):
            amount = self._say_all(numbers.magnitude_gender)
            # French "trois cent mille" loses an "s".
            plural = name == "mille" and amount.endswith(("cents", "vingts"))
            name = f"{amount.removesuffix('s') if plural else amount} {name}"
        return f"{name} {self._unit(money.forms, last, currency=True)}"

    def _amount(self, money: Currency) -> str:
        table, numerals = self._table, [one for one in (self._first, self._second) if one is not None]
        gender = money.gender or units.gender_of(units.singular(money.forms, table), table)
        whole = not any(one.decimals for one in numerals)
        if whole and (len(numerals) > 1 or self._describes(money.forms, currency=True)):
            return f"{self._say_all(gender)} {self._unit(money.forms, numerals[-1].value, currency=True)}"
        return f" {table.numbers.to} ".join(_say_amount(one, money, gender, table) for one in numerals)

    def _describes(self, forms: Forms, currency: bool) -> bool:
        """True if the unit or currency describes the noun after it."""
        one = forms.get("one", "")
        return describes(self._cursor, self._end, "dollar" if one and currency else one, self._table)

    def _unit(self, forms: Forms, number: Decimal | int, currency: bool = False) -> str:
        """The form of a unit or a currency after the number, or after millions of it."""
        magnitude = self._magnitude
        if self._describes(forms, currency):
            return self._table.form(forms, 1)
        if magnitude is None and not self._magnitude_word:
            return self._table.form(forms, number)
        # A noun as "millones", or a numeral as "mil"
        numeral = len(magnitude) == 1 if magnitude else self._is_numeral(self._magnitude_word)
        return forms["other"] if numeral else self._table.form_for_many(forms)

    def _is_said_by(self, forms: Forms | None) -> bool:
        """True if the form of the counted thing includes the number."""
        first = self._first
        single = forms is not None and self._second is None and not first.decimals and not first.is_long
        return single and self._table.form_includes_number(forms or {}, first.value)

    def _say_figures(self, phrase: units.PhraseBuilder, gender: str, bare: bool) -> None:
        """bare: without a unit, so that a noun after them or nothing is counted."""
        first, second = self._first, self._second
        one = second is not None and first.digits == "1" and not self._table.agreement.capitals
        said = self._say_figure(first, "" if one and gender == "m" else gender, bare)
        phrase.add(said, self._start, self._first_end)
        if second is None:
            return
        if first != second:
            # Hindi "1-1 गोली" is one each.
            phrase.add(self._to(bare), self._first_end, self._last)
        phrase.add(self._say_figure(second, gender, bare), self._last, self._figures_end)

    def _say_figure(self, numeral: Numeral, gender: str, bare: bool) -> str:
        four = len(numeral.digits) == 4 and not numeral.decimals and not numeral.grouped
        if bare and not gender and four:
            # Four digits that count nothing
            before = self._cursor.previous().core.lower()
            if int(numeral.digits) in YEARS or before in self._table.numbers.year_after:
                return self._table.number_words.year(int(numeral.digits))
        return say_numeral(numeral, self._table, gender)

    def _say_all(self, gender: str) -> str:
        """One number in words, or two and what stands between them."""
        said = say_numeral(self._first, self._table, gender)
        if self._second is None:
            return said
        return " ".join(filter(None, (said, self._to(), say_numeral(self._second, self._table, gender))))

    def _to(self, bare: bool = False) -> str:
        """The words between the numbers."""
        table, numbers = self._table, self._table.numbers
        rise = (self._second or self._first).value - self._first.value
        if rise > 0:
            return table.number_words.until(self._cursor.previous().core.lower(), numbers.to)
        score = rise < 0 and bare and numbers.score and not table.names_unit(self._cursor.token(1).core)
        return numbers.score if score else numbers.to

    def _more_precise(self, money: Currency) -> Currency:
        """The currency of the amount: a code after it is more precise than "$" ("$50 CAD"), a name is not."""
        ahead = _ahead_of(self._cursor, self._end)
        token = self._cursor.token(ahead)
        said_twice = token.core in money.forms.values()
        known = money if said_twice else self._table.currencies.get(token.core)
        code = _CODE.fullmatch(token.core) is not None
        if known is None or not (code or token.core.islower()) or not self._cursor.is_adjacent(ahead):
            return money
        self._end = token.core_end
        return known if code else money

    def _is_numeral(self, magnitude: str) -> bool:
        """True if a magnitude is part of the number as "mil" is, rather than a noun as "millones"."""
        forms = self._table.numbers.magnitudes.values()
        return magnitude.lower() in {form["other"] for form in forms if len(form) == 1}


def _as_before(cursor: TokenCursor, table: LanguageTable) -> str:
    """ "f" if the same word had a feminine noun before: "PT com 51 cadeiras, MDB com 42;"."""
    word = cursor.previous().core
    if not is_kind(cursor.previous(), "with", table) or not cursor.token().suffix:
        return ""
    for back in range(_NOUN_AT, _FARTHEST):
        if cursor.previous(back).core == word and cursor.previous(back - 1).core.isdecimal():
            gender = table.agreement.gender(cursor.previous(back - 2).core, plural=True)
            return "f" if gender == "f" else ""
    return ""


def _say_amount(numeral: Numeral, money: Currency, gender: str, table: LanguageTable) -> str:
    """An amount in words: decimals are cents if the currency has as many, or two, others are decimals."""
    if money.cents is None and numeral.decimals == "00":
        numeral = Numeral(numeral.digits, "", numeral.grouped)
    if money.cents is None or len(numeral.decimals) not in (2, money.cents_digits):
        return units.say_counted(numeral, money.forms, table, gender)
    whole = _say_amount(Numeral(numeral.digits, "", numeral.grouped), money, gender, table)
    cents = int(numeral.decimals.ljust(money.cents_digits, "0"))
    if not cents:
        return whole
    part = units.say_counted(Numeral(str(cents), ""), money.cents, table, money.cents_gender)
    return part if not int(numeral.digits) else money.joined.format(whole=whole, cents=part)


def _is_variable(suffix: str, cursor: TokenCursor) -> bool:
    """True for the "2x" of a formula, but not of "2x dmg + 1x supp"."""
    if suffix != "x":
        return False
    apart, following = cursor.token().suffix != "", cursor.token(1).core
    if following.isalpha() and len(following) > 1 and not apart:
        return False
    return cursor.previous().core in _OPERATORS or (not apart and following in _OPERATORS)
