"""What a number counts: units, currencies, magnitudes; and the signs before it."""

from __future__ import annotations

from speech.text.normalizer.rules.numerals import Figure, say_figure
from speech.text.normalizer.spoken import Piece, Said
from speech.text.normalizer.tables.file import Forms
from speech.text.normalizer.tables.table import Currency, Table, Unit
from speech.text.normalizer.tokens import Cursor

Measure = Unit | Currency
"""What a number counts."""


class Phrase:
    """Pieces in the making, a space before each."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []

    def add(self, text: str, start: int, end: int) -> None:
        """Add ``text``, said for ``[start, end)``."""
        if self.pieces:
            text = f" {text}"
        self.pieces.append(Piece(text, start, end))

    def said(self, end: int) -> Said:
        """What was added."""
        return Said(tuple(self.pieces), end)


def sign_name(sign: str, table: Table) -> str:
    """How a sign before a number is said."""
    numbers = table.numbers
    if sign in "-−–":
        return numbers.minus
    if sign == "+":
        return numbers.plus
    if sign in ("±", "+/-"):
        return numbers.plus_minus
    return numbers.about if sign in "~≈" else table.signs.get(sign, sign)


def meaning(symbol: str, table: Table, attached: bool) -> tuple[Measure | None, Forms | None]:
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


def past_stop(cursor: Cursor, ahead: int) -> int:
    """Where a unit so far ahead ends: behind its full stop where the sentence goes on ("2 tsp. salt")."""
    word = cursor.word(ahead)
    if not word.close.startswith(".") or word.close.startswith(".."):
        return word.core_end
    goes_on = word.close[1] in ",;:)" if len(word.close) > 1 else cursor.word(ahead + 1).core[:1].islower()
    return word.core_end + goes_on


def without_per(symbol: str, table: Table, money: bool) -> tuple[str, str]:
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


def say_counted(figure: Figure, forms: Forms, gender: str, table: Table) -> str:
    """A number and what it counts, which may say the number itself."""
    if figure.is_long:
        return f"{say_figure(figure, table, gender)} {forms['other']}"
    name = table.form(forms, figure.value)
    if not figure.decimals and table.says_number(forms, figure.value):
        return name
    return f"{say_figure(figure, table, gender)} {name}"


def gender_of_counted(cursor: Cursor, table: Table, ahead: int, plural: bool) -> str:
    """The gender of the noun so far ahead; where nouns have capitals, an adjective may stand before it."""
    agreement = table.agreement
    word = cursor.word(ahead).core
    chance = agreement.not_noun_beginnings
    if (chance and word.startswith(chance)) or (agreement.capitals and _is_numbered(cursor, table)):
        return ""
    if (
        agreement.capitals
        and word.islower()
        and word not in agreement.not_nouns
        and cursor.touches(ahead + 1)
    ):
        word = cursor.word(ahead + 1).core
    return agreement.gender(word, plural)


def _is_numbered(cursor: Cursor, table: Table) -> bool:
    """Whether the number is that of the noun before it ("Absatz 1 Satz 2", "im Sommer 1989")."""
    noun, earlier = cursor.previous(), cursor.previous(2)
    if any("number" in known.said for known in table.abbreviations.get(f"{noun.core}.", ())):
        return True
    if noun.close or not noun.core[:1].isupper():
        return False
    inside = earlier.core != "" and not earlier.close.endswith((".", "!", "?", "…"))
    return inside or noun.core.lower() in table.roman.cardinal


def gender_of_forms(forms: Forms, table: Table) -> str:
    """The gender of what is counted, by the form for one where there is any."""
    return gender_of(forms.get("one", forms["other"]), table)


def gender_of(name: str, table: Table) -> str:
    """The gender of what is counted by its name's first word."""
    return table.agreement.gender(name.split(" ")[0], plural=False) if name else ""


def say_amount(figure: Figure, money: Currency, gender: str, table: Table) -> str:
    """An amount in words: two decimals are cents where there are any, others decimals."""
    if money.cents is None or len(figure.decimals) != 2:
        return say_counted(figure, money.forms, gender, table)
    whole = say_amount(Figure(figure.digits, "", figure.grouped), money, gender, table)
    cents = int(figure.decimals)
    if not cents:
        return whole
    cents_gender = money.cents_gender or gender_of_forms(money.cents, table)
    part = say_counted(Figure(str(cents), ""), money.cents, cents_gender, table)
    return part if not int(figure.digits) else money.joined.format(whole=whole, cents=part)
