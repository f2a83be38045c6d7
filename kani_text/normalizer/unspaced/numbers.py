"""Numbers with what stands after them: counters, units, magnitudes, ranges, scores."""

import re
from dataclasses import dataclass, replace

from kani_text import writing
from kani_text.normalizer.number_words.ja import JapaneseNumbers
from kani_text.normalizer.number_words.words import MAX_DIGITS, Counter
from kani_text.normalizer.number_words.zh import ChineseNumbers
from kani_text.normalizer.rules.numerals import ascii_digits
from kani_text.normalizer.spoken import Piece
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani_text.normalizer.unspaced.table import UnspacedTable, UnspacedUnit

FIGURES = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_FIGURES = re.compile(FIGURES)
_DASH = re.compile(r" ?[-~] ?")
_POWER = re.compile(r"\^-?\d{1,4}|⁻?[⁰¹²³⁴-⁹]{1,4}")
_SUM = "+*×÷="
_LONG = re.compile(r"\d{3,}")
_SIGNED = "+-±~≈"
_PAIR = re.compile(r"(0|[1-9]\d{0,5}) ?- ?(0|[1-9]\d{0,5})")
_SCORE_BEFORE = re.compile(r"(?<!\d)(\d{1,3})-(\d{1,3})[、，,]\s?\Z")
_HIGHEST_SCORE = 200
_GROUP = 4


@dataclass(frozen=True, slots=True)
class Figures:
    """A number: its digits, its decimals, and the characters ``[start, end)`` it is written in.

    power: of a magnitude that is written after the digits and not spoken as they are (Japanese).
    """

    digits: str
    decimals: str
    start: int
    end: int
    magnitude: str = ""

    @property
    def long(self) -> bool:
        """True if it is read digit by digit: a code as 007, or too long for a name."""
        return len(self.digits) > MAX_DIGITS + 1 or (len(self.digits) > 1 and self.digits[0] == "0")


def number(scan: Scan, at: int) -> UnspacedReading | None:
    """ "3个", "-5℃", "10-12%", "1亿2000万人"; the sign and the range are part of it."""
    table = scan.table
    sign = scan.text[at] if scan.text[at] in _SIGNED else ""
    first = parse_figures(scan, at + len(sign))
    if first is None:
        return None
    second = second_figures(scan, first)
    middle = (second or first).end
    word, place = scan.word_after(middle)
    if second is None and not sign and (powered := _powered(scan, first, word)) is not None:
        return powered
    if second is not None and (joined := _joined_by(scan, first, second, word)):
        return _say_score(scan, first, second, joined)
    magnitude = ""
    if (unit := _unit_after(scan, word, place)) is not None:
        middle, magnitude, (word, place) = place + len(word), word, unit
    below = sign == "-" and word in table.temperatures
    said = table.numbers.below_zero if below else sign_name(sign, table)
    said += _say_pair(scan, first, second, magnitude, word)
    end = place + len(word)
    if word in table.currencies and len(word) > 2:
        # "20USD"
        return UnspacedReading.of(said + table.currencies[word].said, at, end)
    return read(said, at, middle, end if _takes(word, table) else middle, table.units.get(word), scan)


def _unit_after(scan: Scan, word: str, place: int) -> tuple[str, int] | None:
    """The unit after a Chinese magnitude, "8.6万km", and where it begins."""
    if word not in scan.table.numbers.magnitudes:
        return None
    unit = scan.word_after(place + len(word))
    return unit if unit[0] in scan.table.units else None


def sign_name(sign: str, table: UnspacedTable) -> str:
    """The spoken form of a sign before a number."""
    numbers = table.numbers
    names = {"": "", "-": numbers.minus, "+": numbers.plus, "±": numbers.plus_minus}
    return names.get(sign, numbers.about)


