"""Spellings that a template cannot give: the functions that rows of ``spellings`` name."""

from __future__ import annotations

import re
from decimal import Decimal

from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.unspaced.table import unspaced_table_for

PATH = (
    r"(?<=\S) > (?:(?:[^<>\n.,;:!?।。，]|\.(?=\d)){1,40}> )+(?=\w)"
    r"|(?i:(?:(?<=settings)|(?<=einstellungen)|(?<=ajustes)|(?<=réglages)|(?<=paramètres)|(?<=impostazioni)"
    r"|(?<=configurações)|(?<=सेटिंग्स)|(?<=設定)|(?<=设置)|(?<=menu)|(?<=menú)|(?<=menü)))"
    r" > (?=\d|[\u3041-\u9fff])"
)
"""The steps of a menu's path: "Settings > Display > 4K", "Settings > 5G"."""


def path_steps(path: re.Match[str], mark: str) -> str:
    """A path with pauses for its signs, if a step in it is a word: others compare ("9 > x > 3")."""
    steps = path.string[path.start() : path.end() + 2]
    named = path.group() == " > " or re.search(r"> [^\W\d_][^\s\d]", steps)
    return path.group().replace(" > ", mark) if named else path.group()


def in_full(found: re.Match[str]) -> str:
    """An amount without its magnitude: "$87.4K" is "$87400"."""
    zeros = {"K": 3, "M": 6, "B": 9}[found[3]]
    return f"{found[1]}{int(Decimal(found[2]).scaleb(zeros))}"


def minutes_and_seconds(found: re.Match[str]) -> str:
    """Minutes and seconds of a race: "+1:02" is "+1 min 2 s", "a +0:08" is "a 8 s"."""
    minutes, seconds = int(found[2]), int(found[3])
    parts = (f"{minutes} min" * (minutes > 0), f"{seconds} s" * (seconds > 0 or minutes == 0))
    return (found[1] or "+") + " ".join(filter(None, parts))


_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
DAY_OF_LOG = rf"(?<![\w/])(\d\d)/({'|'.join(re.findall('...', _MONTHS))})/(\d{{4}}):(?=\d\d:\d\d)"
SPAN = (
    r"\b(d[eu]|d[ae]l|d[ao]|desde|entre|tra|fra|from|between|open|closed)(?: el| le| il| o| the)? "
    r"(\d{1,2})/(\d{1,2}) (?:al?|até|ao|para|hasta|y|et?|au|à|to|until|through)(?: el| le| il| o)? "
    r"(\d{1,2})/(\d{1,2})(?![\d/]|[.,]\d"
    r"| ?(?:d[ei] |d['’])?(?:taz|x[íi]c|tass|cop|col|cuch|cup|vas|pul|pol|pou|inc|lit|ma[gijy]|time|[khml]\b)"
    r"| d(?:[eo]s?|as?|el|e[il]l?[ae]?) [a-zà-ú]| of\b)"
)
_MOVED = re.compile(
    r"(?i)\b(?:mud|adi|transf|remarc|alter|ante?c[ie]|prorrog|cambi|trasl|aplaz|adelant|report|décal|avanc|dépla"
    r"|spost|rinvi|moved|push|resched|postpon|change|reuni|riuni|réuni)"
)
_NEAR = 60
_NO_DAYS = re.compile(
    r"(?i)comp[aá]s|mesure|misura|temp[oi]\b|ritm|rythm|rhythm|fra[cçz]|propor|raz[óã]o|tax[ae]|quota"
)


def days_of_span(found: re.Match[str]) -> str:
    """The days of "mudou de 5/8 para 12/8" with two figures each, as no fractions have them."""
    days = tuple(zip(map(int, found.group(2, 4)), map(int, found.group(3, 5)), strict=True))
    real = all(0 < min(day) <= 12 and max(day) <= 31 for day in days)
    before = found.string[max(0, found.start() - _NEAR) : found.start()]
    later = found[1] == "from" and days[0][0] == days[1][0] > 1 and days[0][1] < days[1][1]
    moved = later or found[1] in ("open", "closed") or _MOVED.search(before)
    whole = any(day >= month > 1 for day, month in days)
    usual = all(day < month <= 4 for day, month in days)
    if (
        not real
        or usual
        or not (moved or (whole and days[0][1] > 4))
        or _NO_DAYS.search(before + found.string[found.end() : found.end() + _NEAR // 2])
    ):
        return found.group()
    return re.sub(r"(?<!\d)\d(?=/)|(?<=/)\d(?!\d)", r"0\g<0>", found.group())


def day_of_log(found: re.Match[str]) -> str:
    """The day of a server's log, "05/Mar/2026:14:30:00", as "2026-03-05, "."""
    return f"{found[3]}-{_MONTHS.index(found[2]) // 3 + 1:02}-{found[1]}, "


def said_once(found: re.Match[str], language: str) -> str:
    """The words of "30 (treinta) días" just once, in the form that is written."""
    table = table_for(language)
    said = table.number_words.cardinal(int(found[1])) if table is not None else ""
    written = found[2]
    # Feminine "una", "uma" and "duas", too
    same = written in (said, f"{said}a") or written[:-1] == said[:-1] or (said, written) == ("dois", "duas")
    return written if same else found[0]


def raised_numeral(found: re.Match[str]) -> str:
    """Lower-case Roman numerals after a word that has them, in capitals: "pp. v–xii"."""
    return found[1] + found[2].upper()


_BEGINS, _ENDS = r"(?<![A-Za-z\d_.#@/-])", r"(?![A-Za-z\d_-]|\.\w)"
_CHANGES = r"(?!\d+e\d+\b)(?=\d+[a-f]+\d|[a-f]+\d+[a-f])"
IDENTIFIER = "|".join(
    (
        r"(?<![A-Za-z\d_-])((?i:[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}))(?![A-Za-z\d_-])",
        rf"{_BEGINS}((?i:{_CHANGES})(?:[\da-f]{{7,128}}|[\dA-F]{{21,128}})){_ENDS}",
        r"(?<!\w)#(?=[\dA-Fa-f]{0,5}\d)(?=[\dA-Fa-f]{0,5}[A-Fa-f])([\dA-Fa-f]{6})\b",
    )
)
"""A UUID, a hash or the beginning of one, in which figures and letters change, and a colour."""
_LONG = 8


def named_characters(found: re.Match[str], language: str = "") -> str:
    """The names of an identifier's characters, with a pause for a hyphen and in a long one after each four.

    In a language without a table they are the characters themselves.
    """
    table, unspaced = table_for(language), unspaced_table_for(language)
    digits = unspaced.words.digits if unspaced else str
    names = {one: table.number_words.cardinal(int(one)) if table else digits(one) for one in "0123456789"}
    names |= {one: letter_name(one, table) if table else one.upper() for one in "abcdef"}
    code = found[found.lastindex or 0]
    groups = code.split("-") if "-" in code or len(code) <= _LONG else re.findall(".{1,4}", code)
    spelled = (" ".join(names[one] for one in group.lower()) for group in groups)
    return f" {'、'.join(spelled)}" if unspaced else ", ".join(spelled)
