"""Gives a text the spellings that the rules know: "12 500€", "+/-3", "15:3=5"."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from kani.text.normalizer.spellings import PATH, SPELLINGS, Becomes, path_steps
from kani.text.normalizer.tables.loaded import table_for
from kani.text.normalizer.unspaced.table import unspaced_table_for


def respelled(
    text: str, starts: tuple[int, ...], ends: tuple[int, ...], language: str
) -> tuple[str, tuple[int, ...], tuple[int, ...]]:
    """``text`` in the spellings that rules know; each new character stands for all that it replaces."""
    for pattern, becomes in _patterns(language):
        kept, done = "", 0
        first: list[int] = []
        last: list[int] = []
        for found in pattern.finditer(text):
            at, end = found.span()
            new = becomes(found)
            if new == found.group():
                continue
            word, space, rest = found.group().partition(" ")
            if rest and new.startswith(word + space):
                # The word that stays keeps its place: "Am" of "Am 3.10.24".
                at, new = at + len(word + space), new[len(word + space) :]
            kept += text[done:at] + new
            first += (*starts[done:at], *[starts[at]] * len(new))
            last += (*ends[done:at], *[ends[end - 1]] * len(new))
            done = end
        if done:
            text = kept + text[done:]
            starts, ends = (*first, *starts[done:]), (*last, *ends[done:])
    return text, starts, ends


@functools.cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]:
    table = unspaced_table_for(language) or table_for(language)
    shared = (
        (re.compile(written), becomes)
        for languages, written, becomes in SPELLINGS
        if not languages or language in languages.split()
    )
    steps: Becomes = functools.partial(path_steps, mark="、" if unspaced_table_for(language) else " — ")
    patterns = (PATH, steps), *(table.spellings if table else ()), *shared
    return tuple((pattern, functools.partial(_spelled, becomes)) for pattern, becomes in patterns)


def _spelled(becomes: Becomes, found: re.Match[str]) -> str:
    if callable(becomes):
        return becomes(found)
    return found.expand(becomes) if becomes else re.sub(r"[\s-]", "", found.group())
