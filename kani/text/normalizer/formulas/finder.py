r"""Finds formulas, as TeX or plain text writes them: ``\frac{a}{b}``, "f'(x) = 2x", "√(b² - 4ac)".

A formula is more than a number, a sign and a letter: "x = 4" is left to the rules of single tokens.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from kani.text.normalizer.compound_units import measured_until
from kani.text.normalizer.formulas.notation import Notation
from kani.text.normalizer.formulas.parts import (
    ARROWS,
    BETWEEN,
    CLOSER,
    FUNCTION_LETTERS,
    MINUS,
    PARTS,
    PRIMES,
    RELATIONS,
    TIMES,
    Part,
    plain_parts,
)
from kani.text.normalizer.formulas.reader import FormulaReader

_LIKELY = re.compile(r"\\[A-Za-z]|\*\*\w|[=<>≤≥√∛∫∑∏∂∇∈^⁰¹²³⁴-⁹₀-₉_]|[A-Za-z]['’′]{0,2}\(")
"""Signs that no formula lacks all of: a cheap test before the search."""
_FIRST_UNSPACED = "\u3000"
"""The first character of scripts that are written without spaces."""
_QUOTES = ("'", "’")
_BEGINS_AFTER = frozenset("([{«\"“'¿¡:;,$—…")
_ENDS_BEFORE = frozenset(")]}»”\",;:!?…$—'’")
_NEVER_FIRST = ARROWS | RELATIONS | PRIMES | frozenset("–)]},!/&^_·|°*+×÷{")
_WITH_BOUNDS = frozenset("∫∑∏")
_BEFORE_OPERAND = BETWEEN | _WITH_BOUNDS | frozenset("([{,^_|&√∛∂∇∀∃") | {"**"}
_MARKS_OF_VARIABLE = frozenset("+-−=≠≈<>≤≥/*·×^_(!'’′)]|⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉")
_ROOTS_AND_SUMS = _WITH_BOUNDS | frozenset("√∛∂∇∀∃∈")
_CALCULATED = TIMES | frozenset("/|!")
_DIFFERENTIAL = re.compile("d[r-zθφ]")
_DERIVATIVE = re.compile(r"d[A-Za-zθφ]/d[A-Za-zθφ]\b")
_PRODUCT = re.compile(r"[A-Za-zͰ-Ͽ]{2}|(?![A-Z]?[a-z]*[aeiouy])[A-Za-zͰ-Ͽ]{3}|[a-z][A-Z]{2}")
"""Variables in a row: "ab", "mgh", "nRT"."""
_VOWELS = frozenset("aeiou")
_AFTER_FUNCTION = re.compile(r"(?![A-Za-z0-9])(?!_[^\d{])")
_MEASURES = frozenset("ms")
"""Units of one letter that have powers."""
_MEASURES_OF_TWO = frozenset(
    "km cm mm nm dm kg mg ml mL cl dl ms ns kN kW mA mV kV Hz Pa kPa GB MB kB TB".split()
)
_UNITS_IN_BRACKETS = _MEASURES_OF_TWO | frozenset("° K J W m s g L N V".split())
_AFTER_NUMBER = re.compile(r"[\d⁰¹²³⁴-⁹] ?\Z")
_AHEAD = re.compile(r" *(\S)")
_WORD = re.compile(r"\w")
_NUMBER = re.compile(r" *[-−]?\d")
_TEX_OPERATOR = re.compile(r" *\\(?:cdot|times|div|pm|leq?|geq?|neq?|approx|equiv|sim|in|to|cap|cup)\b")
_OPERAND = re.compile(r"[-−]?\w")
_MOST_PARTS, _DEEPEST = 150, 20
_LONGEST_TERM = 3


def formulas(text: str, notation: Notation) -> Iterator[tuple[int, int, str]]:
    """Each formula's place ``[start, end)`` in ``text``, and its words.

    Text after a formula does not change it, unless it goes on (``unfinished``).
    """
    if not _LIKELY.search(text):
        return
    variables: set[str] = set()
    for run in _runs(text, notation):
        parts = _trimmed(run, text)
        if parts and (_is_term(parts, text, variables) or _is_formula(parts, notation)):
            variables |= {part.text for part in parts if part.kind == "letters" and len(part.text) == 1}
            plain = plain_parts(parts, frozenset(notation.words.functions))
            end = parts[-1].end
            space = " " if text[end : end + 1].isdecimal() else ""
            yield parts[0].start, end, FormulaReader(plain, notation).read() + space


def unfinished(text: str, notation: Notation) -> int:
    """The start of a formula that text to come may belong to; the length of ``text`` if there is none."""
    start, end, only_number = len(text), 0, True
    for run in _runs(text, notation):
        if start == len(text) or _WORD.search(text, end, run[0].start):
            start, only_number = run[0].start, True
        only_number = only_number and [part.kind for part in run] == ["number"]
        end = run[-1].end
    if only_number or _WORD.search(text, end):
        return len(text)
    while start and not text[start - 1].isspace():
        start -= 1
    return start


@dataclass(slots=True)
class _Run:
    """Tokens in a row that a formula may consist of."""

    parts: list[Part] = field(default_factory=list)
    depth: int = 0
    """Brackets that are open."""
    tex: bool = False
    """Whether white space joins parts, as in TeX and after a sign of a sum."""
    powers: bool = False
    limit: bool = False

    def add(self, part: Part, functions: Container[str]) -> None:
        self.parts.append(part)
        self.depth = max(0, self.depth + (part.text in CLOSER) - (part.text in CLOSER.values()))
        named = part.kind == "command" and part.text[1:] in functions
        self.tex = self.tex or named or part.is_tex or part.text in _WITH_BOUNDS
        self.powers = self.powers or part.kind == "raised" or part.text == "^"
        self.limit = self.limit or part.text == "lim"


def _runs(text: str, notation: Notation) -> Iterator[list[Part]]:
    """The longest runs of tokens that formulas consist of."""
    run = _Run()
    apart, at = False, 0
    while at < len(text):
        found = PARTS.match(text, at)
        if found is not None and found.lastgroup == "space":
            apart, at = True, found.end()
            continue
        part = Part(found.lastgroup or "", found.group(), at, found.end(), apart) if found else None
        apart = False
        measured = part is not None and _measures(part, text)
        if run.parts and (part is None or measured or not _goes_on(run, part, text, notation)):
            yield run.parts
            run = _Run()
        if part is not None and not measured and (run.parts or _begins(part, text, notation)):
            run.add(part, notation.words.functions)
        at = part.end if part else at + 1
    if run.parts:
        yield run.parts


def _measures(part: Part, text: str) -> bool:
    """True for the "m" of "3 m/s", which no formula goes on with: the unit is read with its number."""
    counted = _AFTER_NUMBER.search(text, max(0, part.start - 2), part.start) is not None
    begins = part.kind == "letters" or (part.text == "/" and part.apart)
    return begins and counted and measured_until(text, part.start) > part.start


def _ahead(text: str, at: int) -> str:
    """The first character from ``at`` on that is no space."""
    found = _AHEAD.match(text, at)
    return found[1] if found else ""


def _begins(part: Part, text: str, notation: Notation) -> bool:
    """True if a formula may begin with ``part``: after white space or a bracket."""
    before = text[part.start - 1 : part.start]
    if before.strip() and before not in _BEGINS_AFTER and before < _FIRST_UNSPACED:
        return False
    if before in _QUOTES and part.start > 1 and text[part.start - 2].isalnum():
        # The "s" of "tau's"
        return False
    if part.text in _NEVER_FIRST:
        return part.text == "|" and _OPERAND.match(text, part.end) is not None
    return part.kind != "letters" or _is_operand(part, text, notation, after_operator=False)


def _is_operand(part: Part, text: str, notation: Notation, *, after_operator: bool) -> bool:
    """True for a variable, a function's name, or a few variables in a row."""
    name, following = part.text, text[part.end : part.end + 1]
    ahead = _ahead(text, part.end)
    if len(name) == 1:
        calculated = ahead in _MARKS_OF_VARIABLE or _TEX_OPERATOR.match(text, part.end) is not None
        return after_operator or calculated or name not in notation.words.words
    if name in notation.words.functions:
        return _AFTER_FUNCTION.match(text, part.end) is not None
    raised = following in ("^", "²", "³", "⁴")
    if name in _MEASURES_OF_TWO:
        return False
    if after_operator and len(name) == len("ab") and (raised or ahead in BETWEEN or ahead == ")"):
        return True
    if not (after_operator or raised or _DERIVATIVE.match(text, part.start)) or not _PRODUCT.fullmatch(name):
        return False
    small = name.lower()
    word = small in notation.common or name in notation.units
    return not word and (not ahead.isalpha() or _VOWELS.isdisjoint(small))


