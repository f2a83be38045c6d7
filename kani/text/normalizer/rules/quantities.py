"""Numbers with what they count: money, units, percentages, ranges, fractions, nouns."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.acronyms import capitals_pieces
from kani.text.normalizer.rules.counted_nouns import CountedNumerals
from kani.text.normalizer.rules.fractions import (
    gender_of_following,
    half_after_noun,
    of_unit,
    say_mixed,
)
from kani.text.normalizer.rules.moments.durations import HOUR_MARKS
from kani.text.normalizer.rules.numerals import (
    DASHES,
    NUMBER,
    VULGAR_FRACTIONS,
    Numeral,
    parse_leading_point,
)
from kani.text.normalizer.rules.units import (
    PhraseBuilder,
    is_name,
    sign_name,
    unit_end,
)
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import Currency, LanguageTable, Unit
from kani.text.normalizer.tokens import TokenCursor, token_at
from kani.text.writing import has_letters_only

_VULGAR = "".join(VULGAR_FRACTIONS)
_QUANTITY = re.compile(
    rf"(?P<sign>\+/-|[-+−–±~≈≤≥<>])?(?P<before>[^\w\s.,'+−–{_VULGAR}-]|S/\.?|[A-Z]{{1,3}}\$|[A-Z]{{3}})?(?P<late>[-−])?"
    rf"(?:(?P<number>{NUMBER}|\.\d+)(?:(?P<dash>[{DASHES}])(?P<again>[^\w\s.,'+−–-]|[A-Z]{{1,3}}\$)?(?P<second>{NUMBER}))?)?(?P<vulgar>[{_VULGAR}])?"
    rf"(?P<suffix>[^\d\s]{{0,12}}(?:(?<=m)[23])?)"
)
_MEASURED = re.compile(
    rf"(?P<first>[^\w\s]?{NUMBER}[^{DASHES}\d\s]{{1,12}}|[€£$₹]{NUMBER}(?=/))(?P<dash>[{DASHES}/])(?P<last>[^\w\s]?{NUMBER}\S{{0,12}})"
)
_ROMANS = re.compile(rf"(?P<first>[IVX]+)(?P<dash>[{DASHES}])(?P<last>[IVX]+)")
_AMOUNT = re.compile(rf"{NUMBER}(?:[{DASHES}]{NUMBER})?[^\d\s]{{0,12}}")
_WITHOUT_CENTS = re.compile(r"^[.,][-–—]{1,2}|/-$")
_GROUPED = re.compile(r"([1-9]\d{0,2}),(\d{3})")
_OPERATORS = frozenset("+ - − – = < > ≤ ≥ ±".split())
_SIGNS = tuple("~≈<>±+-−")
_SHARES, _NUMBER_SIGNS = "%‰٪؉", ("#", "№")
"""Signs that some languages write before the number."""


def quantity(
    cursor: TokenCursor, table: LanguageTable, money: Currency | None = None
) -> Verbalization | None:
    """A number, its sign, and what it counts if that is known; None where it is something else.

    money: the currency that a token before it has named.
    """
    match = _QUANTITY.fullmatch(cursor.token().core)
    if (
        match is None
        or not (match["number"] or match["vulgar"])
        or match["again"] not in (None, match["before"])
    ):
        return None
    # Indian "₹840/-", "39,- €"
    before, suffix = match["before"] or "", _WITHOUT_CENTS.sub("", match["suffix"])
    if money is not None and (before or match["sign"]):
        return None
    if before and before in _SHARES and not suffix:
        # "%2"
        before, suffix = "", before
    money = table.currencies.get(before, money)
    numbers = _numbers(match, None if before == "€" else money, cursor, table)
    phrase = _signs(match, "" if money is not None else before, cursor, table)
    if phrase is None or numbers is None:
        return None
    first, second = numbers
    part = VULGAR_FRACTIONS.get(match["vulgar"])
    if first is None:
        return None if suffix or money else _vulgar(phrase, part or (1, 1), cursor, table)
    if (
        part == (1, 2)
        and not suffix
        and (noun := _with_half(phrase, first, match, cursor, table)) is not None
    ):
        return noun
    numerals = CountedNumerals(cursor, table, match, (first, second), part, money)
    if not suffix:
        numerals.take_following(counts=money is None and before not in _NUMBER_SIGNS)
    elif not numerals.take_suffix(suffix):
        return None
    return numerals.say(phrase)


def _numbers(
    match: re.Match[str], money: Currency | None, cursor: TokenCursor, table: LanguageTable
) -> tuple[Numeral | None, Numeral | None] | None:
    """The numbers of a match; None if what is written is no number."""
    found = []
    for written in (match["number"], match["second"]):
        numeral = parse_leading_point(written, table) if written else None
        if written and numeral is None:
            return None
        found.append(numeral)
    first, second = found
    if first is not None and len(first.digits) == 2 and cursor.previous().core in HOUR_MARKS:
        # "3 h 05 min"
        first = Numeral(first.digits.removeprefix("0"), first.decimals)
    grouped = _GROUPED.fullmatch(match["number"] or "")
    if money is not None and table.numbers.decimal == "," and grouped is not None:
        # "S/ 1,800": no amount has three decimals, and in Latin America many write groups so.
        first = Numeral(grouped[1] + grouped[2], "", grouped=True)
    return first, second


def _signs(
    match: re.Match[str], before: str, cursor: TokenCursor, table: LanguageTable
) -> PhraseBuilder | None:
    """The signs before a number, other than a currency's; None for one without a name."""
    phrase, start = PhraseBuilder(), cursor.token().core_start
    for sign in filter(None, (match["sign"], match["late"])):
        phrase.add(sign_name(sign, table), start, start + len(sign))
    if before:
        name = table.numbers.number_sign if before in _NUMBER_SIGNS else table.signs.get(before)
        if name is None:
            return None
        at = start + match.start("before")
        phrase.add(name, at, at + len(before))
    return phrase


