"""Addresses, names of files, hashtags, identifiers."""

import re

from kani_text.normalizer.kinds import Rows, matching
from kani_text.normalizer.rules import acronyms
from kani_text.normalizer.rules.named.codes import is_code
from kani_text.normalizer.rules.numerals import say_group
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor
from kani_text.writing import LETTER

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z+.-]{1,9}://)?(?P<spoken>(?P<machine>(?P<www>www\.)?(?P<host>[^\s/?#@:]+))"
    r"(?P<rest>[:/?#]\S*)?)",
    re.I,
)
_HOST = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,20}[^\W\d_]{2,18}")
_MACHINE = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|localhost", re.IGNORECASE)
_EMAIL = re.compile(r"(?:mailto:)?(?P<spoken>[\w.+%-]+@[\w-]+(?:\.[\w-]+)+)")
_FILE = re.compile(r"[\w()-]*(?:\.[\w()-]+)*\.[^\W_]{1,5}")
_FILE_IN_FOLDER = re.compile(r"(?:[\w.-]+/){1,8}[\w.-]+\.[^\W_]{1,5}")
_PATH = re.compile(
    r"(?P<spoken>(?:~|\.{1,2}|[A-Za-z]:)?(?:[\\/][\w.-]+){2,}[\\/]?(?:\?[\w=&%.-]*)?|[A-Z]:\\[\w.-]*|file:///\S*)"
)
_NETWORK_NAME = re.compile(
    r"(?:[A-Z](?=[^_]*[a-z])[^\W_]*(?:_[^\W_]+)*|[A-Z]{3,})_(?=\D*\d)[^\W_]+|[^\W_]+_[25]G[^\W_]*"
)
_LONGEST_NUMBER = 4
_KEY = re.compile(r"[^\W_]+")
_COMBINATION = re.compile(rf"{_KEY.pattern}(?:(?: \+ |[+-]){_KEY.pattern})+\+?")
_PLUS = Rows("@ '+' word|figure|capital")
_PRESSED = re.compile(r"[A-Z\d]|F\d{1,2}")
_CODE = re.compile(r"(?=.*\d)[A-Z\d]+(?:[-‐‑][A-Z\d]+)*")
_PARTS = re.compile(rf"{LETTER}+|\d+|.", re.DOTALL)
LONGEST_SPELLED_OUT = 80
"""Characters of an address that are read; of a longer one only its host is."""
_MIXED = re.compile(r"[A-Z\d]{5,20}")
_DEVICE = re.compile(r"[\dA-Fa-f]{2}(?:([:-])[\dA-Fa-f]{2})(?:\1[\dA-Fa-f]{2}){4}")
CHANGE = re.compile(r"(?<=\d)(?=[A-Z])|(?<=[A-Z])(?=\d)")
"""The place between a figure and a capital."""
_WORD = re.compile(r"[A-Z]{3}")
_SHORT, _FEWEST_CHANGES, _CHANGES_OF_SHORT, _CHANGES_OF_CODE = 6, 2, 3, 4
_SERIAL = re.compile(r"([A-Z]{2,3})\d{6,12}")
"""An identity card's number, but not "EUR250000"."""
_CODED = re.compile(r"(?=[A-Z\d]*(?:\d[A-Z]|\d{5}))[A-Z]+\d[A-Z\d]*")
"""After "IFSC" and the like: "SBIN0001234", but not "VERANO2024"."""
_PASSWORD = re.compile(
    r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?!.*[a-z]{3})[A-Za-z\d](?:[A-Za-z\d]|-(?=[A-Za-z\d])){3,19}"
)
"""After "password": "mR7-x2kQ", without a word in it."""


