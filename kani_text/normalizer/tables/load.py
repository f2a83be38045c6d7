"""Parses the tables, section by section."""

from collections.abc import Container, Iterable, Mapping
from unicodedata import category

from kani_text.normalizer.number_words.languages import number_words
from kani_text.normalizer.number_words.words import Agreement
from kani_text.normalizer.tables import table
from kani_text.normalizer.tables.file import TableSection
from kani_text.normalizer.tables.readings import parse_readings
from kani_text.normalizer.tables.unit_symbols import (
    CURRENCY_SIGNS,
    currency_forms,
    in_all_spellings,
    other_currencies,
)

_VOWELS = frozenset("aeiouyáéíóúâêôãõàèìòùäöüëïîûœæ")
_WRITTEN_WITH_TWO = (">=", "≥"), ("<=", "≤"), ("!=", "≠"), ("==", "=")
"""Signs that programs write with two characters."""
ABBREVIATION_CONDITIONS = frozenset(
    """address article counted date few label letter measured name noun number one ordinal
    other paid time""".split()
)
"""Conditions of an abbreviation: before a street's name and number, after a number, and so on."""


def parse_table(language: str, file: TableSection) -> table.LanguageTable:
    """The table of ``language`` in a file. Raises TableError."""
    numbers, units, roman = file.section("numbers"), file.section("units"), file.section("roman")
    signs, acronyms = file.section("signs"), file.section("acronyms")
    abbreviations, trades = file.section("abbreviations"), file.section("trades")
    titles, cut_adjectives, plurals = map(abbreviations.words, ("titles", "cut_adjectives", "cut_plurals"))
    ordinals, markup = file.section("ordinals"), file.section("markup")
    with_stop = ordinals.section("with_stop")
    unsure = _ordinals_with_stop(with_stop.section("unsure"))
    stopped = _ordinals_with_stop(with_stop)
    if "other" not in stopped and stopped:
        raise with_stop.error("other", "is missing")
    agreement, dates = _agreement(file.section("agreement")), _dates(file.section("dates"))
    weekdays = "|".join(sorted(dates.short_weekdays, key=len, reverse=True))
    parts = {"weekday": f"(?:{weekdays})"} if weekdays else {}
    kings = roman.section("names").all_texts()
    between_figures, names = signs.section("between_figures").all_texts(), signs.all_texts()
    code_block = markup.text("code_block", "")
    markup.check_all_read()
    return file.fill(
        table.LanguageTable,
        language=language,
        number_words=number_words(language, numbers.text("words", "")),
        numbers=_numbers(numbers),
        agreement=agreement,
        ordinals=ordinals.all_texts(),
        ordinals_with_stop=stopped | unsure,
        unsure_of_ordinal=frozenset(unsure),
        fractions=_fractions(file.section("fractions")),
        per=units.text("per", ""),
        product=units.text("product", "first"),
        units=_units(units, agreement),
        currencies=_currencies(file.section("currencies"), language),
        dates=dates,
        acronyms=acronyms.fill(table.Acronyms, vowels=frozenset(acronyms.text("vowels"))),
        roman=roman.fill(
            table.Roman, names={name: form for form, names in kings.items() for name in names.split()}
        ),
        signs_between_figures=between_figures,
        signs={two: names[one] for two, one in _WRITTEN_WITH_TWO if one in names} | names,
        cut=_cut_words(
            (*abbreviations.words("cut"), *cut_adjectives), frozenset(abbreviations.words("cut_not"))
        ),
        cut_adjectives=frozenset(cut_adjectives),
        cut_plurals=dict(zip(plurals[::2], plurals[1::2], strict=True)),
        titles=frozenset(titles),
        also_words=frozenset(abbreviations.words("also_words")),
        first_names=frozenset(abbreviations.words("first_names")),
        abbreviated_endings=abbreviations.section("endings").all_texts(),
        abbreviated_beginnings=abbreviations.section("beginnings").all_texts(),
        # The rest of its section
        abbreviations=_abbreviations(_abbreviation_lines(abbreviations, "."), titles),
        trades=tuple(_trade(trades.section(name)) for name in trades.key_names()),
        code_block=code_block,
        spellings=file.section("spellings").patterns([parts]),
        readings=parse_readings(file.section("readings"), parts),
    )


