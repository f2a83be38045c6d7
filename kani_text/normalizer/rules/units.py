"""Units, currencies and magnitudes after a number, and signs before it."""

import re

from kani_text.normalizer.kinds import Rows, RuleFunction, is_kind, measures
from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.numerals import Numeral, say_numeral
from kani_text.normalizer.rules.trades import senses
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.file import Forms
from kani_text.normalizer.tables.table import Currency, LanguageTable, Unit
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import RAISED, ends_sentence, has_letters_only

_NEAR, _LONGEST = 4, 40
_COMMON = frozenset("m g l t h km".split())
"""Units that are what they are, rather than a knitter's "m", unless two words of a trade are near."""
_STITCHES = frozenset("pmM")
_COMPOUND_SIGNS = frozenset("/·²³⁴⁵⁶")
_CAPITALS, _QUOTIENTS = re.compile("[A-Z]/[A-Z]"), frozenset("J/K N/C W/K C/V V/K".split())
"""One capital by another, and those of them that are units."""
_MODEL, _LABELLED = Rows("label|capitals~ @"), Rows("label~ @")
"""Words before "7b", "320d"; and before a capital after a number."""
_ADDRESS = Rows(r"@{\.} figure|name name? name? street")
_BEFORE_NAME = Rows("@ capital|figure")
_GAUGE = Rows("@~ across figure 'cm'", "@~ and figure word~ across figure 'cm'")
_MEASURES = "lb oz st kg g", "ft in yd mi m cm", "s min h d j wk sem sett mo yr"
"""Units that one measure may be of."""
_NAMING = frozenset("ABJN")
"""Capitals that stand for a unit more rarely than for a letter."""

Measure = Unit | Currency
"""A thing that a number counts."""


class PhraseBuilder:
    """Builds pieces with a space before each."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, text: str, start: int, end: int) -> None:
        """Append ``text``, spoken for ``[start, end)``."""
        if self.pieces:
            text = f" {text}"
        self.pieces.append(Piece(text, start, end))

    def build(self, end: int) -> Verbalization:
        """The pieces so far, as a verbalization."""
        return Verbalization(tuple(self.pieces), end)

    def build_with(self, measure: Measure | None, cursor: TokenCursor, table: LanguageTable) -> Verbalization:
        """The pieces of a token, and the unit in the next one, if there is one: "4 × 10^16 m"."""
        if measure is None:
            return self.build(cursor.token().core_end)
        end = unit_end(cursor, 1, table)
        self.add(measure.forms["other"], cursor.token(1).core_start, end)
        return self.build(end)


def singular(forms: Forms, table: LanguageTable) -> str:
    """The form for one thing, without the number."""
    return forms["other"] if table.numbers.counted_alone else forms.get("one", forms["other"])


def sign_name(sign: str, table: LanguageTable) -> str:
    """The spoken form of a sign before a number."""
    numbers = table.numbers
    if sign in "-−–":
        return numbers.minus
    named = {"+": numbers.plus, "±": numbers.plus_minus, "+/-": numbers.plus_minus, "~": numbers.about}
    # "in <24 hrs": nothing is before it that "is less".
    return named.get(sign.replace("≈", "~")) or table.signs.get(sign, sign).removeprefix("is ")


def after_sign(rule: RuleFunction, cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A rule's reading of a token without its sign, after that: "~1h30", "+3'10", "-3/4"."""
    with cursor.without_prefix(1):
        exact = rule(cursor, table)
    at = cursor.token().core_start
    sign = Piece(f"{sign_name(cursor.token().core[0], table)} ", at, at + 1)
    return Verbalization((sign, *exact.pieces), exact.end) if exact else None


def resolve_unit(symbol: str, table: LanguageTable, attached: bool) -> tuple[Measure | None, Forms | None]:
    """The unit or currency of a symbol after a number, and the magnitude before it."""
    magnitudes = table.numbers.magnitudes
    many = magnitudes.get(symbol)
    if many is not None and attached:
        return None, many
    unit = table.units.get(symbol)
    if unit is not None and (attached or not unit.attached):
        return unit, None
    if symbol in table.currencies:
        return table.currencies[symbol], None
    if many is not None and (len(many) != 1 or len(symbol) > 1):
        return None, many
    for magnitude, forms in magnitudes.items():
        if (money := table.currencies.get(symbol.removeprefix(magnitude).lstrip())) is not None:
            return money, forms
    # "12/A" is a house.
    named = is_name(symbol) or (attached and symbol.startswith("/"))
    if named or len(symbol) > _LONGEST or _COMPOUND_SIGNS.isdisjoint(symbol):
        return None, None
    return _compound(symbol.replace("./", "/"), table), None


