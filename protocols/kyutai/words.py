"""A client's words: as they are echoed, and when each is spoken."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from speech.text.markup.tags import break_seconds
from speech.types import Span

MAX_BREAK_TAG_LENGTH = 40
"""Characters that a rest is written in, at most."""

FRAME_RATE = 12.5

_BREAK = re.compile(r"<break\b([^<>]*)>(?:\s*</break>)?", re.IGNORECASE)
# What moshi-server leaves out of a word or reads as a space.
_ECHOED = str.maketrans({"\u2019": "'", "\u2013": "", ":": " ", "(": "", ")": ""})
_WORD = re.compile(r"(\S+)(\s*)")
_PIECE = re.compile(r"[^\s:]+")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Break:
    """A rest that the client asks for, in seconds; ``echo`` is the word that is told for it."""

    seconds: float
    echo: str


@dataclass(frozen=True, slots=True)
class EchoedWord:
    """A word as the client is told of it, and which characters of the text fed to the session it is."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word, and when it is spoken, in seconds of output audio."""

    text: str
    start_s: float
    stop_s: float


def split_text(text: str) -> list[str | Break]:
    """What a ``Text`` asks for, in order: words to speak, as they are written, and rests.

    The newlines behind a word, two at most, are kept with it: lists and paragraphs are told by them.
    """
    found: list[str | Break] = []
    for index, piece in enumerate(_BREAK.split(text)):
        if index % 2 == 0:
            found.extend(word + "\n" * min(space.count("\n"), 2) for word, space in _WORD.findall(piece))
        elif (rest := _rest(piece)) is not None:
            found.append(rest)
    return found


def _rest(attributes: str) -> Break | None:
    seconds = break_seconds(attributes)
    if not seconds:
        return None
    # A break lasts whole frames, at least one, as it does there.
    return Break(max(1, int(seconds * FRAME_RATE)) / FRAME_RATE, f'<break time="{seconds:.2f}s">')


class WordAligner:
    """Takes the words that are fed to a session and its spans; tells when each word is spoken.

    Every word is told once, in order, and times never run backwards.
    """

    def __init__(self) -> None:
        self._fed = 0
        self._words: deque[EchoedWord | Break] = deque()
        self._start_s: float | None = None
        self._told_s = 0.0

    def add(self, word: str | Break) -> str:
        """Remember a word, or a rest; the text that is to be fed to the session for it."""
        if isinstance(word, Break):
            self._words.append(word)
            return ""
        for piece in _PIECE.finditer(word):
            # Its marks are not spoken: the word lasts from its first letter to its last.
            core = _CORE.search(piece.group())
            first, last = core.span() if core else (0, len(piece.group()))
            start, end = self._fed + piece.start() + first, self._fed + piece.start() + last
            echo = piece.group().translate(_ECHOED)
            if echo:
                self._words.append(EchoedWord(echo, start, end))
        fed = word if word.endswith("\n") else word + " "
        self._fed += len(fed)
        return fed

    def align(self, spans: Iterable[Span]) -> list[TimedWord]:
        """The words that are known now, from the next spans of the session."""
        told: list[TimedWord] = []
        for span in spans:
            while self._words:
                word = self._words[0]
                if isinstance(word, Break):
                    if span.start != span.end:
                        break
                    told.append(self._tell(word.echo, span.start_s, span.end_s))
                    break
                if word.start >= span.end:
                    break
                if self._start_s is None:
                    self._start_s = _at(span, word.start)
                if word.end > span.end:
                    break
                told.append(self._tell(word.text, self._start_s, _at(span, word.end)))
        return told

    def _tell(self, text: str, start_s: float, stop_s: float) -> TimedWord:
        self._words.popleft()
        self._start_s = None
        start_s = max(start_s, self._told_s)
        self._told_s = start_s
        return TimedWord(text, start_s, max(stop_s, start_s))


def _at(span: Span, character: int) -> float:
    """When a span comes to a character: it takes as long for each."""
    share = (min(max(character, span.start), span.end) - span.start) / (span.end - span.start)
    return span.start_s + share * (span.end_s - span.start_s)
