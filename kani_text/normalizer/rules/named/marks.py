"""Marks and measures with letters ("B-", "32-yd", "B♭"), moves of chess, scores of tennis and cricket."""

import re
from collections.abc import Sequence

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.acronyms import letter_name, spelled_pieces
from kani_text.normalizer.rules.numerals import follows_number_sign, parse_numeral, say_numeral
from kani_text.normalizer.rules.trades import words_near
from kani_text.normalizer.rules.units import singular, unit_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor
from kani_text.writing import has_letters_only

_COORDINATE = re.compile(r"[xyz]\d|[yz]$")
"""After "x1": another's name, as in "x1 y1"."""
_NOTE = re.compile(r"(?i)(?P<name>[A-H]|do|ré|re|mi|fa|sol|la|si)(?P<sign>[♭♯])|[A-G]#(?!\w{4})")
_MOVE = re.compile(r"[A-Z]?[a-h]?[1-8]?x?[a-h][1-8][+#]?")
_SQUARE, _ELEMENT = re.compile(r"[a-h][1-8][+#]?"), re.compile(r"[A-Z][a-h][1-8][+]?")
_GAMES_OF_SET = re.compile(r"[0-7][-/][0-7]")
_NEAR, _AHEAD = 5, 3
_OF_PLAYER = re.compile(r"(\d{1,3}(?=\*)|\d(?=-))(?:\*|-(\d{2,3})(?!\d))")
_FIGURES = re.compile(r"\d{2,3}/\d{1,2}|\d-\d{2,3}")
_INNINGS = re.compile(r"(\d{1,3})/(\d{1,2})")
_FEW_RUNS = 99
_LAST_WICKET = 10


