"""Signs between figures and words, and characters that are only drawn."""

from __future__ import annotations

import re

from kani.text.normalizer.spoken import Piece
from kani.text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani.text.writing import HAN

_HAN = re.compile(f"[{HAN}]")
_SUM = re.compile(r"[\d.%]+ ?[+*×x÷/-] ?[\d.]+ ?[=≈]")
_VALUE = re.compile(r"=? ?[-√]?[0-9A-Za-z]")
_RAISED = "(?:[²³]|の[二三]乗|ノ(?:ニ|サン)ジョー|的[二三]次方)"
_TERM, _UNKNOWN = (
    re.compile(rf"(?:(?<![A-Za-z])[{letters}]{_RAISED}?|[A-Za-z]{_RAISED})\Z") for letters in ("a-z", "xyz")
)
_ADDED, _TAKEN = (
    re.compile(rf" ?(?:\d{{1,4}}(?![\dA-Za-z])|\d{{0,3}}([{letters}])(?![A-Za-z]))", re.ASCII)
    for letters in ("a-z", "xyz")
)
_PAGE, _FIGURE = re.compile(r"(?<![A-Za-z])[Pp]{1,2}\.?(\d{1,4})\Z"), re.compile(r"\d{1,4}(?!\d)")
_MODEL_YEAR = re.compile(r"[A-Za-z] ?\d+\Z")
_THOUSANDS = re.compile(r"\d[kKwW]\Z")
_DAYS = re.compile(r"\d{1,3}(?:天|周|日)")
_DRAWN = "*_`~|^\\#"
_LETTERED = re.compile(r"(?<![A-Za-z])([A-Z]{1,2})\d{1,4}\Z")
_MODEL = re.compile(r"(?<![A-Za-z])[A-Za-z]\d{1,5}\Z")
_NETWORK_NAME = re.compile(r"(?<![A-Za-z_])[A-Z][A-Za-z]{2,}\Z")
_ACCOUNT = re.compile(
    r"(?:@|微信号?|帐号|账号|用户名|网名|QQ号?|ID|アカウント|ユーザー名)[:：是为は]?\s?[A-Za-z0-9_]+\Z"
)
_BETWEEN_LETTERS = re.compile(r"(?<=[0-9A-Za-z])[-_/](?=[0-9A-Za-z])")


def joins_terms(scan: Scan, at: int) -> bool:
    """True for the sign of an equation: "x=3", "2x + 5", "3x-2y". A hyphen needs an x, y or z."""
    mark, before = scan.text[at], scan.before(at).removesuffix(" ")
    if mark == "=":
        known = before[-1:].isascii() and (before[-1:].isalnum() or before[-1:] == ")")
        return (known or _TERM.search(before) is not None) and bool(_VALUE.match(scan.text, at + 1))
    behind = (_ADDED if mark == "+" else _TAKEN).match(scan.text, at + 1) if mark in "+-" else None
    term = (_TERM if mark == "+" else _UNKNOWN).search(before)
    variable = behind is not None and behind[1] is not None
    return behind is not None and (term is not None or (variable and before[-1:].isdecimal()))


