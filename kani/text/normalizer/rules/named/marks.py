"""Marks and measures with letters: "B-", "1m75", "5K", "32-yd", the quarter "3T24", years."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import spelled_pieces
from kani.text.normalizer.rules.numerals import parse_numeral, say_numeral
from kani.text.normalizer.rules.units import of_trade, unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_ADJECTIVE = re.compile(
    r"(?P<number>\d{1,4})(?:(?P<run>[Kk])|-(?P<unit>[a-zA-Z]{1,4})(?P<more>(?:-[a-z]+)*))"
)
_RUN_TIME = re.compile(r"(?:\d:)?\d{1,2}:\d\d|\d{1,2}['’′]\d\d")
_BEFORE_RUNS = frozenset("a the first my her his our this local".split())
_CHECKED = re.compile(r"(\d{1,3}(?:[.]\d{3}){1,3})[-‐‑](\d)")
_SEASON = re.compile(r"((?:1\d|20)\d\d)[-‐‑–](\d\d)")
_OLDEST_SEASON = 1600
_UNTIL_NOW = re.compile(
    r"((?:19|20)\d\d)[-–](present|presente|hoy|heute|oggi|aujourd['’]hui|hoje|atualidade)"
)
_CENTURY = 100
_COORDINATE = re.compile(r"[xyz]\d|[yz]$")
_FACTOR = re.compile(r"[x×](\d(?:[.,]\d{1,2})?|10|12|15|20)")
_HEIGHT = re.compile(r"([0-2])m(\d\d)")
_TERM, _YEAR = re.compile(r"T([1-4])"), re.compile(r"20\d\d")
_QUARTER = re.compile(r"([1-4])([TS])(\d\d)")
_NOTE = re.compile(
    r"(?:(?P<name>[A-H]|do|ré|re|mi|fa|sol|la|si)(?P<sign>[♭♯])|(?P<letter>[A-G])(?P<sharp>#)(?!\w{4}))",
    re.IGNORECASE,
)
_HYPHENED_ON = frozenset("bis und oder bzw to and or y o e u et ou".split())
_GRADED = re.compile(r"([1-9]|10|[A-F])[-−]")

_ENDINGS = re.compile(
    r"(?P<stem>[^\W\d_]{2,})(?:\((?P<added>s|es|a|as|e|n|en|in|innen|ren)\)|[.·:](?P<other>e|ne|le|te|se|ve|ère|trice|tes|nes|innen|in))[.·]?(?P<more>s?)"
)
_SLASHED = re.compile(
    r"(?P<stem>[^\W\d_]{3,})/-?(?P<added>[ao]s?|e[sn]?|i|ssa|esse|r|innen|in|trices?|euses?|ses?|rices?)"
)
_OTHER_GENDER = {
    "es": "a as o os",
    "pt": "a as o os",
    "it": "a e o i ssa esse",
    "fr": "e es trice trices se ses euse euses",
    "de": "r n en in innen",
}
_PAIRED = {
    "es": "el/la los/las un/una unos/unas él/ella ellos/ellas lo/la al/la del/la este/esta",
    "pt": "o/a os/as um/uma ele/ela eles/elas ao/à do/da dos/das no/na seu/sua",
    "it": "il/la i/le un/una lui/lei lo/la al/alla del/della",
    "fr": "le/la un/une il/elle ils/elles ce/cette son/sa",
    "de": "der/die er/sie ein/eine den/die einen/eine dem/der ihm/ihr sein/ihr",
    "en": "he/she his/her him/her he/she/they she/he her/his her/him",
}
"""Articles and pronouns with a slash, "or" is said between them."""
_OR = {"es": "o", "pt": "ou", "it": "o", "fr": "ou", "de": "oder", "en": "or"}
_BEFORE_O, _BEFORE_I = ("o", "ho"), ("i", "hi")

_ARTICLES = frozenset("a the el la un una le les der die das il o os".split())

_EMOTICONS = frozenset(
    "<3 </3 :D :-D =D xD XD :P :-P :p ;P :o :O :S :s :3 ^^ ^_^ -_- u.u o.O O.o T_T :* :'( :'D".split()
)


def adjective(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """English "32-yd" before what it describes, without a plural; the K of "5K in 24:38" is a letter."""
    token = cursor.token()
    match = _ADJECTIVE.fullmatch(token.core)
    if match is None:
        return None
    at, words = token.core_start, table.number_words
    if match["run"]:
        timed = cursor.is_adjacent(1) and cursor.is_adjacent(2) and _RUN_TIME.fullmatch(cursor.token(2).core)
        named = cursor.is_adjacent(1) and of_trade("K", cursor, table)
        if not (
            timed or named or (table.language == "en" and cursor.previous().core.lower() in _BEFORE_RUNS)
        ):
            return None
        middle = at + match.end("number")
        number = Piece(f"{words.cardinal(int(match['number']))} ", at, middle)
        return Verbalization((number, *spelled_pieces(match["run"], middle, table)), token.core_end)
    unit = table.units.get(match["unit"])
    if unit is None or table.language != "en":
        return None
    if len(match["unit"]) == 1 and match["unit"].isupper() and not cursor.token(1).core.islower():
        # "PO 4521-A; 12 pieces"
        return None
    said = unit.forms.get("one", unit.forms["other"])
    middle, end = at + match.start("unit"), at + match.end("unit")
    pieces = (Piece(words.cardinal(int(match["number"])), at, middle), Piece(f" {said}", middle, end))
    if not match["more"]:
        # "a 10-in. scope"
        return Verbalization(pieces, unit_end(cursor, 0, table))
    # "7-yr-old"
    return Verbalization((*pieces, Piece(match["more"], end, token.core_end)), token.core_end)


def factor(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "x2": so many times."""
    token = cursor.token()
    match = _FACTOR.fullmatch(token.core)
    name = table.signs.get("×")
    after = cursor.token(1).core
    numeral = parse_numeral(match[1], table) if match else None
    coordinate = after not in table.agreement.not_nouns and _COORDINATE.match(after)
    if numeral is None or name is None or coordinate:
        return None
    said = f"{name} {say_numeral(numeral, table)}"
    return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)


