"""Units, currencies and magnitudes after a number, and signs before it."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.acronyms import common_words
from kani.text.normalizer.rules.numerals import Numeral, say_numeral
from kani.text.normalizer.rules.trades import senses
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.file import Forms
from kani.text.normalizer.tables.table import Currency, LanguageTable, Unit
from kani.text.normalizer.tokens import Token, TokenCursor
from kani.text.writing import RAISED, ends_sentence, has_letters_only

_NEAR, _LONGEST = 4, 40
_SYMBOLS = frozenset("m g l h s V W A kg km cm mm ml kW kWh MB GB TB Hz EUR Euro Prozent Grad Uhr".split())
"""Units that no full stop is written after."""
_COMMON = frozenset("m g l t h km".split())
"""Units that are what they are, rather than a knitter's "m", unless two words of a trade are near."""
_STITCHES, _AND = frozenset("pmM"), frozenset("y e et und + x".split())
_COMPOUND_SIGNS = frozenset("/·²³⁴⁵⁶")
_CAPITALS, _QUOTIENTS = re.compile("[A-Z]/[A-Z]"), frozenset("J/K N/C W/K C/V V/K".split())
"""One capital by another, and those of them that are units."""
_AFTER = frozenset("after nach dopo après tras após".split())
_IN = frozenset("en in em pour sur auf =".split())
_STREETS = frozenset(
    "st street ave avenue blvd boulevard rd road dr drive ln lane way pl place ct court hwy pkwy".split()
)
_ELECTRIC = frozenset(
    "hook-up hookup plug plugs fuse fuses socket sockets breaker circuit outlet charger".split()
)
_LEARNING = re.compile(
    r"(?:engineer|model|project|expert|scien|research|develop|intern|team|job|role|course|pipeline|lead|specialist"
    r"|ingenier|ingénieur|ingegner|engenheir|especialist|proye|proget|projet|curso|cours|corsi)\w*"
)
"""Nouns after the letters of machine learning ("5 ML engineers")."""
_KINDS = tuple(
    frozenset(kind.split())
    for kind in (
        "lb lbs oz st kg g",
        "ft in yd mi m cm",
        "s sec secs seg min mins mn m h hr hrs hs std d dd gg j tg w wk wks sem sett mo mos yr yrs aa",
    )
)
"""Units that one measure may be of."""
_NAMING = frozenset("ABJN")
"""Capitals that stand for a unit more rarely than for a letter."""

_OF_ANY_GENDER = frozenset("só gran grande mejor mayor melhor maior solo sola".split())
"""Adjectives before nouns in languages with genders."""

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


def sign_name(sign: str, table: LanguageTable) -> str:
    """The spoken form of a sign before a number."""
    numbers = table.numbers
    if sign in "-−–":
        return numbers.minus
    if sign == "+":
        return numbers.plus
    if sign in ("±", "+/-"):
        return numbers.plus_minus
    # "in <24 hrs": nothing is before it that "is less".
    return numbers.about if sign in "~≈" else table.signs.get(sign, sign).removeprefix("is ")


def resolve_unit(symbol: str, table: LanguageTable, attached: bool) -> tuple[Measure | None, Forms | None]:
    """The unit or currency of a symbol after a number, and the magnitude before it."""
    if attached and symbol in table.numbers.magnitudes:
        return None, table.numbers.magnitudes[symbol]
    unit = table.units.get(symbol)
    if unit is not None and (attached or not unit.attached):
        return unit, None
    currency = table.currencies.get(symbol)
    if currency is not None:
        return currency, None
    for magnitude, forms in table.numbers.magnitudes.items():
        if symbol == magnitude and (len(forms) != 1 or len(magnitude) > 1):
            return None, forms
        rest = symbol.removeprefix(magnitude).lstrip()
        if rest != symbol and rest in table.currencies:
            return table.currencies[rest], forms
    symbol = symbol.replace("./", "/")
    # "12/A" is a house, "2 A/C" are conditioners.
    named = (attached and symbol.startswith("/")) or (
        _CAPITALS.fullmatch(symbol) and symbol not in _QUOTIENTS
    )
    compound = len(symbol) <= _LONGEST and _COMPOUND_SIGNS & {*symbol} and not named
    return (_compound(symbol, table) if compound else None), None


def is_name(symbol: str) -> bool:
    """True for one capital by another that are no units: "2 A/C", "5 N/A"."""
    return _CAPITALS.fullmatch(symbol) is not None and symbol not in _QUOTIENTS


