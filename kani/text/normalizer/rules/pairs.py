"""Two figures with a slash that are no fraction: ratings, laws, seasons, the sets of a match."""

from __future__ import annotations

import re

from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import common_words
from kani.text.normalizer.rules.moments.day_and_month import is_loose
from kani.text.normalizer.rules.numerals import DASHES, NUMBER, parse_numeral, say_digits, say_numeral
from kani.text.normalizer.rules.units import PhraseBuilder, resolve_unit
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

_LAW = re.compile(r"(\d{1,3}(?:[.,]\d{3})+)/(\d{4}|\d{2})")
_NUMBER_NAMES = ("nummer", "nr", "number", "numéro", "número", "numero")
_TYRE = re.compile(r"Z?R\d{2}")
_PRESSURES = frozenset(("TA", "PA", "BP", "RR", "BSG"))
_LAWS = frozenset(
    """L Legge legge Ley ley Lei lei Loi loi Decreto decreto D.Lgs D.L RD Prot prot Exp exp Expte Proc Of Az
    Aktenzeichen Rif rif Réf réf Ref ref Dossier dossier""".split()
)
_DOZEN, _CENTURY, _THOUSAND = 12, 100, 1000
_USUAL = frozenset("16 24 25 32 48 64 72 100 128".split())
"""Denominators of fractions above a dozen, and 24/7."""
_STOPS = tuple(";.!?")
_PARTITIVE = re.compile(r"d[eiao]|d[ae][sl]|del\w+|d['’].+|o[fn]|von|der")
_BEFORE_MONTHS = frozenset("TÜV HU EZ MHD Erstzulassung MOT exp Exp expires".split())
_LEAST_PAIR = 50
_SHORTEST_NOUN = 3
_OF_SHARES = re.compile(
    "anteil|comp[aá]s|diafr|dos[ei]|échelle|escala|fra[cz]|massstab|maßstab|mes?ure|metr|misura|odds|prob|prop"
    "|quot|rap?port|ratio|razón|scal[ae]|share|takt|temp[os]|verhältnis|wahrsch|.*(?:[aeéií]r|[aei]re|en)$"
)
"""Words before fractions: shares, scales, measures of music, and verbs that add an amount."""
_PARTICIPLE = re.compile(r"\w+(?:[ai]d[oa]s?|[aiu]t[oaie]|ed|ée?s?|iert)|wird|läuft|ok|OK")
_SPANS = frozenset(
    """days weeks months years días semanas meses años jours semaines mois ans giorni settimane mesi anni dias
    anos Tage Tagen Wochen Monate Monaten Jahre Jahren minutes minutos minuti Minuten horas heures ore Stunden
    personas personnes persone pessoas Personen""".split()
)
"""Nouns that two figures count one after the other: "2/3 días", "24/48 ore"."""
_EVEN = frozenset((20, 50))
"""Of "20/20" and "50/50"."""
_LEAST_SIZE, _LARGEST_SIZE = 30, 60
"""Of clothes, which come in pairs ("42/44")."""
_SYSTOLIC, _DIASTOLIC = range(100, 240), range(40, 130)
_GAMES = re.compile(r"[0-7]/[0-7]")
_RATED_FOR = frozenset("for für pour per overall".split())
_LEAST_RATING, _NEAR = 5, 8
"""From so many tenths on a figure is a rating, if it counts nothing."""
_MARK = re.compile(rf"(?P<points>{NUMBER})/(?P<of>\d{{1,3}})")