def height(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1m75": metres, and the centimetres without their name."""
    token = cursor.token()
    match = _HEIGHT.fullmatch(token.core)
    unit = table.units.get("m") if match else None
    if match is None or unit is None:
        return None
    at, middle = token.core_start, token.core_start + match.start(2)
    words = table.number_words
    metres = f"{words.cardinal(int(match[1]), unit.gender or 'm')} {table.form(unit.forms, int(match[1]))}"
    pieces = Piece(metres, at, middle), Piece(f" {words.cardinal(int(match[2]))}", middle, token.core_end)
    return Verbalization(pieces, token.core_end)


def period(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "T3 2024", "3T24": the part of a year, and the year's last figures."""
    token = cursor.token()
    at, words = token.core_start, table.number_words
    if (
        (term := _TERM.fullmatch(token.core))
        and cursor.is_adjacent(1)
        and _YEAR.fullmatch(cursor.token(1).core)
    ):
        # French "T3 2024"
        name = next((one.said["other"] for one in table.abbreviations.get(f"{term[1]}T", ())), "")
        return Verbalization((Piece(name, at, token.core_end),), token.core_end) if name else None
    if (quarter := _QUARTER.fullmatch(token.core)) is not None:
        # "3T24"
        name = next(
            (one.said["other"] for one in table.abbreviations.get(f"{quarter[1]}{quarter[2]}", ())), ""
        )
        year = f" {words.cardinal(int(quarter[3]))}"
        return Verbalization((Piece(name + year, at, token.core_end),), token.core_end) if name else None
    return None


def note(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "B♭", "fa♯", "F♯m": a note, a half tone lower or higher."""
    token = cursor.token()
    match = _NOTE.match(token.text, token.core_start, token.end)
    sign = table.signs.get(match["sign"] or "♯") if match else None
    if match is None or sign is None:
        return None
    middle, written = match.end() - 1, match.group()[:-1]
    letter = len(written) == 1 and table.letters
    name = (
        spelled_pieces(written, token.core_start, table)
        if letter
        else (Piece(written, token.core_start, middle),)
    )
    return Verbalization((*name, Piece(f" {sign}", middle, middle + 1)), middle + 1)


def graded(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8-" and "B-": a mark, and a little less."""
    token = cursor.token()
    match = _GRADED.fullmatch(token.core)
    if match is None or not table.letters:
        return None
    following = cursor.token(1).core
    if following[:1].isdecimal():
        return None
    if following in _HYPHENED_ON and match[1].isdecimal():
        # German "8- bis 12-Jährige"
        said = table.number_words.cardinal(int(match[1]))
        return Verbalization((Piece(said, token.core_start, token.core_end),), token.core_end)
    at = token.core_end - 1
    mark = (
        (Piece(table.number_words.cardinal(int(match[1])), token.core_start, at),)
        if match[1].isdecimal()
        else spelled_pieces(match[1], token.core_start, table)
    )
    return Verbalization((*mark, Piece(f" {table.numbers.minus}", at, token.core_end)), token.core_end)


def years(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1914-18", the season "2024-25", and "2019-present"."""
    token = cursor.token()
    match = _SEASON.fullmatch(token.core) or _UNTIL_NOW.fullmatch(token.core)
    if match is None or follows_number_sign(cursor, table):
        return None
    if int(match[1]) < _OLDEST_SEASON and not token.prefix.startswith("("):
        # "Alfonso X (1221-84)", but "IBM 1205-92"
        return None
    year, until = int(match[1]), int(match[2]) if match[2].isdecimal() else _CENTURY
    if year % 100 >= until:
        return None
    words, at, dash = table.number_words, token.core_start, token.core_start + match.end(1)
    to = "" if (year + 1) % 100 == until else f"{table.numbers.to} "
    first, last = words.year(year), match[2] if until == _CENTURY else words.cardinal(until)
    pieces = Piece(f"{first} ", at, dash), Piece(f"{to}{last}", dash, token.core_end)
    return Verbalization(pieces, token.core_end)


def account(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "18.903-5": a number and its check digit, which are no range."""
    token = cursor.token()
    match = _CHECKED.fullmatch(token.core) if table.numbers.group == "." else None
    if match is None:
        return None
    words, at, end = table.number_words, token.core_start, token.core_start + match.end(1)
    number = words.cardinal(int(match[1].replace(".", "")))
    pieces = Piece(f"{number}, ", at, end), Piece(words.cardinal(int(match[2])), end + 1, token.core_end)
    return Verbalization(pieces, token.core_end)


def endings(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "form(s)", "alumno(a)", French "étudiant·e·s", German "Schüler:innen": a word with another ending."""
    token = cursor.token()
    written = token.core + ")" * token.suffix.startswith(")")
    if (both := _slashed(token.core, table)) is not None:
        return Verbalization((Piece(both, token.core_start, token.core_end),), token.core_end)
    match = _ENDINGS.fullmatch(written)
    if match is None or (match["other"] and table.language != ("de" if "in" in match["other"] else "fr")):
        return None
    stem, ending = match["stem"], f"{match['added'] or match['other']}{match['more']}"
    if table.language == "fr" and stem.endswith("er") and ending[0] == "e":
        # "cher(e)s"
        ending = f"ère{ending[1:]}"
    said = stem.removesuffix("er") + ending if ending[0] == "è" else stem + ending
    if ending[0] == "a" and table.language in _OR:
        feminine = stem.removesuffix("o") + ending
        said = f"{stem}{match['more']} {_OR[table.language]} {feminine}"
    end = token.core_start + len(written)
    return Verbalization((Piece(said, token.core_start, end),), end)


def _slashed(core: str, table: LanguageTable) -> str | None:
    """ "alumno/a", "Schüler/-innen", "el/la": both genders."""
    language = table.language
    if core.lower() in _PAIRED.get(language, "").split():
        return f" {_OR[language]} ".join(core.split("/"))
    match = _SLASHED.fullmatch(core)
    if match is None or match["added"] not in _OTHER_GENDER.get(language, "").split():
        return None
    stem, added = match["stem"], match["added"]
    if language == "de":
        return stem + added if added.startswith("in") else f"{stem} {_OR[language]} {stem}{added}"
    several = stem.endswith("s") if language != "it" else added in ("e", "i", "esse")
    if language == "fr":
        single = stem.removesuffix("s")
        other = {"t": single.removesuffix("teur"), "s": single.removesuffix("r")}.get(added[0], single)
        other = single.removesuffix("eur") if added[:2] == "eu" else other
    elif language == "it" and added in ("ssa", "esse"):
        other = stem.removesuffix("i") if added == "esse" else stem
    else:
        single = stem.removesuffix("s") if language != "it" else stem
        other = single[:-1] if single[-1] in "aeio" else single
    other += added
    joined = table.signs.get("&", "") if several else _OR[language]
    if language == "es" and other.lower().startswith(_BEFORE_I if several else _BEFORE_O):
        joined = "e" if several else "u"
    return f"{stem} {joined} {other}"


def emoticon(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A face of characters, and "<3" where it compares nothing: they are not spoken."""
    token = cursor.token()
    written = token.text[token.start : token.end]
    whole = written in _EMOTICONS
    if not (whole or token.core in _EMOTICONS) or (token.core == "<3" and _compares(cursor, table)):
        return None
    if token.core == "XD" and (cursor.token(1).core[:1].islower() or not cursor.previous().core.islower()):
        # "Adobe XD is"
        return None
    return Verbalization((), token.end if whole else token.core_end)


def _compares(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if "<3" compares: after a variable or a number, or before a unit."""
    before, after = cursor.previous(), cursor.token(1).core
    return (
        len(before.core) == 1
        or before.core[-1:].isdecimal()
        or before.core.lower() in _ARTICLES
        or (cursor.is_adjacent(1) and after in table.units)
    )
