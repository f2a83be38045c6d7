"""The tables of languages: each can be read, and what is wrong with one is told by file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from speech.text.normalizer import NormalizerOptions, TableError, check_tables, normalize
from speech.text.normalizer.number_words.words import NumberWords
from speech.text.normalizer.tables.file import read_table_file
from speech.text.normalizer.tables.load import TABLES_FOLDER, parse_table, table_for

SPANISH = (TABLES_FOLDER / "es.toml").read_text(encoding="utf-8")


def test_every_table_can_be_read() -> None:
    """All tables that are there; a language without one has none."""
    check_tables()
    assert table_for("es") is not None and table_for("es-ES") is not None
    assert table_for("xx") is None and table_for("") is None and table_for("../es") is None


@pytest.mark.parametrize(
    ("line", "changed", "at", "what"),
    [
        ('point = "coma"', "point = coma", 'point = "coma"', "Invalid value"),
        ('point = "coma"', "", "[numbers]", "'point' in [numbers] is missing"),
        ('point = "coma"', "point = 3", 'point = "coma"', "'point' in [numbers] has to be a text"),
        (
            'point = "coma"',
            'point = "coma"\npont = ""',
            "decimals_as",
            "'pont' in [numbers] is not known here",
        ),
        (
            'decimal = ","',
            'decimal = "."',
            'decimal = ","',
            "'decimal' in [numbers] and 'group' have to be two",
        ),
        (
            'm = ["metro", "metros"]',
            'm = ["metro"]',
            'm = ["metro"',
            "'m' in [units] has to be a text, two of",
        ),
        (
            't = ["tonelada"',
            't = [3, "tonelada"',
            't = ["tonelada"',
            "'t' in [units] has to be a text, two of",
        ),
        (
            '"Dr." = "doctor"',
            '"Dr." = { y = "" }',
            '"Dr." =',
            "'Dr.' in [abbreviations] has to be a text, or",
        ),
        ('order = "dmy"', 'order = "ymd"', 'order = "dmy"', '\'order\' in [dates] has to be "dmy" or "mdy"'),
        (
            'months = ["enero", ',
            "months = [",
            'months = ["enero"',
            "'months' in [dates] has to be a list of 12",
        ),
        (
            'cero {minutes}"',
            'cero {min}"',
            "few_minutes = ",
            "'few_minutes' in [times] has {min}, which is none of",
        ),
        ("[markup]", "[marcas]\n[markup]", "[markup]", "'marcas' is not known here"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(
    tmp_path: Path, line: str, changed: str, at: str, what: str
) -> None:
    """The file's name, the line's number, the line and what it should be."""
    assert line in SPANISH
    path = tmp_path / "es.toml"
    path.write_text(SPANISH.replace(line, changed, 1), encoding="utf-8")
    with pytest.raises(TableError) as raised:
        parse_table("es", read_table_file(path))
    number = SPANISH[: SPANISH.index(f"\n{at}") + 1].count("\n") + 1
    message = str(raised.value)
    assert message.startswith("es.toml") and what in message
    assert re.search(rf"line {number}\b", message), message


def test_a_line_can_be_added(tmp_path: Path) -> None:
    """A unit, an abbreviation and an acronym more, and nothing else to do."""
    path = tmp_path / "es.toml"
    more = SPANISH.replace("[units]", '[units]\nlegua = ["legua", "leguas"]')
    path.write_text(more.replace('"Dr." =', '"Exc." = "excelencia"\n"Dr." ='), encoding="utf-8")
    table = parse_table("es", read_table_file(path))
    assert table.units["legua"].forms == {"one": "legua", "other": "leguas"}
    assert table.abbreviations["Exc."][0].said == {"other": "excelencia"}


def test_a_region_has_conventions_of_its_own() -> None:
    """Mexico writes 1,250.50, Britain the day first."""
    assert normalize("1,250.50 y 3.5", 0, NormalizerOptions("es-MX")).text == (
        "mil doscientos cincuenta punto cincuenta y tres punto cinco"
    )
    assert normalize("3.500", 0, NormalizerOptions("es")).text == "tres mil quinientos"
    assert normalize("3.500", 0, NormalizerOptions("es_MX")).text == "tres punto cinco cero cero"
    assert normalize("4/3/2024", 0, NormalizerOptions("en-US")).text == "April third, twenty twenty-four"
    assert (
        normalize("4/3/2024", 0, NormalizerOptions("en-GB")).text == "the fourth of March, twenty twenty-four"
    )


@pytest.mark.parametrize(
    ("number", "gender", "said"),
    [
        (1, "", "uno"), (1, "m", "un"), (1, "f", "una"), (21, "m", "veintiún"), (21, "f", "veintiuna"),
        (200, "f", "doscientas"), (500, "f", "quinientas"), (100, "f", "cien"), (1001, "f", "mil una"),
        (21_000, "", "veintiún mil"), (31_000, "f", "treinta y un mil"), (101_000, "", "ciento un mil"),
        (200_200, "f", "doscientas mil doscientas"), (200_000_200, "f", "doscientos millones doscientas"),
        (21_000_000, "", "veintiún millones"), (1_000_000, "", "un millón"),
    ],
)  # fmt: skip
def test_spanish_numbers_agree(number: int, gender: str, said: str) -> None:
    """Short before a masculine noun, feminine before a feminine one, millions as they are."""
    table = table_for("es")
    assert table is not None
    assert table.number_words.cardinal(number, gender) == said


@pytest.mark.parametrize(
    ("number", "form", "said"),
    [
        (1, "m", "primero"), (1, "f", "primera"), (1, "short", "primer"), (11, "m", "undécimo"),
        (13, "short", "decimotercer"), (21, "f", "vigésima primera"), (100, "m", "centésimo"),
        (1000, "m", "milésimo"), (2024, "m", "dos mil veinticuatro"),
    ],
)  # fmt: skip
def test_spanish_ordinals(number: int, form: str, said: str) -> None:
    """In three forms, as cardinals where nobody says them."""
    table = table_for("es")
    assert table is not None
    assert table.number_words.ordinal(number, form) == said


def test_a_language_without_own_number_words_has_those_of_num2words() -> None:
    """As they are."""
    assert NumberWords("sv").cardinal(21) == "tjugoett"
