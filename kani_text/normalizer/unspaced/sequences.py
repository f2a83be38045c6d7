"""Figures and Latin letters that are no amounts: telephone numbers, versions, addresses, words."""

import re
from collections.abc import Callable
from dataclasses import replace

from kani_text.normalizer.rules.numerals import LOWERED
from kani_text.normalizer.rules.urls import CHANGE, LONGEST_SPELLED_OUT, TOP_LEVEL_DOMAINS
from kani_text.normalizer.spoken import FIGURES, Piece
from kani_text.normalizer.unspaced.numbers import say_one_by_one
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani_text.writing import roman_value

_FAR = re.compile(r"\+\d{1,3}(?:[ -]?\(?\d{1,5}\)?){2,5}")
_GOES_ON = re.compile(r"\d|-\d|,\d{3}(?!\d)|\.\d")
_PLAIN_PHONE = re.compile(r"\d{3,13}(?:-\d{2,8}){0,4}(?![\d.,:/%])")
_DOTTED = re.compile(r"(?P<version>[vV](?:er)?\.?)?(?P<numbers>\d{1,5}(?:\.\d{1,5}){2,6})(?![\d.]*\d)")
_VERSION = re.compile(r"(?P<version>[vV](?:er)?\.?)(?P<numbers>\d{1,5}(?:\.\d{1,5}){0,6})(?!\.?[A-Za-z\d])")
_HYPHENED = re.compile(r"(?:\d{1,15}(?:-\d{1,15}){2,10}|0\d{2,8}-\d{1,8})(?![\d-])")
_FALLING = re.compile(r"(\d{3,6})-(\d{1,5})(?![\d-])")
_EVENT = re.compile(r"(\d{1,2})·(\d{1,2})(?![\d·])")
_EMAIL = re.compile(
    r"(?:mailto:)?([A-Za-z0-9][\w.+%-]{0,63}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6})", re.ASCII
)
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,18}"
_URL = re.compile(
    rf"(?P<scheme>[A-Za-z]{{2,8}}://)?(?P<shown>(?P<host>{_HOST}|localhost|\d{{1,3}}(?:\.\d{{1,3}}){{3}})(?::\d{{1,5}})?"
    r"(?P<path>(?:[/?#][!-~]*)?))",
    re.ASCII,
)
_FILE = re.compile(
    r"(?:[A-Za-z0-9_.-]{1,64}/){0,8}[A-Za-z0-9_()-]{1,64}(?:\.[A-Za-z0-9_()-]{1,64}){0,4}\.([A-Za-z0-9]{1,5})(?![A-Za-z0-9])"
)
_FILES = frozenset(
    """pdf doc docx xls xlsx ppt pptx txt csv json xml html zip rar png jpg jpeg gif mp3 mp4 wav py js md yaml
    yml toml ini log svg webp css ts tsx jsx sh rs go java cpp sql ipynb epub gz""".split()
)
_CHARACTERS = re.compile(".")
_PARTS = re.compile(r"[A-Za-z]+|\d+|.", re.DOTALL)
_LATIN = r"[^\W\d_²³\u2e80-\uffff]"
_WORD = re.compile(rf"{_LATIN}+(?:['’.-](?={_LATIN}){_LATIN}+)*")
_NUMBER_SIGN = re.compile(r"(?:[Nn][Oo]\. ?|№ ?|#)(?=\d)")
_MIXED = re.compile(
    r"(?P<sign>#)?(?P<code>0x[0-9A-Fa-f]{1,16}|(?=[A-Z\d]*[A-Z])(?=[A-Z\d]*\d)[A-Z\d]{5,20})(?![A-Za-z\d])"
)
_CALL_NUMBER = re.compile(r"[A-Z]{1,2}\d{1,3}(?:\.\d{1,4})?/\d{1,5}(?![\d/])")
_ROMAN = re.compile(r"[IVX]{1,6}(?![A-Za-z\d])")
_FEWEST_CHANGES = 3
_DIALLED = re.compile(r"#(\d{4})(?!\d)")
_LONG = re.compile(r"\d{5,20}(?![\d,.])|\d{2,8}(?:-0?\d{2,8}){1,3}(?![\d,.])")
_LONGER_THAN_SHORT = 6
_SMALL = frozenset("₀₁₂₃₄₅₆₇₈₉")


