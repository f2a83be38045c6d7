"""Drawings and formulas of HTML (SVG, MathML): the words and signs that are read of them."""

import re
from dataclasses import dataclass

# Between the parts of a power or a fraction, but not before the first, and around one of several signs.
_JOINTS, _FIRST, _OPEN, _CLOSE = {"msup": "^", "mfrac": "/"}, *"\5\6\7"
_BRACKETS, _BRACKETED = str.maketrans(_OPEN + _CLOSE, "()"), re.compile(rf"{_OPEN}([\d.,]*|\w){_CLOSE}")
_LONGEST_FORMULA = 1_000
_AT_FIRST = re.compile(f"{_FIRST}[/^]?")


@dataclass(slots=True)
class Drawing:
    """The drawing or formula that a reader is in, or was in last.

    text: its description, or its signs so far; goes_on: whether more of it is taken; naming: whether the
    characters that come next are of its text.
    """

    text: str = ""
    goes_on: bool = False
    naming: bool = False

    def open_part(self, tag: str, *, empty: bool) -> None:
        """Begin an element of a drawing: take its first title or description with words."""
        self.naming = tag in ("title", "desc") and not empty and self.goes_on and not self.text.strip()

    def open_sign(self, tag: str, given: dict[str, str | None], parent: str) -> None:
        """Begin an element of a formula: its signs are taken, or its TeX."""
        if not self.goes_on or len(self.text) >= _LONGEST_FORMULA:
            return
        self.text += _JOINTS.get(parent, "") + _FIRST * (tag in _JOINTS) + "√" * (tag == "msqrt")
        self.text += _OPEN * _is_group(tag, parent)
        self.naming = tag in ("mi", "mn", "mo", "mtext")
        if tag == "annotation" and "tex" in (given.get("encoding") or ""):
            self.text, self.naming = "", True

    def close_sign(self, tag: str, parent: str) -> None:
        """End an element of a formula."""
        if _is_group(tag, parent) and len(self.text) < _LONGEST_FORMULA:
            self.text += _CLOSE

    @property
    def formula(self) -> str:
        """The signs in a row, with brackets around parts of several signs."""
        return _BRACKETED.sub(r"\1", _AT_FIRST.sub("", self.text)).translate(_BRACKETS)


def _is_group(tag: str, parent: str) -> bool:
    """True for an element of a formula with parts that belong together."""
    return tag == "msqrt" or (tag == "mrow" and parent in _JOINTS)
