"""Rows of [readings]: what a pattern matches is said as a template has it, and no other rule reads it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from kani_text.normalizer.tables.file import TableSection
from kani_text.normalizer.tables.lazy_pattern import PLACE, LazyPattern, characters_of

KINDS = frozenset(
    "cardinal ordinal digits characters unit money currency date time year decade telephone text".split()
)
"""Kinds that a slot can be read as, see ``kani_text.normalizer.say_as``."""

_SLOT = re.compile(r"\{([^{}]*)\}|[{}]")
_SLOT_NAMES = re.compile(r"(?P<name>[^\W\d]\w*)(?::(?P<kind>\w+))?(?::(?P<form>\w+))?")


@dataclass(frozen=True, slots=True)
class Slot:
    """A named group of the pattern, and what it is read as: "" is a number where it is one, else the text.

    form: of the number or the date ("f", "dmy").
    """

    name: str
    kind: str
    form: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A row: its pattern, and the words and slots that are said."""

    pattern: LazyPattern
    said: tuple[str | Slot, ...]

    def place(self, found: re.Match[str]) -> tuple[int, int]:
        """The place that is said: a group of this name, else the whole match."""
        return found.span(PLACE if PLACE in self.pattern.groups else 0)


def parse_readings(section: TableSection, parts: Mapping[str, str]) -> tuple[Reading, ...]:
    """The rows of a section, in order; parts: what names in braces stand for in a pattern.

    Raises TableError for what is no pattern, a group that it lacks, an unknown kind, and nothing to say.
    """
    found = []
    for written, template in section.all_texts().items():
        pattern = section.pattern(written, parts)
        said: list[str | Slot] = []
        done = 0
        for slot in _SLOT.finditer(template):
            names = _SLOT_NAMES.fullmatch(slot[1] or "")
            if names is None or names["name"] not in pattern.groups:
                raise section.error(written, f"has {slot[0]}, which is no group of its pattern")
            if names["kind"] is not None and names["kind"] not in KINDS:
                known = ", ".join(sorted(KINDS))
                raise section.error(written, f"has the kind {names['kind']!r}, which is none of {known}")
            group, kind, form = names.groups("")
            said += [template[done : slot.start()], Slot(group, kind, form)]
            done = slot.end()
        said.append(template[done:])
        if not template.strip() or pattern.matches_nothing:
            raise section.error(written, "has to match something, and to say something")
        found.append(Reading(pattern, tuple(part for part in said if part)))
    return tuple(found)


def find_readings(text: str, rows: Iterable[Reading]) -> Iterator[tuple[Reading, re.Match[str]]]:
    """The rows that match in a text, with each match; the first row's first, so that they may overlap."""
    characters, small = characters_of(text), text.lower()
    for row in rows:
        pattern = row.pattern
        if pattern.required <= characters and any(map(small.__contains__, pattern.words)):
            for found in pattern.compiled.finditer(text):
                yield row, found


def certain_end(text: str, rows: Iterable[Reading]) -> int:
    """The beginning of the part of a text that a row may match once more text follows; else the length."""
    return min((row.pattern.unfinished(text) for row in rows), default=len(text))