def sign(scan: Scan, at: int) -> UnspacedReading | None:
    """A sign: between two figures, before or after words, or with a name of its own."""
    table, text = scan.table, scan.text
    mark = text[at]
    if mark in "=+-" and mark in table.between_figures and joins_terms(scan, at):
        said = table.between_words.get(mark, table.between_figures[mark])
        end = at + 1 + scan.text.startswith("==", at)
        return UnspacedReading((Piece(said, at, end),), end, number=False)
    place = at + 1 + (text[at + 1 : at + 2] == " ")
    figure_follows = text[place : place + 1].isdecimal() or text[place : place + 1] in table.currencies
    start = at - (text[at - 1 : at] == " ")
    if (noted := after_number(scan, at)) is not None:
        return noted
    behind_number = scan.last_number in (at, start) or scan.ends_quantity(at)
    if mark == "-" and figure_follows and start == at and _MODEL.search(scan.before(at)):
        # "i7-13700K", "B2-105"
        return UnspacedReading((Piece(" ", at, at + 1),), at + 1, number=False)
    named = re.search(r"[A-Za-z]\d+\Z", scan.before(at))
    if (
        mark == "+"
        and behind_number
        and not named
        and not figure_follows
        and not text[at + 1 : at + 2].isascii()
    ):
        # "100+人"
        return UnspacedReading((Piece(table.numbers.plus, at, at + 1),), at + 1, number=False)
    sided = mark == "×" and (figure_follows or behind_number)
    if (sided or (behind_number and figure_follows)) and mark in table.between_figures:
        spoken = table.between_figures[mark]
        if mark == "-" and not scan.in_sum:
            spoken = table.numbers.to
        scan.in_sum = mark != "-" or scan.in_sum
        return UnspacedReading((Piece(spoken, at, at + 1),), at + 1)
    zone = figure_follows and scan.before(at)[-3:] in ("UTC", "GMT")
    if mark in "+-" and (zone or (mark == "+" and scan.last_number == at and text[at + 1 : at + 2] != "+")):
        # "UTC+8", "18+"
        said = table.numbers.plus if mark == "+" else table.numbers.minus
        return UnspacedReading((Piece(said, at, at + 1),), at + 1, number=False)
    signed = text[place : place + 1] in ("-", "+") and text[place + 1 : place + 2].isdecimal()
    if behind_number and mark == "~" and (figure_follows or signed):
        return UnspacedReading((Piece(table.numbers.to, at, at + 1),), at + 1)
    if behind_number and mark in "=" and mark in table.between_words:
        return UnspacedReading((Piece(table.between_figures[mark], at, at + 1),), at + 1)
    if mark == "/" and "/" in table.between_words and (scan.ends_quantity(at) or behind_number):
        unit = max((one for one in table.units if text.startswith(one, at + 1)), key=len, default="")
        if unit and not text[at + 1 + len(unit) : at + 2 + len(unit)].isalnum():
            # "3.6万/㎡"
            end = at + 1 + len(unit)
            return UnspacedReading(
                (Piece(f"{table.between_words['/']}{table.units[unit].counter.said}", at, end),),
                end,
                number=False,
            )
    per = mark == "/" and "/" in table.between_words and _HAN.match(text, at + 1) is not None
    if per and (scan.ends_quantity(at) or behind_number or _THOUSANDS.search(scan.before(at))):
        return UnspacedReading((Piece(table.between_words["/"], at, at + 1),), at + 1, number=False)
    if mark == "~" and _joins_places(scan, at):
        return UnspacedReading((Piece(table.numbers.to, at, at + 1),), at + 1, number=False)
    lettered = _LETTERED.search(scan.before(at)) if mark in "-~" else None
    scale = scan.before(at)[-1:] if mark == "-" else ""
    ranged = scale in tuple("kKwW") and re.compile(rf"[\d.]+{scale}(?![A-Za-z])").match(text, at + 1)
    if ranged or (lettered is not None and re.compile(rf"{lettered[1]}\d").match(text, at + 1)):
        # "C12-C16", "8k-12k"
        return UnspacedReading((Piece(table.numbers.to, at, at + 1),), at + 1, number=False)
    if mark == "_" and _ACCOUNT.search(scan.before(at)):
        return UnspacedReading((Piece(table.web[mark], at, at + 1),), at + 1, number=False)
    if mark == "_" and _NETWORK_NAME.search(scan.before(at)) and text[place : place + 1].isdecimal():
        # "Casa_5G" has to be typed.
        return UnspacedReading((Piece(table.web[mark], at, at + 1),), at + 1, number=False)
    if mark in "-_/" and _BETWEEN_LETTERS.match(text, at):
        return UnspacedReading((Piece(" ", at, at + 1),), at + 1, number=False)
    if mark in table.signs:
        return UnspacedReading((Piece(table.signs[mark], at, at + 1),), at + 1, number=False)
    if mark in _DRAWN:
        return UnspacedReading((), at + 1, number=False)
    return None


def after_number(scan: Scan, at: int) -> UnspacedReading | None:
    """ "23'费莱尼" in a match, "3#楼", "P45-52", "tid×7天", "2名様〜", and the plus of "机油+机滤"."""
    table, text, mark = scan.table, scan.text, scan.text[at]
    following, before = text[at + 1 : at + 2], scan.before(at)
    said = ""
    goal = mark in "'′’" and scan.last_number == at and not _MODEL_YEAR.search(before)
    if goal and not following.isdecimal() and following != '"':
        said = "分钟" if not table.ruby else "フン"
    elif mark == "×" and not table.ruby and _DAYS.match(text, at + 1):
        said = "共"
    elif mark == "#" and scan.last_number == at and following in tuple("楼栋机线") and not table.ruby:
        said = "号"
    elif mark == "-" and (page := _PAGE.search(before)) and (last := _FIGURE.match(text, at + 1)):
        said = table.numbers.to if int(last.group()) > int(page[1]) else ""
    elif mark == "~" and table.ruby and scan.ends_quantity(at) and following in ("", *"、。)） "):
        said = table.numbers.to
    elif (
        mark == "+" and _HAN.match(following) and (_HAN.match(before[-1:]) or before[-1:] in ("", *"，。、 "))
    ):
        said = table.between_words.get(mark, "")
    return UnspacedReading((Piece(said, at, at + 1),), at + 1, number=False) if said else None


def _joins_places(scan: Scan, at: int) -> bool:
    """True for "東京〜大阪"; "好的~" is a long vowel, which is only drawn."""
    before, behind = scan.before(at)[-1:], scan.text[at + 1 : at + 2]
    placed = before.isascii() and before.isupper() and _HAN.match(behind)
    return scan.table.ruby and bool(placed or all(map(_HAN.match, (before, behind))))


def begins_sum(scan: Scan, at: int) -> bool:
    """True if the figures at ``at`` are the beginning of a sum: "5-3=2"."""
    return _SUM.match(scan.text, at) is not None