def _goes_on(run: _Run, part: Part, text: str, notation: Notation) -> bool:
    """True if ``part`` belongs to the formula that ends with ``run``."""
    last, following = run.parts[-1], text[part.end : part.end + 1]
    if len(run.parts) == _MOST_PARTS or run.depth == _DEEPEST:
        return False
    if part.kind in ("command", "words"):
        return True
    if "\n" in text[last.end : part.start] and not run.tex:
        return False
    if part.kind in ("letters", "number"):
        return _operand_goes_on(run, part, text, notation)
    if part.kind in ("raised", "lowered") or part.text in ("_", "°"):
        return not part.apart
    if part.text in ARROWS:
        return run.tex or run.limit
    if part.text == "{":
        return run.tex or last.text in ("^", "_") or last.text in _WITH_BOUNDS
    if part.text == ",":
        return run.depth > 0
    if part.text == "–":
        return part.apart and following == " "
    if part.text == "/":
        return last.text not in RELATIONS
    if part.text in PRIMES:
        return not part.apart and last.kind == "letters" and not following.isalnum()
    if part.text == "!":
        ahead = _ahead(text, part.end)
        return (
            not part.apart and last.text not in _BEFORE_OPERAND and (ahead in BETWEEN or ahead in ("(", ")"))
        )
    return part.text not in CLOSER.values() or run.depth > 0