def _compound(symbol: str, table: LanguageTable) -> Unit | None:
    """A unit in the spelling of ``compound_units``: a product, a power, or one by others ("mg/kg/day")."""
    if (unit := _factor(symbol, table)) is not None:
        return unit
    over, slash, under = symbol.rpartition("/")
    if not slash:
        over, _, under = symbol.rpartition("·")
    first, last = _compound(over, table) if over else None, _compound(under, table) if over else None
    if over and (first is None or last is None or not table.per):
        return None
    if first is not None and last is not None:
        one = last.forms.get("one", last.forms["other"])
        if slash:
            return first.with_forms(lambda form: f"{form} {table.per} {one}")
        singular = first.forms.get("one", first.forms["other"])
        if table.product == "word":
            return last.with_forms(lambda form: f"{singular}{form.lower()}")
        if table.product == "last":
            return last.with_forms(lambda form: f"{singular} {form}")
        return first.with_forms(lambda form: f"{form} {one}")
    if slash and (divisor := _compound(under, table)) is not None:
        # "10⁻¹⁸ /s"
        return divisor.with_forms(lambda _: f"{table.per} {divisor.forms.get('one', divisor.forms['other'])}")
    base = _factor(symbol[:-1], table)
    if base is None or not (exponent := symbol[-1:].translate(RAISED)).isdecimal() or symbol[-1:].isdecimal():
        return None
    named = table.signs.get(symbol[-1])
    power = named or f"{table.numbers.power} {table.number_words.cardinal(int(exponent))}"
    return base.with_forms(lambda form: f"{form} {power}")


def _factor(symbol: str, table: LanguageTable) -> Unit | None:
    """A unit by its symbol: beside others a "C" is rather a coulomb than a degree."""
    return table.units.get(f"·{symbol}") or table.units.get(symbol)


def is_letter(symbol: str, cursor: TokenCursor, ahead: int, table: LanguageTable, decimals: str) -> bool:
    """True if one capital after a number is no unit: "12A" is a seat, "45 W 34th St" an address.

    A unit that is also a name's letter (A, B, J, N) has to follow a word as "of", another unit or decimals;
    any other is one, unless it stands apart before a name or a number. ahead: 0 where the number touches it.
    decimals: the number's.
    """
    previous = cursor.previous()
    if symbol == "ML" and cursor.is_adjacent(ahead + 1) and _LEARNING.fullmatch(cursor.token(ahead + 1).core):
        return True
    if len(symbol) == 1 and "a" <= symbol <= "d" and not ahead and previous.core:
        # "fig. 3b", "Kl. 7b", "BMW 320d"
        short = table.abbreviations.get(f"{previous.core}.") or table.abbreviations.get(
            f"{previous.core.lower()}.", ()
        )
        numbered = any(
            "number" in one.said or said in table.roman.cardinal
            for one in short
            for said in one.said.values()
        )
        brand = previous.core.isupper() and len(previous.core) > 1
        return numbered or brand or previous.core.lower() in table.numbers.labels
    written = f"{cursor.token(ahead + 1).core}." if ahead and cursor.token(ahead).suffix == "." else ""
    if len(written) == len("C.") and any(
        one.parts[1:] == (written,) for one in table.abbreviations.get(f"{symbol}.", ())
    ):
        # "476 d. C."
        return True
    if len(symbol) != 1 or not ("A" <= symbol <= "Z") or symbol in table.numbers.magnitudes:
        return False
    if previous.core.lower() in table.numbers.labels:
        return True
    ahead_core = cursor.token(ahead + 1).core
    named = ahead_core[:1].isupper() and ahead_core.lower() not in common_words(table.language)
    # "1600 N. Oak Blvd.", but "33 W. Weight 190 g"; "42 W. 35th St."
    named = named and any(cursor.token(ahead + far).core.lower() in _STREETS for far in (2, 3, 4))
    named = named or (ahead_core[:1].isdecimal() and ahead_core[-2:] in table.ordinals)
    if ahead and cursor.token(ahead).suffix == "." and named:
        return True
    behind = cursor.token(ahead + 1).core if cursor.is_adjacent(ahead + 1) else ""
    if (
        previous.core.lower() in table.numbers.measured_after
        or is_electric(cursor)
        or (symbol == "A" and behind in _ELECTRIC)
        or of_trade(symbol, cursor, table) is not None
    ):
        return False
    if symbol in _NAMING:
        # "2.5 A", but "7.5B" is a model
        return symbol == "B" or not decimals
    following = cursor.token(ahead + 1).core[:1] if ahead and cursor.is_adjacent(ahead + 1) else ""
    return following.isdecimal() or following.isupper()


