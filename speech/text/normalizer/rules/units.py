"""What a number counts: units, currencies, magnitudes; and the signs before it."""

from __future__ import annotations

from speech.text.normalizer.rules.numerals import Numeral, say_numeral
from speech.text.normalizer.spoken import Piece, Verbalization
from speech.text.normalizer.tables.file import Forms
from speech.text.normalizer.tables.table import Currency, LanguageTable, Unit
from speech.text.normalizer.tokens import TokenCursor

Measure = Unit | Currency
"""What a number counts."""


class PhraseBuilder:
    """Pieces in the making, a space before each."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, text: str, start: int, end: int) -> None:
        """Add ``text``, said for ``[start, end)``."""
        if self.pieces:
            text = f" {text}"
        self.pieces.append(Piece(text, start, end))

    def build(self, end: int) -> Verbalization:
        """What was added."""
        return Verbalization(tuple(self.pieces), end)


def sign_name(sign: str, table: LanguageTable) -> str:
    """How a sign before a number is said."""
    numbers = table.numbers
    if sign in "-−–":
        return numbers.minus
    if sign == "+":
        return numbers.plus
    if sign in ("±", "+/-"):
        return numbers.plus_minus
    return numbers.about if sign in "~≈" else table.signs.get(sign, sign)


def resolve_unit(symbol: str, table: LanguageTable, attached: bool) -> tuple[Measure | None, Forms | None]:
    """What stands behind a number: a unit or a currency, and the magnitude before that."""
    if attached and symbol in table.numbers.magnitudes:
        return None, table.numbers.magnitudes[symbol]
    unit = table.units.get(symbol)
    if unit is not None and (attached or not unit.attached):
        return unit, None
    currency = table.currencies.get(symbol)
    if currency is not None:
        return currency, None
    for magnitude, forms in table.numbers.magnitudes.items():
        if symbol == magnitude and len(forms) != 1:
            return None, forms
        rest = symbol.removeprefix(magnitude).lstrip()
        if rest != symbol and rest in table.currencies:
            return table.currencies[rest], forms
    over, slash, under = symbol.partition("/")
    if slash and over in table.units and under in table.units and table.per:
        first, second = table.units[over], table.units[under]
        one = second.forms.get("one", second.forms["other"])
        forms = {category: f"{form} {table.per} {one}" for category, form in first.forms.items()}
        return Unit(forms, first.gender, False), None
    return None, None


def unit_end(cursor: TokenCursor, ahead: int) -> int:
    """Where a unit so far ahead ends: behind its full stop where the sentence goes on ("2 tsp. salt")."""
    word = cursor.token(ahead)
    if not word.suffix.startswith(".") or word.suffix.startswith(".."):
        return word.core_end
    goes_on = word.suffix[1] in ",;:)" if len(word.suffix) > 1 else cursor.token(ahead + 1).core[:1].islower()
    return word.core_end + goes_on


def split_per(symbol: str, table: LanguageTable, money: bool) -> tuple[str, str]:
    """What is counted, and what is said of the unit that it is counted or paid for.

    So are "€" of "€/kg", "k" of "k/yr" and "" of "/day", or "/h" if it is money; any other symbol is left
    as it is.
    """
    of, slash, under = symbol.partition("/")
    known = of in table.currencies or of in table.numbers.magnitudes
    known = known or (not of and (money or len(under) > 1))
    if not slash or symbol in table.units or not known or under not in table.units or not table.per:
        return symbol, ""
    forms = table.units[under].forms
    return of, f" {table.per} {forms.get('one', forms['other'])}"


def say_counted(figure: Numeral, forms: Forms, gender: str, table: LanguageTable) -> str:
    """A number and what it counts, which may say the number itself."""
    if figure.is_long:
        return f"{say_numeral(figure, table, gender)} {forms['other']}"
    name = table.form(forms, figure.value)
    if not figure.decimals and table.form_includes_number(forms, figure.value):
        return name
    return f"{say_numeral(figure, table, gender)} {name}"


def gender_of_counted(cursor: TokenCursor, table: LanguageTable, ahead: int, plural: bool) -> str:
    """The gender of the noun so far ahead; where nouns have capitals, an adjective may stand before it."""
    agreement = table.agreement
    word = cursor.token(ahead).core
    chance = agreement.not_noun_beginnings
    if (chance and word.startswith(chance)) or (agreement.capitals and _is_numbered(cursor, table)):
        return ""
    if (
        agreement.capitals
        and word.islower()
        and word not in agreement.not_nouns
        and cursor.is_adjacent(ahead + 1)
    ):
        word = cursor.token(ahead + 1).core
    return agreement.gender(word, plural)


def _is_numbered(cursor: TokenCursor, table: LanguageTable) -> bool:
    """Whether the number is that of the noun before it ("Absatz 1 Satz 2", "im Sommer 1989")."""
    noun, earlier = cursor.previous(), cursor.previous(2)
    if any("number" in known.said for known in table.abbreviations.get(f"{noun.core}.", ())):
        return True
    if noun.suffix or not noun.core[:1].isupper():
        return False
    inside = earlier.core != "" and not earlier.suffix.endswith((".", "!", "?", "…"))
    return inside or noun.core.lower() in table.roman.cardinal


def gender_of_forms(forms: Forms, table: LanguageTable) -> str:
    """The gender of what is counted, by the form for one where there is any."""
    return gender_of(forms.get("one", forms["other"]), table)


def gender_of(name: str, table: LanguageTable) -> str:
    """The gender of what is counted by its name's first word."""
    return table.agreement.gender(name.split(" ")[0], plural=False) if name else ""


def say_amount(figure: Numeral, money: Currency, gender: str, table: LanguageTable) -> str:
    """An amount in words: two decimals are cents where there are any, others decimals."""
    if money.cents is None or len(figure.decimals) != 2:
        return say_counted(figure, money.forms, gender, table)
    whole = say_amount(Numeral(figure.digits, "", figure.grouped), money, gender, table)
    cents = int(figure.decimals)
    if not cents:
        return whole
    cents_gender = money.cents_gender or gender_of_forms(money.cents, table)
    part = say_counted(Numeral(str(cents), ""), money.cents, cents_gender, table)
    return part if not int(figure.digits) else money.joined.format(whole=whole, cents=part)