def _numbers(section: TableSection) -> table.Numbers:
    numbers = section.fill(
        table.Numbers,
        phones=section.texts("phones"),
        endings=_longest_first(section.words("endings")),
        prefixes=_longest_first(section.words("prefixes")),
    )
    if len(numbers.group) > 1 or len(numbers.decimal) != 1 or numbers.group == numbers.decimal:
        raise section.error("decimal", "and 'group' have to be two different characters")
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
    words: dict[str, str] = {}
    endings: dict[str, str] = {}
    for gender, name in (("m", "masculine"), ("f", "feminine"), ("n", "neuter")):
        # A line of the table is of the first gender that has it.
        words = dict.fromkeys(section.words(name), gender) | words
        endings = {ending.strip("*"): gender for ending in section.words(f"{name}_endings")} | endings
    return section.fill(
        Agreement, words=words, endings=endings, beginnings=_beginnings(section.section("beginnings"))
    )


def _beginnings(section: TableSection) -> dict[str, tuple[str, tuple[str, ...]]]:
    """By form: its gender, which comes first, and the beginnings of its nouns."""
    found = {}
    for form in section.key_names():
        gender, *begins = section.words(form) or ("",)
        if gender not in ("m", "f", "n") or not begins:
            raise section.error(form, "has to be a gender (m, f, n) and how nouns begin")
        found[form] = gender, tuple(begins)
    return found


def _fractions(section: TableSection) -> table.Fractions:
    parts = "numerator", "denominator"
    over = section.template("over", *parts)
    out_of, step = (section.template(name, *parts, default=over) for name in ("out_of", "step"))
    return section.fill(table.Fractions, over=over, out_of=out_of, step=step)


def _units(section: TableSection, agreement: Agreement) -> dict[str, table.Unit]:
    def prefixed(prefix: str, unit: table.Unit) -> table.Unit:
        # Only the base "d'ampères" begins with a vowel.
        forms = {category: form for category, form in unit.forms.items() if category != "many"}
        lowered = str.lower if agreement.capitals else str
        return table.Unit(
            {category: prefix + lowered(form) for category, form in forms.items()}, unit.gender, False
        )

    prefixes = section.section("prefixes").all_texts()
    units = {symbol: _unit(section, symbol) for symbol in section.key_names()}
    return in_all_spellings(units, prefixes, prefixed)


def _unit(section: TableSection, symbol: str) -> table.Unit:
    value = section.take(symbol)
    gender, attached = "", False
    if isinstance(value, dict):
        value = dict(value)
        gender = str(value.pop("gender", ""))
        attached = value.pop("attached", False) is True
    return table.Unit(section.forms(symbol, value), gender, attached)


def _currencies(section: TableSection, language: str) -> dict[str, table.Currency]:
    found = {}
    parts = "whole", "cents"
    joined = section.template("with_cents", *parts)
    for code in section.key_names():
        one = section.section(code)
        signs = (*(one.words("signs") or CURRENCY_SIGNS.get(code, ())), code)
        said = one.template("with_cents", *parts, default=joined)
        forms = one.forms("forms") if "forms" in one.key_names() else currency_forms(code, language)
        currency = one.fill(table.Currency, forms=forms, joined=said)
        found.update(dict.fromkeys(signs, currency))
    for signs, forms in other_currencies(language, found):
        found.update(dict.fromkeys(signs, table.Currency(forms=forms, joined=joined)))
    return found


def _trade(section: TableSection) -> table.Trade:
    """Lines with their full stop and without; it ends no sentence before a capital."""
    words = section.words("words")
    near = frozenset(word.lower() for word in (*section.words("near"), *words))
    own = _abbreviation_lines(section, "")
    lines = _abbreviations(own, own)
    for key, found in tuple(lines.items()):
        stopped = tuple(table.Abbreviation((f"{key}.",), one.said) for one in found if len(one.parts) == 1)
        lines[f"{key}."] = lines.get(f"{key}.", ()) + stopped
    return table.Trade(near, words, lines)


