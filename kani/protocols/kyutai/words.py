"""Splits a client's text into words and breaks, feeds them, and times the words by the session's spans."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from kani.core.errors import TextTooLong
from kani.core.session.session import SpeechSession
from kani.core.types import Span
from kani.protocols.shared.errors import BadMessage
from kani_text.markup.tags import MAX_BREAKS, MAX_TOTAL_BREAKS_S, break_seconds
from kani_text.ssml import begins_document

MAX_BREAK_TAG_LENGTH = 40
"""Characters of a ``<break>`` tag."""

FRAME_RATE = 12.5

_BREAK = re.compile(r"<break\b([^<>]*)>(?:\s*</break>)?", re.IGNORECASE)
# Characters that moshi-server leaves out of a word or reads as a space.
_ECHOED = str.maketrans({"\u2019": "'", "\u2013": "", ":": " ", "(": "", ")": ""})
_WORD = re.compile(r"(\S+)(\s*)")
_PIECE = re.compile(r"[^\s:]+")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Break:
    """A pause of ``seconds`` that the client asked for; ``echo``: the word that is sent back for it."""

    seconds: float
    echo: str


@dataclass(frozen=True, slots=True)
class EchoedWord:
    """A word as it is sent back, and its characters [start, end) of the text fed to the session."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TimedWord:
    text: str
    start_s: float
    stop_s: float


def split_text(text: str, *, breaks: bool = True) -> list[str | Break]:
    """Split a client's text into words, as they are written, and breaks; breaks: whether there are any.

    A word keeps the newlines after it, two at most: the core recognises lists and paragraphs by them.
    """
    found: list[str | Break] = []
    for index, piece in enumerate(_BREAK.split(text) if breaks else [text]):
        if index % 2 == 0:
            found.extend(word + "\n" * min(space.count("\n"), 2) for word, space in _WORD.findall(piece))
        elif (pause := _break(piece)) is not None:
            found.append(pause)
    return found


def _break(attributes: str) -> Break | None:
    seconds = break_seconds(attributes)
    if not seconds:
        return None
    # Whole frames, at least one, as in moshi-server.
    return Break(max(1, int(seconds * FRAME_RATE)) / FRAME_RATE, f'<break time="{seconds:.2f}s">')


class WordAligner:
    """Times the words that are fed to a session, by the session's spans.

    Every word is returned once, in order, and times never run backwards.
    """

    def __init__(self) -> None:
        self._fed = 0
        self._words: deque[EchoedWord | Break] = deque()
        self._start_s: float | None = None
        self._last_start_s = 0.0

    def add(self, word: str | Break) -> str:
        """Add a word or a break; return the text to feed to the session for it."""
        if isinstance(word, Break):
            self._words.append(word)
            return ""
        for piece in _PIECE.finditer(word):
            # Punctuation is not spoken: the word lasts from its first letter to its last.
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
        """Return the words that the next spans of the session complete."""
        timed: list[TimedWord] = []
        for span in spans:
            while self._words:
                word = self._words[0]
                if isinstance(word, Break):
                    if span.start != span.end:
                        break
                    timed.append(self._take(word.echo, span.start_s, span.end_s))
                    break
                if word.start >= span.end:
                    break
                if self._start_s is None:
                    self._start_s = _at(span, word.start)
                if word.end > span.end:
                    break
                timed.append(self._take(word.text, self._start_s, _at(span, word.end)))
        return timed

    def _take(self, text: str, start_s: float, stop_s: float) -> TimedWord:
        self._words.popleft()
        self._start_s = None
        start_s = max(start_s, self._last_start_s)
        self._last_start_s = start_s
        return TimedWord(text, start_s, max(stop_s, start_s))


def _at(span: Span, character: int) -> float:
    """Return the time of a character in a span; all its characters last equally long."""
    share = (min(max(character, span.start), span.end) - span.start) / (span.end - span.start)
    return span.start_s + share * (span.end_s - span.start_s)


class TextFeeder:
    """Feeds one session, and times its words.

    max_text: characters that the session accepts; a longer text is refused before it is split.
    """

    def __init__(self, session: SpeechSession, max_text: int) -> None:
        self._session = session
        self._max_text = max_text
        self._breaks = 0
        self._breaks_s = 0.0
        self._document = False  # True once the text is SSML, in which the session finds the breaks
        self.aligner = WordAligner()
        self.has_text = False  # True once any word was fed

    def feed(self, text: str) -> bool:
        """Feed a text; return whether it ends in a word. Raises BadMessage and TextTooLong."""
        if len(text) > self._max_text + MAX_BREAKS * MAX_BREAK_TAG_LENGTH:
            raise TextTooLong(self._max_text)
        line = ""
        self._document = self._document or (not self.has_text and begins_document(text) is True)
        for part in split_text(text, breaks=not self._document):
            line += self.aligner.add(part)
            if isinstance(part, str):
                continue
            self._breaks += 1
            self._breaks_s += part.seconds
            if self._breaks > MAX_BREAKS or self._breaks_s > MAX_TOTAL_BREAKS_S:
                limit = f"at most {MAX_BREAKS}, and {MAX_TOTAL_BREAKS_S:g} s in all"
                raise BadMessage(f"text: too many breaks ({limit})")
            self._feed(line)
            self._session.add_pause(part.seconds)
            line = ""
        self._feed(line)
        return bool(line)

    def _feed(self, line: str) -> None:
        self.has_text = self.has_text or bool(line)
        self._session.feed(line)