def _operand_goes_on(run: _Run, part: Part, text: str, notation: Notation) -> bool:
    """True if a number or a variable belongs to the formula that ends with ``run``."""
    last, functions = run.parts[-1], notation.words.functions
    lettered = part.kind == "letters"
    if lettered and last.kind == "number" and not part.apart:
        # "4ac", but "20km"
        measure = part.text in (_MEASURES_OF_TWO if run.powers or run.depth else notation.units)
        return len(part.text) == 1 or (_PRODUCT.fullmatch(part.text) is not None and not measure)
    if run.tex and _DIFFERENTIAL.fullmatch(part.text) and part.text not in notation.common:
        return True
    after_operator = last.text in _BEFORE_OPERAND or last.kind == "command"
    if lettered and not _is_operand(part, text, notation, after_operator=after_operator):
        return False
    # "log₂ 8"
    called = run.parts[-2] if last.kind == "lowered" and len(run.parts) > 1 else last
    if not part.apart or after_operator or part.text in functions or called.text in functions:
        return True
    if run.tex and lettered and part.text in notation.words.words:
        # "y" after a formula, the Spanish "and"
        return _ahead(text, part.end) in ("=", "^", "_", "+", "-")
    return run.tex or run.depth > 0


def _trimmed(run: list[Part], text: str) -> list[Part]:
    """The part of ``run`` that is a formula: whole words of the text, and each bracket with its other one."""
    parts = list(run)
    while parts and not _ends_here(parts[-1], text):
        parts.pop()
    opened: list[int] = []
    for place, part in enumerate(parts):
        if part.text in CLOSER:
            opened.append(place)
        elif part.text in CLOSER.values() and opened:
            opened.pop()
    if opened:
        before, after = parts[: opened[0]], parts[opened[-1] + 1 :]
        parts = after if len(after) > len(before) else before
    # "≈ 78.5 cm²", "= 9×10⁹ N·m²/C²": the number at the end is read with its unit.
    if parts and measured_until(text, parts[-1].end + 1) > parts[-1].end + 1:
        related = [place for place, part in enumerate(parts) if part.text in RELATIONS]
        parts = parts[: related[-1] + 1] if related else parts
    elif len(parts) > 2 and parts[-1].kind == "number":
        end = len(parts) - 1 - (parts[-2].text in MINUS)
        if parts[end - 1].text in RELATIONS:
            parts = parts[:end]
    while parts and parts[-1].text in _BEFORE_OPERAND:
        if parts[-1].text in RELATIONS and _NUMBER.match(text, parts[-1].end):
            break
        parts.pop()
    while parts and parts[0].text in _NEVER_FIRST - {"|"}:
        parts.pop(0)
    return parts


