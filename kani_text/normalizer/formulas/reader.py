"""Says a formula in words."""

import re

from kani_text import writing
from kani_text.normalizer.formulas.notation import (
    BETWEEN,
    CLOSER,
    FEET,
    FUNCTION_LETTERS,
    MINUS,
    TIMES,
    Notation,
    Part,
)
from kani_text.normalizer.rules.numerals import LOWERED

_END = Part("end", "", 0, 0)
_BIG = {"∑": "sum", "∏": "product", "∫": "integral"}
_NAMED = BETWEEN | frozenset("∀∃∞°")
_PAUSES = frozenset(",;…")
_LONG = 4
"""Words of a numerator that a pause has to end."""


class FormulaReader:
    """Says the parts of one formula, from the left to the right."""

    def __init__(self, parts: list[Part], notation: Notation) -> None:
        self._parts = parts
        self._notation = notation
        self._words = notation.words
        self._at = 0
        self._in_limit = False

    def read(self) -> str:
        """The words of all parts."""
        said = []
        while self._at < len(self._parts):
            # It takes a closing bracket that nothing opened, too.
            said.append(self._expression())
        space = self._notation.space
        words = space.join(" ".join(said).split())
        return re.sub(r" +(?=[,;)])|(?<=\() +", "", words)

    def _peek(self, ahead: int = 0) -> Part:
        at = self._at + ahead
        return self._parts[at] if at < len(self._parts) else _END

    def _take(self) -> Part:
        part = self._peek()
        self._at += 1
        return part

    def _ends(self, closer: str) -> bool:
        text = self._peek().text
        return self._peek() is _END or text == closer or text in CLOSER.values()

    def _expression(self, closer: str = "") -> str:
        """Say the parts before ``closer``, or before any closing bracket, and take that."""
        said: list[str] = []
        while not self._ends(closer):
            part = self._peek()
            if part.text in ("/", "÷") and said and said[-1]:
                self._at += 1
                said.append(self._over(said.pop(), self._product(closer)))
            elif (sign := self._sign(part)) is not None:
                self._at += 1
                said.append(sign)
            else:
                said.append(self._product(closer))
        self._at += 1
        return " ".join(map(self._cardinal, said))

    def _sign(self, part: Part) -> str | None:
        """The word for a sign between two parts; None for what begins a part."""
        notation, text = self._notation, part.text
        if part.kind != "sign":
            return None
        if text in MINUS:
            before = self._parts[self._at - 1].text if self._at else "("
            negative = before in CLOSER or before in BETWEEN
            return (self._words.negative if negative else "") or notation.minus
        if text == "→" and self._in_limit:
            return self._words.tends
        if text == "|":
            return self._words.given if part.apart and self._peek(1).apart else None
        if text in TIMES:
            text = "×"
        return notation.signs.get(text, "") if text in _NAMED else text if text in _PAUSES else None

    def _product(self, closer: str) -> str:
        """Parts in a row without a sign between them; a whole number by itself in figures."""
        said: list[str] = []
        start = self._at
        while not self._ends(closer) and (not said or self._sign(self._peek()) is None):
            part, before = self._peek(), self._parts[self._at - 1] if said else _END
            if (
                part.text == "("
                and not part.apart
                and (before.kind in ("number", "letters", "raised") or before.text == ")")
            ):
                said.append(self._notation.signs.get("×", ""))
            said.append(self._factor())
        if self._at == start + 1 and self._parts[start].text.isdecimal():
            return self._parts[start].text
        return " ".join(filter(None, said))

    def _factor(self) -> str:
        part = self._take()
        if part.kind == "number":
            said = self._notation.number(part.text)
        elif part.kind == "letters":
            said = self._letters(part)
        elif part.kind == "command":
            said = self._command(part.text.removeprefix("\\"))
        elif part.text in CLOSER:
            said = self._expression(CLOSER[part.text])
            said = f"({said})" if part.text != "{" and " " in said else said
        elif part.text == "|":
            said = f"{self._words.absolute} {self._expression('|')}"
        elif part.text in ("√", "∛"):
            root = self._notation.signs.get("√", "√") if part.text == "√" else self._words.cube_root
            said = f"{root} {self._factor()}"
        elif part.text in ("∂", "∇"):
            said = f"{self._words.partial if part.text == '∂' else self._words.nabla} {self._factor()}"
        elif part.text in _BIG:
            said = self._with_bounds(getattr(self._words, _BIG[part.text]))
        else:
            said = part.text if part.kind == "words" or part.text.isalnum() else ""
        return self._with_marks(said)

    def _with_marks(self, said: str) -> str:
        """A part and what is raised, lowered or written after it."""
        while True:
            part = self._peek()
            if part.kind == "raised":
                said += self._raised(self._take().text.translate(writing.RAISED).lstrip("+"))
            elif part.text == "^":
                self._at += 1
                said += self._raised(self._argument())
            elif part.kind == "lowered":
                said += f" {self._cardinal(self._take().text.translate(LOWERED))}"
            elif part.text == "_":
                self._at += 1
                said += f" {self._argument()}"
            elif part.text in FEET:
                self._at += 1
                said += f" {self._words.prime}" * len(part.text)
            elif part.text == "!":
                self._at += 1
                said += f" {self._words.factorial}"
            else:
                return said

    def _argument(self) -> str:
        """Say the argument of a command or a sign, one part or a group in braces; figures stay as written."""
        minus = self._take().text if self._peek().text in MINUS else ""
        part = self._peek()
        if part.text == "{":
            self._at += 1
            inner = self._parts[self._at :]
            figures = "".join(
                one.text for one in inner[: next((i for i, one in enumerate(inner) if one.text == "}"), 0)]
            )
            said = self._expression("}")
            return figures if re.fullmatch(r"[-−]?\d+", figures) else said
        if part.kind == "number":
            return minus + self._take().text
        if part.text == "°":
            return self._take().text
        if part.kind == "letters":
            self._at += 1
            said = self._notation.letter(part.text)
        else:
            said = self._factor()
        return f"{self._words.negative or self._notation.minus} {said}" if minus else said

    def _raised(self, exponent: str) -> str:
        """The exponent after its base: "squared", "to the power of n"."""
        signs = self._notation.signs
        named = {"2": signs.get("²"), "3": signs.get("³"), "°": signs.get("°")}.get(exponent)
        said = self._notation.exponent(exponent) if exponent.isdecimal() else self._cardinal(exponent)
        return f" {named or self._notation.power.format(n=said)}"

    def _cardinal(self, figures: str) -> str:
        """Figures, as they are written, in words; other words as they are."""
        digits = figures.lstrip("-−")
        if not digits.isdecimal():
            return figures
        said = self._notation.cardinal(digits)
        return said if digits == figures else f"{self._words.negative or self._notation.minus} {said}"

    def _letters(self, part: Part) -> str:
        """A variable, several of them in a row, or a function and what it is applied to."""
        named = self._words.functions.get(part.text)
        if named is None and len(part.text) > 1:
            return " ".join(self._notation.letter(letter) for letter in part.text)
        if part.text == "lim":
            return self._limit()
        said = self._with_base(named) if named else self._with_marks(self._notation.letter(part.text))
        following = self._peek()
        if following.text in ("(", "[") and not following.apart:
            called = named is not None or self._is_called(part)
            return f"{said} {self._applied()}" if called else said
        if named and (following.kind in ("letters", "number", "command") or following.text == "√"):
            return f"{said} {self._words.of} {self._cardinal(self._product(''))}"
        return said

    def _with_base(self, name: str) -> str:
        """A function's name with its base ("log₂"), or what is raised after it ("sin²")."""
        base = self._peek()
        if base.text != "_" and base.kind != "lowered":
            return self._with_marks(name)
        self._at += 1
        figures = base.text.translate(LOWERED) if base.kind == "lowered" else self._argument()
        return self._words.base.format(name=name, n=self._cardinal(figures))

    def _is_called(self, part: Part) -> bool:
        """True for a letter that what is in the brackets after it belongs to: "f(x)", "y'(t)", "u(x, t)"."""
        primed = self._parts[self._at - 1].text in FEET
        # "t(24)" of statistics
        figure = self._peek(1).kind == "number" and self._peek(2).text == ")"
        return part.text in FUNCTION_LETTERS or primed or figure or self._holds("|", ",")

    def _holds(self, *marks: str) -> bool:
        """True if one of ``marks`` stands before the next closing bracket."""
        for part in self._parts[self._at :]:
            if part.text in CLOSER.values():
                return False
            if part.text in marks:
                return True
        return False

    def _applied(self) -> str:
        """The argument of a function in brackets: "of x", "of A given B"."""
        closer = CLOSER[self._take().text]
        said = self._expression("|")
        if self._peek(-1).text == "|":
            said = f"{said} {self._words.given} {self._expression(closer)}"
        return f"{self._words.of} {said}"

    def _limit(self) -> str:
        bounds = ""
        if self._peek().text in ("_", "(", "{"):
            self._at += 1 + (self._peek(1).text == "{")
            self._in_limit = True
            bounds = self._expression()
            self._in_limit = False
        elif self._peek(1).text == "→":
            bounds = f"{self._factor()} {self._words.tends}"
            self._at += 1
            bounds += f" {self._factor()}"
        return self._words.limit.format(bounds=bounds)

    def _with_bounds(self, name: str) -> str:
        """A sum or an integral: "sum from i equals one to n of"."""
        bounds: dict[str, str] = {}
        while (part := self._peek()).text in ("_", "^", "{") or part.kind in ("lowered", "raised"):
            # Markdown may have taken "_" for a mark of emphasis.
            self._at += part.text != "{"
            low = part.text in ("_", "{") or part.kind == "lowered"
            if part.kind == "sign":
                said = self._argument()
            else:
                said = part.text.translate(LOWERED).translate(writing.RAISED)
            bounds["low" if low else "high"] = self._cardinal(said)
        if len(bounds) == 2:
            name = f"{name} {self._words.bounds.format(**bounds)}"
        elif bounds:
            name = f"{name} {next(iter(bounds.values()))}"
        return f"{name} {self._words.of}"

    def _command(self, name: str) -> str:
        """A command of TeX with its arguments."""
        if name.endswith("frac"):
            numerator = self._argument()
            if numerator.isdecimal() and len(numerator) == 2 and self._parts[self._at - 1].text == numerator:
                # "\frac12"
                return self._over(numerator[0], numerator[1])
            return self._over(numerator, self._argument())
        if name == "binom":
            return self._words.choose.format(
                n=self._cardinal(self._argument()), k=self._cardinal(self._argument())
            )
        if name == "sqrt":
            degree = ""
            if self._peek().text == "[":
                self._at += 1
                degree = self._expression("]")
            root = (
                self._words.cube_root if degree == self._cardinal("3") else self._notation.signs.get("√", "√")
            )
            if degree and root != self._words.cube_root:
                root = self._words.root.format(degree=degree)
            return f"{root} {self._cardinal(self._argument())}"
        if name == "vec":
            return f"{self._words.vector} {self._argument()}"
        return name

    def _over(self, numerator: str, denominator: str) -> str:
        if numerator.isdecimal() and denominator.isdecimal() and int(denominator):
            return self._notation.fraction(int(numerator), int(denominator))
        numerator, denominator = self._cardinal(numerator), self._cardinal(denominator)
        pause = "," if len(numerator.split()) > _LONG and self._notation.space else ""
        return self._notation.over.format(numerator=numerator + pause, denominator=denominator)
