"""Spellings of numbers that become others, which the rules know: "12 500€", "+/-3", "15:3=5"."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path

from kani_text.normalizer.rules.acronyms import roman_value
from kani_text.normalizer.spelling_functions import (
    DAY_OF_LOG,
    IDENTIFIER,
    SPAN,
    day_of_log,
    days_of_span,
    in_full,
    minutes_and_seconds,
    named_characters,
    raised_numeral,
    said_once,
)
from kani_text.normalizer.tables.file import read_table_file
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.readings import Reading, parse_readings
from kani_text.writing import RAISED

_WITH_ROMANS = (
    r"act|acto|acte|akt|atto|ato|sc(?:ene|\.)|esc(?:ena|\.)|szene|scena|cena|scène|canto|p{1,2}\.|págs?\.|pages?"
    r"|páginas?|pagine?|seiten?|vol\.|cap\.|chap(?:ter|\.)"
)
_SMALL_ROMAN = "(?:x{1,3}(?:ix|iv|v?i{1,3}|v)|ix|iv|vi{1,3}|i{2,3}|x{2,3})"
_NO_TICKER = "US|CA|AU|NZ|HK|SG|MX|HOME|PATH|PWD|SHELL|LANG|TERM|TMP"

Becomes = str | Callable[[re.Match[str]], str]

Spelling = tuple[str, str | LazyPattern, Becomes]


_FILE = read_table_file(Path(__file__).with_name("spellings.toml"))
_PARTS, _READINGS = _FILE.section("parts").all_texts(), _FILE.section("readings")
_SHARED = [
    (languages.split(), parse_readings(_READINGS.section(languages), _PARTS))
    for languages in _READINGS.key_names()
]


@functools.cache
def shared_readings(language: str) -> tuple[Reading, ...]:
    """The rows of [readings] that a language (primary subtag) shares with others."""
    return tuple(row for languages, rows in _SHARED if language in languages for row in rows)


def _of_file() -> Iterator[Spelling]:
    """The rows of ``spellings.toml``, without code; those of "each" for every language with its own words."""
    words = _FILE.section("words")
    of_language = {language: words.section(language).all_texts() for language in words.key_names()}
    for kinds in _FILE.key_names():
        each = kinds.split()[1:] if kinds.startswith("each ") else [kinds.replace("all", "")]
        rows = _FILE.section(kinds).patterns([_PARTS | of_language.get(one, {}) for one in each])
        for language, (written, becomes) in zip(cycle(each), rows, strict=False):
            yield language, written, becomes


SPELLINGS: tuple[Spelling, ...] = (
    ("", DAY_OF_LOG, day_of_log),
    *(
        (language, IDENTIFIER, partial(named_characters, language=language))
        for language in "ar de en es fr hi it ja pt zh".split()
    ),
    ("", IDENTIFIER, named_characters),
    *_of_file(),
    # "2h19'04''" and a gap of it, "+0:08", stars of a hotel, "paso de V-", hours of opening
    (
        "de en es fr it pt",
        r"(\b[aà] )?(?<!UTC )(?<!GMT )(?<![\w+])\+([1-5]?\d):([0-5]\d)(?![\d:])",
        minutes_and_seconds,
    ),
    (
        "",
        r"(?<![\w⁰-⁹])([²³](?=H)|[⁰¹²³⁴-⁹]{2,3})(Cs|Sr|[HCNOPKIU])(?![a-z])",
        lambda isotope: f"{isotope[2]} {isotope[1].translate(RAISED)}",
    ),
    ("en es fr it pt", SPAN, days_of_span),
    ("hi", r"()(\d{1,2})/(\d{1,2}) से (\d{1,2})/(\d{1,2})(?= (?:तक|को|हो|कर|बंद|खुल|चल))", days_of_span),
    # The sets of a match
    *(
        (
            language,
            r"(?i)(\b(?:parcia\w+|parzial\w+|sätzen?|satz|placar|marcador|punteggio|remport\w+|score)"
            r"(?: d[ei]| von)?:? )"
            r"((?:(?:\d{1,2}/(?:1[5-9]|[2-4]\d)|(?:1[5-9]|[2-4]\d)/\d{1,2})\b(?:, | y | et? | und )?)+)",
            lambda sets, to=to: sets[1] + sets[2].replace("/", f" {to} "),
        )
        for language, to in (("es", "a"), ("fr", "à"), ("it", "a"), ("pt", "a"), ("de", "zu"))
    ),
    # "$87.4K"
    ("zh ja", r"([$€£¥￥])(\d{1,4}(?:\.\d{1,3})?)([KMB])(?![A-Za-z])", in_full),
    # Sets of exercises, syllables, verses
    ("", r"\b[^\W\d_]{2,}(?:·[^\W\d_]+){2,}\b", lambda found: found[0].replace("·", "")),
    # "II.4"
    ("", r"(?<![\w.])([IVX]{2,4})\.(?=\d{1,2}\b)", lambda found: f"{roman_value(found[1]) or found[1]}."),
    (
        "fr",
        r"\b((?:livre|titre|chapitre|tome|partie)s (?:Ier|[IVX]+)) et ([IVX]+)\b",
        lambda found: f"{found[1]} et {roman_value(found[2]) or found[2]}",
    ),
    # "30 (treinta) días"
    *(
        (language, r"\b(\d{1,3}) \(([a-zß-ÿ][a-zß-ÿ -]{1,30})\)", partial(said_once, language=language))
        for language in "de en es fr it pt".split()
    ),
    # "pp. v–xii", "Act II, scene iii"
    (
        "de en es fr it pt",
        rf"(\b(?i:{_WITH_ROMANS}) )((?:{_SMALL_ROMAN}|[ivx](?=[-–]))(?:[-–][xvi]{{1,6}})?)\b",
        raised_numeral,
    ),
    # Tickers
    (
        "de en es fr it pt hi",
        rf"(?<![\w$])\$(?!{_NO_TICKER})([A-Z]{{2,5}})\b(?! ?\d)",
        lambda ticker: " ".join(ticker[1]),
    ),
    # "24/7/365", "TL;DR", the code of a bank, "BTC 43.200 $", a person's height
    (
        "de en es fr it pt hi",
        r"(\b(?:BIC|SWIFT)[: ] ?)([A-Z]{6}[A-Z\d]{2}(?:[A-Z\d]{3})?)\b",
        lambda code: code[1] + " ".join(code[2]),
    ),
)
"""Languages ("" for all), what is written there, and what it becomes: a template, a function, or "" to
leave out spaces and hyphens."""
