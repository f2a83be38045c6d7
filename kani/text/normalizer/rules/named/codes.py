"""Figures and letters that name a thing: seats, codes that are said digit by digit, formulas, verses."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import (
    capitals_pieces,
    common_words,
    letter_name,
    roman_value,
    spelled_pieces,
)
from kani.text.normalizer.rules.numerals import LOWERED, say_digits
from kani.text.normalizer.rules.trades import words_near
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import Token, TokenCursor

_LABELLED = re.compile(r"(\d{1,4})[-‐‑]?([A-Z])")
_DIGITS = re.compile(r"\d{3,15}(?:[-‐‑ ]\d{2,15})*")
_PLATE = re.compile(r"[A-ZÄÖÜ]{1,3}(?:-[A-Z]{1,2})?")
_ROUTE = re.compile(r"[A-Z]{3}[-–][A-Z]{3}")
_FLIGHT = re.compile(r"(?i:vuelos?|voos?|vol[os]?|voli|flights?|flug|flüge)|[A-Z][A-Z\d]\d{2,4}")
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
_HEX = re.compile(r"0x[0-9A-Fa-f]{2,16}")
_PARAGRAPH = re.compile(r"(\d{1,4})((?:\((?:[a-z]|[ivx]{1,4}|\d{1,2})\)){1,3})")
_ATOMS = r"(?:[A-Z][a-z]?(?:\d{1,2}|[₀-₉]{1,3})?|\((?:[A-Z][a-z]?[\d₀-₉]?){1,6}\)[\d₀-₉]{0,2})"
_FORMULA = re.compile(
    rf"\d{{0,2}}{_ATOMS}{{2,8}}(?:[·⋅]\d{{0,2}}{_ATOMS}{{2,4}})?|(?:[A-Z][a-z]?){{1,4}}[₀-₉]{{1,3}}"
)
_SALT = re.compile(r"(?:[A-Z][a-z]|[KLHN])(?:OH|Cl|Br|[OFIHS])")
"""A formula that is no word: a metal and what it is bound to."""
_STATE_OF_MATTER = re.compile(r"(.+)\((?:aq|[slg])")
_OF_CHEMISTRY = re.compile(
    r"(?:\d[\d.,]*)?(?:m?[gL]|kg|ml|mmol|mol|mol/L|g/L)|pH|(?:[A-Z][a-z]?[₀-₉\d]?)*[₀-₉2-4][A-Z]?[a-z]?"
)
_PARTS = re.compile(r"aq|[A-Z][a-z]?|[slg]|[\d₀-₉]+|[·⋅]")
_KEYS = re.compile(r"[*#]{1,2}(?:\d{1,16}[*#]){0,4}\d{1,16}#|\*\d\d\b(?![*\d])")
_LAST_FIGURES = re.compile(r"(?:…|\.{2,}|[*•·xX]{2,}|x-|[*x](?=\d{4}$))-?((?!19|20)\d{4})")
_EXTENSION = re.compile(r"[-–](\d{2,5})")
_BINARY = re.compile(r"(?=\d{6})(?:1+0+){2}1[01]*")
_FARTHEST = 5
_LISTS = frozenset("and or y o u e ou et oder und ed od और या".split())
_ZIP, _LONG_ZIP = 5, re.compile(r"\d{5}-\d{4}")
_LONGEST_NUMBER = 3
_ELEMENTS = frozenset(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Ti Cr Mn Fe Co Ni Cu Zn As Br Ag Sn I Ba Au Hg Pb
    U""".split()
)

_LONG_NUMBER, _LONGEST_COUNT = 6, 8
"""Figures of a number without groups that are said one by one: after the word for it, and by itself."""