def is_name(symbol: str) -> bool:
    """True for one capital by another that are no units: "2 A/C", "5 N/A"."""
    return _CAPITALS.fullmatch(symbol) is not None and symbol not in _QUOTIENTS


def _compound(symbol: str, table: LanguageTable) -> Unit | None:
    """A unit in the spelling of ``compound_units``: a product, a power, or one by others ("mg/kg/day")."""
    if (unit := _factor(symbol, table)) is not None:
        return unit
    over, sign, under = symbol.rpartition("/" if "/" in symbol else "·")
    if not sign:
        return _power(symbol, table)
    first, last = _compound(over, table) if over else None, _compound(under, table)
    if last is None or (first is None and over + sign != "/"):
        return None
    one = singular(last.forms, table)
    if first is None:
        # "10⁻¹⁸ /s"
        return last.with_forms(lambda _: f"{table.per} {one}")
    if sign == "/":
        return first.with_forms(lambda form: f"{form} {table.per} {one}")
    name = singular(first.forms, table)
    if table.product == "word":
        return last.with_forms(lambda form: f"{name}{form.lower()}")
    if table.product == "last":
        return last.with_forms(lambda form: f"{name} {form}")
    return first.with_forms(lambda form: f"{form} {one}")


def _power(symbol: str, table: LanguageTable) -> Unit | None:
    """A unit and its power: "m²", "s⁴"."""
    base, raised = _factor(symbol[:-1], table), symbol[-1:]
    exponent = raised.translate(RAISED)
    if base is None or exponent == raised or not exponent.isdecimal():
        return None
    power = f"{table.numbers.power} {table.number_words.cardinal(int(exponent))}"
    return base.with_forms(lambda form: f"{form} {table.signs.get(raised, power)}")


def _factor(symbol: str, table: LanguageTable) -> Unit | None:
    """A unit by its symbol: beside others a "C" is rather a coulomb than a degree."""
    return table.units.get(f"·{symbol}") or table.units.get(symbol)


def is_letter(symbol: str, cursor: TokenCursor, ahead: int, table: LanguageTable, decimals: str) -> bool:
    """True if one letter after a number is no unit: "12A" is a seat, "45 W 34th St" an address.

    A unit that is also a name's letter (A, B, J, N) has to follow a word as "of", another unit or decimals;
    any other is one, unless it stands apart before a name or a number. ahead: 0 where the number touches it.
    decimals: the number's.
    """
    if len(symbol) != 1:
        return False
    if not ahead and "a" <= symbol <= "d":
        return _MODEL.hold(cursor, table)
    if ahead and cursor.token(ahead).suffix == ".":
        # "476 d. C."
        following = (f"{cursor.token(ahead + 1).core}.",)
        if any(one.parts[1:] == following for one in table.abbreviations.get(f"{symbol}.", ())):
            return True
    if not ("A" <= symbol <= "Z") or symbol in table.numbers.magnitudes:
        return False
    return _is_capital(symbol, cursor, ahead, table, decimals)


def _is_capital(symbol: str, cursor: TokenCursor, ahead: int, table: LanguageTable, decimals: str) -> bool:
    """True if a capital after a number is no unit: a seat, an address, a name's first letter."""
    if _LABELLED.hold(cursor, table) or _ADDRESS.hold(cursor, table, ahead):
        return True
    # "13 A" after volts or hertz or a word as "of", and a unit of a trade
    volts = any(cursor.previous(back).core.endswith(("V", "Hz")) for back in range(1, _NEAR + 1))
    if volts or is_kind(cursor.previous(), "measured_after", table) or of_trade(symbol, cursor, table):
        return False
    if symbol in _NAMING:
        # "2.5 A", but "7.5B" is a model
        return symbol == "B" or not decimals
    return ahead > 0 and _BEFORE_NAME.hold(cursor, table, ahead)