def is_electric(cursor: TokenCursor) -> bool:
    """True after volts, watts or hertz, a few words before."""
    near = [cursor.previous(back).core for back in range(1, _NEAR + 1)]
    return any(core.endswith(("V", "Hz")) or (core[:1].isdecimal() and core.endswith("W")) for core in near)


def of_trade(symbol: str, cursor: TokenCursor, table: LanguageTable) -> Unit | None:
    """Unit that a short form of a trade counts: "M" are stitches to a knitter, and in "22 M in 10 cm"."""
    if symbol in common_words(table.language) and not cursor.token(1).suffix:
        # "72 a.", but "5 a 2"
        return None
    # "20 M. und 28 R. = 10 cm", too
    at = 5 if symbol in _STITCHES and cursor.token(3).core.isdecimal() and cursor.token(2).core in _AND else 2
    gauge = symbol in _STITCHES and cursor.token(at).core in _IN and cursor.token(at + 2).core == "cm"
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


def are_of_a_kind(first: str, second: str) -> bool:
    """True for two units of one measure: "1 lb. 4 oz.", but not "20 min. 1 kg"."""
    return any(first.lower() in kind and second.lower() in kind for kind in _KINDS)


def unit_end(cursor: TokenCursor, ahead: int, table: LanguageTable) -> int:
    """End of a unit ``ahead``: after its full stop where the sentence continues ("2 tsp. salt")."""
    token = cursor.token(ahead)
    if not token.suffix.startswith(".") or token.suffix.startswith(".."):
        return token.core_end
    if len(token.suffix) > 1:
        goes_on = token.suffix[1] in ",;:)।"
    else:
        following = cursor.token(ahead + 1)
        first = following.core[:1]
        # In Devanagari a sentence ends with a mark of its own.
        goes_on = first.islower() or first in tuple("/@=+<>&") or "\u0900" <= first <= "\u097f"
        goes_on = goes_on or following.prefix.startswith("(")
        # "Pour 4 pers. : 250 g", "à 3 pers. !"
        goes_on = goes_on or following.text[following.start : following.start + 1] in tuple(":;!?")
        if first.isdecimal() and not following.prefix:
            goes_on = are_of_a_kind(token.core, cursor.token(ahead + 2).core) or _tells_when(cursor, table)
        elif (
            table.agreement.capitals
            and first.isupper()
            and token.core.isalpha()
            and token.core not in _SYMBOLS
        ):
            # "1 Pck. Vanillezucker", but "2 kg. Danach", "45 %. Kontrolle"
            noun = following.core not in table.dates.short_weekdays
            goes_on = noun and following.core.lower() not in table.agreement.not_nouns
    return token.core_end + goes_on