def law(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "Lei nº 8.078/90": a number in groups, and its year."""
    token = cursor.token()
    named = follows_number_sign(cursor, table) or cursor.previous().core in _LAWS
    match = _LAW.fullmatch(token.core) if named else None
    numeral = parse_numeral(match[1], table) if match else None
    if match is None or numeral is None or numeral.decimals:
        return None
    words, middle = table.number_words, token.core_start + match.end(1)
    year = words.year(int(match[2])) if len(match[2]) == len("1990") else words.cardinal(int(match[2]))
    slash = table.web.signs.get("/", "")
    pieces = (
        Piece(say_numeral(numeral, table), token.core_start, middle),
        Piece(f" {slash} {year}", middle, token.core_end),
    )
    return Verbalization(pieces, token.core_end)


def numbered(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> str | None:
    """ "n.º 2024/0137", "Kundennr. 12/345": the number of an invoice or a law, with its slash."""
    law = cursor.previous().core in _LAWS or cursor.previous().core.lower().endswith(_NUMBER_NAMES)
    if not follows_number_sign(cursor, table) and not law and not (len(last) > 1 and last[0] == "0"):
        return None
    before, after = (
        say_digits(part, table)
        if len(part) > 1 and part[0] == "0"
        else table.number_words.cardinal(int(part))
        for part in (first, last)
    )
    return f"{before} {table.web.signs.get('/', '')} {after}"


def of_year(cursor: TokenCursor, first: int, last: int, table: LanguageTable) -> str | None:
    """ "Ley 39/2015", "(UE) 2016/679": a law and its year."""
    words, years = table.number_words, range(1900, 2100)
    slash = table.web.signs.get("/", table.fractions.over.format(numerator="", denominator="").strip())
    if last in years and (first > 1 or cursor.previous().core[:1].isupper()):
        return f"{words.cardinal(first)} {slash} {words.year(last)}"
    if first in years and last > 1 and not _is_added(cursor, table):
        return f"{words.year(first)} {slash} {words.cardinal(last)}"
    return None


def _is_added(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside a sign of arithmetic or before a unit, where figures are a part of something."""
    near = cursor.previous().core, cursor.token(1).core
    return not {"+", "=", "×", "x", *DASHES}.isdisjoint(near) or (
        cursor.is_adjacent(1) and near[1] in table.units
    )


def _is_marked(cursor: TokenCursor, of: str) -> bool:
    """True for the "19/20" of "18/20, 16.5/20, 19/20": marks have one maximum."""
    near = (cursor.previous(back).core for back in range(1, _NEAR))
    return any((mark := _MARK.fullmatch(core)) is not None and mark["of"] == of for core in near)


def _is_set(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for the sets of a match with a slash, "6/4 4/6 7/6": at least one of them is no fraction."""
    joiner = table.signs.get("&")
    before, after = cursor.previous(), cursor.token(1)
    before = cursor.previous(2) if before.core == joiner else before
    after = cursor.token(2) if after.core == joiner else after
    near = [one.core for one in (before, cursor.token(), after)]
    found = [core for core in near if _GAMES.fullmatch(core)]
    return len(found) > 1 and near[1] in found and any(core[0] > core[2] for core in found)


def _is_counted_so_far(cursor: TokenCursor, of: int, table: LanguageTable) -> bool:
    """True after a noun of ``steps`` ("Bultos: 1/3"), or one that begins a clause without another noun."""
    token, following = cursor.token(), cursor.token(1)
    # "Cartons : 3/4"
    colon = cursor.previous().text != "" and not cursor.previous().core
    noun = cursor.previous(1 + colon)
    word = noun.core.lower()
    measured = cursor.is_adjacent(1) and resolve_unit(following.core, table, attached=False)[0] is not None
    if noun.suffix not in ("", ".", ":") or measured:
        return False
    short = (
        table.abbreviations.get(f"{noun.core}.", table.abbreviations.get(f"{word}.", ()))
        if noun.suffix
        else ()
    )
    named = [word, word.rpartition("-")[2], *(said.lower() for one in short for said in one.said.values())]
    if not table.fractions.steps.isdisjoint(named):
        return True
    noun_like = len(word) >= _SHORTEST_NOUN and word.isalpha() and noun.core[0].isupper()
    unlike = (
        word in table.agreement.not_nouns or word in common_words(table.language) or _OF_SHARES.match(word)
    )
    if not (noun_like and _LEAST_RATING <= of < _THOUSAND and cursor.begins_clause(1 + colon)) or unlike:
        return False
    ends = token.suffix.endswith((*_STOPS, ",", ")")) or "\n" in token.text[token.end : following.start]
    ends = ends or not following.core or following.prefix.startswith("(") or following.core in DASHES
    return ends or following.core[0].isdecimal() or _PARTICIPLE.fullmatch(following.core) is not None


def paired(cursor: TokenCursor, first: str, last: str, table: LanguageTable) -> str | None:
    """Two figures that are no fraction: a rating ("8/10", "4/5 stars"), "50/50", a season ("2024/25")."""
    words, one, other = table.number_words, int(first), int(last)
    said = {"numerator": words.cardinal(one), "denominator": words.cardinal(other)}
    beside, out_of = " ".join(said.values()), table.fractions.out_of.format(**said)
    following = cursor.token(1)
    rated = table.fractions.rated
    previous = cursor.previous()
    noun = following.core[:1].isupper() if table.agreement.capitals else following.core.islower()
    noun = noun and len(following.core) > 1 and following.core.lower() not in rated
    noun = noun and following.core not in common_words(table.language)
    counted = cursor.is_adjacent(1) and (noun or _PARTITIVE.fullmatch(following.core) is not None)
    after = "" if cursor.token().suffix.endswith(_STOPS) else following.core.lower()
    near = {after, previous.core.lower() if previous.suffix in ("", ":") else ""}
    if counted and (_PARTITIVE.fullmatch(following.core) or other < _LEAST_RATING):
        # "doy 2/5 de mi sueldo", "gave 3/4 cup"
        near.clear()
    tenths = last in ("10", "100", "1000") and one >= _LEAST_RATING and not counted
    # "3/5 for service", "18/20, 16.5/20, 19/20"
    judged = 1 < one <= other and last in ("5", "10") and following.core in _RATED_FOR
    dated = table.dates.order == "mdy" and one <= _DOZEN
    marked = _DOZEN < other != one <= other and last not in _USUAL and not dated and _is_marked(cursor, last)
    if (one <= other <= 1000 and (rated & near or tenths)) or judged or marked:
        return out_of
    tyre = _TYRE.fullmatch(following.core) is not None or (
        following.core in ("R", "ZR") and cursor.token(2).core.isdecimal()
    )
    pressure = previous.core in _PRESSURES or (
        len(previous.core) == 1 and previous.core.isupper() and cursor.previous(2).core.isdecimal()
    )
    monthly = one <= _DOZEN < other and len(last) == 2 and previous.core in _BEFORE_MONTHS
    if pressure and table.language == "en":
        return table.fractions.over.format(**said)
    # "142/88, Puls 76"
    blood = table.language == "de" and one in _SYSTOLIC and other in _DIASTOLIC and one > other
    if blood and not tyre and "eifen" not in previous.core + following.core:
        return " zu ".join(said.values())
    if tyre or pressure or monthly:
        return beside
    # "42/44", and "Größe 86/92" of children
    sized = _LEAST_SIZE <= one == other - 2 <= _LARGEST_SIZE or (
        not counted and one >= _LEAST_PAIR and one == other - 6 and one % 6 == 2
    )
    if one <= other and not sized and _is_counted_so_far(cursor, other, table):
        # "Step 3/7"
        return table.fractions.step.format(**said)
    labelled = not table.numbers.labels.isdisjoint((label := previous.core.lower(), label.rstrip("s")))
    span, unit = following.core in _SPANS, resolve_unit(following.core, table, attached=False)[0]
    rounded = 10 <= one < other and any(one % step == other % step == 0 for step in (5, 12))
    if (1 < one == other - 1 and (labelled or span)) or (
        cursor.is_adjacent(1) and (rounded or min(one, other) >= _LEAST_PAIR) and (unit or (span and rounded))
    ):
        # "2/3 días", "10/15 min", "50/60 Hz"
        return beside
    if _LEAST_RATING <= one == other and one not in _EVEN:
        # "All 12/12 tests"
        return out_of
    if (
        sized
        or (one == other and one in _EVEN)
        # "temporada 23/24", but 15/16"
        or (_DOZEN < one == other - 1 < _CENTURY and other & one)
        or (_GAMES.fullmatch(f"{first}/{last}") and _is_set(cursor, table))
    ):
        return beside
    if len(first) == 4 and (one + 1) in (other, one // 100 * 100 + other) and 1600 <= one < 2100:
        return f"{words.year(one)} {words.cardinal(other) if len(last) == len('25') else words.year(other)}"
    if (
        1 < one <= other
        and _DOZEN < other < _THOUSAND
        and last not in _USUAL
        and not (is_loose(f"{first}/{last}", table) or _is_added(cursor, table))
    ):
        # "lap 45/66", "18/20 right"
        return table.fractions.step.format(**said) if other % 10 else out_of
    return None


def rating(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8,5/10": points out of a maximum."""
    token = cursor.token()
    match = _MARK.fullmatch(token.core)
    points = parse_numeral(match["points"], table) if match is not None else None
    if match is None or points is None or not points.decimals:
        return None
    of = table.number_words.cardinal(int(match["of"]))
    phrase = PhraseBuilder()
    spoken = table.fractions.out_of.format(numerator=say_numeral(points, table), denominator=of)
    phrase.add(spoken, token.core_start, token.core_end)
    return phrase.build(token.core_end)
