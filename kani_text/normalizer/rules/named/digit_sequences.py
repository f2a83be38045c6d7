"""Digits that are no amounts: telephone numbers, versions, network addresses, parts of words ("80er")."""

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules import numerals
from kani_text.normalizer.rules.acronyms import capitals_pieces
from kani_text.normalizer.rules.units import sign_name, singular
from kani_text.normalizer.spoken import FIGURES, Piece, Verbalization, in_groups
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor

_FAR = re.compile(r"\+\d{1,4}(?:\(0\)\d*)?(?:-\d+|\.\d{2,})*|\+\d{7,15}")
_GROUP = re.compile(r"\d{2,}(?:[-./]\d{2,})*")
_AREA = re.compile(r"(?:0\))?\d+(?:[-./]\d{2,})*")
_COMPARED = frozenset("≥ ≤ > < >= <= == = ~".split())
_FEWEST_DIGITS, _MOST_DIGITS = 7, 15
_VERSIONED = frozenset(Path(__file__).with_name("versioned.txt").read_text(encoding="utf-8").split())
"""Names before a version: its point is no decimal mark."""
_FEWEST_DRAWN = 3
_NOUN = re.compile(r"[A-ZÄÖÜ][a-zäöüß]")
_LAST_OF_BYTE, _LONGEST_COUNTRY = 255, 3


