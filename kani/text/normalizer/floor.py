"""Signs in languages without a table: words for minus and powers, which espeak-ng leaves out there."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from kani.text import writing
from kani.text.normalizer.spoken import SpokenTextBuilder
from kani.text.normalizer.tables.file import TableSection, read_table_file
from kani.text.normalizer.tokens import Token

_RAISED = re.compile(r"(?<=[\w)])(?:(?P<raised>⁻?[⁰¹²³⁴-⁹]{1,4})|\^\{?(?P<plain>[-−]?\d{1,4})\}?)(?!\w)")
_SQUARE = "2"


def append_plain(token: Token, start: int, builder: SpokenTextBuilder, language: str) -> None:
    """Append a token as it is written, with words for its minus and its powers.

    language: BCP 47, without a table.
    """
    minus, (square, power) = minus_word(language), _powers().get(language.partition("-")[0].lower(), ("", ""))
    if minus and token.core == "−" and start == token.core_start:
        builder.append(minus, start, token.end)
        return
    if minus and token.core[:1] in ("-", "−") and token.core[1:2].isdecimal():
        builder.copy(start, token.core_start)
        builder.append(f"{minus} ", token.core_start, token.core_start + 1)
        start = token.core_start + 1
    if power:
        for found in _RAISED.finditer(token.text, start, token.end):
            exponent = (found["raised"] or found["plain"]).translate(writing.RAISED)
            if _is_note(token.text, found):
                continue
            builder.copy(start, found.start())
            figures = exponent.lstrip("-−")
            sign = f"{minus} " if figures != exponent else ""
            said = square if exponent == _SQUARE else f"{power} {sign}{figures}"
            builder.append(f" {said}", found.start(), found.end())
            start = found.end()
    builder.copy(start, token.end)


def _is_note(text: str, found: re.Match[str]) -> bool:
    """True for a raised figure after a word of three letters and more, which may be a note's mark."""
    word = text[max(found.start() - len("word"), 0) : found.start()]
    return found["raised"] is not None and len(word) > len("km") and word[-3:].isalpha()


def minus_word(language: str) -> str:
    """Return the word of a language (BCP 47), "" where none is known."""
    return _words().get(language.partition("-")[0].lower(), "")


@functools.cache
def _words() -> dict[str, str]:
    rows = _file().section("minus").all_texts().items()
    return {language: word for word, languages in rows for language in languages.split()}


@functools.cache
def _powers() -> dict[str, tuple[str, str]]:
    rows = _file().section("powers").all_texts().items()
    return {language: (said.partition(" | ")[0], said.partition(" | ")[2]) for language, said in rows}


def _file() -> TableSection:
    return read_table_file(Path(__file__).with_name("floor.toml"))
