"""Signs of chemistry in words: charges ("SO₄²⁻"), states ("CO₂(g)"), the arrow of a reaction ("⇌")."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kani_text.writing import RAISED

_WORDS = {
    "de": "plus|minus|gasförmig|flüssig|fest|wässrig|ergibt|im Gleichgewicht mit",
    "en": "plus|minus|gas|liquid|solid|aqueous|yields|in equilibrium with",
    "es": "más|menos|gas|líquido|sólido|acuoso|da|en equilibrio con",
    "fr": "plus|moins|gaz|liquide|solide|aqueux|donne|en équilibre avec",
    "hi": "प्लस|माइनस|गैस|द्रव|ठोस|जलीय|से बनता है|के साथ साम्य में",
    "it": "più|meno|gas|liquido|solido|acquoso|dà|in equilibrio con",
    "ja": "プラス|マイナス|気体|液体|固体|水溶液|から|と平衡にある",
    "pt": "mais|menos|gás|líquido|sólido|aquoso|dá|em equilíbrio com",
    "zh": "正|负|气体|液体|固体|水溶液|生成|可逆生成",
}
"""Names of a language for ``_SIGNS``, in their order."""
_SIGNS = ("⁺", "⁻", "g", "l", "s", "aq", "→", "⇌")
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


def chemistry(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """Each sign's place ``[start, end)`` in the lines of ``text`` that are of chemistry, and its words."""
    names = _WORDS.get(language)
    if names is None or not ("+" in text or "-" in text or _EVIDENCE.search(text)):
        return
    words, space = dict(zip(_SIGNS, names.split("|"), strict=True)), "" if language in ("zh", "ja") else " "
    chemical = _EVIDENCE.search(text) is not None
    for found in _CHEMICAL.finditer(text):
        ion, sign = found["ion"] or found["plain"], found["charge"] or found["sign"]
        if ion:
            figure = (found["raised"] or found["figure"] or "").translate(RAISED)
            charge = f"{figure} " if figure else ""
            yield *found.span(), f"{ion.replace('OH', 'O H')} {charge}{words[_SAME.get(sign, sign)]}"
        elif chemical and found["state"]:
            yield found.end("formula"), found.end(), f"{space}{words[found['state']]}"
        elif chemical and found["arrow"]:
            arrow = _SAME.get(found["arrow"], found["arrow"])
            yield *found.span(), f"{space}{words[arrow]}{space}"