def address(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A web or e-mail address, a file's name or its ending, or a path."""
    token = cursor.token()
    core, start = token.core, token.core_start
    unit = None if core.isalpha() or core in table.agreement.not_nouns else table.units.get(core)
    if unit is not None and not unit.attached and len(core) > 1:
        # A unit without its number ("in km/h", "of m²"); Hindi ली is a verb.
        return token.said(unit.forms["other"])
    if match := _EMAIL.fullmatch(core) or _PATH.fullmatch(core):
        begin, end = match.span("spoken")
    elif (match := _URL.fullmatch(core)) and _is_web(match):
        begin, end = match.span("spoken" if len(core) <= LONGEST_SPELLED_OUT else "machine")
        end = begin + len(core[begin:end].rstrip("/"))
    elif _is_file(core, table):
        begin, end = 0, len(core)
    else:
        return None
    return Verbalization(say_signs(core[begin:end], start + begin, table), token.core_end)


def _is_web(url: re.Match[str]) -> bool:
    """True for a host with a scheme, "www.", a port or a path, or one in a known top-level domain."""
    host, rest = url["host"], url["rest"] or ""
    if url["scheme"] or url["www"]:
        return True
    if rest and rest[0] not in "/:" and "=" not in rest:
        return False
    if rest and _MACHINE.fullmatch(host):
        return True
    known = rest or host.rpartition(".")[2].lower() in TOP_LEVEL_DOMAINS
    return bool(known and _HOST.fullmatch(host))


def _is_file(name: str, table: LanguageTable) -> bool:
    """True for a name with an ending of files; an address that is written as one ends otherwise."""
    ending = name.rpartition(".")[2].lower()
    in_folder = _FILE_IN_FOLDER.fullmatch(name) and ending not in TOP_LEVEL_DOMAINS
    known = ending in table.web.spelled or ending in table.web.words
    return bool(known and (in_folder or _FILE.fullmatch(name)))


TOP_LEVEL_DOMAINS = frozenset(
    "com org net edu gov mil int info io ai app dev eu es mx ar cl co pe uk us ca au de at ch fr be it pt br "
    "nl ie jp cn in".split()
)
"""Top-level domains that make a name a host without a scheme or a path."""


def keys(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Ctrl+C", "CTRL + ALT + DEL", "Alt-F4": keys of a keyboard that are pressed together; "Esc"."""
    token, ahead = cursor.token(), 0
    if not _key(token.core.partition("+")[0].partition("-")[0], table):
        return None
    while _PLUS.hold(cursor, table, ahead):
        ahead += 2
    end = cursor.token(ahead).core_end
    core = token.text[token.core_start : end]
    single = core == "Esc" or (core in table.web.keys and not core[1:].islower())
    if not (single or _COMBINATION.fullmatch(core)):
        return None
    found = list(_KEY.finditer(core))
    if "-" in core and not all(_key(key.group(), table) or _PRESSED.fullmatch(key.group()) for key in found):
        # "Alt-Tasten"
        return None
    pieces: list[Piece] = []
    for key in found:
        at = token.core_start + key.start()
        if pieces:
            pieces.append(Piece(" ", at - 1, at))
        if name := _key(key.group(), table):
            pieces.append(Piece(name, at, at + len(key.group())))
        else:
            pressed = key.group() if len(key.group()) > 1 else key.group().upper()
            pieces += say_signs(pressed, at, table)
    return Verbalization(tuple(pieces), end)


def _key(written: str, table: LanguageTable) -> str | None:
    """The name of a key, also in capitals ("CTRL")."""
    return table.web.keys.get(written) or table.web.keys.get(written.capitalize() * written.isupper())


@matching(r"([#@])([\w\u0900-\u0963]*[^\W\d][\w\u0900-\u0963]*(?:[.-]\w+|/[\w\u0900-\u0963]+)*)")
def tag(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "#SaveTheWhales", "#work/later", "@maria"."""
    token = cursor.token()
    if match[1] == "@" and "/" in match[2]:
        return None
    if match[1] == "#" and (code := _CODE.fullmatch(match[2])) and is_mixed(code.group()):
        # "#88K4T2"
        sign = Piece(f"{table.numbers.number_sign} ", token.core_start, token.core_start + 1)
        return Verbalization((sign, *say_mixed(match[2], token.core_start + 1, table)), token.core_end)
    name = table.web.hashtag if match[1] == "#" else table.web.mention
    first = Piece(f"{name} ", token.core_start, token.core_start + 1)
    pieces = say_signs(match[2], token.core_start + 1, table, joined=match[1] == "#")
    return Verbalization((first, *pieces), token.core_end)


@matching(r"[^\W_]+(?:_+[^\W_]+)+|_+[^\W_]+|[^\W_]+_+")
def snake(_: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "user_name": its words, without the underscore; "Casa_5G" has to be typed, so that it is said."""
    token = cursor.token()
    joined = not _NETWORK_NAME.fullmatch(token.core)
    return Verbalization(say_signs(token.core, token.core_start, table, joined), token.core_end)


def say_signs(text: str, start: int, table: LanguageTable, joined: bool = False) -> tuple[Piece, ...]:
    """Words as they are and signs by name, in their order.

    joined: underscores and slashes only join words and are not spoken.
    """
    pieces: list[Piece] = []
    for match in _PARTS.finditer(text):
        part, at = match.group(), start + match.start()
        spoken: tuple[Piece, ...]
        if part[0].isdecimal():
            spoken = (Piece(say_group(part, table, _LONGEST_NUMBER), at, at + len(part)),)
        elif part[0].isalpha():
            spoken = _word(part, at, table)
        elif part in "_/" and joined:
            continue
        else:
            spoken = (Piece(table.web.signs.get(part, table.signs.get(part, " ")), at, at + 1),)
        if pieces:
            pieces.append(Piece(" ", at, at + 1))
        pieces += spoken
    return tuple(pieces)


def _word(part: str, at: int, table: LanguageTable) -> tuple[Piece, ...]:
    lower = part.lower()
    if lower in table.web.words:
        return (Piece(table.web.words[lower], at, at + len(part)),)
    if lower in table.web.spelled:
        return acronyms.spelled_pieces(part, at, table)
    if part.isupper():
        return (acronyms.spelled_pieces if len(part) == 1 else acronyms.capitals_pieces)(part, at, table)
    if (parts := acronyms.camel_case_pieces(part, at, table)) is not None:
        return parts
    if 1 < len(part) <= 4 and part.isascii() and table.acronyms.vowels.isdisjoint(lower):
        return acronyms.spelled_pieces(part, at, table)
    return (Piece(part, at, at + len(part)),)


def mixed(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "XJ4T9K": letters and figures in turn."""
    token = cursor.token()
    if not table.letters:
        return None
    serial, named = _SERIAL.fullmatch(token.core), _DEVICE.fullmatch(token.core)
    if not named and is_code(cursor, table):
        named = _CODED.fullmatch(token.core) or _PASSWORD.fullmatch(token.core)
    if not (named or is_mixed(token.core) or (serial and serial[1] not in table.currencies)):
        return None
    return Verbalization(say_mixed(token.core, token.core_start, table), token.core_end)


def is_mixed(written: str) -> bool:
    """True for capitals and figures that change too often for words and numbers."""
    if not _MIXED.fullmatch(written):
        return False
    changes = len(CHANGE.findall(written))
    few = changes < _CHANGES_OF_CODE and 2 * sum(map(str.isdecimal, written)) < len(written)
    if few and _WORD.search(written):
        # "FLOAT8PASSBYVAL" has words
        return False
    return changes >= (_FEWEST_CHANGES if len(written) + written[0].isalpha() > _SHORT else _CHANGES_OF_SHORT)


def say_mixed(written: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """One character after the other, a phrase break for a mark between them."""
    pieces: list[Piece] = []
    for at, one in enumerate(written, start):
        said = table.number_words.cardinal(int(one)) if one.isdecimal() else acronyms.letter_name(one, table)
        apart = f" {said}" if pieces else said
        pieces.append(Piece(apart if one.isalnum() else ",", at, at + 1))
    return tuple(pieces)