@matching(r"(?P<name>GMT|UTC)(?P<sign>[+\-−–])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")
def zone(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "GMT-3", "UTC+05:30": the offset of a time zone."""
    token = cursor.token()
    spoken = f" {sign_name(match['sign'], table)} {table.number_words.cardinal(int(match['hours']))}"
    if match["minutes"] and match["minutes"] != "00":
        spoken += f" {table.number_words.cardinal(int(match['minutes']))}"
    at = token.core_start + match.start("sign")
    name = capitals_pieces(match["name"], token.core_start, table)
    return Verbalization((*name, Piece(spoken, at, token.core_end)), token.core_end)


def phone(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A telephone number: international, or of a pattern in the table."""
    token = cursor.token()
    if token.core[0] == "+":
        return _far_phone(cursor, table)
    patterns = _patterns(table).get(len(token.core), ())
    count = max((_fits(cursor, pattern) for pattern in patterns), default=0)
    return _digits(cursor, table, count) if count else None


@functools.cache
def _patterns(table: LanguageTable) -> dict[int, list[tuple[re.Pattern[str], ...]]]:
    """[numbers] phones: a pattern for each word, by the first word's length."""
    found: dict[int, list[tuple[re.Pattern[str], ...]]] = {}
    for phone in dict.fromkeys(one for pattern in table.numbers.phones for one in _written(pattern, table)):
        parts = phone.split()
        looks = tuple(
            re.compile(re.escape(part).replace("d", r"\d").replace("_", "[-‐‑–]").replace("=", "[-‐‑–./]"))
            for part in parts
        )
        found.setdefault(len(parts[0].strip("()")), []).append(looks)
    return found


def _written(phone: str, table: LanguageTable) -> Iterator[str]:
    """A pattern, with its first group in brackets too, and with marks for some or all of its spaces."""
    yield phone
    first, *groups = phone.split()
    if not groups or first[0] == "(":
        return
    if first[0] != "d" or len(groups) > 1:
        yield f"({first}) {' '.join(groups)}"
    numbers = table.numbers
    grouped = numbers.group == "." and all(len(group) == len("000") for group in groups)
    decimal = len(groups) == 1 and (numbers.decimal == "." or first[0] == "d")
    mark = "_" if grouped or decimal else "="
    for marks in itertools.product(f" {mark}", repeat=len(groups)):
        yield first + "".join(between + group for between, group in zip(marks, groups, strict=True))


def _fits(cursor: TokenCursor, pattern: tuple[re.Pattern[str], ...]) -> int:
    """The number of tokens that fit the pattern: all of it, or 0."""
    for ahead, part in enumerate(pattern):
        token = cursor.token(ahead)
        first = token.prefix if ahead == 0 else ""
        last = ahead == len(pattern) - 1
        whole = token.core if last else token.text[token.start + len(first) : token.end]
        bracketed = token.text[token.core_start - 1 : token.end if not last else token.core_end]
        if not (part.fullmatch(whole) or (first and part.fullmatch(bracketed))):
            return 0
    return len(pattern)


def _far_phone(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """An international number, which begins with "+" and a country code."""
    token = cursor.token()
    if not _FAR.fullmatch(token.core):
        return None
    count, digits = 1, sum(map(str.isdigit, token.core))
    while digits < _MOST_DIGITS:
        before = cursor.token(count - 1)
        if before.suffix not in ("", ")"):
            break
        following = cursor.token(count)
        group = _AREA if count == 1 else _GROUP
        if not group.fullmatch(following.core) or following.prefix not in ("", "("):
            break
        digits += sum(map(str.isdigit, following.core))
        count += 1
    return _digits(cursor, table, count) if _FEWEST_DIGITS <= digits <= _MOST_DIGITS else None


def _digits(cursor: TokenCursor, table: LanguageTable, count: int) -> Verbalization:
    """``count`` tokens digit by digit, a phrase break after each group; the country code as a number."""
    token, end = cursor.token(), cursor.token(count - 1).core_end
    first, *others = in_groups(token.text, token.core_start, end, lambda digits: _group(digits, table))
    if token.core[0] != "+":
        # An opening bracket is part of the number, if it closes inside.
        closes = ")" in token.text[first.start : end] and token.prefix.endswith("(")
        return Verbalization((replace(first, start=token.core_start - closes), *others), end)
    if first.end - first.start <= _LONGEST_COUNTRY:
        country = table.number_words.cardinal(int(token.text[first.start : first.end]))
        first = replace(first, text=f"{country}, " if others else country)
    plus = Piece(f"{table.numbers.plus} ", token.core_start, first.start)
    return Verbalization((plus, first, *others), end)


def _group(digits: str, table: LanguageTable) -> str:
    """A group of a telephone number, as many digits at a time as the language speaks together."""
    size = table.numbers.phone_digits
    if size < 2 or len(digits) % size:
        return numerals.say_digits(digits, table)
    parts = [digits[at : at + size] for at in range(0, len(digits), size)]
    return ", ".join(numerals.say_group(part, table) for part in parts)


@matching(r"\d{1,6}-\d{1,6}/\d{2,4}|\d{1,15}(?:[-‐‑]\d{1,15}){2,15}|0\d{1,14}(?:[-‐‑.]\d{1,15}){3,15}")
def hyphened(_: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "978-84-376-0494-7": the digits of a number that is a name."""
    token = cursor.token()
    groups = FIGURES.findall(token.core)
    # "7-12-23-31": numbers that were drawn; "(12-2-1)": matches
    lengths = {len(group) for group in groups}
    drawn = max(lengths) < 3 and (len(groups) > _FEWEST_DRAWN or len(lengths) > 1)
    # "12-34/24", of a file
    drawn = drawn or "/" in token.core

    def say(digits: str) -> str:
        return table.number_words.cardinal(int(digits)) if drawn else numerals.say_digits(digits, table)

    return Verbalization(in_groups(token.text, token.core_start, token.core_end, say), token.core_end)


def _is_section(cursor: TokenCursor, table: LanguageTable, last: str) -> bool:
    """True after "Art." and after capitals: "18.3" is its third paragraph, or a version, and no decimal."""
    back = 1 + (cursor.previous().core in _COMPARED)
    previous, earlier = cursor.previous(back), cursor.previous(back + 1)
    before, inside = previous.core, earlier.core != "" and not earlier.suffix.endswith(".")
    versioned = before in _VERSIONED and not previous.suffix
    if table.numbers.decimal == ".":
        # "Python 3.10" comes after 3.9.
        return versioned and len(last) > 1
    if before.isupper() and len(before) > 1 and not previous.suffix and inside:
        # "HDMI 2.1", but "TOTAL 3.50"
        return before not in table.currencies
    if versioned or (before.lower() in table.numbers.labels and not previous.suffix):
        return True
    # "1.1 Introduction", at the beginning of a sentence
    token = cursor.token()
    begins = token.start == 0 or cursor.previous().suffix.endswith((".", ":", "!", "?"))
    heading = begins and token.suffix in ("", ".") and cursor.token(1).core[:1].isupper()
    return heading or numerals.is_numbered_part(before, table)


@matching(
    r"(?P<sign>[<>≤≥~]=?)?(?P<version>[vV])?(?P<parts>\d{1,5}(?:\.\d{1,5}){1,7})"
    r"(?P<more>\+|-(?i:alpha|beta|dev|lts|preview|stable))?"
)
def dotted(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "v2.0.1", "192.168.1.1": each number by itself; None if it may be one number."""
    token, parts = cursor.token(), match["parts"].split(".")
    if not (match["version"] or _is_apart(cursor, parts, table)):
        return None
    spaced = len(parts) == 2 and not match["version"] and table.numbers.decimal == "."
    point = table.numbers.point if spaced else table.web.signs.get(".", table.numbers.point)
    at, pieces = token.core_start, list[Piece]()
    if match["sign"]:
        pieces.append(Piece(f"{sign_name(match['sign'], table)} ", at, at + match.end("sign")))
    at += match.start("parts")
    if match["version"]:
        pieces.append(Piece(f"{table.web.version} ", at - 1, at))
    for number, part in enumerate(parts):
        if number:
            pieces.append(Piece(f" {point} ", at, at + 1))
            at += 1
        pieces.append(Piece(numerals.say_group(part, table), at, at + len(part)))
        at += len(part)
    if more := match["more"]:
        pieces.append(Piece(f" {table.numbers.plus if more == '+' else more[1:]}", at, token.core_end))
    return Verbalization(tuple(pieces), token.core_end)


def _is_apart(cursor: TokenCursor, parts: list[str], table: LanguageTable) -> bool:
    """True for an address, and for what has too many points for a number, or is a section."""
    if len(parts) == 4 and all(int(part) <= _LAST_OF_BYTE and str(int(part)) == part for part in parts):
        return True
    if parts[0] != "0" and all(len(part) == len("000") for part in parts[1:]):
        return False
    return len(parts) > len(("1", "5")) or _is_section(cursor, table, parts[1])


@matching(r"(?P<number>\d{1,4}(?:,\d{1,2})?)(?P<hyphen>-?)(?P<rest>[^\W\d_]\S*)")
def with_ending(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A number that is the first part of a word ([numbers] endings): "80er", "3-Zimmer-Wohnung"."""
    token = cursor.token()
    numeral = numerals.parse_numeral(match["number"], table) if table.numbers.endings else None
    if numeral is None:
        return None
    rest, start, at = match["rest"], token.core_start, token.core_start + match.start("rest")
    said = numerals.say_numeral(numeral, table, "m")
    if rest.startswith(table.numbers.endings):
        if not match["hyphen"] and not numeral.decimals and int(numeral.digits) in numerals.YEARS:
            said = table.number_words.year(int(numeral.digits))
        said = table.number_words.before_ending(said)
        return token.parted(said, match.start("rest"), rest[0].lower() + rest[1:])
    if not match["hyphen"] or not table.agreement.capitals:
        return None
    unit, joint, _ = rest.partition("-")
    if joint and unit in table.units:
        return Verbalization((Piece(f"{said} ", start, at), *_measured(rest, at, table)), token.core_end)
    if _NOUN.match(rest) is None:
        return None
    # Any noun may follow in a language that writes them with a capital.
    return token.parted(f"{said}-", match.start("rest"), rest)


def _measured(written: str, at: int, table: LanguageTable) -> tuple[Piece, ...]:
    """The "km-Lauf" of "10-km-Lauf"."""
    unit, _, rest = written.partition("-")
    forms, middle, end = table.units[unit].forms, at + len(unit), at + len(written)
    one, other = singular(forms, table), forms["other"]
    # "7,5-Tonnen-Lkw", but "10-Kilometer-Sprint"
    name = Piece(other if other == f"{one}n" else one, at, middle)
    said = capitals_pieces(rest, middle + 1, table) if rest.isupper() else (Piece(rest, middle + 1, end),)
    return name, Piece("-", middle, middle + 1), *said


def number_prefix(core: str, table: LanguageTable) -> str:
    """The prefix of a token's digits that is spoken as a part of the number, or ""."""
    for written in table.numbers.prefixes:
        if core.startswith(written) and core[len(written) : len(written) + 1].isnumeric():
            return written
    return ""


def join_prefix(spoken: Verbalization, written: str, token: Token, table: LanguageTable) -> Verbalization:
    """Join a number's verbalization with its prefix."""
    first, *others = spoken.pieces
    joined = Piece(table.number_words.with_prefix(written, first.text), token.core_start, first.end)
    return Verbalization((joined, *others), spoken.end)