def roman(scan: Scan, at: int) -> UnspacedReading | None:
    """A Roman numeral by what stands beside it: "第Ⅱ章", "II型", "数学III".

    "V型" has the shape of the letter, and "XX大学" is any university.
    """
    found = _ROMAN.match(scan.text, at)
    value = roman_value(found.group()) if found else None
    if found is None or value is None or not scan.is_beside("romans", *found.span()):
        return None
    return UnspacedReading.of(scan.table.words.cardinal(value), at, found.end())


def phone(scan: Scan, at: int) -> UnspacedReading | None:
    """A telephone number: international, of a pattern in the table, or after a word for one."""
    table = scan.table
    far = _FAR.match(scan.text, at)
    if far is not None and 7 <= sum(map(str.isdigit, far.group())) <= 15:
        return _say_phone(scan, at, far.end())
    for pattern in table.phones.patterns:
        found = pattern.match(scan.text, at)
        if found is not None and not _GOES_ON.match(scan.text, found.end()) and not _counts(scan, found):
            return _say_phone(scan, at, found.end())
    found = _PLAIN_PHONE.match(scan.text, at) if table.phones.after.search(scan.before(at)) else None
    return _say_phone(scan, at, found.end()) if found is not None and not _counts(scan, found) else None


def _counts(scan: Scan, found: re.Match[str]) -> bool:
    """True if a short number counts what stands after it: "打100分"."""
    return len(found.group()) < _LONGER_THAN_SHORT and scan.word_after(found.end())[0] != ""


def _say_phone(scan: Scan, at: int, end: int) -> UnspacedReading:
    table = scan.table
    pieces = [Piece(table.numbers.plus, at, at + 1)] if scan.text[at] == "+" else []
    groups = list(FIGURES.finditer(scan.text, at, end))
    for group in groups:
        digits = table.words.digits
        said = digits(group.group()).replace(digits("1"), table.phones.one)
        if group is not groups[-1] and table.phones.joined:
            said += table.phones.joined + " "
        first = at if group is groups[0] and not pieces else group.start()
        pieces.append(Piece(said, first, end if group is groups[-1] else group.end()))
    return UnspacedReading(tuple(pieces), end)


def dotted(scan: Scan, at: int) -> UnspacedReading | None:
    """ "v2.0.1", "192.168.1.1"; a capital before just a number is a letter, but after a word for software."""
    found = _DOTTED.match(scan.text, at) or _VERSION.match(scan.text, at)
    if found is None:
        return None
    if found["version"] == "V" and "." not in found["numbers"] and not scan.is_beside("software", at, at):
        return None
    table = scan.table
    address = found["numbers"].count(".") == len("...") and not found["version"]

    def say(part: str) -> str:
        if part == ".":
            return table.numbers.point
        one_by_one = address or (part[0] == "0" and len(part) > 1)
        return table.words.digits(part) if one_by_one else table.words.cardinal(int(part))

    numbers = _each(_PARTS, scan, *found.span("numbers"), say)
    if not found["version"]:
        return numbers
    said = "" if scan.is_beside("versions", at, at) else table.version
    return UnspacedReading((Piece(said, at, found.start("numbers")), *numbers.pieces), found.end())


def hyphened(scan: Scan, at: int) -> UnspacedReading | None:
    """ "978-7-302-1234": the digits of a number that is a name."""
    if event := _EVENT.match(scan.text, at):
        # "9·11事件": a date that has become a name
        said = scan.table.words.digits(event[1] + event[2])
        return UnspacedReading.of(said, at, event.end())
    found = _HYPHENED.match(scan.text, at)
    if found is None and scan.is_beside("numbered", at, at):
        # "No.2024-118" is no range.
        found = _FALLING.match(scan.text, at)
    if found is None:
        return None
    digits = scan.table.words.digits
    return _each(_PARTS, scan, *found.span(), lambda part: "、" if part == "-" else digits(part))


