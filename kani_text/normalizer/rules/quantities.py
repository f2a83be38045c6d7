"""Numbers with what they count: money, units, percentages, ranges, fractions, nouns."""

import re

from kani_text.normalizer.kinds import Rows, is_kind, matching
from kani_text.normalizer.rules import units
from kani_text.normalizer.rules.acronyms import capitals_pieces
from kani_text.normalizer.rules.amounts import Counted
from kani_text.normalizer.rules.fractions import (
    HALF,
    gender_of_following,
    half,
    half_after_noun,
    of_unit,
    say_fraction,
)
from kani_text.normalizer.rules.numerals import DASHES, NUMBER, VULGAR_FRACTIONS, Numeral, parse_numeral
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import Currency, LanguageTable
from kani_text.normalizer.tokens import TokenCursor, token_at
from kani_text.writing import has_letters_only

_VULGAR = "".join(VULGAR_FRACTIONS)
_QUANTITY = re.compile(
    rf"(?=\D*[\d{_VULGAR}])(?P<sign>\+/-|[-+−–±~≈≤≥<>])?(?P<before>[^\w\s.,'+−–{_VULGAR}-]|S/\.?|[A-Z]{{1,3}}\$|[A-Z]{{3}})?(?P<late>[-−])?"
    rf"(?:(?P<number>{NUMBER}|\.\d+)(?:[{DASHES}](?P=before)?(?P<second>{NUMBER}))?)?(?P<vulgar>[{_VULGAR}])?"
    rf"(?P<suffix>[^\d\s]{{0,12}}(?:(?<=m)[23])?)"
)
_WITHOUT_CENTS = re.compile(r"^[.,][-–—]{1,2}|/-$")
_GROUPED = re.compile(r"([1-9]\d{0,2}),(\d{3})")
_SIGNS = tuple("~≈<>±+-−")
_BEFORE_FIGURE = Rows(r"@{\.?} figure")
_SHARES = tuple("%‰٪؉")
"""Signs that some languages write before the number."""
_NUMBER_SIGNS = ("#", "№")


def quantity(
    cursor: TokenCursor, table: LanguageTable, money: Currency | None = None
) -> Verbalization | None:
    """A number, its sign, and what it counts if that is known; None where it is something else.

    money: the currency that a token before it has named.
    """
    match = _QUANTITY.fullmatch(cursor.token().core)
    if match is None:
        return None
    # Indian "₹840/-", "39,- €"
    before, suffix = match["before"] or "", _WITHOUT_CENTS.sub("", match["suffix"])
    if not suffix and before in _SHARES:
        # "%2"
        before, suffix = "", before
    money = table.currencies.get(before, money)
    phrase, numbers = _signs(match, before, money, cursor, table), _numbers(match, money, cursor, table)
    if phrase is None or numbers is None:
        return None
    first, second = numbers
    fraction = match["vulgar"] and not suffix and money is None
    if fraction and (said := _fraction(phrase, match, first, cursor, table)) is not None:
        return said
    if first is None:
        return None
    numerals = Counted(cursor, table, match, (first, second), money)
    if not suffix:
        numerals.take_following(counts=money is None and before not in _NUMBER_SIGNS)
    elif not numerals.take_suffix(suffix):
        return None
    return numerals.say(phrase)


def _numbers(
    match: re.Match[str], money: Currency | None, cursor: TokenCursor, table: LanguageTable
) -> tuple[Numeral | None, Numeral | None] | None:
    """The numbers of a match; None if what is written is no number."""
    written = match.group("number", "second")
    first, second = (parse_numeral(one, table) if one else None for one in written)
    if (written[0] and first is None) or (written[1] and second is None):
        return None
    if first is not None and len(first.digits) == 2 and is_kind(cursor.previous(), "hour_name", table):
        # "3 h 05 min"
        first = Numeral(first.digits.removeprefix("0"), first.decimals)
    grouped = _GROUPED.fullmatch(match["number"] or "")
    if money is not None and match["before"] != "€" and table.numbers.decimal == "," and grouped:
        # "S/ 1,800": no amount has three decimals, and in Latin America many write groups so.
        first = Numeral(grouped[1] + grouped[2], "", grouped=True)
    return first, second


