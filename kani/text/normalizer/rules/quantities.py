"""Numbers with what they count: money, units, percentages, ranges, fractions, nouns."""

from __future__ import annotations

import re

from kani.text.normalizer.kinds import is_kind
from kani.text.normalizer.rules.acronyms import capitals_pieces, roman_value
from kani.text.normalizer.rules.before_nouns import describes
from kani.text.normalizer.rules.counted_nouns import CountedNumerals
from kani.text.normalizer.rules.fractions import (
    gender_of_following,
    half_after_noun,
    of_unit,
    say_mixed,
    say_vulgar,
)
from kani.text.normalizer.rules.numerals import (
    DASHES,
    NUMBER,
    VULGAR_FRACTIONS,
    Numeral,
    parse_leading_point,
    parse_numeral,
)
from kani.text.normalizer.rules.units import (
    PhraseBuilder,
    is_letter,
    is_name,
    resolve_unit,
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
_SHARES = "%‰٪؉"
"""Signs that some languages write before the number."""


def quantity(
    cursor: TokenCursor, table: LanguageTable, money: Currency | None = None
) -> Verbalization | None:
    """A number, its sign, and what it counts if that is known; None where it is something else.

    money: the currency that a token before it has named.
    """
    token = cursor.token()
    match = _QUANTITY.fullmatch(token.core)
    if match is None or not (match["number"] or match["vulgar"]):
        return None
    # Indian "₹840/-", "39,- €"
    before, suffix = match["before"], _WITHOUT_CENTS.sub("", match["suffix"])
    first = parse_leading_point(match["number"], table) if match["number"] else None
    second = parse_numeral(match["second"], table) if match["second"] else None
    if first is not None and len(first.digits) == 2 and is_kind(cursor.previous(), "hour_name", table):
        # "3 h 05 min"
        first = Numeral(first.digits.removeprefix("0"), first.decimals)
    if (match["number"] and first is None) or (match["second"] and second is None):
        return None
    if money is not None and (before or match["sign"]):
        return None
    money = table.currencies.get(before) if before else money
    if (
        first is not None
        and money is not None
        and before != "€"
        and table.numbers.decimal == ","
        and (grouped := _GROUPED.fullmatch(match["number"])) is not None
    ):
        # "S/ 1,800": no amount has three decimals, and in Latin America many write groups so.
        first = Numeral(grouped[1] + grouped[2], "", grouped=True)
    shares = table.units.get(before) if before and before in _SHARES and not suffix else None
    if match["again"] and match["again"] != before:
        return None
    if before and money is None and before not in table.signs and before not in "#№":
        return None
    end = token.core_end
    phrase = PhraseBuilder()
    start = token.core_start
    for sign in (match["sign"], match["late"]):
        if sign:
            phrase.add(sign_name(sign, table), start, start + len(sign))
    if before and money is None and shares is None:
        at = token.core_start + match.start("before")
        name = table.numbers.number_sign if before in "#№" else table.signs[before]
        phrase.add(name, at, at + len(before))
    if first is None or match["vulgar"]:
        unit = resolve_unit(suffix, table, attached=True)[0] if suffix and not money else None
        if unit is not None and first is not None:
            # "5½%"
            at = token.core_start + match.start("suffix")
            number = say_mixed(first, VULGAR_FRACTIONS[match["vulgar"]], table, unit.gender)
            phrase.add(number, token.core_start + match.start("number"), at)
            phrase.add(table.form(unit.forms, first.value + 1), at, token.core_end)
            return phrase.build(token.core_end)
        if suffix or money:
            return None
        at = token.core_start + (match.start("number") if first else match.start("vulgar"))
        if (
            first is None
            and (measured := of_unit(cursor, VULGAR_FRACTIONS[match["vulgar"]], table)) is not None
        ):
            phrase.add(measured[0], at, measured[1])
            return phrase.build(measured[1])
        gender = gender_of_following(cursor, table)
        if first is None and match["vulgar"] == "½" and cursor.previous().core == table.signs.get("&"):
            # "le 9 e ½": "e mezza"
            hours = cursor.previous(3).core.lower() in table.times.after
            half = table.fractions.halves.get("f" if hours else gender or "m", "")
            phrase.add(half or say_vulgar("½", table), at, token.core_end)
            return phrase.build(end)
        if (
            first is not None
            and match["vulgar"] == "½"
            and (noun := half_after_noun(cursor, first, gender, table))
        ):
            phrase.add(noun[0], at, token.core_end)
            phrase.add(noun[1], cursor.token(1).core_start, noun[2])
            return phrase.build(noun[2])
        behind = cursor.token(1)
        unit = resolve_unit(behind.core, table, behind.suffix.startswith("."))[0] if first else None
        if first is not None and unit is not None and cursor.is_adjacent(1) and unit.gender == "":
            # "9½ in."
            end = unit_end(cursor, 1, table)
            phrase.add(say_mixed(first, VULGAR_FRACTIONS[match["vulgar"]], table, gender), at, token.core_end)
            alone = describes(cursor, end, unit.forms.get("one", ""), table)
            phrase.add(table.form(unit.forms, 1 if alone else first.value + 1), behind.core_start, end)
            return phrase.build(end)
        phrase.add(say_mixed(first, VULGAR_FRACTIONS[match["vulgar"]], table, gender), at, token.core_end)
        return phrase.build(end)
    numerals = CountedNumerals(cursor, table, token, match, first, second)
    suffix = numerals.take_per(suffix, money is not None)
    if (
        suffix
        and money is None
        and (
            is_letter(suffix, cursor, 0, table, first.decimals if first else "")
            or _is_variable(suffix, cursor)
        )
    ):
        return None
    if suffix:
        resolved = numerals.resolve(suffix, True) if money is None else resolve_unit(suffix, table, True)
        measure, magnitude = resolved
        if money is not None and magnitude is None:
            measure, magnitude = None, table.numbers.money_magnitudes.get(suffix)
        if measure is None and magnitude is None:
            return None
        measure = numerals.scale(suffix, measure, 1)
        if measure is None and money is None:
            measure = numerals.currency_behind(1) or numerals.unit_behind(1)
        if suffix[-1].isalpha():
            numerals.end = max(numerals.end, unit_end(cursor, 0, table))
    elif shares is not None:
        measure, magnitude = shares, None
    elif numerals.per:
        measure, magnitude = None, None
        numerals.end = unit_end(cursor, 0, table)
    else:
        measure, magnitude = numerals.find_measure(counted=money is None and before not in tuple("#№"))
    if money is not None:
        return numerals.money(phrase, numerals.code_behind(money), magnitude, whole=True)
    if isinstance(measure, Currency) and numerals.mixed_with is not None:
        measure = Unit(measure.forms, measure.gender, attached=False)
    if isinstance(measure, Currency):
        return numerals.money(phrase, measure, magnitude, whole=False)
    return numerals.counted(phrase, measure, magnitude)


def _is_variable(suffix: str, cursor: TokenCursor) -> bool:
    """True for the "2x" of a formula."""
    near = cursor.previous().core, cursor.token(1).core
    apart = cursor.token().suffix != ""
    if near[1].isalpha() and len(near[1]) > 1 and not apart:
        # "2x dmg + 1x supp"
        return False
    return suffix == "x" and (near[0] in _OPERATORS or (not apart and near[1] in _OPERATORS))


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


def roman_range(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two Roman numerals after a word that has them: "siglos XV-XVI"."""
    token = cursor.token()
    if (centuries := _centuries(cursor, table)) is not None:
        return centuries
    match = _ROMANS.fullmatch(token.core)
    # "Kindertotenlieder, I–V", but the I–V curve
    listed = token.core[:2] == "I–" and not (cursor.is_adjacent(1) and cursor.token(1).core.islower())
    if match is None or not (listed or cursor.previous().core.lower() in table.roman.cardinal):
        return None
    first, last = roman_value(match["first"]), roman_value(match["last"])
    if first is None or last is None:
        return None
    start, dash, end = token.core_start, token.core_start + match.start("dash"), token.core_end
    return Verbalization(
        (
            Piece(table.number_words.cardinal(first), start, dash),
            Piece(f" {table.numbers.to} ", dash, dash + 1),
            Piece(table.number_words.cardinal(last), dash + 1, end),
        ),
        end,
    )


def _centuries(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "IIe–IVe": ordinals of two Roman numerals."""
    token = cursor.token()
    parts = re.split(f"[{DASHES}]", token.core)
    if len(parts) != len(("first", "last")):
        return None
    found = [
        (part.removesuffix(mark), mark) for part in parts for mark in table.roman.marks if part.endswith(mark)
    ]
    if len(parts) != len(found):
        return None
    values = [roman_value(numeral) for numeral, _ in found]
    if None in values:
        return None
    first, last = (
        table.number_words.ordinal(value or 0, table.ordinals.get(mark, ""))
        for value, (_, mark) in zip(values, found, strict=True)
    )
    dash = token.core_start + len(parts[0])
    pieces = (
        Piece(first, token.core_start, dash),
        Piece(f" {table.numbers.to} ", dash, dash + 1),
        Piece(last, dash + 1, token.core_end),
    )
    return Verbalization(pieces, token.core_end)
