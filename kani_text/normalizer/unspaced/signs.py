"""Signs between figures and words, and characters that are only drawn."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kani_text.normalizer.unspaced.numbers import sign_name
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani_text.normalizer.unspaced.table import UnspacedTable
from kani_text.writing import HAN

_SUM = re.compile(r"[\d.%]+ ?[+*×x÷/-] ?[\d.]+ ?[=≈]")
_OF_EQUATIONS = r"[0-9A-Za-z)] ?<=>=? ?[-√]?[0-9A-Za-z]"
_OF_TERMS = (
    r"(?<![A-Za-z])[{letters}] ?<\{sign}> ?(?:\d{{1,4}}(?![\dA-Za-z])|\d{{0,3}}[{letters}](?![A-Za-z]))"
    r"|\d ?<\{sign}> ?\d{{0,3}}[{letters}](?![A-Za-z])"
)
_TERMS = re.compile(
    "|".join(
        (
            _OF_EQUATIONS,
            _OF_TERMS.format(sign="+", letters="a-z"),
            # Other letters are joined with hyphens, too.
            _OF_TERMS.format(sign="-", letters="xyz"),
        )
    ),
    re.ASCII,
)
_DRAWN = "*_`~|^\\#"


@dataclass(frozen=True, slots=True)
class _Row:
    """The word of a sign ("<…>") by the text before and after it.

    said: a word of [numbers], a section with one for the sign, or the word itself. counted: only after a
    number, or what it counts.
    """

    said: str
    pattern: re.Pattern[str]
    counted: bool = False


_BEFORE_SUMS = (
    # "P45-52", "C12-C16", "8k-12k"
    _Row("to", re.compile(r"(?<![A-Za-z])[Pp]{1,2}\.?\d{1,4}<->\d{1,4}(?!\d)")),
    _Row("to", re.compile(r"(?<![A-Za-z])(?P<letters>[A-Z]{1,2})\d{1,4}<[-~]>(?P=letters)\d")),
    _Row("to", re.compile(r"\d(?P<thousands>[kKwW])<->[\d.]+(?P=thousands)(?![A-Za-z])")),
    # "i7-13700K"
    _Row(" ", re.compile(r"(?<![A-Za-z])[A-Za-z]\d{1,5}<-> ?[\d¥$€£]")),
    # "机油+机滤"
    _Row("between_words", re.compile(rf"(?:[{HAN}，。、 ]|\A)<\+>[{HAN}]")),
)
_AFTER_SUMS = (
    # "UTC+8", "18+", "100+人"
    _Row("sign", re.compile(r"(?:UTC|GMT)<[+-]> ?\d")),
    _Row("sign", re.compile(r"(?<! )<\+>(?!\+)|<\+>[^\x00-\x7f]"), counted=True),
    _Row("to", re.compile(r"<~> ?[-+]?[\d¥$€£]"), counted=True),
    _Row("between_figures", re.compile("<=>"), counted=True),
    # "50元/月", "15k/月"
    _Row("between_words", re.compile(rf"</>[{HAN}]"), counted=True),
    _Row("between_words", re.compile(rf"\d[kKwW]</>[{HAN}]")),
    # The name of an account or of a network has to be typed.
    _Row(
        "web",
        re.compile(
            r"(?:@|微信号?|帐号|账号|用户名|网名|QQ号?|ID|アカウント|ユーザー名)[:：是为は]?\s?[A-Za-z0-9_]+<_>"
            r"|(?<![A-Za-z_])[A-Z][A-Za-z]{2,}<_> ?\d"
        ),
    ),
    _Row(" ", re.compile("[0-9A-Za-z]<[-_/]>[0-9A-Za-z]")),
)


def joins_terms(scan: Scan, at: int) -> bool:
    """True for the sign of an equation: "x=3", "2x + 5", "3x-2y"."""
    return _TERMS.search(scan.around(at, at + 1)) is not None


def sign(scan: Scan, at: int) -> UnspacedReading | None:
    """A sign: between two figures, before or after words, or with a name of its own."""
    table, mark = scan.table, scan.text[at]
    if mark in "=+-" and joins_terms(scan, at):
        said = table.between_words.get(mark, table.between_figures[mark])
        return UnspacedReading.of(said, at, at + 1 + scan.text.startswith("==", at), number=False)
    start = at - (scan.text[at - 1 : at] == " ")
    counted = scan.last_number in (at, start) or scan.ends_quantity(at)
    reading = (
        _by_row(_BEFORE_SUMS, scan, at, counted)
        or _calculation(scan, at, counted)
        or (_per_unit(scan, at) if counted else None)
        or _by_row(_AFTER_SUMS, scan, at, counted)
    )
    if reading is not None or (mark not in table.signs and mark not in _DRAWN):
        return reading
    return UnspacedReading.of(table.signs.get(mark, ""), at, at + 1, number=False)


def begins_sum(scan: Scan, at: int) -> bool:
    """True if the figures at ``at`` are the beginning of a sum: "5-3=2"."""
    return _SUM.match(scan.text, at) is not None


def _by_row(rows: Iterable[_Row], scan: Scan, at: int, counted: bool) -> UnspacedReading | None:
    around = scan.around(at, at + 1)
    for row in rows:
        holds = (counted or not row.counted) and row.pattern.search(around)
        if holds and (said := _said(row.said, scan.text[at], scan.table)):
            return UnspacedReading.of(said, at, at + 1, number=row.counted and scan.text[at] in "~=")
    return None


def _said(name: str, mark: str, table: UnspacedTable) -> str:
    if name in ("between_figures", "between_words", "web"):
        section: dict[str, str] = getattr(table, name)
        return section.get(mark, "")
    return {"to": table.numbers.to, "sign": sign_name(mark, table)}.get(name, name)


def _calculation(scan: Scan, at: int, counted: bool) -> UnspacedReading | None:
    """A sign between two figures; a hyphen is "to", except in a sum."""
    table, mark = scan.table, scan.text[at]
    following = scan.text[at + 1 :][:2].lstrip(" ")[:1]
    figure = following.isdecimal() or following in table.currencies
    sided = (figure or counted) if mark == "×" else (figure and counted)
    if not sided or mark not in table.between_figures:
        return None
    said = table.numbers.to if mark == "-" and not scan.in_sum else table.between_figures[mark]
    scan.in_sum = mark != "-" or scan.in_sum
    return UnspacedReading.of(said, at, at + 1)


def _per_unit(scan: Scan, at: int) -> UnspacedReading | None:
    """ "3.6万/㎡"."""
    unit, place = scan.word_after(at + 1) if scan.text[at] == "/" else ("", at)
    per = scan.table.between_words.get("/", "")
    if unit not in scan.table.units or not per or place != at + 1:
        return None
    return UnspacedReading.of(per + scan.table.units[unit].counter.said, at, place + len(unit), number=False)
