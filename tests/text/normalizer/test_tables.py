"""The tables of languages: each can be read, and what is wrong with one is told by file and line."""

import re
from pathlib import Path

import pytest

from kani_text.languages import primary
from kani_text.normalizer import TableError, check_tables
from kani_text.normalizer.spellings import shared_readings, spellings_of
from kani_text.normalizer.tables import loaded
from kani_text.normalizer.tables.file import read_table_file
from kani_text.normalizer.tables.lazy_pattern import DIGIT, LazyPattern, characters_of
from kani_text.normalizer.tables.load import parse_table
from kani_text.normalizer.tables.loaded import TABLES_FOLDER, is_loaded, table_for
from kani_text.normalizer.unspaced.table import UNSPACED_FOLDER, parse_unspaced_table, unspaced_table_for
from tests.support.tables import rows

SPANISH = (TABLES_FOLDER / "es.toml").read_text(encoding="utf-8")


def test_every_table_is_valid() -> None:
    check_tables()
    assert table_for("es") is not None and table_for("es-ES") is not None
    assert table_for("xx") is None and table_for("") is None and table_for("../es") is None


def test_table_is_read_once_for_regions_of_the_same_conventions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "_loaded", {})
    assert not is_loaded("pt-BR") and not is_loaded("pt-PT")
    assert table_for("pt") is table_for("pt-BR") is not table_for("pt-PT")
    assert all(map(is_loaded, ("pt", "pt-AR", "pt_PT", "xx", "../es"))) and not is_loaded("pt-AO")


def test_spellings_are_found_only_where_their_required_characters_and_words_are() -> None:
    for language, written, _ in rows(__file__, "readings.tsv"):
        characters, small = characters_of(written), written.lower()
        table = unspaced_table_for(language) or table_for(language)
        readings = (*table.readings, *shared_readings(table.language)) if table is not None else ()
        spellings = [pattern for pattern, _ in spellings_of(primary(language))]
        for pattern in (*spellings, *(row.pattern for row in readings)):
            found = pattern.compiled.search(written)
            possible = pattern.required <= characters and any(map(small.__contains__, pattern.words))
            assert possible or not found, (pattern.compiled.pattern, written)
    assert LazyPattern(r"(?:a|b)(?=\d)[0-9]?(?<!€)(?<=@).*(?:x/|/)!+").required == {DIGIT, "@", "/", "!"}
    assert LazyPattern(r"(?i)x?(?!no)(?:Pag|pp)(?:in)?(?=\. )z{0,2}").words == ("pag", "pp")
    assert LazyPattern(r"[Tt]emp(?:erature|s)\.").words == ("emp",)
    assert LazyPattern("(?:a|bc)x?").words == ("",)