def _signs(
    match: re.Match[str], before: str, money: Currency | None, cursor: TokenCursor, table: LanguageTable
) -> units.PhraseBuilder | None:
    """The signs before a number, other than a currency's; None for one without a name."""
    phrase, start = units.PhraseBuilder(), cursor.token().core_start
    for sign in filter(None, (match["sign"], match["late"])):
        phrase.add(units.sign_name(sign, table), start, start + len(sign))
    if before and money is None:
        name = table.numbers.number_sign if before in _NUMBER_SIGNS else table.signs.get(before)
        if name is None:
            return None
        at = start + match.start("before")
        phrase.add(name, at, at + len(before))
    return phrase


def _fraction(
    phrase: units.PhraseBuilder,
    match: re.Match[str],
    whole: Numeral | None,
    cursor: TokenCursor,
    table: LanguageTable,
) -> Verbalization | None:
    """A fraction in one character; None after a number that is said before what it counts."""
    part, token = VULGAR_FRACTIONS[match["vulgar"]], cursor.token()
    gender = gender_of_following(cursor, table)
    if whole is not None:
        noun = half_after_noun(cursor, whole, gender, table) if part == HALF else None
        if noun is None:
            return None
        # "1½ tasse": "une tasse et demie"
        number, noun_said, end = noun
        phrase.add(number, token.core_start + match.start("number"), token.core_end)
        phrase.add(noun_said, cursor.token(1).core_start, end)
        return phrase.build(end)
    said, end = of_unit(cursor, part, table) or ("", token.core_end)
    plain = half(cursor, table) if part == HALF else say_fraction(*part, table)
    phrase.add(said or plain, token.core_end - 1, end)
    return phrase.build(end)


def per_unit(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "2 visits/yr", "in €/kg": what is counted or paid, and how often or for what."""
    token, before = cursor.token(), cursor.previous().core
    over, slash, under = token.core.partition("/")
    if not slash or units.is_name(token.core):
        return None
    if over in table.currencies and not before[-1:].isdecimal():
        return _price(over, under, cursor, table)
    many = before.lower() in table.numbers.magnitude_words or before in table.numbers.magnitudes
    counted = any(map(str.isdecimal, cursor.previous(1 + many).core))
    known = over in table.units or (len(over) >= len("men") and has_letters_only(over))
    # "5 s/Zug", too
    per = units.said_per("", under, table, any_word=over in table.units)
    if not counted or not known or not per or under in table.currencies:
        return None
    start, end = token.core_start, units.unit_end(cursor, 0, table)
    middle = start + len(over)
    of = table.units[over].forms["other"] if over in table.units else over
    # "100 SMS/day"
    pieces = capitals_pieces(over, start, table) if of.isupper() else (Piece(of, start, middle),)
    return Verbalization((*pieces, Piece(f" {per}", middle, end)), end)


def _price(sign: str, under: str, cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "€/$ a 1,08", "in €/kg"."""
    money, other = table.currencies[sign].forms, table.currencies.get(under)
    if other is not None:
        return cursor.token().said(f"{units.singular(money, table)} {units.singular(other.forms, table)}")
    per = units.said_per(sign, under, table)
    return cursor.token().said(f"{money['other']} {per}") if per else None


def unit_before(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "km 23": a place on a road."""
    token = cursor.token()
    unit = table.units.get("km") if token.core.lower() == "km" else None
    if unit is None or not _BEFORE_FIGURE.hold(cursor, table):
        return None
    return token.said(units.singular(unit.forms, table), token.core_end + len(token.suffix))


def currency_before(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "USD 20": the code before its amount."""
    token = cursor.token()
    if token.core[:1] in _SIGNS and token.core[1:] in table.currencies:
        # "~R$ 50"
        return units.after_sign(currency_before, cursor, table)
    money = table.currencies.get(token.core + token.suffix)
    if money is None or not _BEFORE_FIGURE.hold(cursor, table):
        return None
    cursor.at += 1
    try:
        spoken = quantity(cursor, table, money)
    finally:
        cursor.at -= 1
    if spoken is None:
        return None
    return Verbalization((Piece(spoken.pieces[0].text, token.core_start, spoken.end),), spoken.end)


@matching(
    rf"(?P<first>[^\w\s]?{NUMBER}[^{DASHES}\d\s]{{1,12}}|[€£$₹]{NUMBER}(?=/))(?P<dash>[{DASHES}/])(?P<last>[^\w\s]?{NUMBER}\S{{0,12}})"
)
def measured_range(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two quantities, the first with its unit."""
    token = cursor.token()
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