@matching(r"(?P<number>\d{1,4})-(?P<unit>[a-zA-Z]{1,4})(?P<more>(?:-[a-z]+)*)")
def adjective(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "32-yd" and "7-yr-old", where a measure before what it describes has no plural."""
    token = cursor.token()
    unit = table.units.get(match["unit"]) if table.agreement.measures_after else None
    if unit is None:
        return None
    at, said = token.core_start, singular(unit.forms, table)
    middle, end = at + match.start("unit"), at + match.end("unit")
    number = Piece(table.number_words.cardinal(int(match["number"])), at, middle)
    more = (Piece(match["more"], end, token.core_end),) if match["more"] else ()
    # "a 10-in. scope"
    stop = token.core_end if more else unit_end(cursor, 0, table)
    return Verbalization((number, Piece(f" {said}", middle, end), *more), stop)


@matching(r"[x×](\d(?:[.,]\d{1,2})?|10|12|15|20)")
def factor(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "x2": so many times."""
    numeral, after = parse_numeral(match[1], table), cursor.token(1).core
    if numeral is None or (_COORDINATE.match(after) and after not in table.agreement.not_nouns):
        return None
    return cursor.token().said(f"{table.signs['×']} {say_numeral(numeral, table)}")


def note(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "B♭", "fa♯", "F♯m": a note, a half tone lower or higher."""
    token = cursor.token()
    match = _NOTE.match(token.text, token.core_start, token.end)
    sign = table.signs.get(match["sign"] or "♯") if match else None
    if match is None or sign is None:
        return None
    at, middle, written = match.start(), match.end() - 1, match.group()[:-1]
    name = spelled_pieces(written, at, table) if len(written) == 1 else (Piece(written, at, middle),)
    return Verbalization((*name, Piece(f" {sign}", middle, middle + 1)), middle + 1)


@matching(r"(?P<number>[1-9]|10)[-−]|(?P<letter>[A-F])[-−]")
def graded(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8-" and "B-": a mark, and a little less."""
    if cursor.token(1).core[:1].isdecimal():
        return None
    token = cursor.token()
    start, end = token.core_start, token.core_end
    minus = Piece(f" {table.numbers.minus}", end - 1, end)
    if match["letter"]:
        return Verbalization((*spelled_pieces(match["letter"], start, table), minus), end)
    return token.parted(table.number_words.cardinal(int(match["number"])), match.end("number"), minus.text)


@matching(r"((?:1\d|20)\d\d)[-‐‑–](\d\d)")
def years(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1914-18" and the season "2024-25"."""
    year, until, words = int(match[1]), int(match[2]), table.number_words
    if year % 100 >= until or follows_number_sign(cursor, table):
        return None
    to = "" if (year + 1) % 100 == until else f"{table.numbers.to} "
    return cursor.token().parted(f"{words.year(year)} ", match.end(1), f"{to}{words.cardinal(until)}")


def move(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A move of chess near a word of the game or other moves; "Ca2+" near "e4" may be an ion yet."""
    token, names = cursor.token(), table.chess.names
    if not names or not _MOVE.fullmatch(token.core) or _SQUARE.fullmatch(token.core):
        return None
    near = [cursor.previous(back).core for back in range(1, _NEAR + 1)]
    near += [cursor.token(ahead).core for ahead in range(1, _AHEAD + 1)]
    if not (_is_played(token.core, near) or any(one.lower() in table.chess.near for one in near)):
        return None
    pieces: list[Piece] = []
    for at, sign in enumerate(token.core, token.core_start):
        number = table.number_words.cardinal(int(sign)) if sign.isdecimal() else ""
        said = number or names.get(sign) or letter_name(sign, table)
        pieces.append(Piece(f" {said}" if pieces else said, at, at + 1))
    return Verbalization(tuple(pieces), token.core_end)


def _is_played(move: str, near: Sequence[str]) -> bool:
    """True if other moves are near; one bare square makes no move of what may be an ion, but numbers do."""
    moves = [one for one in near if _MOVE.fullmatch(one)]
    if not _ELEMENT.fullmatch(move):
        return bool(moves)
    others = [one for one in moves if not _ELEMENT.fullmatch(one)]
    # "18 Dh5 Rf8 19 Tf3"
    numbered = len(moves) > 1 and any(map(str.isdecimal, near))
    return numbered or len(others) > 1 or any(len(one) > len("e4") for one in others)


@matching(r"(\d{1,2})([/.])(\d)")
def ranking(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "15/4" and "3.1" of "Léa (15/4)", where the sets of a match follow a few words later."""
    token = cursor.token()
    named = cursor.previous().core[:1].isupper() and token.prefix == "(" and token.suffix.startswith(")")
    if not named or not any(_GAMES_OF_SET.fullmatch(cursor.token(at).core) for at in range(1, _NEAR + 1)):
        return None
    point = f"{table.web.signs['.']} " if match[2] == "." else ""
    first, last = (table.number_words.cardinal(int(match[group])) for group in (1, 3))
    return token.said(f"{first} {point}{last}")


def innings(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "186/4" of cricket: runs and wickets, near a word of the game."""
    fractions, words, token = table.fractions, table.number_words, cursor.token()
    if fractions.innings and (of_player := _of_player(cursor, table)) is not None:
        return of_player
    match = _INNINGS.fullmatch(token.core) if fractions.innings else None
    if match is None or not int(match[2]) <= _LAST_WICKET < int(match[1]):
        return None
    # Nobody counts 118 thirds.
    many = int(match[1]) > _FEW_RUNS and not cursor.previous().core.islower()
    if not many and fractions.innings_near.isdisjoint(map(str.lower, words_near(cursor, table, _NEAR))):
        return None
    said = fractions.innings.format(runs=words.cardinal(int(match[1])), wickets=words.cardinal(int(match[2])))
    return token.said(said)


def _of_player(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "102*" and "3-41" after a player's name, near a word of cricket or the figures of others."""
    token, player, words = cursor.token(), cursor.previous(), table.number_words
    found = _OF_PLAYER.match(token.text, token.core_start, token.end)
    named = not player.suffix and has_letters_only(player.core) and not player.core.islower()
    near = [one.lower() for one in words_near(cursor, table, _NEAR)] if found and named else []
    known = any(one in table.fractions.innings_near or _FIGURES.fullmatch(one) for one in near)
    if found is None or not known:
        return None
    first = words.cardinal(int(found[1]))
    said = f"{first} {table.fractions.not_out}"
    if found[2]:
        said = table.fractions.innings.format(runs=first, wickets=words.cardinal(int(found[2])))
    return token.said(said)
