r"""Finds formulas, as TeX or plain text writes them: ``\frac{a}{b}``, "f'(x) = 2x", "√(b² - 4ac)".

A formula is more than a number, a sign and a letter: "x = 4" is left to the rules of single tokens.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field

from kani_text.normalizer.compound_units import measured_until
from kani_text.normalizer.formulas.notation import (
    ARROWS,
    BETWEEN,
    CLOSER,
    FEET,
    FUNCTION_LETTERS,
    MINUS,
    PARTS,
    RELATIONS,
    Notation,
    Part,
    plain_parts,
    shape_of,
)
from kani_text.normalizer.formulas.reader import FormulaReader

_LIKELY = re.compile(r"\\[A-Za-z]|\*\*\w|[=<>≤≥√∛∫∑∏∂∇∈^⁰¹²³⁴-⁹₀-₉_]|[A-Za-z]['’′]{0,2}\(")
"""Signs that no formula lacks all of: a cheap test before the search."""
_FIRST_UNSPACED = "\u3000"
"""The first character of scripts that are written without spaces."""
_QUOTES = ("'", "’")
_BEGINS_AFTER = frozenset("([{«\"“'¿¡:;,$—…")
_ENDS_BEFORE = frozenset(")]}»”\",;:!?…$—'’")
_NEVER_FIRST = ARROWS | RELATIONS | FEET | frozenset("–)]},!/&^_·|°*+×÷{")
_WITH_BOUNDS = frozenset("∫∑∏")
_BEFORE_OPERAND = BETWEEN | _WITH_BOUNDS | frozenset("([{,^_|&√∛∂∇∀∃") | {"**"}
_MARKS_OF_VARIABLE = frozenset("+-−=≠≈<>≤≥/*·×^_(!'’′)]|⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉")
_DIFFERENTIAL = re.compile("d[r-zθφ]")
_DERIVATIVE = re.compile(r"d[A-Za-zθφ]/d[A-Za-zθφ]\b")
_PRODUCT = re.compile(r"[A-Za-zͰ-Ͽ]{2}|(?![A-Z]?[a-z]*[aeiouy])[A-Za-zͰ-Ͽ]{3}|[a-z][A-Z]{2}")
"""Variables in a row: "ab", "mgh", "nRT"."""
_VOWELS = frozenset("aeiou")
_AFTER_FUNCTION = re.compile(r"(?![A-Za-z0-9])(?!_[^\d{])")
_MEASURES_OF_TWO = frozenset(
    "km cm mm nm dm kg mg ml mL cl dl ms ns kN kW mA mV kV Hz Pa kPa GB MB kB TB".split()
)
_AFTER_NUMBER = re.compile(r"[\d⁰¹²³⁴-⁹] ?\Z")
_AHEAD = re.compile(r" *(\S)")
_WORD = re.compile(r"\w")
_NUMBER = re.compile(r" *[-−]?\d")
_TEX_OPERATOR = re.compile(r" *\\(?:cdot|times|div|pm|leq?|geq?|neq?|approx|equiv|sim|in|to|cap|cup)\b")
_OPERAND = re.compile(r"[-−]?\w")
_BEFORE_BRACES = _WITH_BOUNDS | {"^", "_"}
_AFTER_FACTORIAL = BETWEEN | frozenset("()")
_AFTER_TWO_LETTERS = BETWEEN | {")"}
_MOST_PARTS, _DEEPEST = 150, 20
_SURE = re.compile(
    # TeX, "x^(n+1)", "sin(x)", "mc²", "x²" (but "5 m²", "m/s²"), "f(x)", "x₁"
    r"\\|\^ ?[{(]|\$\(|[$@][²^]|[^\W\dms_²₂][²^]|(?:[^\s#/]|[^#/] )[ms][²^]"
    rf"|[{''.join(sorted(FUNCTION_LETTERS))}]\(|[a-zα-ω]₂"
    # "∑ n", "√x", "(a+b)²", "f'(x)", "5! = 120"
    r"|∫|√ ?[^ #]|\)[²^]|' ?\(|!.*=|=.*!"
)
_NAMED_POWER = re.compile(r"\^ ?[^\W\d_²₂]|\^ ?[$@]")
_IN_EQUATION = re.compile(r"@|[^\W\d_²₂]_|\$ ?(?:[^\W\d_]|[$@])|/|\||(?:[#$@]|[^\W\d_²₂]) ?\(")
"""With a relation and a variable: "mx + b", "a_1", "log x", "a/b", "3(x + 2)"."""
_LETTERED = re.compile(r"[$@]|[^\W\d_²₂]")
_COLUMN = re.compile(r"[A-Z] ?\( ?[°KJWmsgLNV]")
"""The head of a column: "T(°C)"."""
_TERM = re.compile("#[^\\W\\d_²₂]²?")


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
    """True if white space joins parts, as in TeX and after a sign of a sum."""
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
    for part in _parts(text):
        if part is not None and _measures(part, text):
            part = None
        if run.parts and (part is None or not _goes_on(run, part, text, notation)):
            yield run.parts
            run = _Run()
        if part is not None and (run.parts or _begins(part, text, notation)):
            run.add(part, notation.words.functions)
    if run.parts:
        yield run.parts


def _parts(text: str) -> Iterator[Part | None]:
    """The tokens that formulas consist of, and None for what is between them."""
    apart, end = False, 0
    for found in PARTS.finditer(text):
        if found.start() > end:
            yield None
            apart = False
        end = found.end()
        if found.lastgroup != "space":
            yield Part(found.lastgroup or "", found.group(), found.start(), end, apart)
        apart = found.lastgroup == "space"


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
    name, ahead = part.text, _ahead(text, part.end)
    if len(name) == 1:
        calculated = ahead in _MARKS_OF_VARIABLE or _TEX_OPERATOR.match(text, part.end) is not None
        return after_operator or calculated or name not in notation.words.words
    if name in notation.words.functions:
        return _AFTER_FUNCTION.match(text, part.end) is not None
    if name in _MEASURES_OF_TWO:
        return False
    raised = text.startswith(("^", "²", "³", "⁴"), part.end)
    if after_operator and len(name) == len("ab") and (raised or ahead in _AFTER_TWO_LETTERS):
        return True
    begins = after_operator or raised or _DERIVATIVE.match(text, part.start) is not None
    return begins and _is_product(name, ahead, notation)


def _is_product(name: str, ahead: str, notation: Notation) -> bool:
    """True for variables in a row that are no word and no unit."""
    small = name.lower()
    if not _PRODUCT.fullmatch(name) or small in notation.common or name in notation.units:
        return False
    return not ahead.isalpha() or _VOWELS.isdisjoint(small)


def _goes_on(run: _Run, part: Part, text: str, notation: Notation) -> bool:
    """True if ``part`` belongs to the formula that ends with ``run``."""
    if len(run.parts) == _MOST_PARTS or run.depth == _DEEPEST:
        return False
    if part.kind in ("command", "words"):
        return True
    if not run.tex and "\n" in text[run.parts[-1].end : part.start]:
        return False
    if part.kind in ("letters", "number"):
        return _operand_goes_on(run, part, text, notation)
    if part.kind in ("raised", "lowered") or part.text in ("_", "°"):
        return not part.apart
    belongs = _GOES_ON.get(part.text)
    return belongs is None or belongs(run, part, text)


def _prime_goes_on(run: _Run, part: Part, text: str) -> bool:
    after_variable = not part.apart and run.parts[-1].kind == "letters"
    return after_variable and not text[part.end : part.end + 1].isalnum()


def _factorial_goes_on(run: _Run, part: Part, text: str) -> bool:
    after_operand = not part.apart and run.parts[-1].text not in _BEFORE_OPERAND
    return after_operand and _ahead(text, part.end) in _AFTER_FACTORIAL


_GOES_ON: Mapping[str, Callable[[_Run, Part, str], bool]] = {
    **dict.fromkeys(ARROWS, lambda run, part, text: run.tex or run.limit),
    **dict.fromkeys((",", *CLOSER.values()), lambda run, part, text: run.depth > 0),
    **dict.fromkeys(FEET, _prime_goes_on),
    "!": _factorial_goes_on,
    "{": lambda run, part, text: run.tex or run.parts[-1].text in _BEFORE_BRACES,
    "–": lambda run, part, text: part.apart and text.startswith(" ", part.end),
    "/": lambda run, part, text: run.parts[-1].text not in RELATIONS,
}
"""Signs that do not always belong to the formula before them."""


def _operand_goes_on(run: _Run, part: Part, text: str, notation: Notation) -> bool:
    """True if a number or a variable belongs to the formula that ends with ``run``."""
    last, functions = run.parts[-1], notation.words.functions
    after_operator = last.text in _BEFORE_OPERAND or last.kind == "command"
    if part.kind == "letters":
        if last.kind == "number" and not part.apart:
            return _is_factor(run, part, notation)
        if run.tex and _DIFFERENTIAL.fullmatch(part.text):
            return True
        if not _is_operand(part, text, notation, after_operator=after_operator):
            return False
    # "log₂ 8"
    called = run.parts[-2] if last.kind == "lowered" and len(run.parts) > 1 else last
    applied = part.text in functions or called.text in functions
    return not part.apart or after_operator or applied or run.tex or run.depth > 0


def _is_factor(run: _Run, part: Part, notation: Notation) -> bool:
    """True for the variables of "4ac", not for the unit of "20km"."""
    measures = _MEASURES_OF_TWO if run.powers or run.depth else notation.units
    product = _PRODUCT.fullmatch(part.text) is not None and part.text not in measures
    return len(part.text) == 1 or product


def _trimmed(run: list[Part], text: str) -> list[Part]:
    """The part of ``run`` that is a formula: whole words of the text, and each bracket with its other one."""
    parts = list(run)
    while parts and not _ends_here(parts[-1], text):
        parts.pop()
    parts = _without_measure(_balanced(parts), text)
    while parts and parts[-1].text in _BEFORE_OPERAND:
        if parts[-1].text in RELATIONS and _NUMBER.match(text, parts[-1].end):
            break
        parts.pop()
    while parts and parts[0].text in _NEVER_FIRST - {"|"}:
        parts.pop(0)
    return parts


def _balanced(parts: list[Part]) -> list[Part]:
    """The longer one of the parts before and after the brackets that are not closed."""
    opened: list[int] = []
    for place, part in enumerate(parts):
        if part.text in CLOSER:
            opened.append(place)
        elif part.text in CLOSER.values() and opened:
            opened.pop()
    return max(parts[: opened[0]], parts[opened[-1] + 1 :], key=len) if opened else parts


def _without_measure(parts: list[Part], text: str) -> list[Part]:
    """Leave the number after the last relation to be read with its unit: "= 9×10⁹ N·m²/C²", "≈ 78.5"."""
    if parts and measured_until(text, parts[-1].end + 1) > parts[-1].end + 1:
        related = [place for place, part in enumerate(parts) if part.text in RELATIONS]
        return parts[: related[-1] + 1] if related else parts
    if len(parts) > 2 and parts[-1].kind == "number":
        end = len(parts) - 1 - (parts[-2].text in MINUS)
        return parts[:end] if parts[end - 1].text in RELATIONS else parts
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
    following = text[parts[-1].end : parts[-1].end + 1]
    ends = following in (",", ".", ";", ":", "?", ")") or following >= _FIRST_UNSPACED
    return (
        ends and _TERM.fullmatch(shape_of(parts, ()).lstrip(" ")) is not None and parts[1].text in variables
    )


def _is_formula(parts: list[Part], notation: Notation) -> bool:
    """True if ``parts`` have a sign of mathematics that nothing else has."""
    shape = shape_of(parts, notation.words.functions)
    if column := _COLUMN.search(shape):
        shape = shape[: column.start()]
    if _SURE.search(shape) or (notation.caret_is_power and _NAMED_POWER.search(shape)):
        return True
    related = any(part.text in RELATIONS for part in parts)
    return related and bool(_LETTERED.search(shape) and _IN_EQUATION.search(shape))
