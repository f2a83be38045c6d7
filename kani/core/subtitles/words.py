"""Times the words of a text, as it is written, by the spans of its speech."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from kani.core.types import Span
from kani.text.writing import HAN_AND_KANA

MAX_WORD = 42
"""Characters of a word; what is longer is divided, so that it fits a line of a subtitle."""

# Chinese and Japanese are timed character by character.
_TOKEN = re.compile(rf"[{HAN_AND_KANA}][^\w\s]{{0,{MAX_WORD - 1}}}|[^\s{HAN_AND_KANA}]{{1,{MAX_WORD}}}")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its punctuation: its characters in the text, and its times in seconds of audio.

    ``text``: the characters ``[start, end)`` of the text, without those that are markup.
    """

    text: str
    start: int
    end: int
    start_s: float
    end_s: float


@dataclass(slots=True)
class _Token:
    start: int
    end: int
    core_start: int  # first letter or digit
    core_end: int  # after the last one
    start_s: float | None = None


class WordTimer:
    """Times every word of a text once, in order, from the spans of its speech as they come.

    A word lasts from its first letter to its last; one of nothing but punctuation belongs to the word before.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._unspoken: set[int] = set()

    def feed(self, spans: Iterable[Span]) -> list[Word]:
        return [word for span in spans for word in self._feed(span)]

    def _feed(self, span: Span) -> list[Word]:
        if span.spoken_form == "":
            marks = range(span.start, span.end)
            self._unspoken.update(at for at in marks if not self._text[at].isspace())
        words: list[Word] = []
        while self._next < len(self._tokens):
            token = self._tokens[self._next]
            if token.core_start >= span.end:
                break
            if token.start_s is None:
                token.start_s = _time_at(span, token.core_start)
            if token.core_end > span.end:
                break
            self._next += 1
            written = "".join(
                self._text[at] for at in range(token.start, token.end) if at not in self._unspoken
            )
            word = Word(written, token.start, token.end, token.start_s, _time_at(span, token.core_end))
            if written:
                words.append(word)
        self._unspoken = {at for at in self._unspoken if at >= span.start}
        return words


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    start: int | None = None  # of punctuation before the first word
    for match in _TOKEN.finditer(text):
        core = _CORE.search(match.group())
        if core is not None:
            begin = match.start() if start is None else start
            tokens.append(
                _Token(begin, match.end(), match.start() + core.start(), match.start() + core.end())
            )
            start = None
        elif tokens:
            tokens[-1].end = match.end()
        elif start is None:
            start = match.start()
    return tokens


def _time_at(span: Span, character: int) -> float:
    """Time at which a character of a span begins, or for the end of the span its end."""
    starts = span.character_starts or (span.start_s,)
    if span.character_starts and span.start <= character < span.end:
        return starts[character - span.start]
    return float(np.interp(character, [span.start, span.end], [span.start_s, span.end_s]))
