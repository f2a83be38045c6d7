"""A pattern that is compiled once a text has the characters that it requires; most never are.

A sentence without digits, "@", "/" or "€" holds no price, no hour and no score: it is searched for ten of the
some 400 spellings of its language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from re import _constants, _parser  # type: ignore[attr-defined]  # the library tells a pattern's parts only here
from typing import Any

DIGIT = "0"
"""Stands for any digit among required characters."""


def characters_of(text: str) -> set[str]:
    """Return the characters of a text, with ``DIGIT`` where it has a digit."""
    found = set(text)
    if any(map(str.isdecimal, found)):
        found.add(DIGIT)
    return found


class LazyPattern:
    """A regular expression; ``required``: digits and other characters without case of all that it matches."""

    def __init__(self, written: str) -> None:
        """Raises re.error for what is no pattern, except for a look-behind of several lengths."""
        self._written = written
        self.required = frozenset(_required(_parser.parse(written)))

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern itself."""
        return re.compile(self._written)


def _required(parts: Iterable[tuple[Any, Any]]) -> set[str]:
    required = set[str]()
    for kind, what in parts:
        match kind:
            case _constants.LITERAL:
                character = chr(what)
                if character.isdecimal():
                    required.add(DIGIT)
                elif character.lower() == character.upper():
                    required.add(character)
            case _constants.IN if all(map(_is_digit, what)):
                required.add(DIGIT)
            case _constants.SUBPATTERN:
                required |= _required(what[-1])
            case _constants.ATOMIC_GROUP:
                required |= _required(what)
            case _constants.ASSERT:
                required |= _required(what[1])
            case _constants.MAX_REPEAT | _constants.MIN_REPEAT | _constants.POSSESSIVE_REPEAT if what[0]:
                required |= _required(what[2])
            case _constants.BRANCH:
                required |= set.intersection(*map(_required, what[1]))
    return required


def _is_digit(member: tuple[Any, Any]) -> bool:
    """True if a member of a set of characters is a digit, or digits."""
    kind, what = member
    match kind:
        case _constants.LITERAL:
            return chr(what).isdecimal()
        case _constants.RANGE:
            return all(chr(each).isdecimal() for each in what)
        case _constants.CATEGORY:
            return bool(what is _constants.CATEGORY_DIGIT)
    return False
