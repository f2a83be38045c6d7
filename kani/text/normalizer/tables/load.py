"""Parses the tables, section by section."""

from __future__ import annotations

from collections.abc import Mapping

from kani.text.normalizer.number_words.gender import Agreement
from kani.text.normalizer.number_words.languages import number_words
from kani.text.normalizer.tables.file import TableSection
from kani.text.normalizer.tables.load_moments import parse_dates, parse_times
from kani.text.normalizer.tables.table import (
    Abbreviation,
    Acronyms,
    Books,
    Compass,
    Currency,
    Fractions,
    LanguageTable,
    Numbers,
    Roman,
    Unit,
    UnitContext,
    Web,
)

ABBREVIATION_CONDITIONS = frozenset(
    {"address", "aged", "counted", "date", "few", "name", "number", "one", "ordinal", "other", "paid", "time"}
)
"""Conditions of an abbreviation: before a street's name and number, after a number, and so on."""


def parse_table(language: str, file: TableSection) -> LanguageTable:
    """The table of ``language`` in a file. Raises TableError."""
    numbers = file.section("numbers")
    words = number_words(language, numbers.text("words", ""))
    units = file.section("units")
    per = units.text("per", "")
    contexts = units.section("contexts")
    signs = file.section("signs")
    between_figures = signs.section("between_figures")
    markup = file.section("markup")
    ordinals = file.section("ordinals")
    with_stop = ordinals.section("with_stop")
    unsure = _ordinals_with_stop(with_stop.section("unsure"))
    stopped = _ordinals_with_stop(with_stop)
    if "other" not in stopped and stopped:
        raise with_stop.error("other", "is missing")
    abbreviations = file.section("abbreviations")
    endings, beginnings = abbreviations.section("endings"), abbreviations.section("beginnings")
    titles = frozenset(abbreviations.words("titles"))
    also_words = frozenset(abbreviations.words("also_words"))
    first_names = frozenset(abbreviations.words("first_names"))
    letters, greek = file.section("letters"), file.section("greek")
    table = LanguageTable(
        language=language,
        number_words=words,
        numbers=_numbers(numbers),
        agreement=_agreement(file.section("agreement")),
        ordinals=_all(ordinals),
        ordinals_with_stop=stopped | unsure,
        unsure_of_ordinal=frozenset(unsure),
        fractions=_fractions(file.section("fractions")),
        units={symbol: _unit(units, symbol) for symbol in units.key_names()},
        unit_contexts={symbol: _context(contexts.section(symbol)) for symbol in contexts.key_names()},
        per=per,
        currencies=_currencies(file.section("currencies")),
        dates=parse_dates(file.section("dates")),
        times=parse_times(file.section("times")),
        letters=_all(letters),
        acronyms=_acronyms(file.section("acronyms")),
        roman=_roman(file.section("roman")),
        web=_web(file.section("web")),
        signs=_all(signs),
        signs_between_figures=_all(between_figures),
        greek=_all(greek),
        abbreviations=_abbreviations(abbreviations, titles),
        also_words=also_words,
        first_names=first_names,
        abbreviated_endings=_all(endings),
        abbreviated_beginnings=_all(beginnings),
        books=_books(file.section("books")),
        compass=_compass(file.section("compass")),
        code_block=markup.text("code_block", ""),
    )
    for section in (markup, file):
        section.check_all_read()
    return table


