"""Rows of [readings]: what they say is final, whatever else is in the text, and however it arrives."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions, normalize, respelling
from kani_text.normalizer.tables import loaded
from kani_text.normalizer.tables.file import read_table_file
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.load import parse_table
from kani_text.normalizer.tables.readings import KINDS
from kani_text.normalizer.unspaced import table as unspaced
from kani_text.types import Replacement

ENGLISH = NormalizerOptions("en")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("its 10-K filing", "its ten K filing"), ("two 8-Ks", "two eight Ks"),
        ("the 20-F is", "the twenty F is"),
        ("a .45-caliber pistol", "a forty-five caliber pistol"), ("A 5:1 ratio is", "A five to one ratio is"),
        ("at a 5:1 ratio", "at a five to one ratio"), ("cut by 25bp.", "cut by twenty-five basis points."),
        ("by 25 bp or 1 bp", "by twenty-five basis points or one basis point"),
        ("Form 1099-INT or Form 2848.", "Form ten ninety-nine I N T or Form twenty-eight forty-eight."),
        ("It is 10 K", "It is ten kelvins"), ("a 10k run", "a ten K run"), ("at 5:10", "at five ten"),
        ("25 bpm", "twenty-five beats per minute"), (".45 of a second", "zero point four five of a second"),
    ],
)  # fmt: skip
def test_rows_are_said_and_what_is_like_them_is_not(written: str, spoken: str) -> None:
    assert normalize(written, 0, ENGLISH).text == spoken


def with_rows(folder: Path, language: str, rows: str) -> None:
    """Make ``rows`` the first of a language's."""
    path = folder / f"{language}.toml"
    source = (loaded.TABLES_FOLDER / path.name).read_text(encoding="utf-8")
    begun = "[readings]" if "[readings]" in source else "[spellings]"
    path.write_text(
        source.replace(begun, f"[readings]\n{rows}\n{begun * (begun != '[readings]')}", 1), encoding="utf-8"
    )
    loaded._loaded[language, ""] = parse_table(language, read_table_file(path))


@pytest.fixture(autouse=True)
def _own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "_loaded", dict(loaded._loaded))


SAID = {
    "cardinal": ("21,5", "veintiuno coma cinco"), "cardinal:f": ("21", "veintiuna"),
    "ordinal": ("21", "vigésimo primero"), "ordinal:f": ("21", "vigésima primera"),
    "digits": ("12-3", "uno dos tres"), "characters": ("a1", "a uno"), "unit": ("kg", "kilogramos"),
    "money": ("5 USD", "cinco dólares"), "currency": ("5 €", "cinco euros"), "date": ("lun", "lunes"),
    "date:dm": ("3/4", "tres de abril"), "time": ("7:30 PM", "siete treinta de la tarde"),
    "year": ("1999", "mil novecientos noventa y nueve"), "telephone": ("12 34", "uno dos, tres cuatro"),
    "decade": ("1980", "mil novecientos ochenta"), "text": ("p. 1", "p. 1"),
}  # fmt: skip


def test_each_kind_has_its_words(tmp_path: Path) -> None:
    assert {kind.partition(":")[0] for kind in SAID} == KINDS
    rows = (
        rf"'(?<=\ba{number} )(?P<x>{re.escape(written)})(?=!)' = '{{x:{kind}}} sí'"
        for number, (kind, (written, _)) in enumerate(SAID.items())
    )
    with_rows(tmp_path, "es", "\n".join(rows))
    for number, (kind, (written, said)) in enumerate(SAID.items()):
        spoken = normalize(f"a{number} {written}!", 0, NormalizerOptions("es")).text
        assert spoken.endswith(f" {said} sí!"), (kind, spoken)


def test_first_row_wins_and_nothing_else_reads_its_characters(tmp_path: Path) -> None:
    """Neither spellings, formulas and other rules, nor the row itself, whose slot is read by the rules."""
    with_rows(tmp_path, "es", r"""
'n = 3|(?P<x>5) ?kg' = '{x} equis'
'(?P<x>5) ?kg y' = 'segunda'
'\bDr\. (?=n)|EE\. UU\.' = 'otro'
'(?P<w>\d+ °C)(?P<rest>,)?' = 'a {w:unit}{rest}'
""")  # fmt: skip
    said = normalize("Dr. n = 3, 5 kg y 1 °C, EE. UU.", 0, NormalizerOptions("es")).text
    assert said == "otro equis, cinco equis y a un grado Celsius, otro"


