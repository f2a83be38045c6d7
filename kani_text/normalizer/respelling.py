"""Gives a text the spellings that the rules know ("12 500€", "+/-3"), and signs of chemistry in words."""

import re
from collections.abc import Iterable, Iterator, Mapping

from kani_text.normalizer import floor
from kani_text.normalizer.cleaning import CleanText
from kani_text.normalizer.compound_units import compound_units
from kani_text.normalizer.formulas.finder import formulas, unfinished
from kani_text.normalizer.formulas.notation import notation_of
from kani_text.normalizer.spellings import spellings_of, words_of
from kani_text.normalizer.tables.lazy_pattern import characters_of
from kani_text.normalizer.unspaced.amounts import compound_unit
from kani_text.normalizer.unspaced.table import unspaced_table_for
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


def respelled(text: CleanText, language: str, *, complete: bool = True) -> CleanText:
    """A clean text in the spellings that rules know, and its formulas in words.

    Each new character stands for all that it replaces; what is final is left as it is. language: BCP 47.
    complete: whether this is all of the text; if not, a formula at its end is left out, as text to come may
    belong to it.
    """
    notation = notation_of(language) if language else None
    if notation is not None:
        if not complete:
            text = text.until(unfinished(text.text, notation))
        units, unspaced = compound_units(text.text), unspaced_table_for(language)
        if unspaced is not None:
            units = ((start, end, compound_unit(unit, unspaced)) for start, end, unit in units)
        text = _replaced(text, units)
        text = _replaced(text, chemistry(text.text, language.partition("-")[0], notation.space))
        text = _replaced(text, formulas(text.text, notation))
    elif language:
        text = _replaced(text, floor.units(text.text, language))
        text = _replaced(text, floor.marks(text.text, language))
    characters, small = characters_of(text.text), text.text.lower()
    for pattern, becomes in spellings_of(language.partition("-")[0]):
        if not (pattern.required <= characters and any(map(small.__contains__, pattern.words))):
            continue
        if found := list(pattern.compiled.finditer(text.text)):
            text = _replaced(text, ((*match.span(), becomes(match)) for match in found))
            characters, small = characters_of(text.text), text.text.lower()
    return text


def _replaced(text: CleanText, replacements: Iterable[tuple[int, int, str]]) -> CleanText:
    """``text`` with other words in some places: where each begins and ends, and the words."""
    written, starts, ends = text.text, text.starts, text.ends
    kept, done = "", 0
    first: list[int] = []
    last: list[int] = []
    for at, end, new in replacements:
        old = written[at:end]
        if new == old or text.is_final(at, end):
            continue
        word, space, rest = old.partition(" ")
        if rest and new.startswith(word + space):
            # The word that stays keeps its place: "Am" of "Am 3.10.24".
            at, new = at + len(word + space), new[len(word + space) :]
        kept += written[done:at] + new
        first += (*starts[done:at], *[starts[at]] * len(new))
        last += (*ends[done:at], *[ends[end - 1]] * len(new))
        done = end
    if not done:
        return text
    return CleanText(kept + written[done:], (*first, *starts[done:]), (*last, *ends[done:]), text.final)


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
