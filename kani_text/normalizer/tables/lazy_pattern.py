"""A pattern that is compiled once a text has the characters and letters that it requires; most never are.

A sentence without digits, "@", "/" or "€" holds no price, no hour and no score: it is searched for ten of the
some 500 spellings of its language, one full of figures for a hundred.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]  # only they tell a pattern's parts
from typing import Any

DIGIT = "0"
"""Stands for any digit among required characters."""

_LEAST_LETTERS, _MOST_WORDS = 2, 8
"""Shortest text that is looked for before a pattern is, and the most alternatives of it."""

PLACE, _BEGUN = "said", "_begun"
"""Names of the group that is a match's place (else all of it is), and of where a begun one begins."""

_MOST_REPEATED = 40
"""Characters of a group that a pattern has twice, at most."""


def characters_of(text: str) -> set[str]:
    """Return the characters of a text, with ``DIGIT`` where it has a digit."""
    found = set(text)
    if any(map(str.isdecimal, found)):
        found.add(DIGIT)
    return found


class LazyPattern:
    """A regular expression.

    ``required``: digits and other characters without case of all that it matches; ``words``: texts in small
    letters, one of them in all that it matches: the empty one, which is in any text, where none is certain.
    """

    def __init__(self, written: str) -> None:
        """Raises re.error for what is no pattern, except for a look-behind of several lengths."""
        self._written = written
        parsed = _parser.parse(written)
        self.required = frozenset(_required(parsed))
        self.groups = frozenset[str](parsed.state.groupdict)
        self.matches_nothing = parsed.getwidth()[0] == 0
        words = _words(parsed)
        self.words = words if _shortest(words) >= _LEAST_LETTERS else ("",)

    @cached_property
    def compiled(self) -> re.Pattern[str]:
        """The pattern itself."""
        return re.compile(self._written)

    @cached_property
    def _begun(self) -> tuple[re.Pattern[str], int]:
        """A pattern of what may still become one that this one matches, and the most characters of it."""
        begun = _begun(_parser.parse(self._written))
        return _compiler.compile(begun), begun.getwidth()[1]

    def unfinished(self, text: str) -> int:
        """The first place that may begin, or end otherwise, once more text follows; else the length.

        A match with a place that begins before is the same in all longer texts.
        """
        begun, most = self._begun
        found = begun.search(text, max(0, len(text) - most))
        if found is None:
            return len(text)
        starts = (found.start(name) for name in (PLACE, _BEGUN) if name in begun.groupindex)
        return next((start for start in starts if start >= 0), found.start())


def _begun(parts: Any, before: bool = False) -> Any:
    """The parts, for the library's compiler, of what ends with the text inside of some that are matched.

    before: whether they are before the place: where the text ends amid them, the place begins in later text.
    """
    # "$" matches before the end of a text's last line, too.
    line = (_constants.MAX_REPEAT, (0, 1, _parser.SubPattern(parts.state, [(_constants.LITERAL, ord("\n"))])))
    end = _parser.SubPattern(parts.state, [line, (_constants.AT, _constants.AT_END_STRING)])
    never: list[Any] = [(_constants.ASSERT_NOT, (1, _parser.SubPattern(parts.state)))]
    begun = never
    place = parts.state.groupdict.get(PLACE, -1)
    for kind, what in reversed(parts):
        inside: Any
        match kind:
            case _constants.SUBPATTERN:
                inside = _begun(what[-1], before)
                if what[0] == place:
                    before = True
                    mark = parts.state.opengroup(_BEGUN)
                    parts.state.closegroup(mark, _parser.SubPattern(parts.state))
                    empty = (_constants.SUBPATTERN, (mark, 0, 0, _parser.SubPattern(parts.state)))
                    inside = [empty, *inside]
            case _constants.ATOMIC_GROUP:
                inside = _begun(what, before)
            case _constants.ASSERT | _constants.ASSERT_NOT:
                inside = _begun(what[1]) if what[0] > 0 else never
            case _constants.MAX_REPEAT | _constants.MIN_REPEAT | _constants.POSSESSIVE_REPEAT:
                repeated = (_constants.MAX_REPEAT, (0, max(what[1] - 1, 0), what[2]))
                inside = [repeated, *_begun(what[2], before)]
            case _constants.BRANCH:
                inside = [(kind, (None, [_begun(one, before) for one in what[1]]))]
            case _constants.GROUPREF_EXISTS:
                both = [_begun(one, before) for one in what[1:] if one is not None]
                inside = [(_constants.BRANCH, (None, both))]
            case _constants.GROUPREF | _constants.GROUPREF_IGNORE if not before:
                anything = _parser.SubPattern(parts.state, [(_constants.ANY, None)])
                inside = [(_constants.MAX_REPEAT, (0, _MOST_REPEATED, anything)), *end]
            case _:
                inside = never if before else end
        either = [_parser.SubPattern(parts.state, list(one)) for one in (inside, [(kind, what), *begun])]
        begun = [(_constants.BRANCH, (None, either))]
    return _parser.SubPattern(parts.state, begun)


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


def _words(parts: Iterable[tuple[Any, Any]]) -> tuple[str, ...]:
    found: list[tuple[str, ...]] = [()]
    run = ""
    for kind, what in parts:
        if kind is _constants.LITERAL:
            run += chr(what).lower()
            continue
        found.append((run,) if run else ())
        run = ""
        match kind:
            case _constants.SUBPATTERN:
                found.append(_words(what[-1]))
            case _constants.ATOMIC_GROUP:
                found.append(_words(what))
            case _constants.ASSERT:
                found.append(_words(what[1]))
            case _constants.MAX_REPEAT | _constants.MIN_REPEAT | _constants.POSSESSIVE_REPEAT if what[0]:
                found.append(_words(what[2]))
            case _constants.BRANCH:
                alternatives = [*map(_words, what[1])]
                if all(alternatives) and sum(map(len, alternatives)) <= _MOST_WORDS:
                    found.append(tuple(word for words in alternatives for word in words))
    return max([*found, (run,) if run else ()], key=_shortest)


def _shortest(words: tuple[str, ...]) -> int:
    return min(map(len, words), default=0)


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