def test_slots_stand_for_their_groups_and_words_for_what_is_between() -> None:
    said = normalize("The 10-Ks at a 5:1 ratio.", 7, ENGLISH)
    assert said.text == "The ten Ks at a five to one ratio."
    assert [said.origin(at, at + 1) for at in (4, 8, 9, 16, 21, 24)] == [
        (11, 13), (14, 15), (15, 16), (22, 23), (23, 24), (24, 25)
    ]  # fmt: skip


def test_document_and_lexicon_go_before_rows() -> None:
    lexicon = Lexicon().with_request({"10-k filing": "report", "bp": "points"})
    assert normalize("a 10-K, a 10-K filing, 25 bp", 0, NormalizerOptions("en", lexicon)).text == (
        "a ten K, a report, twenty-five points"
    )
    replaced = {2: Replacement(6, "form"), 11: Replacement(13, "25", say_as=("digits", ""))}
    options = NormalizerOptions("en", replacements=replaced, said_in="en")
    assert normalize("a 10-K, by 25 bp", 0, options).text == "a form, by two five B P"


def test_shared_rows_are_said_in_each_language_and_agree_with_what_governs_them() -> None:
    for language, written, spoken in (
        ("fr", "J-6, 1m75", "ji moins six, un mètre soixante-quinze"),
        ("de", "Q3'24", "ku drei vierundzwanzig"),
        ("it", "J+6", "i lunga più sei"),
        ("ar", "خلال Q3'24", "خلال كيو ثلاثة أربعة وعشرين"),
    ):
        assert normalize(written, 0, NormalizerOptions(language)).text == spoken


WHOLE = (
    "They filed its 10-K filing, two 8-Ks (at a 5:1 ratio), and Form 1099-INT was cut by 25 bp or 25bp since."
)


def test_reading_waits_for_what_may_belong_to_it() -> None:
    whole = normalize(WHOLE, 3, ENGLISH)
    for end in [found.start() for found in re.finditer(" ", WHOLE)]:
        begun = normalize(WHOLE[:end], 3, ENGLISH, complete=False)
        length = len(begun.text)
        assert (begun.text, begun.starts) == (whole.text[:length], whole.starts[:length])
        assert len(WHOLE[:end].split()) - len(WHOLE[: begun.ends[-1] - 3].split()) <= 4
    assert normalize("at a 5:1", 0, ENGLISH, complete=False).text == "at"
    assert normalize("at a 5:1 ratio of", 0, ENGLISH, complete=False).text == "at a five to one ratio of"


PATTERNS = [
    LazyPattern(written)
    for written in (
        r"a+b", r"\bab?\b", r"(?<=a )(?:b|ab)(?! c)", r"(?P<x>a{1,2})(?P=x)", r"a(?=.{0,3}c)", r"ab*+c?$",
        r"(?>ab|a)c",
        r"(a)?(?(1)bb|cc)", r"(ab*)c(?i:\1)",
        r"a+(?=b?c) ?(?P<said>bc*)(?!a)", r"c(?:a|b(?= b)) (?P<said>b?a?)c",
    )
]  # fmt: skip


@given(st.text("abc \n", max_size=12), st.integers(0, 12))
@example("ab ab cb", 3)
def test_matches_before_the_unfinished_part_stay(text: str, cut: int) -> None:
    for pattern in PATTERNS:
        unsure = pattern.unfinished(text[:cut])
        place = "said" if "said" in pattern.groups else 0
        begun, whole = (
            [one.span(place) for one in pattern.compiled.finditer(written) if one.start(place) < unsure]
            for written in (text[:cut], text)
        )
        assert begun == whole, pattern.compiled.pattern


def test_text_without_spaces_has_rows_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = (unspaced.UNSPACED_FOLDER / "zh.toml").read_text(encoding="utf-8")
    path = tmp_path / "zh.toml"
    path.write_text(
        source.replace("[readings]\n", "[readings]\n'(?P<a>\\d+)-(?P<b>K)表' = '{a}{b:characters}报表'\n"),
        encoding="utf-8",
    )
    table = unspaced.parse_unspaced_table("zh", read_table_file(path))
    for module in (unspaced, respelling):
        monkeypatch.setattr(module, "unspaced_table_for", lambda tag: table)
    for name in ("", ".placed_lexicon", ".say_as"):
        monkeypatch.setattr(f"kani_text.normalizer{name}.unspaced_table_for", lambda tag: table)
    chinese = NormalizerOptions("zh")
    said = normalize("提交10-K表了", 0, chinese)
    assert said.text == "提交十K报表了"
    assert said.origin(2, 3) == (2, 4)
    assert normalize("提交10-", 0, chinese, complete=False).text == "提交"