def _numbers(section: TableSection) -> Numbers:
    magnitudes, of_money = section.section("magnitudes"), section.section("money_magnitudes")
    numbers = Numbers(
        group=section.text("group"),
        decimal=section.text("decimal"),
        point=section.text("point"),
        decimals_as_number=section.number("decimals_as_number", 0),
        minus=section.text("minus"),
        plus=section.text("plus"),
        plus_minus=section.text("plus_minus"),
        about=section.text("about"),
        to=section.text("to"),
        by=section.text("by"),
        power=section.text("power"),
        equals=section.text("equals"),
        of_many=section.text("of_many", ""),
        long_groups=section.number("long_groups", 3),
        magnitudes={symbol: magnitudes.forms(symbol) for symbol in magnitudes.key_names()},
        money_magnitudes={symbol: of_money.forms(symbol) for symbol in of_money.key_names()},
        magnitude_words=frozenset(section.words("magnitude_words")),
        year_after=frozenset(section.words("year_after")),
        ordered=frozenset(section.words("ordered")),
        labels=frozenset(section.words("labels")),
        codes_after=frozenset(section.words("codes_after")),
        code_joiners=frozenset(section.words("code_joiners")),
        measured_after=frozenset(section.words("measured_after")),
        number_sign=section.text("number_sign"),
        decade_mark=section.text("decade_mark", ""),
        phones=section.texts("phones"),
        phone_digits=section.number("phone_digits", 1),
        magnitude_gender=section.text("magnitude_gender", "m"),
        counted_alone=frozenset(section.words("counted_alone")),
        endings=_longest_first(section.words("endings")),
        prefixes=_longest_first(section.words("prefixes")),
    )
    if len(numbers.group) > 1 or len(numbers.decimal) != 1 or numbers.group == numbers.decimal:
        raise section.error("decimal", "and 'group' have to be two different characters")
    section.check_all_read()
    return numbers


def _longest_first(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(words, key=len, reverse=True))


def _ordinals_with_stop(section: TableSection) -> dict[str, Mapping[str, str]]:
    """Forms by the word before the ordinal; several words may stand on one line."""
    found = {}
    for key in section.key_names():
        forms = section.conditions(key, frozenset({"m", "f", "n", "other"}))
        if "other" not in forms:
            raise section.error(key, "has to have a form for other")
        found.update(dict.fromkeys(key.split(), forms))
    return found


def _agreement(section: TableSection) -> Agreement:
    agreement = Agreement(
        plural_endings=section.words("plural_endings"),
        genders={
            gender: (section.words(f"{name}_endings"), frozenset(section.words(name)))
            for gender, name in (("m", "masculine"), ("f", "feminine"), ("n", "neuter"))
        },
        not_nouns=frozenset(section.words("not_nouns")),
        capitals=section.flag("capitals"),
        not_noun_beginnings=section.words("not_noun_beginnings"),
        beginnings=_beginnings(section.section("beginnings")),
        measures_after=frozenset(section.words("measures_after")),
    )
    section.check_all_read()
    return agreement


def _beginnings(section: TableSection) -> dict[str, tuple[str, tuple[str, ...]]]:
    """By form: its gender, which comes first, and the beginnings of its nouns."""
    found = {}
    for form in section.key_names():
        gender, *begins = section.words(form) or ("",)
        if gender not in ("m", "f", "n") or not begins:
            raise section.error(form, "has to be a gender (m, f, n) and how nouns begin")
        found[form] = gender, tuple(begins)
    return found


def _fractions(section: TableSection) -> Fractions:
    mixed, over, before_noun = (
        section.template("mixed", "whole", "part"),
        section.template("over", "numerator", "denominator"),
        section.section("half_before_noun"),
    )
    out_of = section.template("out_of", "numerator", "denominator", default=over)
    rated = frozenset(section.words("rated"))
    mixed_half = section.template("mixed_half", "whole", default="")
    of_unit = section.template("of_unit", "part", "unit", default="{part} {unit}")
    whole_halves = section.section("mixed_halves")
    mixed_halves = {int(whole): whole_halves.text(whole) for whole in whole_halves.key_names()}
    half_after_noun = _all(section.section("half_after_noun"))
    step = section.template("step", "numerator", "denominator", default=over)
    steps = frozenset(section.words("steps"))
    halves = _all(before_noun)
    names = {}
    for key in section.key_names():
        if not key.isdigit():
            raise section.error(key, "is not known here")
        names[int(key)] = section.forms(key)
    return Fractions(
        names,
        mixed,
        halves,
        over,
        out_of,
        rated,
        mixed_half,
        mixed_halves,
        half_after_noun,
        of_unit,
        step,
        steps,
    )