def of_trade(symbol: str, cursor: TokenCursor, table: LanguageTable) -> Unit | None:
    """Unit that a short form of a trade counts: "M" are stitches to a knitter, and in "22 M in 10 cm"."""
    if symbol in table.common_words and not cursor.token(1).suffix:
        # "72 a.", but "5 a 2"
        return None
    gauge = symbol in _STITCHES and _GAUGE.hold(cursor, table, 1)
    key = symbol + "." * cursor.token(1).suffix.startswith(".")
    # "sales of 1.5m", but "sales up 5 m from here"
    spaced = not cursor.token().core.endswith(symbol)
    for one in senses(cursor, key, table, least=0 if gauge else 1 + (symbol in _COMMON and spaced)):
        if len(one.parts) > 1 and cursor.token(2).core == one.parts[1].rstrip("."):
            # "2 p. der."
            return None
        if len(one.parts) == 1 and (many := one.said.get("counted")):
            return Unit({"one": one.said.get("one", many), "other": many}, "", attached=False)
    return None


def unit_end(cursor: TokenCursor, ahead: int, table: LanguageTable) -> int:
    """End of a unit ``ahead``: after its full stop where the sentence continues ("2 tsp. salt")."""
    token = cursor.token(ahead)
    stop, mark = token.suffix[:1], token.suffix[1:2]
    goes_on = stop == "." and (mark in ",;:)।" if mark else _goes_on(cursor, ahead, table))
    return token.core_end + goes_on


def _goes_on(cursor: TokenCursor, ahead: int, table: LanguageTable) -> bool:
    """True if a sentence continues after the full stop of a unit."""
    token, following, first = cursor.token(ahead), cursor.token(ahead + 1), cursor.token(ahead + 1).core[:1]
    if first.isdecimal() and not following.prefix:
        # "1 lb. 4 oz.", but "20 min. 1 kg"
        pair = token.core, cursor.token(ahead + 2).core
        same = any(all(measures(one, units, table) for one in pair) for units in _MEASURES)
        return same or _tells_when(cursor, table)
    cut = token.core.isalpha() and not is_kind(token, "unstopped", table)
    if table.agreement.capitals and first.isupper() and cut:
        # "1 Pck. Vanillezucker", but "2 kg. Danach", "45 %. Kontrolle"
        weekday = following.core in table.dates.short_weekdays
        return not weekday and not is_kind(following, "not_noun", table)
    # In Devanagari a sentence ends with a mark of its own.
    if first.islower() or first in tuple("/@=+<>&") or "\u0900" <= first <= "\u097f":
        return True
    # "Pour 4 pers. : 250 g", "à 3 pers. !"
    return following.text[following.start : following.start + 1] in tuple("(:;!?")