def _ends_here(part: Part, text: str) -> bool:
    """True if the text goes on with another word, or ends, after ``part``."""
    following = text[part.end : part.end + 2]
    if not following or following[0].isspace() or following[0] in _ENDS_BEFORE or part.text in RELATIONS:
        return True
    if following >= _FIRST_UNSPACED:
        return True
    return following[0] == "." and not following[1:].isalnum()


def _is_term(parts: list[Part], text: str, variables: set[str]) -> bool:
    """True for "2x" after a formula of x, at the end of its clause: elsewhere it is "twice"."""
    if not 1 < len(parts) <= _LONGEST_TERM or any(part.apart for part in parts[1:]):
        return False
    number, letter, *raised = parts
    following = text[parts[-1].end : parts[-1].end + 1]
    ends = following in (",", ".", ";", ":", "?", ")") or following >= _FIRST_UNSPACED
    known = number.kind == "number" and letter.text in variables
    return known and ends and all(part.kind == "raised" for part in raised)


def _is_formula(parts: list[Part], notation: Notation) -> bool:
    """True if ``parts`` have a sign of mathematics that nothing else has."""
    functions = frozenset(notation.words.functions)
    related = any(part.text in RELATIONS for part in parts)
    lettered = any(part.kind == "letters" for part in parts)
    nothing = Part("", "", 0, 0, apart=True)
    neighbours = zip(
        [nothing, *parts], parts, [*parts[1:], nothing], [*parts[2:], nothing, nothing], strict=False
    )
    for before, part, after, inside in neighbours:
        named = after.kind == "letters" and notation.caret_is_power
        if part.text == "^" and (named or after.text in ("{", "(")):
            return True
        if part.text == "**" or part.is_tex or (part.kind == "command" and part.text[1:] in functions):
            return True
        if part.text.isupper() and after.text == "(" and inside.text in _UNITS_IN_BRACKETS:
            # "T(°C)" heads a column.
            return False
        if part.kind == "letters":
            if _is_calculated(before, part, after, functions, related=related):
                return True
        elif part.text in _ROOTS_AND_SUMS:
            if part.text != "√" or after.kind not in ("number", ""):
                return True
        elif (
            (part.text == ")" and _is_raised(after))
            or (part.text in PRIMES and after.text == "(")
            or (part.text in _CALCULATED and related and (lettered or part.text == "!"))
            or (part.text == "(" and related and lettered and before.kind in ("number", "letters"))
        ):
            return True
    return False


def _is_raised(part: Part) -> bool:
    return not part.apart and (part.kind == "raised" or part.text == "^")


def _is_calculated(
    before: Part, part: Part, after: Part, functions: frozenset[str], *, related: bool
) -> bool:
    """True if the parts beside letters show that they are variables, or a function."""
    if part.text in functions:
        applied = after.text == "(" and not after.apart
        raised = _is_raised(after) and before.kind != "number"
        return applied or raised or (related and after.kind in ("letters", "lowered"))
    if len(part.text) > 1:
        # "mx + b", "4ac", "mc²"
        return related or _is_raised(after)
    if after.apart:
        return False
    measured = part.text in _MEASURES and (before.kind == "number" or before.text in ("", "/"))
    return (
        (_is_raised(after) and not measured)
        or (after.text == "(" and part.text in FUNCTION_LETTERS)
        or (after.kind == "lowered" and part.text.islower())
        or (after.text == "_" and related)
    )