def labelled(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "12A" after a word for a thing that is numbered: a seat, no amperes."""
    token = cursor.token()
    match = _LABELLED.fullmatch(token.core)
    if match is None or cursor.previous().core.lower() not in table.numbers.labels:
        return None
    number = table.number_words.cardinal(int(match[1]))
    at = token.core_start + match.start(2)
    letter = spelled_pieces(match[2], at, table)
    return Verbalization(
        (Piece(number, token.core_start, at - 1), Piece(" ", at - 1, at), *letter), token.core_end
    )


def code(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Digits after a word for a code ("PIN", "OTP"), or of a postal code after a state ("MO 63101")."""
    token = cursor.token()
    pair = len(token.core) == 2 and token.core.isdecimal() and not token.suffix
    pair = pair and is_code(cursor, table) and _GROUP.fullmatch(cursor.token(1).core) is not None
    if not (pair or _DIGITS.fullmatch(token.core)) or token.prefix.strip("([\"'“«"):
        return None
    sign = follows_number_sign(cursor, table) or cursor.previous().core == table.numbers.number_sign
    # "Nr. 20240087": nobody says millions.
    long = token.core.isdecimal() and len(token.core) >= (_LONG_NUMBER if sign else _LONGEST_COUNT)
    long = long and (sign or token.suffix != "" or cursor.token(1).core == "")
    long = long or _BINARY.fullmatch(token.core) is not None
    if not (is_code(cursor, table) or _is_zip(cursor) or long) or _is_amount(cursor, table):
        return None
    pieces = _groups(token, table)
    end, ahead = token.core_end, 1
    while cursor.is_adjacent(ahead) and _GROUP.fullmatch(cursor.token(ahead).core):
        group = cursor.token(ahead)
        if (
            len(group.core) < len(token.core)
            and cursor.token(ahead + 1).core[:1].isalpha()
            and not group.suffix
        ):
            # "OTP 508 213 10 minutes"
            break
        pieces += _groups(group, table)
        end, ahead = group.core_end, ahead + 1
    # A phrase break after each group.
    parts = [Piece(f"{one.text}, ", one.start, one.end) for one in pieces[:-1]]
    return Verbalization((*parts, pieces[-1]), end)


def _is_amount(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True before money or a unit: "matrícula de 500 euros", "phone 128 GB"."""
    counted = cursor.token(1).core
    measured = len(counted) > 1 and counted in table.units and counted not in common_words(table.language)
    return cursor.is_adjacent(1) and (measured or table.is_money(counted))


def _groups(token: Token, table: LanguageTable) -> list[Piece]:
    """A token's figures, one by one."""
    at = token.core_start
    return [
        Piece(say_digits(found.group(), table), at + found.start(), at + found.end())
        for found in re.finditer(r"\d+", token.core)
    ]


def lettered_code(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The letters of a number plate ("Kennzeichen M-AB 1234") or of two airports, one by one."""
    token = cursor.token()
    route = _ROUTE.fullmatch(token.core) and any(map(_FLIGHT.fullmatch, words_near(cursor, table, _AHEAD)))
    plate = _PLATE.fullmatch(token.core) and is_code(cursor, table)
    if not route and not (plate and any(map(str.isdigit, cursor.token(1).core))):
        return None
    pieces: list[Piece] = []
    for at, one in enumerate(token.core, token.core_start):
        if one.isalpha():
            name = letter_name(one, table)
            pieces.append(Piece(f" {name}" if pieces else name, at, at + 1))
        elif route:
            pieces.append(Piece(",", at, at + 1))
    return Verbalization(tuple(pieces), token.core_end)


def is_code(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after "code", "code is", "code:" or "code de vérification :", after other codes too."""
    colon, first = False, 1
    whole = _DIGITS.fullmatch(cursor.token().core) is not None
    while whole and first < _FARTHEST and (listed := _listed(cursor, first)):
        first += listed
    for back in range(first, first + _FARTHEST):
        previous = cursor.previous(back)
        word = previous.core.lower()
        written = previous.text[previous.start : previous.end]
        if word in table.numbers.codes_after:
            return True
        if word in table.numbers.called_after:
            # "call 311", but not "call 300 people"
            counted = cursor.token(1).core if cursor.is_adjacent(1) else ""
            noun = counted[:1].isupper() if table.agreement.capitals else counted.islower()
            return not noun or counted in table.agreement.not_nouns
        colon = colon or written.endswith(":")
        if not written or written.endswith((".", "!", "?", ";", ",")) or any(map(str.isdigit, word)):
            return False
        if back == first and _STATE.fullmatch(previous.core):
            # "grid ref. NN 123 456"
            continue
        shouted = previous.core.isupper() and len(word) > 1
        if not (colon or shouted or word in table.numbers.code_joiners):
            return False
    return False


def _listed(cursor: TokenCursor, back: int) -> int:
    """Return the tokens from the code before in a list, "101, 102 or 103", to the cursor; 0 for none."""
    joined = cursor.previous(back).core.lower() in _LISTS and not cursor.previous(back).suffix
    before = cursor.previous(back + joined)
    separate = before.suffix == "," if not joined else before.suffix in ("", ",")
    # "PIN 4821, 300 people"
    behind = cursor.token(1).core if cursor.is_adjacent(1) else ""
    counts = not joined and behind.islower() and behind not in _LISTS
    return 1 + joined if separate and not counts and _DIGITS.fullmatch(before.core) else 0


def _is_zip(cursor: TokenCursor) -> bool:
    token, state = cursor.token(), cursor.previous()
    return (
        (len(token.core) == _ZIP or _LONG_ZIP.fullmatch(token.core) is not None)
        and _STATE.fullmatch(state.core) is not None
        and not state.suffix
        and cursor.previous(2).suffix == ","
    )


def numbered(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "0x8007", digit by digit, and "4(b)(ii)": the paragraph of a law."""
    token = cursor.token()
    at, words = token.core_start, table.number_words
    if _HEX.fullmatch(token.core):
        said = [
            words.cardinal(int(one)) if one.isdecimal() else letter_name(one, table) for one in token.core
        ]
        return Verbalization((Piece(" ".join(said), at, token.core_end),), token.core_end)
    written = token.core + ")" * token.suffix.startswith(")")
    match = _PARAGRAPH.fullmatch(written)
    if match is None or not table.letters:
        return None
    pieces = [Piece(words.cardinal(int(match[1])), at, at + match.end(1))]
    for part in re.finditer(r"\((\w+)\)", written):
        value = roman_value(part[1].upper()) if len(part[1]) > 1 or part[1] == "i" else None
        spoken = words.cardinal(value) if value else " ".join(letter_name(one, table) for one in part[1])
        spoken = words.cardinal(int(part[1])) if part[1].isdecimal() else spoken
        pieces.append(Piece(f" {spoken}", at + part.start(), at + part.end()))
    return Verbalization(tuple(pieces), at + len(written))


def dialled(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "*144#", "Durchw. -214" and the last figures of a card ("…7712"), one after the other."""
    token = cursor.token()
    signs, end = table.web.signs, token.core_end
    if "*" in signs and _KEYS.fullmatch(token.text, token.start, end):
        parts = re.findall(r"\d+|[*#]", token.text[token.start : end])
        said = " ".join(
            say_digits(part, table) if part.isdecimal() else signs.get(part, part) for part in parts
        )
        return Verbalization((Piece(said, token.start, end),), end)
    last = _LAST_FIGURES.fullmatch(token.text, token.start, end)
    before = cursor.previous()
    if last is None and before.core.lower() in table.numbers.codes_after and before.suffix in ("", ".", ":"):
        last = _EXTENSION.fullmatch(token.text, token.core_start, end)
    if last is None:
        return None
    return Verbalization((Piece(say_digits(last[1], table), last.start(), end),), end)


def hyphened(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "#2025-0098-X", "1-800-FLOWERS", "Boeing 737-800": the groups of a name, without its hyphens."""
    token = cursor.token()
    if (score := _SET.fullmatch(token.core + ")" * token.suffix.startswith(")"))) is not None:
        games = _grouped(cursor, table, [score.span(1), score.span(2)], token.core_end, between=" ")
        tie = f", {table.number_words.cardinal(int(score[3]))}"
        start, end = token.core_start + score.start(3) - 1, token.core_start + score.end()
        return Verbalization((*games.pieces, Piece(tie, start, end)), end)
    if _is_set(cursor):
        first, last = (part.span() for part in re.finditer(r"\d+", token.core))
        return _grouped(cursor, table, [first, last], token.core_end, between=" ")
    match, padded = _HYPHENED.fullmatch(token.core), _PADDED.fullmatch(token.core) is not None
    if match is None and not padded:
        return None
    groups = [part.span() for part in re.finditer(r"[A-Z\d]+", token.core)]
    figures = [token.core[start:end] for start, end in groups]
    falling = (pair := _FALLING.fullmatch(token.core)) and int(pair[1]) > int(pair[2])
    if (
        falling
        or padded
        or _GRADE.fullmatch(token.core)
        or (_PAIR.fullmatch(token.core) and follows_number_sign(cursor, table))
    ):
        # "L. 121-1" and "n.º 2024-081" are no ranges.
        return _grouped(cursor, table, groups, token.core_end)
    lettered = (
        any(part.isalpha() for part in figures) and any(map(str.isdigit, token.core)) and len(groups) > 2
    )
    named = match is not None and match[1] is not None and len(groups) > 1
    previous = cursor.previous()
    typed = (
        _TYPES.fullmatch(token.core) is not None
        and previous.core[:1].isupper()
        and not previous.suffix
        and previous.core.lower() not in table.dates.after
    )
    if not (lettered or named or typed):
        return None
    return _grouped(cursor, table, groups, token.core_end)


def _is_set(cursor: TokenCursor) -> bool:
    """True for the sets of a match, one after the other: "6-4, 3-6". A range does not fall."""
    token, before = cursor.token(), cursor.previous()
    found = [token.core]
    tie = before.suffix.startswith(")")
    if before.suffix == "," or (tie and "(" in before.core):
        found.append(before.core)
    elif tie and before.prefix == "(":
        # "7-6 (4), 6-3"
        found.append(cursor.previous(2).core)
    if token.suffix == "," and _GAMES.fullmatch(token.core):
        found.append(cursor.token(1).core)
    elif not token.suffix and cursor.token(1).prefix == "(" and cursor.token(1).suffix.startswith(")"):
        found.append(cursor.token(2).core)
    games = [(int(game[1]), int(game[2])) for core in found if (game := _GAMES.match(core))]
    return bool(_GAMES.fullmatch(token.core)) and len(games) > 1 and any(one > other for one, other in games)


def _grouped(
    cursor: TokenCursor, table: LanguageTable, groups: list[tuple[int, int]], end: int, between: str = ", "
) -> Verbalization:
    token = cursor.token()
    pieces: list[Piece] = []
    if token.core[0] == "#":
        pieces.append(Piece(f"{table.numbers.number_sign} ", token.core_start, token.core_start + 1))
    for number, (start, stop) in enumerate(groups):
        part, at = token.core[start:stop], token.core_start + start
        if number:
            # "ISO-8859-1" goes on after its letters without a pause.
            pieces.append(Piece(" " if token.core[0].isalpha() else between, at - 1, at))
        if part.isdecimal():
            short = len(part) <= _LONGEST_NUMBER and (part[0] != "0" or len(part) == 1)
            said = table.number_words.cardinal(int(part)) if short else say_digits(part, table)
            pieces.append(Piece(said, at, at + len(part)))
        elif part.isalpha():
            pieces += capitals_pieces(part, at, table) if len(part) > 1 else spelled_pieces(part, at, table)
        else:
            pieces += _formula_pieces(part, at, table)
    return Verbalization(tuple(pieces), end)


def formula(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "CO₂", "SO4", "2NaOH", "Ca(OH)2", "KCl(aq)": letters of a chemical formula and its figures."""
    token = cursor.token()
    state = _STATE_OF_MATTER.fullmatch(token.core) if token.suffix.startswith(")") else None
    core = state[1] if state else token.core
    if not table.letters or not _FORMULA.fullmatch(core):
        return None
    elements = [part for part in _PARTS.findall(core) if part[0].isalpha()]
    if not set(elements) <= _ELEMENTS:
        return None
    atoms = core.lstrip("0123456789")
    salt = _SALT.fullmatch(atoms) or any(map(_OF_CHEMISTRY.fullmatch, words_near(cursor, table, 4)))
    if atoms.isalpha() and (atoms.isupper() or not salt):
        return None
    return Verbalization(
        _formula_pieces(token.core, token.core_start, table), token.core_end + (state is not None)
    )


def _formula_pieces(text: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """Letters by their names and figures as numbers, one after the other."""
    pieces: list[Piece] = []
    for part in _PARTS.finditer(text):
        at = start + part.start()
        if pieces:
            pieces.append(Piece("," if part.group() in "·⋅" else " ", at, at + 1))
        if part.group() in "·⋅":
            continue
        if part.group()[0].isalpha():
            pieces += spelled_pieces(part.group(), at, table)
        else:
            figures = part.group().translate(LOWERED)
            pieces.append(Piece(table.number_words.cardinal(int(figures)), at, at + len(part.group())))
    return tuple(pieces)