def _unit(section: TableSection, symbol: str) -> Unit:
    value = section.take(symbol)
    gender, attached = "", False
    if isinstance(value, dict):
        value = dict(value)
        gender = str(value.pop("gender", ""))
        attached = value.pop("attached", False) is True
    return Unit(section.parse_forms(symbol, value), gender, attached)


def _context(section: TableSection) -> UnitContext:
    context = UnitContext(section.forms("forms"), frozenset(section.words("after")))
    section.check_all_read()
    return context


def _currencies(section: TableSection) -> dict[str, Currency]:
    found = {}
    joined = section.template("with_cents", "whole", "cents")
    for code in section.key_names():
        one = section.section(code)
        signs = (*one.words("signs"), code)
        cents = one.forms("cents") if "cents" in one.key_names() else None
        currency = Currency(
            forms=one.forms("forms"),
            gender=one.text("gender", ""),
            cents=cents,
            cents_gender=one.text("cents_gender", ""),
            joined=one.template("with_cents", "whole", "cents", default=joined),
        )
        one.check_all_read()
        found.update(dict.fromkeys(signs, currency))
    return found


def _acronyms(section: TableSection) -> Acronyms:
    said = section.section("said")
    acronyms = Acronyms(
        read=frozenset(section.words("read")),
        spelled=frozenset(section.words("spelled")),
        words=frozenset(section.words("words")),
        said=_all(said),
        vowels=frozenset(section.text("vowels")),
        onset=section.number("longest_onset", 2),
        coda=section.number("longest_coda", 1),
        plural=section.text("plural", ""),
        elided=frozenset(section.words("elided")),
    )
    section.check_all_read()
    return acronyms


def _roman(section: TableSection) -> Roman:
    names = section.section("names")
    by_form = {name: form for form in names.key_names() for name in names.words(form)}
    articles = section.section("articles")
    roman = Roman(
        cardinal=frozenset(section.words("cardinal_after")),
        ordinal=frozenset(section.words("ordinal_after")),
        small_after=frozenset(section.words("small_after")),
        ordinal_before=frozenset(section.words("ordinal_before")),
        marks=section.words("marks"),
        last_ordinal=section.number("last_ordinal", 99),
        names=by_form,
        named=section.template("name", "ordinal", default="{ordinal}"),
        articles=_all(articles),
    )
    section.check_all_read()
    return roman


def _web(section: TableSection) -> Web:
    signs, words = section.section("signs"), section.section("words")
    web = Web(
        signs=_all(signs),
        words=_all(words),
        spelled=frozenset(section.words("spelled")),
        keys=_all(section.section("keys")),
        hashtag=section.text("hashtag"),
        mention=section.text("mention"),
        version=section.text("version"),
    )
    section.check_all_read()
    return web


def _all(section: TableSection) -> dict[str, str]:
    """All lines of a section whose lines are texts."""
    return {key: section.text(key) for key in section.key_names()}


def _books(section: TableSection) -> Books:
    alone, ordinal = frozenset(section.words("alone")), section.text("ordinal", "")
    return Books(_all(section), alone, ordinal)


def _compass(section: TableSection) -> Compass:
    after = frozenset(section.words("after"))
    return Compass(_all(section), after)


def _abbreviations(section: TableSection, titles: frozenset[str]) -> dict[str, tuple[Abbreviation, ...]]:
    """By the first word; an abbreviation of more words comes first. titles: those that a name follows."""
    found: dict[str, list[Abbreviation]] = {}
    for key in section.key_names():
        said = section.conditions(key, ABBREVIATION_CONDITIONS)
        if key in titles and "other" in said:
            said = {"name": said["other"], **said}
        parts = tuple(key.split())
        for written in {parts, ("".join(parts),)}:
            found.setdefault(written[0], []).append(Abbreviation(written, said))
    return {first: tuple(sorted(of, key=lambda one: -len(one.parts))) for first, of in found.items()}