@pytest.mark.parametrize(
    ("line", "changed", "at", "what"),
    [
        ('point = "coma"', "point = coma", 'point = "coma"', "Invalid value"),
        ('point = "coma"', "", "[numbers]", "'point' in [numbers] is missing"),
        ('point = "coma"', "point = 3", 'point = "coma"', "'point' in [numbers] has to be a text"),
        ('point = "coma"', 'point = "coma"\npont = ""', "decimals_as",
         "'pont' in [numbers] is not known here"),
        ('decimal = ","', 'decimal = "."', 'decimal = ","',
         "'decimal' in [numbers] and 'group' have to be two"),
        ('m = ["metro", "metros"]', 'm = ["metro"]', 'm = ["metro"',
         "'m' in [units] has to be a text, two of"),
        ('t = ["tonelada"', 't = [3, "tonelada"', 't = ["tonelada"',
         "'t' in [units] has to be a text, two of"),
        ('"Dr." = "doctor"', '"Dr." = { y = "" }', '"Dr." =',
         "'Dr.' in [abbreviations] has to be a text, or"),
        ('"name number other" = """', '"name noum" = """', 'shortened."name number other',
         "'name noum' in [abbreviations.shortened] has to be of: address,"),
        ("adm·inistración", "administración", 'shortened."name number other',
         "'name number other' in [abbreviations.shortened] has 'administración' without"),
        ("adm·inistración", "adm·inistración adm·isión", 'shortened."name number other',
         "'name number other' in [abbreviations.shortened] has 'adm·isión', which another line has"),
        ('order = "dmy"', 'order = "ymd"', 'order = "dmy"', '\'order\' in [dates] has to be "dmy" or "mdy"'),
        ('months = ["enero", ', "months = [", 'months = ["enero"',
         "'months' in [dates] has to be a list of 12"),
        ('cero {minutes}"', 'cero {min}"', "few_minutes = ",
         "'few_minutes' in [times] has {min}, which is none of"),
        ("[markup]", "[marcas]\n[markup]", "[markup]", "'marcas' is not known here"),
        ("[spellings]", "[spellings]\n'(a' = 'b'", "'\\b[ST]", "'(a' in [spellings] is no pattern"),
        *(
            ("[readings]", f"[readings]\n{row}", "'\\b(?:[Ee]l|[Dd]el) (?P<said>", what)
            for row, what in (
                ("'(a' = 'b'", "'(a' in [readings] is no pattern"),
                ("'{when}(?=a)' = 'b'", "'{when}(?=a)' in [readings] has an unknown part: 'when'"),
                ("'(?P<a>b)' = '{b}'", "has {b}, which is no group of its pattern"),
                ("'(?P<a>b)' = '{a:year} {a'", "has {, which is no group of its pattern"),
                ("'(?P<a>b)' = '{a:word}'", "has the kind 'word', which is none of cardinal, characters,"),
                ("'a' = ' '", "'a' in [readings] has to match something, and to say something"),
                ("'a?' = 'b'", "'a?' in [readings] has to match something, and to say something"),
            )
        ),
    ],
)  # fmt: skip
def test_invalid_table_is_reported_by_line(
    tmp_path: Path, line: str, changed: str, at: str, what: str
) -> None:
    assert line in SPANISH
    path = tmp_path / "es.toml"
    path.write_text(SPANISH.replace(line, changed, 1), encoding="utf-8")
    with pytest.raises(TableError) as raised:
        parse_table("es", read_table_file(path))
    number = SPANISH[: SPANISH.index(f"\n{at}") + 1].count("\n") + 1
    message = str(raised.value)
    assert message.startswith("es.toml") and what in message
    assert re.search(rf"line {number}\b", message), message


def test_table_takes_new_lines(tmp_path: Path) -> None:
    path = tmp_path / "es.toml"
    more = SPANISH.replace("[units]", '[units]\nlegua = ["legua", "leguas"]')
    path.write_text(more.replace('"Dr." =', '"Exc." = "excelencia"\n"Dr." ='), encoding="utf-8")
    table = parse_table("es", read_table_file(path))
    assert table.units["legua"].forms == {"one": "legua", "other": "leguas"}
    assert table.abbreviations["Exc."][0].said == {"other": "excelencia"}


@pytest.mark.parametrize(
    ("line", "changed", "what"),
    [
        ('"個" = "コ k"', '"個" = "コ q"', "'個' in [counters] has a change other than"),
        ('= "マイ"', '= { said = "マイ", lost = "x" }', "'枚' in [counters] has a change other than"),
        ('= "マイ"', '= { said = "マイ", whole = { x = "y" } }', "'枚' in [counters] has to have numbers"),
        ('point = "テン"', "", "'point' in [numbers] is missing"),
        ('"億" = 8', '"億" = "8"', "'億' in [numbers.magnitudes] has to be a whole number"),
        ("[markup]", "[markupp]\n[markup]", "'markupp' is not known here"),
        ("[spellings]", "[spellings]\n'(a' = 'b'", "'(a' in [spellings] is no pattern"),
    ],
)
def test_invalid_table_without_spaces_is_reported(tmp_path: Path, line: str, changed: str, what: str) -> None:
    japanese = (UNSPACED_FOLDER / "ja.toml").read_text(encoding="utf-8")
    assert line in japanese and unspaced_table_for("ja-JP") is not None
    assert unspaced_table_for("es") is None and unspaced_table_for("../ja") is None
    path = tmp_path / "ja.toml"
    path.write_text(japanese.replace(line, changed, 1), encoding="utf-8")
    with pytest.raises(TableError, match=r"ja\.toml") as raised:
        parse_unspaced_table("ja", read_table_file(path))
    assert what in str(raised.value)