def parse_figures(scan: Scan, at: int) -> Figures | None:
    """The number at ``at``; in Japanese with its magnitudes ("1億2000万")."""
    found = _FIGURES.match(scan.text, at)
    if found is None:
        return None
    whole, _, decimals = found.group().partition(".")
    figures = Figures(ascii_digits(whole.replace(",", "")), ascii_digits(decimals), at, found.end())
    if scan.table.words.kana and not figures.long:
        return _with_magnitudes(scan, figures)
    return figures


def say_one_by_one(digits: str, table: UnspacedTable) -> str:
    """Digits one by one; a long row in groups, with a pause after each."""
    if len(digits) <= MAX_DIGITS + 1:
        return table.words.digits(digits)
    groups = [digits[at : at + _GROUP] for at in range(0, len(digits), _GROUP)]
    return "、".join(map(table.words.digits, groups))


def counted(value: int, counter: str, table: UnspacedTable) -> str:
    """A whole number with its counter, as dates and times have it."""
    known = table.counters.get(counter, Counter())
    return table.words.counted(value, "", known if known.said else replace(known, said=counter))


def _with_magnitudes(scan: Scan, figures: Figures) -> Figures:
    """Multiply by the magnitudes after the digits, and add the digits that go on after these."""
    table, total, current, end = scan.table, 0, int(figures.digits), figures.end
    name = ""
    while True:
        word, place = scan.word_after(end)
        power = table.numbers.magnitudes.get(word)
        if power is None or place != end:
            break
        end = place + len(word)
        name += word
        if figures.decimals:
            return Figures(figures.digits, figures.decimals, figures.start, end, word)
        current *= 10**power
        scan.require_run(end)
        more = _FIGURES.match(scan.text, end)
        if power >= _GROUP and more is not None and more.group().isdecimal():
            total, current, end = total + current, int(ascii_digits(more.group())[:MAX_DIGITS]), more.end()
    value = total + current
    return Figures(str(value) if name else figures.digits, figures.decimals, figures.start, end)


def _joined_by(scan: Scan, first: Figures, second: Figures, word: str) -> str:
    """The words for the hyphen of "图2-1" and of a score ("3-1": no range falls); "" for others."""
    pair = _PAIR.fullmatch(scan.text, first.start, second.end)
    if pair is None:
        return ""
    at, before, table = pair.span(), scan.before(first.start), scan.table
    falls = int(pair[2]) <= int(pair[1]) < _HIGHEST_SCORE
    if scan.is_beside("parts", *at) or (falls and before.endswith(table.numbers.ordinal_after)):
        return table.phones.joined or table.web["-"]
    if word and scan.is_beside("no_scores", *at):
        return ""
    listed = (score := _SCORE_BEFORE.search(before)) is not None and int(score[1]) > int(score[2])
    scored = falls or (not word and (listed or scan.is_beside("scores", *at)))
    return table.numbers.ratio if scored else ""


def _say_score(scan: Scan, first: Figures, second: Figures, joined: str) -> UnspacedReading:
    said = [scan.table.words.cardinal(int(one.digits)) for one in (first, second)]
    between = Piece(joined, first.end, second.start)
    begin, end = Piece(said[0], first.start, first.end), Piece(said[1], second.start, second.end)
    return UnspacedReading((begin, between, end), second.end)


def second_figures(scan: Scan, first: Figures) -> Figures | None:
    """The end of a range that begins with ``first``, unless it is a difference or a sum."""
    dash = _DASH.match(scan.text, first.end)
    letter = scan.before(first.start)[-1:]
    if dash is None or (letter.isascii() and letter.isalpha() and "~" not in dash.group()):
        return None
    if "-" in dash.group() and scan.before(first.start).rstrip().endswith(tuple(_SUM)):
        return None
    second = parse_figures(scan, dash.end())
    return None if second is None or scan.text.startswith(("=", ":", "/"), second.end) else second


