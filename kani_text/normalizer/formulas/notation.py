"""Splits formulas into parts, the commands of TeX as their signs, and has a language's words for them."""

import functools
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace

from kani_text.language_detection import common_words
from kani_text.normalizer.rules.acronyms import letter_name
from kani_text.normalizer.rules.fractions import say_fraction
from kani_text.normalizer.rules.math import say_exponent
from kani_text.normalizer.rules.numerals import VULGAR_FRACTIONS, parse_numeral, say_numeral
from kani_text.normalizer.tables.loaded import table_for
from kani_text.normalizer.tables.table import Formulas, LanguageTable
from kani_text.normalizer.unspaced.table import UnspacedTable, unspaced_table_for

PARTS = re.compile(
    r"(?P<words>\\(?:text|textbf|mbox|begin|end) ?\{[^{}\n]{0,60}\})"
    r"|(?P<command>\\(?:[A-Za-z]+|[^\w\s]))|(?P<number>[½⅓¼¾⅔]|\d+(?:[.,]\d+)*)|(?P<letters>[A-Za-zͰ-Ͽ]+)"
    r"|(?P<raised>[⁺⁻]?[⁰¹²³⁴-⁹]+)|(?P<lowered>[₀-₉]+)|(?P<space>[ \u00a0\u2009\u202f\n]+)"
    r"|(?P<sign>''|\*\*(?=\w)|->|=>|<=|>=|!=|==|[-+−–±×·⋅∗*/÷=≠≈<>≤≥^_!|,()\[\]{}→⇒∞√∛∫∑∏∂∇∈∪∩∀∃′'’&°])"
)
RELATIONS = frozenset(("=", "≠", "≈", "<", ">", "≤", "≥", "∈", "<=", ">=", "!=", "=="))
ARROWS = frozenset(("→", "⇒", "->", "=>"))
"""Signs that compare nothing, and mean much outside of formulas."""
BETWEEN = RELATIONS | ARROWS | frozenset("+-−–±×·⋅∗*/÷∪∩")
"""Signs between two parts of a formula."""
MINUS, TIMES = frozenset("-−–"), frozenset("×·⋅∗*")
CLOSER = {"(": ")", "[": "]", "{": "}"}
FEET = frozenset(("'", "’", "′", "''"))
_SIGNS = r"""
pm ± times × cdot × ast × div ÷ leq ≤ le ≤ geq ≥ ge ≥ neq ≠ ne ≠ approx ≈ simeq ≈ sim ≈ equiv = infty ∞ lt <
gt > sum ∑ prod ∏ int ∫ iint ∫ oint ∫ partial ∂ nabla ∇ in ∈ cup ∪ cap ∩ forall ∀ exists ∃ to → rightarrow →
mid | | | Rightarrow ⇒ implies ⇒ vert | lvert | rvert | { ( } ) prime ′ circ ° ldots … dots … cdots … \ ;
alpha α beta β gamma γ Gamma γ delta δ Delta Δ epsilon ε varepsilon ε zeta ζ eta η theta θ Theta θ iota ι
kappa κ lambda λ Lambda λ mu μ nu ν xi ξ pi π Pi π rho ρ sigma σ Sigma Σ tau τ phi φ varphi φ Phi φ chi χ
psi ψ Psi ψ omega ω Omega Ω
""".split()
_SIGN_OF = dict(zip(_SIGNS[::2], _SIGNS[1::2], strict=True))
_TYPESETTING = frozenset(
    """left right mathrm mathbf mathbb mathcal mathit operatorname boldsymbol quad qquad big Big bigg Bigg
    displaystyle limits hat bar overline tilde dot ddot underline boxed , ; : ! %""".split()
)
FUNCTION_LETTERS = frozenset("fghFGHPTEVO")
"""Letters that a bracket after them is applied to: "f(x)", "P(A)"."""
STRUCTURES = frozenset("frac dfrac tfrac sqrt binom vec".split())
_SHAPES = {
    **dict.fromkeys(RELATIONS, "="),
    **dict.fromkeys(FEET, "'"),
    **dict.fromkeys(TIMES, "/"),
    **dict.fromkeys("∛∂∇∀∃∈∫∑∏", "∫"),
    "**": "\\",
    "number": "#",
    "raised": "²",
    "lowered": "₂",
    "command": ";",
}