def _cut_words(words: Iterable[str], cut_not: frozenset[str]) -> dict[str, str]:
    """Words by each of their beginnings from three letters on that end before a vowel, as short forms do; the
    first has those of several. cut_not: beginnings that are words themselves."""
    found: dict[str, str] = {}
    # German nouns have capitals: "Unterschr." is one, "unterschr." is none.
    for word, lowered in ((word, lowered) for lowered in (False, True) for word in words):
        for length in range(3, len(word) - 1):
            if word[length] in _VOWELS or (not word.isascii() and category(word[0]) == "Lo"):
                found.setdefault(word[:length].lower() if lowered else word[:length], word)
    return {short: word for short, word in found.items() if short.lower() not in cut_not}


def _abbreviation_lines(section: TableSection, stop: str) -> dict[str, Mapping[str, str]]:
    """Spoken forms by what is written, for the lines and for the words of ``shortened`` up to their dot.

    stop: what is written where these are cut.
    """
    shortened = section.section("shortened")
    lines = {key: section.conditions(key, ABBREVIATION_CONDITIONS) for key in section.key_names()}
    for conditions in shortened.key_names():
        if not ABBREVIATION_CONDITIONS.issuperset(conditions.split()):
            raise shortened.error(conditions, f"has to be of: {', '.join(sorted(ABBREVIATION_CONDITIONS))}")
        for word in shortened.words(conditions):
            short, dot, rest = word.partition("·")
            if not dot:
                raise shortened.error(conditions, f"has {word!r} without the dot where it is cut")
            if short + stop in lines:
                raise shortened.error(conditions, f"has {word!r}, which another line has")
            lines[short + stop] = dict.fromkeys(conditions.split(), short + rest)
    return lines


def _abbreviations(
    lines: Mapping[str, Mapping[str, str]], titles: Container[str]
) -> dict[str, tuple[table.Abbreviation, ...]]:
    """By the first word; an abbreviation of more words comes first. titles: those that a name follows."""
    found: dict[str, list[table.Abbreviation]] = {}
    for key, said in lines.items():
        if key in titles and "other" in said:
            said = {"name": said["other"], **said}
        parts = tuple(key.split())
        # "p. ej." is also "p.ej.", but "cu m" no "cum".
        stopped = all(part.endswith(".") for part in parts[:-1])
        for written in {parts, ("".join(parts),)} if stopped else {parts}:
            found.setdefault(written[0], []).append(table.Abbreviation(written, said))
    return {first: tuple(sorted(of, key=lambda one: -len(one.parts))) for first, of in found.items()}


def _months(section: TableSection) -> tuple[str, ...]:
    names = section.texts("months")
    if len(names) != 12:
        raise section.error("months", "has to be a list of 12 names")
    return names


def _calendars(section: TableSection) -> dict[str, table.OtherCalendar]:
    found = {}
    for mark in section.key_names():
        one = section.section(mark)
        found[mark] = one.fill(table.OtherCalendar, names=_months(one) if "months" in one.key_names() else ())
    return found


def _dates(section: TableSection) -> table.Dates:
    names = _months(section)
    months = {name.lower(): number for number, name in enumerate(names, 1)}
    short = section.texts("short_months")
    for number, names_of_one in enumerate(short, 1):
        months.update((name.lower(), number) for name in names_of_one.split())
    weekdays = section.texts("weekdays")
    days = zip(weekdays, section.texts("short_weekdays"), strict=False)
    short_weekdays = {written: name for name, short_names in days for written in short_names.split()}
    if len(weekdays) not in (0, 7) or (weekdays and len({*short_weekdays.values()}) < 7):
        raise section.error("weekdays", "and 'short_weekdays' have to be lists of 7")
    of_days = {word.lower() for word in (*weekdays, *short_weekdays)}
    dates = section.fill(
        table.Dates,
        after=of_days.union(section.words("after")),
        short_weekdays=short_weekdays,
        days=of_days,
        names=names,
        months=months,
        calendars=_calendars(section.section("calendars")),
    )
    if dates.order not in ("dmy", "mdy"):
        raise section.error("order", 'has to be "dmy" or "mdy"')
    return dates