def _say_pair(scan: Scan, first: Figures, second: Figures | None, magnitude: str, word: str) -> str:
    """One number or a range, with what it counts where that is said with it."""
    table, written = scan.table, magnitude or word
    unit, counter = table.units.get(word), table.counters.get(written, Counter())
    if unit is not None:
        # "2万公里", "2公里"
        counter = replace(counter, said=magnitude + unit.counter.said) if magnitude else unit.counter
    said = unit.before if unit is not None else ""
    if second is not None:
        said += say_counted(scan, first, counter.begins(), written) + table.numbers.to
    return said + say_counted(scan, second or first, counter, written)


def say_counted(scan: Scan, figures: Figures, counter: Counter, word: str) -> str:
    """A number with its counter; word: what is written after it, or the sign of money before it."""
    table, words, at = scan.table, scan.table.words, (figures.start, figures.end)
    if figures.long or _is_one_by_one(scan, figures, word):
        return say_one_by_one(figures.digits, table) + counter.said
    dated = not word and scan.is_beside("years_alone", *at) and not scan.is_beside("no_years", *at)
    if dated or scan.is_beside("years", *at):
        return words.digits(figures.digits) + counter.said
    if figures.magnitude:
        power = words.cardinal(10 ** table.numbers.magnitudes[figures.magnitude]).removeprefix("イチ")
        return words.decimal(int(figures.digits), figures.decimals) + power + counter.said
    value, moments = int(figures.digits), table.moments
    if word == moments.day and value == 1 and scan.before(figures.start).endswith(moments.month):
        return moments.first_day or words.counted(value, "", counter)
    if scan.is_beside("uncounted", *at):
        return say_plain(figures, words) + counter.said
    return words.counted(value, figures.decimals, counter)


def say_plain(figures: Figures, words: ChineseNumbers | JapaneseNumbers) -> str:
    """A number without what it counts."""
    return words.counted(int(figures.digits[: MAX_DIGITS + 1]), figures.decimals, Counter())


def _is_one_by_one(scan: Scan, figures: Figures, word: str) -> bool:
    """True for the number of a room, of a flight and the like."""
    at, numbers = (figures.start, figures.end), scan.table.numbers
    if word in scan.table.currencies:
        return False
    if scan.is_beside("one_by_one", *at) or (not word and scan.is_beside("one_by_one_alone", *at)):
        return True
    if _LONG.fullmatch(scan.text, *at) is None:
        return False
    named = numbers.one_by_one_after.search(scan.before(figures.start)) is not None
    return named or word in numbers.one_by_one_before


def _takes(word: str, table: UnspacedTable) -> bool:
    """True if ``word`` is said together with its number; other words are said as they are written."""
    return word in table.units or table.counters.get(word, Counter()).said != ""


def read(
    said: str, start: int, middle: int, end: int, unit: UnspacedUnit | None, scan: Scan
) -> UnspacedReading:
    """One piece for the number and one for its unit where they come in the written order."""
    if unit is not None and not unit.before and not scan.table.words.kana:
        name = unit.counter.said
        pieces = Piece(said.removesuffix(name), start, middle), Piece(name, middle, end)
        return UnspacedReading(pieces, end)
    return UnspacedReading.of(said, start, end)


def _powered(scan: Scan, figures: Figures, word: str) -> UnspacedReading | None:
    """ "10^8", "10⁸"."""
    found = _POWER.match(scan.text, figures.end)
    if found is None or word in scan.table.units:
        return None
    raised = found.group().lstrip("^").translate(writing.RAISED)
    table = scan.table
    exponent = ("" if raised[0] != "-" else table.numbers.minus) + table.words.cardinal(
        int(raised.lstrip("-"))
    )
    said, end = say_plain(figures, table.words) + table.numbers.power.replace("{n}", exponent), found.end()
    symbol, begin = scan.word_after(end)
    if (unit := table.units.get(symbol)) is not None:
        # "3×10⁸m/s"
        per = unit.before
        if table.words.kana and per:
            per = f"マイ{per.removesuffix('ソク')}"
        said, end = said + unit.counter.said + per, begin + len(symbol)
    return UnspacedReading.of(said, figures.start, end)