def _tells_when(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the number of "every 4 hrs. 1 tablet", and of a sentence's start: "After 4 hrs. 1 tablet"."""
    before, earlier = cursor.previous(), cursor.previous(2)
    often = table.times.every.format(time="").split()
    written = [earlier.core.lower(), before.core.lower()][-len(often) :]
    # "tous les", too
    every = often != [] and all(map(str.startswith, written, (word[:3] for word in often)))
    begins = earlier.core == "" or ends_sentence(earlier.suffix)
    return not before.suffix and (every or (begins and before.core.lower() in _AFTER))


def split_per(symbol: str, table: LanguageTable, money: bool) -> tuple[str, str]:
    """Split "per UNIT" off a symbol: the rest of it, and the spoken form of "per UNIT".

    The rest is "€" of "€/kg", "k" of "k/yr" and "" of "/day", or of "/h" if it is money; any other symbol is
    left as it is.
    """
    of, slash, under = symbol.partition("/")
    known = of in table.currencies or of in table.numbers.magnitudes
    known = known or (not of and (money or len(under) > 1 or under in ("j", "s")))
    if (
        not slash
        or not known
        or not table.per
        or (not of and not money and "/" in under)
        or len(symbol) > _LONGEST
    ):
        return symbol, ""
    # "€ 1,50/h", too
    priced = symbol if of or not money else f"€{symbol}"
    if priced in table.units:
        # "€/kg" with a reading of its own: "euros le kilo"
        paid_in = table.currencies.get(of or "€")
        whole, name = table.units[priced].forms["other"], paid_in.forms["other"] if paid_in else symbol
        return (of, whole.removeprefix(name)) if whole.startswith(name) else (symbol, "")
    if "/" in under:
        # "5 €/pers/day"
        first, _, last = under.rpartition("/")
        of, per = split_per(f"{of}/{first}", table, money)
        return (of, per + split_per(f"/{last}", table, money=True)[1]) if per else (symbol, "")
    if under in table.currencies:
        # "1.08 $/€"
        forms = table.currencies[under].forms
        return of, f" {table.per} {forms.get('one', forms['other'])}"
    if under not in table.units:
        # "USD 20/mes": what is paid for may be any word.
        paid = (money or of in table.currencies) and len(under) > 1 and has_letters_only(under)
        spelled = under.isupper()
        said = " ".join(table.letters.get(one.lower(), one) for one in under) if spelled else under
        return (of, f" {table.per} {said}") if paid else (symbol, "")
    forms = table.units[under].forms
    return of, f" {table.per} {forms.get('one', forms['other'])}"


def say_counted(numeral: Numeral, forms: Forms, gender: str, table: LanguageTable) -> str:
    """A number and what it counts, in a form that may include the number."""
    if numeral.is_long:
        return f"{say_numeral(numeral, table, gender)} {forms['other']}"
    name = table.form(forms, numeral.value)
    if not numeral.decimals and table.form_includes_number(forms, numeral.value):
        return name
    said = say_numeral(numeral, table, gender)
    return f"{said}{name}" if said.endswith("'") else f"{said} {name}"


def gender_of_counted(cursor: TokenCursor, table: LanguageTable, ahead: int, plural: bool) -> str:
    """The gender of the noun ``ahead``; where nouns have capitals, an adjective may stand before it."""
    agreement = table.agreement
    # "1 copa/pers."
    noun = in_full(cursor.token(ahead), table, plural).partition("/")[0]
    if noun in _OF_ANY_GENDER and cursor.is_adjacent(ahead + 1):
        # "1 só vez"
        noun = cursor.token(ahead + 1).core
    if noun.isupper() and not agreement.capitals and agreement.knows(noun):
        # "1 DVD"
        return agreement.gender(noun, False)
    if noun[:1].isupper() and not agreement.capitals:
        return ""
    chance = agreement.not_noun_beginnings
    if (chance and noun.startswith(chance)) or (agreement.capitals and _is_numbered(cursor, table)):
        return ""
    describes_noun = agreement.capitals and noun.islower() and noun not in agreement.not_nouns
    if describes_noun and (cursor.is_adjacent(ahead + 1) or cursor.token(ahead).suffix == "."):
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
        if (unit := table.units.get(token.core)) is not None:
            return unit.forms.get("one", unit.forms["other"]).split(" ")[0]
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
    inside = earlier.core != "" and not ends_sentence(earlier.suffix)
    return inside or noun.core.lower() in table.roman.cardinal


def gender_of_forms(forms: Forms, table: LanguageTable) -> str:
    """The gender of what is counted, by its singular if there is one."""
    return gender_of(forms.get("one", forms["other"]), table)


def gender_of(name: str, table: LanguageTable) -> str:
    """The gender of what is counted by its name's first word."""
    return table.agreement.gender(name.split(" ")[0], plural=False) if name else ""


def say_amount(numeral: Numeral, money: Currency, gender: str, table: LanguageTable) -> str:
    """An amount in words: decimals are cents if the currency has as many, or two, others are decimals."""
    if money.cents is None and numeral.decimals == "00":
        numeral = Numeral(numeral.digits, "", numeral.grouped)
    if money.cents is None or len(numeral.decimals) not in (2, money.cents_digits):
        return say_counted(numeral, money.forms, gender, table)
    whole = say_amount(Numeral(numeral.digits, "", numeral.grouped), money, gender, table)
    cents = int(numeral.decimals.ljust(money.cents_digits, "0"))
    if not cents:
        return whole
    cents_gender = money.cents_gender or gender_of_forms(money.cents, table)
    part = say_counted(Numeral(str(cents), ""), money.cents, cents_gender, table)
    return part if not int(numeral.digits) else money.joined.format(whole=whole, cents=part)
