"""Figures and letters that name a thing: seats, codes, plates, paragraphs, sets, formulas."""

import re

from kani_text.normalizer.kinds import is_kind, matching
from kani_text.normalizer.rules.acronyms import capitals_pieces, figured_pieces, letter_name
from kani_text.normalizer.rules.numerals import follows_number_sign, say_digits, say_group
from kani_text.normalizer.rules.trades import words_near
from kani_text.normalizer.spoken import Piece, Verbalization, in_groups
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor
from kani_text.writing import roman_value

_DIGITS = re.compile(r"\d{3,15}(?:[-‐‑ ]\d{2,15})*")
_PLATE = re.compile(r"[A-ZÄÖÜ]{1,3}(?:-[A-Z]{1,2})?")
_ROUTE = re.compile(r"[A-Z]{3}[-–][A-Z]{3}")
_FLIGHT = re.compile(r"[A-Z][A-Z\d]\d{2,4}")
_AHEAD = 5
_GROUP = re.compile(r"\d{2,15}(?:[-‐‑/]\d{1,15})*")
_STATE = re.compile(r"[A-Z]{2}")
_HYPHENED = re.compile(r"(#)?((?:[A-Z]+\d*|\d+[A-Z]?)(?:[-‐‑](?:[A-Z]+\d*|\d+[A-Z]?)){1,7})")
_PAIR = re.compile(r"\d{1,6}[-‐‑]\d{1,6}")
_GRADE = re.compile(r"\d{1,2}W[-‐‑]\d{2}")
_PADDED = re.compile(r"\d{2,6}[-‐‑]0\d{2,5}|0\d{2,5}[-‐‑/]\d{2,8}")
_FALLING = re.compile(r"(\d{3,4})[-‐‑](\d{1,2})")
_TYPES = re.compile(r"\d{3}[-‐‑]\d00")
_GAMES = re.compile(r"(\d|[12]\d)[-‐‑–](\d|[12]\d)(?!\d)")
_SET = re.compile(r"(\d{1,2})[-‐‑–](\d{1,2})\((\d{1,2})\)")
_PARAGRAPH = re.compile(r"(\d{1,4})((?:\((?:[a-z]|[ivx]{1,4}|\d{1,2})\)){1,3})")
_ATOMS = r"(?:[A-Z][a-z]?(?:\d{1,2}|[₀-₉]{1,3})?|\((?:[A-Z][a-z]?[\d₀-₉]?){1,6}\)[\d₀-₉]{0,2})"
_SALT = re.compile(r"(?:[A-Z][a-z]|[KLHN])(?:OH|Cl|Br|[OFIHS])")
"""A formula that is no word: a metal and what it is bound to."""
_OF_CHEMISTRY = re.compile(
    r"(?:\d[\d.,]*)?(?:m?[gL]|kg|ml|mmol|mol|mol/L|g/L)|pH|(?:[A-Z][a-z]?[₀-₉\d]?)*[₀-₉2-4][A-Z]?[a-z]?"
)
_ELEMENT = re.compile(r"[A-Z][a-z]?")
_BINARY = re.compile(r"(?=\d{6})(?:1+0+){2}1[01]*")
_FARTHEST = 5
_ZIP, _LONG_ZIP = 5, re.compile(r"\d{5}-\d{4}")
_LONGEST_NUMBER = 3
_ELEMENTS = frozenset(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn As Br Ag Sn I Ba Au Hg Pb
    U""".split()
)

_LONG_NUMBER, _LONGEST_COUNT = 6, 8
"""Figures of a number without groups that are said one by one: after the word for it, and by itself."""


@matching(r"(\d{1,4})[-‐‑]?([A-Z])")
def labelled(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "12A" after a word for a thing that is numbered: a seat, no amperes."""
    if not is_kind(cursor.previous(), "label", table):
        return None
    number = table.number_words.cardinal(int(match[1]))
    return cursor.token().parted(number, match.end(1), f" {letter_name(match[2], table)}")


def code(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Digits after a word for a code ("PIN", "OTP"), or of a postal code after a state ("MO 63101")."""
    token = cursor.token()
    if token.prefix.strip("([\"'“«") or not _names(cursor, table) or _is_amount(cursor, table):
        return None
    groups = 1
    while _GROUP.fullmatch(cursor.adjacent(groups).core):
        groups += 1
    end = cursor.token(groups - 1).core_end
    pieces = in_groups(token.text, token.core_start, end, lambda digits: say_digits(digits, table))
    return Verbalization(pieces, end)


def _names(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for figures that are a name and count nothing."""
    token = cursor.token()
    if len(token.core) == len("12") and token.core.isdecimal() and not token.suffix:
        return is_code(cursor, table) and _GROUP.fullmatch(cursor.token(1).core) is not None
    if not _DIGITS.fullmatch(token.core):
        return False
    if is_code(cursor, table) or _is_zip(cursor) or _BINARY.fullmatch(token.core):
        return True
    sign = follows_number_sign(cursor, table) or cursor.previous().core == table.numbers.number_sign
    if not token.core.isdecimal() or len(token.core) < (_LONG_NUMBER if sign else _LONGEST_COUNT):
        return False
    # "Nr. 20240087": nobody says millions.
    return sign or token.suffix != "" or cursor.token(1).core == ""


def _is_amount(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True before money or a unit: "matrícula de 500 euros", "phone 128 GB"."""
    counted = cursor.token(1).core
    measured = len(counted) > 1 and counted in table.units
    return cursor.is_adjacent(1) and (measured or table.is_money(counted))


def lettered_code(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The letters of a number plate ("Kennzeichen M-AB 1234") or of two airports, one by one."""
    token = cursor.token()
    route = False
    if _ROUTE.fullmatch(token.core):
        # Near a word for a flight, or its number
        words = table.kinds.get("flight", frozenset())
        near = words_near(cursor, table, _AHEAD)
        route = any(one.lower() in words or _FLIGHT.fullmatch(one) for one in near)
    plate = _PLATE.fullmatch(token.core) and is_code(cursor, table)
    if not route and not (plate and any(map(str.isdigit, cursor.token(1).core))):
        return None
    pieces = figured_pieces(token.core, token.core_start, table, pauses="-–" if route else "")
    return Verbalization(pieces, token.core_end)


def is_code(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after "code", "code is", "code:" or "code de vérification :", after other codes too."""
    colon, first = False, 1
    whole = _DIGITS.fullmatch(cursor.token().core) is not None
    while whole and first < _FARTHEST and (listed := _listed(cursor, first, table)):
        first += listed
    for back in range(first, first + _FARTHEST):
        previous = cursor.previous(back)
        word, marks = previous.core.lower(), previous.suffix
        if word in table.numbers.codes_after:
            return True
        if word in table.numbers.called_after:
            # "call 311", but "call 300 people"
            noun = cursor.adjacent().core
            counted = noun[:1].isupper() if table.agreement.capitals else noun.islower()
            return not counted or noun in table.agreement.not_nouns
        colon = colon or marks.endswith(":")
        if not word or marks.endswith((".", "!", "?", ";", ",")) or any(map(str.isdigit, word)):
            return False
        shouted = previous.core.isupper() and len(word) > 1
        if not (colon or shouted or word in table.numbers.code_joiners):
            return False
    return False


def _listed(cursor: TokenCursor, back: int, table: LanguageTable) -> int:
    """The number of tokens from the code before in a list ("101, 102 or 103") to the cursor; 0 for none."""
    previous = cursor.previous(back)
    if not previous.suffix and (is_kind(previous, "and", table) or is_kind(previous, "or", table)):
        return 2 if _DIGITS.fullmatch(cursor.previous(back + 1).core) else 0
    if previous.suffix != "," or not _DIGITS.fullmatch(previous.core):
        return 0
    # "PIN 4821, 300 people"
    following = cursor.adjacent()
    goes_on = is_kind(following, "and", table) or is_kind(following, "or", table)
    return 1 if goes_on or not following.core.islower() else 0


def _is_zip(cursor: TokenCursor) -> bool:
    token, state = cursor.token(), cursor.previous()
    figures = len(token.core) == _ZIP or _LONG_ZIP.fullmatch(token.core) is not None
    return figures and _STATE.fullmatch(state.core) is not None and cursor.previous(2).suffix == ","


def numbered(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "4(b)(ii)": the paragraph of a law."""
    token = cursor.token()
    at, words = token.core_start, table.number_words
    written = token.core + ")" * token.suffix.startswith(")")
    match = _PARAGRAPH.fullmatch(written)
    if match is None:
        return None
    pieces = [Piece(words.cardinal(int(match[1])), at, at + match.end(1))]
    for part in re.finditer(r"\((\w+)\)", written):
        value = int(part[1]) if part[1].isdecimal() else None
        if len(part[1]) > 1 or part[1] == "i":
            value = value or roman_value(part[1].upper())
        spoken = words.cardinal(value) if value else " ".join(letter_name(one, table) for one in part[1])
        pieces.append(Piece(f" {spoken}", at + part.start(), at + part.end()))
    return Verbalization(tuple(pieces), at + len(written))


@matching(r"[-–](\d{2,5})")
def extension(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Durchw. -214", one figure after the other."""
    token, before = cursor.token(), cursor.previous()
    if before.core.lower() not in table.numbers.codes_after:
        return None
    return token.said(say_digits(match[1], table))


def sets(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The sets of a match: "6-4, 3-6", "7-6(4)"."""
    token = cursor.token()
    score = _SET.fullmatch(token.core + ")" * token.suffix.startswith(")"))
    if score is None and not _is_set(cursor):
        return None
    spans = [found.span() for found in re.finditer(r"\d+", token.core)][:2]
    games = _grouped(cursor, table, spans, between=" ")
    if score is None:
        return games
    start, end = token.core_start + score.start(3) - 1, token.core_start + score.end()
    tie = Piece(f", {table.number_words.cardinal(int(score[3]))}", start, end)
    return Verbalization((*games.pieces, tie), end)


def _is_set(cursor: TokenCursor) -> bool:
    """True for the sets of a match, one after the other: "6-4, 3-6". A range does not fall."""
    token, before = cursor.token(), cursor.previous()
    if not _GAMES.fullmatch(token.core):
        return False
    near = [token]
    tie = before.suffix.startswith(")")
    if tie or before.suffix == ",":
        # "7-6 (4), 6-3"
        near.append(cursor.previous(2 if tie and before.prefix == "(" else 1))
    if token.suffix == ",":
        near.append(cursor.token(1))
    elif not token.suffix and cursor.token(1).prefix == "(" and cursor.token(1).suffix.startswith(")"):
        near.append(cursor.token(2))
    games = [game for one in near if (game := _GAMES.match(one.core))]
    return len(games) > 1 and any(int(game[1]) > int(game[2]) for game in games)


def hyphened(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "#2025-0098-X", "1-800-FLOWERS", "Boeing 737-800": the groups of a name, without its hyphens."""
    core = cursor.token().core
    groups = [part.span() for part in re.finditer(r"[A-Z\d]+", core)]
    if _HYPHENED.fullmatch(core):
        letters = any(core[start:end].isalpha() for start, end in groups)
        named = letters and len(groups) > 2 and any(map(str.isdigit, core))
        # "Boeing 737-800"
        named = named or (_TYPES.fullmatch(core) is not None and cursor.previous().core[:1].isupper())
        named = named or core[0] == "#" or _is_no_range(cursor, table)
    else:
        named = _PADDED.fullmatch(core) is not None
    return _grouped(cursor, table, groups) if named else None


def _is_no_range(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for "L. 121-1" and "n.º 2024-081"."""
    core = cursor.token().core
    if (pair := _FALLING.fullmatch(core)) and int(pair[1]) > int(pair[2]):
        return True
    padded = _PADDED.fullmatch(core) or (_PAIR.fullmatch(core) and follows_number_sign(cursor, table))
    return bool(padded or _GRADE.fullmatch(core))


def _grouped(
    cursor: TokenCursor, table: LanguageTable, groups: list[tuple[int, int]], between: str = ", "
) -> Verbalization:
    token, end = cursor.token(), cursor.token().core_end
    pieces: list[Piece] = []
    if token.core[0] == "#":
        pieces.append(Piece(f"{table.numbers.number_sign} ", token.core_start, token.core_start + 1))
    for number, (start, stop) in enumerate(groups):
        part, at = token.core[start:stop], token.core_start + start
        if number:
            # "ISO-8859-1" goes on after its letters without a pause.
            pieces.append(Piece(" " if token.core[0].isalpha() else between, at - 1, at))
        if part.isdecimal():
            pieces.append(Piece(say_group(part, table, _LONGEST_NUMBER), at, at + len(part)))
        elif part.isalpha():
            pieces += (capitals_pieces if len(part) > 1 else figured_pieces)(part, at, table)
        else:
            pieces += figured_pieces(part, at, table)
    return Verbalization(tuple(pieces), end)


@matching(rf"\d{{0,2}}{_ATOMS}{{2,8}}(?:[·⋅]\d{{0,2}}{_ATOMS}{{2,4}})?|(?:[A-Z][a-z]?){{1,4}}[₀-₉]{{1,3}}")
def formula(_: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "CO₂", "SO4", "2NaOH", "Ca(OH)2": letters of a chemical formula and its figures."""
    token = cursor.token()
    if not _ELEMENTS.issuperset(_ELEMENT.findall(token.core)):
        return None
    atoms = token.core.lstrip("0123456789")
    if atoms.isalpha() and (atoms.isupper() or not _is_salt(cursor, atoms, table)):
        return None
    return Verbalization(figured_pieces(token.core, token.core_start, table, pauses="·⋅"), token.core_end)


def _is_salt(cursor: TokenCursor, atoms: str, table: LanguageTable) -> bool:
    """True for "NaCl", and for letters near an amount of a substance."""
    near = words_near(cursor, table, 4)
    return _SALT.fullmatch(atoms) is not None or any(map(_OF_CHEMISTRY.fullmatch, near))