@dataclass(frozen=True, slots=True, eq=False)
class Notation:
    """The words of a language; ``letter``, ``number``, ``cardinal`` and ``exponent`` take what is written."""

    words: Formulas
    signs: Mapping[str, str]
    minus: str
    power: str
    """A template of ``{n}``."""
    over: str
    """A template of ``{numerator}`` and ``{denominator}``."""
    letter: Callable[[str], str]
    number: Callable[[str], str]
    cardinal: Callable[[str], str]
    exponent: Callable[[str], str]
    fraction: Callable[[int, int], str]
    space: str
    common: frozenset[str]
    units: Container[str]
    caret_is_power: bool


@functools.cache
def notation_of(tag: str) -> Notation | None:
    """The notation of a language (BCP 47); None where it has no table. Raises TableError."""
    unspaced = unspaced_table_for(tag)
    if unspaced is not None:
        return _unspaced(unspaced)
    table = table_for(tag)
    return _spaced(table) if table is not None else None


def _spaced(table: LanguageTable) -> Notation:
    words = table.number_words

    def number(written: str) -> str:
        if written in VULGAR_FRACTIONS:
            return say_fraction(*VULGAR_FRACTIONS[written], table)
        numeral = parse_numeral(written, table)
        return written if numeral is None else say_numeral(numeral, table)

    return Notation(
        words=table.formulas,
        signs={**table.signs_between_figures, **table.signs, "×": table.signs.get("×", table.numbers.by)},
        minus=table.numbers.minus,
        power=f"{table.numbers.power} {{n}}",
        over=table.fractions.over,
        letter=functools.partial(letter_name, table=table),
        number=number,
        cardinal=lambda figures: words.cardinal(int(figures)),
        exponent=functools.partial(say_exponent, table=table),
        fraction=functools.partial(say_fraction, table=table),
        space=" ",
        common=table.common_words | common_words("en"),
        units=table.units,
        caret_is_power="^" not in table.ordinals,
    )


def _unspaced(table: UnspacedTable) -> Notation:
    over = table.numbers.fraction

    def as_written(text: str) -> str:
        return text

    return Notation(
        words=table.formulas,
        signs=table.formulas.signs,
        minus=table.formulas.signs["-"],
        power=table.formulas.power,
        over=over,
        letter=lambda letter: table.formulas.signs.get(letter, letter),
        # The reader of the language says figures.
        number=as_written,
        cardinal=as_written,
        exponent=as_written,
        fraction=lambda numerator, denominator: over.format(numerator=numerator, denominator=denominator),
        space="",
        common=common_words("en"),
        units=table.units,
        caret_is_power=True,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """A token of a formula; apart: white space stands before it."""

    kind: str
    text: str
    start: int
    end: int
    apart: bool = False

    @property
    def is_tex(self) -> bool:
        """True for a command that is known, or a text inside a formula."""
        name = self.text.removeprefix("\\")
        return self.kind == "words" or (
            self.kind == "command" and (name in _SIGN_OF or name in STRUCTURES or name in _TYPESETTING)
        )


def plain_parts(parts: list[Part], functions: frozenset[str]) -> list[Part]:
    """The parts that are spoken, with characters for the commands that stand for one."""
    found: list[Part] = []
    for part in parts:
        name = part.text.removeprefix("\\")
        if part.kind == "words":
            said = name.startswith(("text", "mbox"))
            part = replace(part, text=re.sub(r"^.*\{|\}$", "", part.text) if said else "")
        elif part.kind == "command" and name in functions:
            part = replace(part, kind="letters", text=name)
        elif part.kind == "command" and name in _SIGN_OF:
            sign = _SIGN_OF[name]
            part = replace(part, kind="letters" if sign.isalpha() else "sign", text=sign)
        elif part.kind == "command" and name in _TYPESETTING:
            continue
        part = replace(part, text={"**": "^", "pi": "π"}.get(part.text, part.text))
        found.append(part)
    return found


def shape_of(parts: list[Part], functions: Container[str]) -> str:
    """A sign for each part, with a space where white space stands before it.

    A variable and most signs are themselves; "\\" is TeX, "$" a function, "@" several letters, "#" a number.
    """
    return "".join(" " * part.apart + _shape(part, functions) for part in parts)


def _shape(part: Part, functions: Container[str]) -> str:
    if part.is_tex or (part.kind == "command" and part.text[1:] in functions):
        return "\\"
    if part.kind == "letters":
        return "$" if part.text in functions else part.text if len(part.text) == 1 else "@"
    return _SHAPES.get(part.kind) or _SHAPES.get(part.text, part.text)
