"""Rows of figures that are no amounts: telephone numbers, versions, network addresses."""

from __future__ import annotations

import functools
import re

from speech.text.normalizer.rules.acronyms import capitals_pieces
from speech.text.normalizer.rules.numerals import NUMBER, parse_numeral, say_digits
from speech.text.normalizer.rules.units import gender_of_forms, say_counted, sign_name
from speech.text.normalizer.spoken import Piece, Verbalization
from speech.text.normalizer.tables.table import LanguageTable
from speech.text.normalizer.tokens import TokenCursor

_FAR = re.compile(r"\+\d{1,4}(?:-\d+|\.\d{2,})*|\+\d{7,15}")
_GROUP = re.compile(r"\d{2,}(?:[-./]\d{2,})*")
_AREA = re.compile(r"\d+(?:[-./]\d{2,})*")
_DIGITS = re.compile(r"\d+")
_DOTTED = re.compile(r"(v)?(\d{1,5}(?:\.\d{1,5}){1,7})", re.IGNORECASE)
_HYPHENED = re.compile(r"\d{1,15}(?:[-‐‑]\d{1,15}){2,15}")
_ZONE = re.compile(r"(?P<name>GMT|UTC)(?P<sign>[+\-−–])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")
_ANGLE = re.compile(rf"(\d{{1,3}})[°º](\d{{1,2}})(?:['’′](?:({NUMBER})″?)?)?")
_MOST_GROUPS = 8


