"""Money and fractions."""

import re
from dataclasses import replace

from kani_text.normalizer.number_words.words import Counter
from kani_text.normalizer.rules.numerals import VULGAR_FRACTIONS
from kani_text.normalizer.unspaced.numbers import (
    Figures,
    parse_figures,
    read,
    say_counted,
    second_figures,
)
from kani_text.normalizer.unspaced.scan import Scan, UnspacedReading
from kani_text.normalizer.unspaced.table import UnspacedTable

_FRACTION = re.compile(r"(?:(?P<whole>\d{1,4}) )?(?P<numerator>\d{1,6})[/⁄](?P<denominator>\d{1,6})(?![\d/])")
_PARTS_OF = re.compile(r"(\d{1,8})分の(\d{1,3})")
_MOST_STARS, _LEAST_PRESSURE = 10, 30


def money(scan: Scan, at: int) -> UnspacedReading | None:
    """ "¥1,250.50", "$3.5万", "USD 20": the currency is said after its amount."""
    table = scan.table
    longest = next((length for length in (3, 2, 1) if scan.text[at : at + length] in table.currencies), 0)
    if not longest:
        return None
    code = scan.text[at : at + longest]
    place = at + longest
    place += scan.text[place : place + 1] == " "
    scan.require(place)
    first = parse_figures(scan, place)
    if first is None:
        return None
    second = second_figures(scan, first)
    last = second or first
    word, following = scan.word_after(last.end)
    magnitude = word if word in table.numbers.magnitudes else ""
    currency = table.currencies[code]
    end = following + len(magnitude) if magnitude else last.end
    said = (
        f"{_say_money(scan, first, currency.begins(), code)}{table.numbers.to}" if second is not None else ""
    )
    said += _say_money(scan, last, replace(currency, said=magnitude + currency.said), code)
    return UnspacedReading.of(said, at, end)


def fraction(scan: Scan, at: int) -> UnspacedReading | None:
    """ "3/4", "2 1/2 kg": the denominator comes first; Japanese "3分の1"."""
    words, table = scan.table.words, scan.table
    if parts := _PARTS_OF.match(scan.text, at):
        said = say_fraction(int(parts[2]), int(parts[1]), table)
        return UnspacedReading.of(said, at, parts.end())
    found = _FRACTION.match(scan.text, at)
    if found is None or not int(found["denominator"]) or scan.text[at - 1 : at] == "/":
        return None
    of, whole, end = int(found["numerator"]), int(found["denominator"]), found.end()
    season = len(found["numerator"]) == len("2019") and of + 1 in (whole, of // 100 * 100 + whole)
    if season or scan.is_beside("sizes", at, end):
        sizes = words.digits(found["numerator"]) + words.digits(found["denominator"])
        return UnspacedReading.of(sizes, at, end)
    joined = None if found["whole"] else _joined(scan, found, of, whole)
    if joined is not None:
        said = f"{words.cardinal(of)}{joined}{words.cardinal(whole)}"
        return _read_with_unit(said, whole, at, end, scan)
    said = say_fraction(of, whole, table)
    if found["whole"]:
        said = f"{words.cardinal(int(found['whole']))}{table.numbers.mixed}{said}"
    return _read_with_unit(said, of, at, end, scan)


def _joined(scan: Scan, found: re.Match[str], of: int, whole: int) -> str | None:
    """The words between two numbers that are no part of a whole; None where they are one."""
    if of == whole > _MOST_STARS or found.group() == "24/7":
        return ""
    if of > whole > _LEAST_PRESSURE or scan.is_beside("compared", *found.span()):
        # The pressure of blood, 130/85
        return "、"
    if of > whole or not scan.is_beside("steps", *found.span()):
        return None
    # "12/33层", "已重试3/5次"
    counter = scan.text[found.end() : found.end() + 1]
    return f"{counter}共" if scan.is_beside("counted_steps", *found.span()) else scan.table.web["/"]


def vulgar_fraction(scan: Scan, at: int) -> UnspacedReading | None:
    """ "½", "½ kg"; after a number it is joined with it."""
    if (part := VULGAR_FRACTIONS.get(scan.text[at])) is None:
        return None
    said = say_fraction(*part, scan.table)
    if scan.last_number == at and scan.text[at - 1].isdecimal():
        said = scan.table.numbers.mixed + said
    return _read_with_unit(said, part[0], at, at + 1, scan)


def say_fraction(numerator: int, denominator: int, table: UnspacedTable) -> str:
    """A fraction in words."""
    words = table.words
    return table.numbers.fraction.format(
        numerator=words.cardinal(numerator), denominator=words.cardinal(denominator)
    )


def _read_with_unit(said: str, numerator: int, start: int, middle: int, scan: Scan) -> UnspacedReading:
    """A fraction with the unit or the counter after it, if there is one."""
    word, place = scan.word_after(middle)
    unit, words = scan.table.units.get(word), scan.table.words
    counter = scan.table.counters.get(word, Counter())
    if unit is None and counter.said and place == middle:
        # "1/2本", "1/2つ"
        one, plain = words.cardinal(numerator), replace(counter, whole={})
        said = said.removesuffix(one) + words.counted(numerator, "", plain)
        return UnspacedReading.of(said, start, place + len(word))
    if unit is None:
        return UnspacedReading.of(said, start, middle)
    said = unit.before + said + unit.counter.said
    return read(said, start, middle, place + len(word), unit, scan)


def _say_money(scan: Scan, figures: Figures, currency: Counter, code: str) -> str:
    """An amount, its decimals without the zeros at their end."""
    return say_counted(scan, replace(figures, decimals=figures.decimals.rstrip("0")), currency, code)


def compound_unit(written: str, table: UnspacedTable) -> str:
    """A spelling of ``compound_units`` in words; as it is where the table has the whole or lacks a part."""
    over, *under = written.split("/")
    said = [_factor(factor, table) for factor in over.split("·")]
    divisors = [_factor(factor, table) for factor in under]
    if written in table.units or not all((*said, *divisors)):
        return written
    return "".join((*said, *(table.per + divisor for divisor in divisors)))


def per_unit(scan: Scan, at: int) -> UnspacedReading | None:
    """The unit of "每kWh0.56元", which has no number of its own."""
    table = scan.table
    if not scan.before(at).rstrip(" ").endswith(table.per):
        return None
    symbol = max((one for one in table.units if scan.text.startswith(one, at)), key=len, default="")
    end = at + len(symbol)
    following = scan.text[end : end + 1]
    if len(symbol) < len("km") or (following.isascii() and following.isalpha()):
        return None
    return UnspacedReading.of(table.units[symbol].counter.said, at, end, number=False)


def _factor(written: str, table: UnspacedTable) -> str:
    """A unit and its power; "" where the table lacks it."""
    for unit, power in ((written, ""), (written[:-1], written[-1:])):
        known = table.units.get(unit) or table.units.get(f"·{unit}")
        if known is not None and not power:
            return known.counter.said
        if known is not None and power in ("²", "³"):
            return table.powers["²³".index(power)].format(unit=known.counter.said)
    return ""