def _tells_when(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the number of "every 4 hrs. 1 tablet", of "tous les", and of a sentence's "After 2 hrs."."""
    before = cursor.previous()
    if before.core[:1].isupper() and is_kind(before, "delay", table):
        return True
    often = table.times.every.format(time="").split()
    written = [cursor.previous(2).core.lower(), before.core.lower()][-len(often) :]
    return often != [] and all(map(str.startswith, written, (word[:3] for word in often)))


def split_per(symbol: str, table: LanguageTable, money: bool) -> tuple[str, str]:
    """Split "per UNIT" off a symbol: the rest of it, and the spoken form of "per UNIT".

    The rest is "€" of "€/kg", "M€" of "M€/an", "k" of "k/yr" and "" of "/day", or of "/h" if it is money; any
    other symbol is left as it is.
    """
    of, slash, under = symbol.partition("/")
    counted, many = resolve_unit(of, table, attached=False) if of and slash else (None, None)
    paid = money or isinstance(counted, Currency)
    if of:
        numbers = table.numbers
        known = paid or many is not None or of in numbers.magnitudes or of.lower() in numbers.magnitude_words
    else:
        known = money or under in ("j", "s") or (len(under) > 1 and "/" not in under)
    if not slash or not known or len(symbol) > _LONGEST:
        return symbol, ""
    said, sign = "", of if of in table.currencies else "€" * paid
    # "5 €/pers/day"
    for one in under.split("/"):
        per = said_per(sign, one, table, any_word=paid)
        if not per:
            return symbol, ""
        said, sign, paid = f"{said} {per}", "€", True
    return of, said.strip()


def said_per(sign: str, under: str, table: LanguageTable, any_word: bool = False) -> str:
    """The spoken form of "/kg" after a currency's sign or nothing, or ""; any_word: also of "/person"."""
    if sign and (priced := table.units.get(f"{sign}/{under}")) is not None:
        # "€/kg" with a reading of its own: "euros le kilo"
        money, whole = table.currencies.get(sign), priced.forms["other"]
        name = money.forms["other"] if money else whole
        return whole.removeprefix(name).strip() if whole.startswith(name) else ""
    known = table.currencies.get(under) or table.units.get(under)
    if known is not None:
        return f"{table.per} {singular(known.forms, table)}"
    if not any_word or len(under) < len("kg") or not has_letters_only(under):
        return ""
    said = " ".join(letter_name(one, table) for one in under) if under.isupper() else under
    return f"{table.per} {said}"


def say_counted(numeral: Numeral, forms: Forms, table: LanguageTable, gender: str = "") -> str:
    """A number and what it counts, in a form that may include the number; gender: of what it counts."""
    name = table.form(forms, numeral.value)
    if not numeral.decimals and table.form_includes_number(forms, numeral.value):
        return name
    said = say_numeral(numeral, table, gender or gender_of(singular(forms, table), table))
    return f"{said}{name}" if said.endswith("'") else f"{said} {name}"


def gender_of_counted(cursor: TokenCursor, table: LanguageTable, ahead: int, plural: bool) -> str:
    """The gender of the noun ``ahead``; where nouns have capitals, an adjective may stand before it."""
    agreement = table.agreement
    # "1 copa/pers."
    noun = in_full(cursor.token(ahead), table, plural).partition("/")[0]
    if is_kind(cursor.token(ahead), "of_both_genders", table) and cursor.is_adjacent(ahead + 1):
        # "1 só vez"
        noun = cursor.token(ahead + 1).core
    if noun[:1].isupper() and not agreement.capitals:
        # "1 DVD"
        return agreement.gender(noun, False) if noun.isupper() and agreement.knows(noun) else ""
    if noun.startswith(agreement.not_noun_beginnings) or (agreement.capitals and _is_numbered(cursor, table)):
        return ""
    adjective = agreement.capitals and noun.islower() and noun not in agreement.not_nouns
    if adjective and cursor.is_adjacent(ahead + 1):
        noun = cursor.token(ahead + 1).core
    return agreement.gender(noun, plural)


def in_full(token: Token, table: LanguageTable, plural: bool = False) -> str:
    """A noun, or what an abbreviation of one stands for ("1 c. à s.", "3. Std.")."""
    first, second = ("counted", "one") if plural else ("one", "counted")
    if token.suffix.startswith("."):
        for key in (f"{token.core}.", f"{token.core.lower()}."):
            for short in sorted(table.abbreviations.get(key, ()), key=lambda one: len(one.parts)):
                said = short.said.get(first) or short.said.get(second) or short.said.get("other", "")
                return said.split(" ")[0]
    return token.core


def _is_numbered(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the number belongs to the noun before it ("Absatz 1 Satz 2", "im Sommer 1989")."""
    noun, earlier = cursor.previous(), cursor.previous(2)
    measured = table.names_unit(noun.core) or noun.core in table.times.marks
    if earlier.core[-1:].isdecimal() and measured:
        # "Nach 2 Std. 1 Tablette"
        return False
    numbered = any("number" in known.said for known in table.abbreviations.get(f"{noun.core}.", ()))
    if numbered and not noun.suffix.endswith(","):
        return True
    if noun.suffix or cursor.token().prefix or not noun.core[:1].isupper():
        return False
    return earlier.core != "" and not ends_sentence(earlier.suffix)


def gender_of(name: str, table: LanguageTable) -> str:
    """The gender of what is counted by its name's first word."""
    return table.agreement.gender(name.split(" ")[0], plural=False) if name else ""
