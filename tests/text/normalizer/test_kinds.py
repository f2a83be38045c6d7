"""Rows of kinds: what they ask for around a place, and how they are written."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator

import pytest

from kani_text.normalizer import rules
from kani_text.normalizer.kinds import KINDS, Rows
from kani_text.normalizer.tables.loaded import TABLES_FOLDER, table_for
from kani_text.normalizer.tokens import MoreTextNeeded, TokenCursor, tokenize


def holds(row: str, text: str, at: int, *, ahead: int = 0, complete: bool = True) -> bool:
    table = table_for("en")
    assert table is not None
    cursor = TokenCursor(tokenize(text, None, complete), (), complete)
    cursor.at = at
    return Rows(row).hold(cursor, table, ahead)


@pytest.mark.parametrize(
    ("row", "text", "at", "expected"),
    [
        ("month @", "in May 5", 2, True), ("month @", "in May, 5", 2, False),
        ("month{,} @", "in May, 5", 2, True), ("month~ @", "in May: 5", 2, True),
        ("@ name", "a St. Paul", 1, False), ("@{.} name", "a St. Paul", 1, True),
        ("@ 'of' name", "St of Paul.", 0, True), ("@ 'of' name{}", "St of Paul.", 0, False),
        ("@ 'of' date|clock", "on of 12:30", 0, True), ("@ (date", "Mi (5.2.)", 0, True),
        ("@ date", "Mi (5.2.)", 0, False), ("@ 'the'? name", "of Paul", 0, True),
        ("@ 'the'? name", "of the Paul", 0, True), ("@ 'the'? name", "of a Paul", 0, False),
        ("day 'and' @ number", "5 and x 7", 2, True), ("nothing @", "x y", 0, True),
        ("nothing @", "x y", 1, False), ("@ mark~? clock", "Arr : 14:05", 0, True),
        ("@ mark~? clock", "Arr 14:05", 0, True), ("@ mark clock", "Arr x 14:05", 0, False),
    ],
)  # fmt: skip
def test_row(row: str, text: str, at: int, expected: bool) -> None:
    assert holds(row, text, at) is expected


def test_place_of_several_words() -> None:
    assert holds("number @ name", "5 p. ej. Paul", 1, ahead=1) is False
    assert holds("number @{.} name", "5 p. ej. Paul", 1, ahead=1)


def test_row_waits_for_more_text_only_where_the_words_before_hold() -> None:
    with pytest.raises(MoreTextNeeded):
        holds("month @ year", "May 5", 1, complete=False)
    assert not holds("weekday @ year", "May 5", 1, complete=False)


@pytest.mark.parametrize("row", ["month", "@ month @", "@ month{.", "@ 'of", "@ -"])
def test_wrong_row_is_refused(row: str) -> None:
    with pytest.raises(ValueError, match=re.escape(row.split()[-1])):
        Rows(row)


def test_kinds_of_all_rows_are_known() -> None:
    tables = [table for path in TABLES_FOLDER.glob("*.toml") if (table := table_for(path.stem))]
    known = KINDS.keys() | {kind for table in tables for kind in table.kinds}
    names = [one.name for one in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}.")]
    values = [value for name in names for value in vars(importlib.import_module(name)).values()]
    asked = {kind for rows in _rows(values) for kind in rows.kinds}
    for name in names:
        asked |= set(
            re.findall(r'is_kind\([^"]*?, "(\w+)", table\)', inspect.getsource(importlib.import_module(name)))
        )
    assert asked - known == set()
    assert KINDS.keys() - asked == set()


def _rows(values: Iterable[object]) -> Iterator[Rows]:
    """The rows among some values, also in tuples."""
    for value in values:
        if isinstance(value, Rows):
            yield value
        elif isinstance(value, tuple):
            yield from _rows(value)