def _vulgar(
    phrase: PhraseBuilder, part: tuple[int, int], cursor: TokenCursor, table: LanguageTable
) -> Verbalization:
    """A fraction in one character, and the unit it is a part of."""
    token = cursor.token()
    said, end = of_unit(cursor, part, table) or ("", token.core_end)
    gender = gender_of_following(cursor, table)
    if part == (1, 2) and cursor.previous().core == table.signs.get("&"):
        # "le 9 e ½": "e mezza"
        gender = table.times.gender if cursor.previous(3).core.lower() in table.times.after else gender or "m"
    phrase.add(said or say_mixed(None, part, table, gender), token.core_end - 1, end)
    return phrase.build(end)


def _with_half(
    phrase: PhraseBuilder, whole: Numeral, match: re.Match[str], cursor: TokenCursor, table: LanguageTable
) -> Verbalization | None:
    """The "1½ tasse" of a language that says the half after its noun."""
    noun = half_after_noun(cursor, whole, gender_of_following(cursor, table), table)
    if noun is None:
        return None
    token = cursor.token()
    phrase.add(noun[0], token.core_start + match.start("number"), token.core_end)
    phrase.add(noun[1], cursor.token(1).core_start, noun[2])
    return phrase.build(noun[2])


def per_unit(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "2 visits/yr": what is counted, and how often or for what."""
    token = cursor.token()
    over, slash, under = token.core.partition("/")
    unit = table.units.get(under)
    known = over in table.units or (len(over) >= len("men") and has_letters_only(over))
    known = known and not is_name(token.core)
    money, other = table.currencies.get(over), table.currencies.get(under)
    if money is not None and other is not None and not cursor.previous().core[-1:].isdecimal():
        # "€/$ a 1,08"
        pair = " ".join(one.forms.get("one", one.forms["other"]) for one in (money, other))
        return Verbalization((Piece(pair, token.core_start, token.core_end),), token.core_end)
    if money is not None and unit is not None and not cursor.previous().core[-1:].isdecimal():
        # "in €/kg"
        said = f"{money.forms['other']} {table.per} {unit.forms.get('one', unit.forms['other'])}"
        return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)
    if slash and unit is None and over in table.units and len(under) > 2 and has_letters_only(under):
        # "5 s/Zug"
        unit = Unit({"other": under}, "", attached=False)
    before, numbers = cursor.previous().core, table.numbers
    # "2 million visits/yr", "2M visits/yr"
    many = before.lower() in numbers.magnitude_words or before in numbers.magnitudes
    number = cursor.previous(1 + many).core
    counted = number[-1:].isdecimal() or number.lstrip("0123456789.,") in numbers.magnitudes
    if not slash or unit is None or not known or not table.per or not counted:
        return None
    said = f" {table.per} {unit.forms.get('one', unit.forms['other'])}"
    start, end = token.core_start, unit_end(cursor, 0, table)
    middle = start + len(over)
    of = table.units[over].forms["other"] if over in table.units else over
    # "100 SMS/day"
    pieces = capitals_pieces(over, start, table) if of.isupper() else (Piece(of, start, middle),)
    return Verbalization((*pieces, Piece(said, middle, end)), end)


def unit_before(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "km 23": a place on a road."""
    token = cursor.token()
    unit = table.units.get("km") if token.core.lower() == "km" else None
    if unit is None or token.suffix not in ("", "."):
        return None
    number, before = cursor.token(1), cursor.previous()
    counted = before.core[:1].isdecimal() and not before.suffix
    if counted or number.prefix or not number.core[:1].isdecimal():
        return None
    one = unit.forms.get("one", unit.forms["other"])
    end = token.core_end + token.suffix.startswith(".")
    return Verbalization((Piece(one, token.core_start, end),), end)


def currency_before(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "USD 20": the code before its amount."""
    token = cursor.token()
    if token.core[:1] in _SIGNS and token.core[1:] in table.currencies:
        # "~R$ 50"
        sign = Piece(f"{sign_name(token.core[0], table)} ", token.core_start, token.core_start + 1)
        with cursor.without_prefix(1):
            amount_said = currency_before(cursor, table)
        return Verbalization((sign, *amount_said.pieces), amount_said.end) if amount_said else None
    stopped = token.suffix == "." and f"{token.core}." in table.currencies
    money = table.currencies.get(token.core + "." * stopped)
    if money is None or not (stopped or cursor.is_adjacent(1)):
        return None
    amount = cursor.token(1)
    if stopped and (amount.start != amount.core_start or amount.entry is not None):
        return None
    cursor.at += 1
    try:
        spoken = quantity(cursor, table, money) if _AMOUNT.fullmatch(amount.core) else None
    finally:
        cursor.at -= 1
    if spoken is None:
        return None
    return Verbalization((Piece(spoken.pieces[0].text, token.core_start, spoken.end),), spoken.end)


def measured_range(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two quantities, the first with its unit."""
    token = cursor.token()
    match = _MEASURED.fullmatch(token.core)
    if match is None:
        return None
    dash = token.core_start + match.start("dash")
    first = quantity(TokenCursor([token_at(token.text, token.core_start, dash)], (), complete=True), table)
    if first is None or first.end != dash:
        return None
    with cursor.without_prefix(match.start("last")):
        last = quantity(cursor, table)
    if last is None:
        return None
    # "5V/2A" are two things.
    to = Piece(", " if token.text[dash] == "/" else f" {table.numbers.to} ", dash, dash + 1)
    return Verbalization((*first.pieces, to, *last.pieces), last.end)