def address(scan: Scan, at: int) -> UnspacedReading | None:
    """An e-mail or web address, or the name of a file."""
    text = scan.text
    if at and text[at - 1].isascii() and (text[at - 1].isalnum() or text[at - 1] in "@._-"):
        return None
    if email := _EMAIL.match(text, at):
        end = email.end() - (email.group()[-1] in ".-")
        return _say_signs(scan, email.start(1), end, end)
    if url := _URL.match(text, at):
        known = url["scheme"] or url["host"].lower().startswith("www.") or url["path"][:1] == "/"
        if known or url["host"].rpartition(".")[2].lower() in TOP_LEVEL_DOMAINS:
            end = at + len(url.group().rstrip(".,;:!?)'\""))
            shown = end if end - url.start("shown") <= LONGEST_SPELLED_OUT else url.end("host")
            if text[shown - 1] == "/":
                shown -= 1
            return _say_signs(scan, url.start("shown"), shown, end)
    file = _FILE.match(text, at)
    if file is not None and file[1].lower() in _FILES:
        return _say_signs(scan, at, file.end(), file.end())
    return None


def _each(
    pattern: re.Pattern[str], scan: Scan, start: int, end: int, say: Callable[[str], str]
) -> UnspacedReading:
    """The spoken form of each part of the text from start to end."""
    parts = pattern.finditer(scan.text, start, end)
    return UnspacedReading(tuple(Piece(say(part[0]), *part.span()) for part in parts), end)


def _one_by_one(scan: Scan, start: int, end: int) -> UnspacedReading:
    """Figures one by one, signs by name, letters as they are."""
    digits, web = scan.table.words.digits, scan.table.web
    return _each(
        _CHARACTERS, scan, start, end, lambda one: digits(one) if one.isdecimal() else web.get(one, one)
    )


def _say_signs(scan: Scan, start: int, shown: int, end: int) -> UnspacedReading:
    """Words as they are, digits and signs by name; what is not shown is not said."""
    table = scan.table

    def say(part: str) -> str:
        if part.isdecimal():
            return say_one_by_one(part, table) if len(part) > 1 else table.words.cardinal(int(part))
        return part if part.isalpha() else table.web.get(part, " ")

    return replace(_each(_PARTS, scan, start, shown, say), end=end)


def number_sign(scan: Scan, at: int) -> UnspacedReading | None:
    """ "No.5", "#3": the word for number."""
    found = _NUMBER_SIGN.match(scan.text, at)
    if found is None:
        return None
    sharp = _DIALLED.match(scan.text, at) if scan.table.words.kana else None
    if sharp is not None:
        # "#7119" is dialled.
        said = f"{scan.table.web['#']} {scan.table.words.digits(sharp[1])}"
        return UnspacedReading.of(said, at, sharp.end())
    named = scan.table.numbers.one_by_one_after.search(scan.before(at))
    said = "" if named else scan.table.numbers.number_sign
    if (long := _LONG.match(scan.text, found.end())) is not None:
        # "No.20251014", "#2025-014": a name
        said = " ".join((said, *map(scan.table.words.digits, FIGURES.findall(long.group())))).strip()
    end = long.end() if long else found.end()
    return UnspacedReading.of(said, at, end)


def call_number(scan: Scan, at: int) -> UnspacedReading | None:
    """ "馆藏号I247.5/318": letters, and figures one by one."""
    found = _CALL_NUMBER.match(scan.text, at)
    if found is None or scan.before(at).rstrip(":： ")[-1:] != "号":
        return None
    return _one_by_one(scan, *found.span())


def mixed(scan: Scan, at: int) -> UnspacedReading | None:
    """ "#88K4T2", "0x80070057": letters and figures in turn, one by one."""
    found = _MIXED.match(scan.text, at)
    before = scan.text[at - 1 : at] if at else ""
    if found is None or (before.isascii() and before.isalnum()):
        return None
    code = found["code"]
    if code[:2] != "0x" and len(CHANGE.findall(code)) < (1 if found["sign"] else _FEWEST_CHANGES):
        return None
    return _one_by_one(scan, *found.span("code"))


def latin_word(scan: Scan, at: int) -> UnspacedReading:
    """A word in Latin letters, as it is written."""
    found = _WORD.match(scan.text, at)
    assert found is not None
    digits = scan.table.words.digits
    # "H₂O"
    said = _each(
        _CHARACTERS, scan, *found.span(), lambda one: digits(one.translate(LOWERED)) if one in _SMALL else one
    )
    return replace(said, number=False)
