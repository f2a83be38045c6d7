"""The rows of a language's table, and readings by the table without some of them."""

from __future__ import annotations

import functools
import re
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kani_text import short_forms
from kani_text.markup import CODE_BLOCK
from kani_text.normalizer import NormalizerOptions, TableError, normalize, respelling, spellings
from kani_text.normalizer.formulas import notation
from kani_text.normalizer.tables import file, loaded
from kani_text.normalizer.tables.lazy_pattern import LazyPattern
from kani_text.normalizer.tables.load import parse_table
from kani_text.normalizer.unspaced import table as unspaced
from kani_text.segment_pipeline import SegmentPipeline
from kani_text.segmenter import WHOLE_SENTENCES, TextSegment

SPELLINGS, READINGS = "spellings", "readings"
_LINKED = "dates", "ordinals.with_stop"

Row = tuple[str, str]
"""A section of the table, and a key in it."""


class TableRows:
    """The rows of a language: all keys but those of [regions], and those that a table has to have."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._unspaced = language in unspaced.NUMBER_WORDS
        folder = unspaced.UNSPACED_FOLDER if self._unspaced else loaded.TABLES_FOLDER
        self._path = folder / f"{language}.toml"
        self._source = self._path.read_text(encoding="utf-8")
        self._values = tomllib.loads(self._source)
        self._values.pop("regions", None)
        _write_out(self._values.get("abbreviations", {}), ".")
        for trade in self._values.get("trades", {}).values():
            _write_out(trade, "")

    @functools.cached_property
    def rows(self) -> list[Row]:
        names = [name for name in re.findall(r"(?m)^\[([^\]]+)\]$", self._source) if name[:8] != "regions."]
        sections = {path[:depth] for path in map(_path, names) for depth in range(1, len(path) + 1)}
        rows = [
            (name, key)
            for name in names
            for key in self._section(self._values, name)
            if (*_path(name), key) not in sections
        ]
        rows = self._without_needed(rows)
        # These have rows that are needed by each other.
        needed = {row for row in rows if row[0] in _LINKED and not self._without_needed([row])}
        return [row for row in rows if row not in needed]

    def _without_needed(self, rows: list[Row]) -> list[Row]:
        """Leave out the rows without which the table is none."""
        try:
            self._parse(rows)
        except TableError:
            half = len(rows) // 2
            return [*self._without_needed(rows[:half]), *self._without_needed(rows[half:])] if half else []
        return rows

    @staticmethod
    def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
        return functools.reduce(lambda section, part: section[part], _path(name), values)

    def _parse(self, without: Collection[Row]) -> Any:
        values = _copied(self._values)
        for name, key in without:
            del self._section(values, name)[key]
        section = file.TableSection(self._path, self._source, "", values)
        parse: Callable[..., Any] = unspaced.parse_unspaced_table if self._unspaced else parse_table
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(file, "LazyPattern", _pattern)
            return parse(self.language, section)

    @contextmanager
    def removed(self, rows: Collection[Row]) -> Iterator[None]:
        """Have the language read without some rows."""
        table = self._parse(rows)
        source = self._source
        for key in (key for section, key in rows if section == "abbreviations"):
            source = re.sub(rf'(?m)^"?{re.escape(key)}"? = (?:"""[^"]*"""|.*)\n', "", source)
            source = re.sub(rf'(?<![^\s"]){re.escape(key[:-1])}·[^\s"]+', "", source)
        with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
            (Path(folder) / self._path.name).write_text(source, encoding="utf-8")
            patch.setattr(short_forms, "_TABLES", Path(folder))
            if self._unspaced:
                patch.setattr(unspaced, "_load", lambda _: table)
            else:
                patch.setattr(loaded, "_loaded", {(self.language, ""): table})
            _forget()
            yield
        _forget()

    def reading(self, written: str) -> str:
        """Return the spoken form; where a rule relies on a row that is not there, its error."""
        try:
            return normalize(written, 0, NormalizerOptions(self.language)).text
        except (KeyError, ValueError) as error:
            return repr(error)

    def sentences(self, written: str) -> list[str]:
        """Return the sentences of a text."""
        pipeline = SegmentPipeline(WHOLE_SENTENCES, self.language, (self.language,))
        parts = [*pipeline.feed(written), *pipeline.flush(more_to_come=False)]
        return [part.text for part in parts if isinstance(part, TextSegment)]

    def patterns_of(self, written: str) -> set[Row]:
        """Return the rows of [spellings] that change a text, and those of [readings] that match in it."""
        keys = [*self._values.get(SPELLINGS, {})]
        changed = set[Row]()

        def noted(of: Callable[[str], Any], language: str) -> Any:
            patterns = of(language)
            # Before the table's own come those that all languages have first.
            first = sum(kinds == "first" for kinds, *_ in spellings.ROWS)
            return tuple(
                (pattern, functools.partial(note, becomes, at))
                for at, (pattern, becomes) in enumerate(patterns, -first)
            )

        def note(becomes: Callable[[re.Match[str]], str], at: int, found: re.Match[str]) -> str:
            said = becomes(found)
            if said != found.group() and 0 <= at < len(keys):
                changed.add((SPELLINGS, keys[at]))
            return said

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(respelling, "spellings_of", functools.partial(noted, spellings.spellings_of))
            self.reading(written)
        days = "|".join(" ".join(self._values.get("dates", {}).get("short_weekdays", [])).split())
        patterns = {key: key.replace("{weekday}", f"(?:{days})") for key in self._values.get(READINGS, {})}
        return changed | {
            (READINGS, key) for key, of in patterns.items() if _pattern(of).compiled.search(written)
        }


def _write_out(section: dict[str, Any], stop: str) -> None:
    """Give each word of ``shortened`` a line of its own."""
    for conditions, words in section.pop("shortened", {}).items():
        for short, _, rest in (word.partition("·") for word in words.split()):
            section[short + stop] = dict.fromkeys(conditions.split(), short + rest)


def _path(name: str) -> tuple[str, ...]:
    """Return the keys of a section's name: those in quotes may have any sign."""
    return tuple(quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^.]+)', name))


def _forget() -> None:
    """Forget what is kept of tables by language."""
    spellings.spellings_of.cache_clear()
    short_forms._names.cache_clear()
    notation.notation_of.cache_clear()


def _copied(values: dict[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, dict) else value for key, value in values.items()}


_pattern = functools.cache(LazyPattern)
"""Patterns are parsed and compiled once for all tables."""


def proofs(language: str) -> list[tuple[str, str, Row | None]]:
    """Return what is written, how it is spoken, and the row that this proves, if the file names it.

    ``\\ue001`` stands for a block of code, as the reader of markup hands it on.
    """
    lines = (Path(__file__).parent / f"{language}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    found = list[tuple[str, str, Row | None]]()
    for line in lines:
        written, spoken, *named = line.split("\t")
        section, _, key = named[0].partition("/") if named else ("", "", "")
        written = written.replace(r"\ue001", CODE_BLOCK)
        found.append((written, spoken, (section, key) if named else None))
    return found