def angle(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "45°30'15"": degrees, minutes and seconds."""
    word = cursor.token()
    match = _ANGLE.fullmatch(word.core)
    units = [table.units.get(symbol) for symbol in ("°", "min", "s")]
    if match is None:
        return None
    pieces: list[Piece] = []
    for group, unit in enumerate(units, 1):
        figure = parse_numeral(match[group], table) if match[group] else None
        if unit is None or figure is None:
            break
        said = say_counted(figure, unit.forms, gender_of_forms(unit.forms, table), table)
        start, end = word.core_start + match.start(group), word.core_start + match.end(group)
        pieces.append(Piece(f" {said}" if pieces else said, start, end))
    return (
        Verbalization(tuple(pieces), word.core_end + word.suffix.startswith(("'", "’", '"', "”")))
        if pieces
        else None
    )


def zone(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "GMT-3", "UTC+05:30": how far a zone's time is from Greenwich's."""
    word = cursor.token()
    match = _ZONE.fullmatch(word.core)
    if match is None:
        return None
    said = f" {sign_name(match['sign'], table)} {table.number_words.cardinal(int(match['hours']))}"
    if match["minutes"] and int(match["minutes"]):
        said += f" {table.number_words.cardinal(int(match['minutes']))}"
    at = word.core_start + match.start("sign")
    name = capitals_pieces(match["name"], word.core_start, table)
    return Verbalization((*name, Piece(said, at, word.core_end)), word.core_end)


def phone(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A telephone number: with its country's, or of a pattern in the table."""
    word = cursor.token()
    if word.core[0] == "+":
        return _far_phone(cursor, table)
    for pattern in _patterns(table).get(len(word.core), ()):
        count = _fits(cursor, pattern)
        if count:
            return _digits(cursor, table, count)
    return None


@functools.cache
def _patterns(table: LanguageTable) -> dict[int, list[tuple[re.Pattern[str], ...]]]:
    """[numbers] phones: for each word of a pattern what it has to look like, by the first one's length."""
    found: dict[int, list[tuple[re.Pattern[str], ...]]] = {}
    for phone in table.numbers.phones:
        parts = phone.split()
        looks = tuple(re.compile(re.escape(part).replace("d", r"\d")) for part in parts)
        found.setdefault(len(parts[0].strip("()")), []).append(looks)
    return found


def _fits(cursor: TokenCursor, pattern: tuple[re.Pattern[str], ...]) -> int:
    """How many words fit the pattern: all of it, or none."""
    for ahead, part in enumerate(pattern):
        word = cursor.token(ahead)
        first = word.prefix if ahead == 0 else ""
        last = ahead == len(pattern) - 1
        whole = word.core if last else word.text[word.start + len(first) : word.end]
        bracketed = word.text[word.core_start - 1 : word.end if not last else word.core_end]
        if word.entry is not None or not (part.fullmatch(whole) or (first and part.fullmatch(bracketed))):
            return 0
        if ahead and word.start != word.core_start:
            return 0
    return len(pattern)


def _far_phone(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A number that begins with its country's."""
    word = cursor.token()
    if not _FAR.fullmatch(word.core):
        return None
    count, digits = 1, sum(map(str.isdigit, word.core))
    while count < _MOST_GROUPS and digits < 15:
        before = cursor.token(count - 1)
        if before.suffix not in ("", ")"):
            break
        following = cursor.token(count)
        group = _AREA if count == 1 else _GROUP
        if not group.fullmatch(following.core) or following.prefix not in ("", "(") or following.entry:
            break
        digits += sum(map(str.isdigit, following.core))
        count += 1
    if not 7 <= digits <= 15:
        return None
    return _digits(cursor, table, count)


def _digits(cursor: TokenCursor, table: LanguageTable, count: int) -> Verbalization:
    """So many words digit by digit, a breath behind each group; the country as a number."""
    groups: list[tuple[str, int, int]] = []
    for ahead in range(count):
        word = cursor.token(ahead)
        groups += [
            (found.group(), word.core_start + found.start(), word.core_start + found.end())
            for found in _DIGITS.finditer(word.core)
        ]
    pieces = []
    first = cursor.token()
    far = first.core[0] == "+"
    if far:
        pieces.append(Piece(f"{table.numbers.plus} ", first.core_start, first.core_start + 1))
    for number, (digits, start, end) in enumerate(groups):
        country = far and number == 0 and len(digits) <= 3 and digits[0] != "0"
        said = table.number_words.cardinal(int(digits)) if country else _group(digits, table)
        if number == 0 and not far:
            # An opening bracket is part of the number.
            start = first.core_start - first.prefix.endswith("(")
        pieces.append(Piece(said if number == len(groups) - 1 else f"{said}, ", start, end))
    return Verbalization(tuple(pieces), cursor.token(count - 1).core_end)


def _group(digits: str, table: LanguageTable) -> str:
    """A group of a telephone number, so many digits at a time as the language says together."""
    size = table.numbers.phone_digits
    if size < 2 or len(digits) % size:
        return say_digits(digits, table)
    parts = [digits[at : at + size] for at in range(0, len(digits), size)]
    return ", ".join(
        say_digits(part, table) if part[0] == "0" else table.number_words.cardinal(int(part))
        for part in parts
    )


def hyphened(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "978-84-376-0494-7": the digits of a number that is a name."""
    word = cursor.token()
    if not _HYPHENED.fullmatch(word.core):
        return None
    pieces = []
    for found in _DIGITS.finditer(word.core):
        start, end = word.core_start + found.start(), word.core_start + found.end()
        pieces.append(
            Piece(say_digits(found.group(), table) + ("" if end == word.core_end else ", "), start, end)
        )
    return Verbalization(tuple(pieces), word.core_end)


def dotted(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "v2.0.1", "192.168.1.1": each number by itself; None for what may be one number."""
    word = cursor.token()
    match = _DOTTED.fullmatch(word.core)
    if match is None:
        return None
    parts = match[2].split(".")
    address = len(parts) == 4 and all(
        len(part) <= 3 and int(part) <= 255 and str(int(part)) == part for part in parts
    )
    groups = all(len(part) == 3 for part in parts[1:]) and parts[0] != "0"
    if not match[1] and not address and (len(parts) == 2 or groups):
        return None
    point = table.web.signs.get(".", table.numbers.point)
    pieces = []
    at = word.core_start
    if match[1]:
        pieces.append(Piece(f"{table.web.version} ", at, at + 1))
        at += 1
    for number, part in enumerate(parts):
        if number:
            pieces.append(Piece(f" {point} ", at, at + 1))
            at += 1
        said = say_digits(part, table) if part[0] == "0" else table.number_words.cardinal(int(part))
        pieces.append(Piece(said, at, at + len(part)))
        at += len(part)
    return Verbalization(tuple(pieces), word.core_end)
