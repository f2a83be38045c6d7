"""Places on a map, and directions: "40°25'13" N", "viento NO"."""

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.numerals import DASHES, FEET, INCHES, NUMBER, parse_numeral
from kani_text.normalizer.rules.units import PhraseBuilder, say_counted
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_ANGLE = re.compile(
    rf"(\d{{1,3}})[°º](\d{{1,2}})(?:[{FEET}](?:({NUMBER})(?:[{INCHES}]|[{FEET}]{{2}})?)?)?([A-Z]{{1,2}})?"
)
_DEGREES = re.compile(rf"{NUMBER}[°º]")
_PART = re.compile(rf"({NUMBER})[{FEET}{INCHES}](?![\w×])")
_FORCE = re.compile(rf"\d|1[0-2]|\d[{DASHES}]\d{{1,2}}")
_MOST_BETWEEN, _FORECAST = 3, 8
_OPPOSITE = ({"N", "S"}, {"E", "O"}, {"E", "W"}, {"W", "O"})
_ROAD = re.compile(r"(?:I|US|SR|CA|NY|TX)-\d{1,3}")
_IN_STREET = Rows(
    "street~ @", "number @~ capital|figure~ street", "number @~ capital|figure~ capital|figure~ street"
)
"""The "N." of "123 N. Main St." and the "NW" of "Pennsylvania Ave. NW"."""
_BESIDE_PLACE = Rows(
    *("figure 'km' @ of", "figure 'm' @ of", "figure 'mi' @ of"),
    *("towards|inside @ of", "in 'el' @ of", "'a' @ of capital"),
)
"""The "SE" of "al SE de Lima", "en el NE del país" and "20 km SO von Wien"."""
_TO_THIS, _TO_ANOTHER = Rows("of~ letter~ to|towards~ @"), Rows("of~ @ to|towards letter")
_TOWARDS = Rows("to|towards~ @")


def angle(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "45°30'15"": degrees, minutes and seconds, and the direction that touches them."""
    token = cursor.token()
    if (part := _part(cursor, table)) is not None:
        return part
    match = _ANGLE.fullmatch(token.core)
    units = [table.units.get(symbol) for symbol in ("°", "min", "s")]
    if match is None:
        return None
    phrase = PhraseBuilder()
    for group, unit in enumerate(units, 1):
        numeral = parse_numeral(match[group], table) if match[group] else None
        if unit is None or numeral is None:
            break
        spoken = say_counted(numeral, unit.forms, table)
        phrase.add(spoken, token.core_start + match.start(group), token.core_start + match.end(group))
    if match[4]:
        name = table.compass.names.get(match[4], match[4])
        phrase.add(name, token.core_start + match.start(4), token.core_end)
    end = token.core_end + token.suffix.startswith(("'", "’", '"', "”"))
    return phrase.build(end) if phrase.pieces else None


def _part(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "25'" and "13"" of "40° 25' 13"": minutes and seconds of degrees, no feet and inches."""
    token = cursor.token()
    match = _PART.match(token.text, token.core_start, token.end)
    numeral = parse_numeral(match[1], table) if match else None
    if match is None or numeral is None or not _is_after_degrees(cursor, 1):
        return None
    unit = table.units["min" if match.group()[-1] in FEET else "s"]
    spoken = say_counted(numeral, unit.forms, table)
    return token.said(spoken, match.end())


def direction(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "N" of "40° 25' N" and the "NO" of "viento NO"."""
    token, names = cursor.token(), table.compass.names
    first, _, second = token.core.replace("/", "-").partition("-")
    # "vientos del N/NW", "S-SW"
    pair = first != second and {first, second} <= names.keys() and first in second
    name = f"{names[first]} {names[second]}" if pair else names.get(token.core.replace("-", ""))
    if name is None or not (pair or _is_direction(cursor, table) or _is_of_wind(cursor, table)):
        return None
    between = not pair and token.suffix == "." and cursor.token(1).core != ""
    return token.said(name, token.core_end + (between and not _TOWARDS.hold(cursor, table)))


def _is_direction(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside degrees, another direction, the force of a wind, a place, and in a street's name."""
    return (
        _is_after_degrees(cursor, 1)
        or _is_before_degrees(cursor)
        or _is_to_another(cursor, table)
        or _has_force(cursor, table)
        or _BESIDE_PLACE.hold(cursor, table)
        or _ROAD.fullmatch(cursor.previous().core) is not None
        or _IN_STREET.hold(cursor, table)
    )


def _is_of_wind(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the "NO" of "viento del NO", and for both of "Wind aus W bis NW"."""
    for back in range(1, _MOST_BETWEEN + 1):
        before = cursor.previous(back)
        if before.core.lower() in table.compass.after:
            return True
        if before.suffix or not (before.core in table.compass.names or before.core.islower()):
            return False
    return False


def _is_to_another(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for both of "from W to E"."""
    if _TO_THIS.hold(cursor, table):
        return {cursor.token().core, cursor.previous(2).core} in _OPPOSITE
    return _TO_ANOTHER.hold(cursor, table) and {cursor.token().core, cursor.token(2).core} in _OPPOSITE


def _has_force(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the "NO" of "NO forza 6", and of "SO 6 à 7" in a forecast."""
    compass = table.compass
    ahead = 2 if cursor.adjacent().core.lower() in compass.near else 1
    near = {cursor.previous(back).core.lower() for back in range(1, _FORECAST + 1)}
    long, forecast = len(cursor.token().core) > 1, near & (compass.near | compass.after)
    sure = long and ahead > 1
    if not (cursor.is_adjacent(ahead) and (sure or (forecast and (long or ahead > 1)))):
        return False
    following = cursor.adjacent(ahead + 1)
    goes_on = not following.core or any(is_kind(following, kind, table) for kind in ("to", "or", "unit"))
    return _FORCE.fullmatch(cursor.token(ahead).core) is not None and (goes_on or sure)


def _is_before_degrees(cursor: TokenCursor) -> bool:
    """True for the "N" of "N 40° 26′" and of "N 40.7128°"."""
    degrees, minutes = cursor.token(1), cursor.token(2)
    if not _DEGREES.fullmatch(degrees.core):
        return False
    return "." in degrees.core or _PART.match(minutes.text, minutes.core_start) is not None


def _is_after_degrees(cursor: TokenCursor, back: int) -> bool:
    """True if degrees stand before, or minutes of degrees."""
    previous = cursor.previous(back)
    if _DEGREES.fullmatch(previous.core) and not previous.suffix:
        return True
    found = _PART.match(previous.text, previous.core_start, previous.end)
    return found is not None and back < _MOST_BETWEEN and _is_after_degrees(cursor, back + 1)
