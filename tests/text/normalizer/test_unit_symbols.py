"""Symbols of units: prefixes, spellings, and lines of a table that come first."""

from kani_text.normalizer.tables.unit_symbols import in_all_spellings, other_currencies


def joined(prefix: str, unit: str) -> str:
    return prefix + unit


def test_prefixes_make_units_and_a_line_of_the_table_comes_first() -> None:
    units = in_all_spellings(
        {"Hz": "hertz", "g": "gramo", "kg": "kilo", "·T": "tesla"}, {"k": "kilo", "m": "mili"}, joined
    )
    assert units["kHz"] == "kilohertz" and units["mg"] == "miligramo" and units["kg"] == "kilo"
    assert units["mT"] == "militesla" and "T" not in units and "MHz" not in units


def test_both_signs_for_micro_and_capitals_are_the_same_unit() -> None:
    units = in_all_spellings({"g": "gramo", "l": "litro"}, {"µ": "micro", "m": "mili"}, joined)
    assert units["\u00b5g"] == units["\u03bcg"] == "microgramo" and units["ML"] == "mililitro"


def test_other_spellings_are_the_same_unit_where_the_table_has_no_line_for_them() -> None:
    units = in_all_spellings({"°C": "grado", "l": "litro", "L": "lux", "CV": "caballo"}, {}, joined)
    assert units["ºC"] == "grado" and units["cv"] == "caballo" and units["L"] == "lux"
    assert not {"º", "ºF", "Nm"} & units.keys()


def test_currencies_of_a_table_keep_their_names() -> None:
    others = {sign: forms for signs, forms in other_currencies("pt", {"SEK", "₪"}) for sign in signs}
    assert others["HUF"] == {"one": "florim húngaro", "other": "florins húngaros"} and "ILS" in others
    assert not {"SEK", "₪"} & others.keys()
