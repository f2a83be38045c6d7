"""Signs of chemistry in words: charges ("SO₄²⁻"), states ("CO₂(g)"), the arrow of a reaction ("⇌")."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kani_text.normalizer.spellings import words_of
from kani_text.writing import RAISED

_SIGNS = ("⁺", "⁻", "g", "l", "s", "aq", "→", "⇌")
"""Signs, in the order of the words of each language ("chemistry" in ``spellings.toml``)."""
_SAME = {"+": "⁺", "-": "⁻", "−": "⁻", "⟶": "→", "->": "→", "-->": "→", "<=>": "⇌"}
_ATOMS = r"(?:[A-Z][a-z]?[₀-₉]{0,2}|\([A-Z][A-Za-z₀-₉]{1,8}\)[₀-₉]{0,2})"
_KNOWN = r"Na|NH4|H3O|OH|Cl|HCO3|NO3|(?:Ca|Mg|Fe|Cu|Zn|Ba|Pb|Mn)(?=2\+)|(?:Fe|Al|Cr)(?=3\+)"
"""Ions that many write with plain figures: "Ca2+", "OH-"."""
_CHEMICAL = re.compile(
    rf"(?<![A-Za-z])(?P<ion>{_ATOMS}{{1,10}}|e)(?P<raised>[²³⁴]?)(?P<charge>[⁺⁻])"
    rf"|(?<![A-Za-z])(?P<plain>{_KNOWN})(?P<figure>[23]?)(?P<sign>[+−-])(?![\w+−-])"
    rf"|(?P<formula>{_ATOMS}{{1,10}}[²³⁴]?[⁺⁻]?)\((?P<state>aq|[gls])\)(?!\w)"
    r"|(?<=[\w₀-₉⁺⁻)]) ?(?P<arrow>→|⟶|-{1,2}>|⇌|<=>) ?(?=\d{0,2}[A-Z(])"
)
_EVIDENCE = re.compile(
    r"[A-Z][a-z]?[₀-₉]|[A-Za-z₀-₉][²³⁴]?[⁺⁻]|[A-Za-z]\(aq\)|\([gls]\) (?:\+|→|⇌)"
    r"|[HCNO]\d{1,2}[A-Z][A-Za-z\d]{0,9}(?: \+ [\dA-Z][A-Za-z\d]{0,9})? (?:→|⇌)"
)
"""A sign that a line is of chemistry."""


def chemistry(text: str, language: str, space: str) -> Iterator[tuple[int, int, str]]:
    """Each sign's place ``[start, end)`` in the lines of ``text`` that are of chemistry, and its words."""
    names, chemical = words_of(language).get("chemistry"), _EVIDENCE.search(text) is not None
    if names is None or not (chemical or "+" in text or "-" in text):
        return
    words = dict(zip(_SIGNS, names.split("|"), strict=True))
    for found in _CHEMICAL.finditer(text):
        if found["ion"] or found["plain"]:
            yield *found.span(), _charged(found, words)
        elif chemical and found["state"]:
            yield found.end("formula"), found.end(), f"{space}{words[found['state']]}"
        elif chemical and found["arrow"]:
            yield *found.span(), f"{space}{words[_SAME.get(found['arrow'], found['arrow'])]}{space}"


def _charged(found: re.Match[str], words: Mapping[str, str]) -> str:
    """An ion with its charge in words."""
    ion, sign = found["ion"] or found["plain"], found["charge"] or found["sign"]
    figure = (found["raised"] or found["figure"] or "").translate(RAISED)
    return " ".join(filter(None, (ion.replace("OH", "O H"), figure, words[_SAME.get(sign, sign)])))
