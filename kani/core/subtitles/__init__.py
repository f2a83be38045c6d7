"""Subtitles of speech and of transcripts: words with their times, cues, SubRip and WebVTT."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kani.core.transcriber import TranscribedSegment
from kani.core.types import Span
from kani_text.markup import MASK
from kani_text.short_forms import is_abbreviated
from kani_text.writing import HAN_AND_KANA, ends_clause, ends_sentence, without_closers

MAX_WORD = 42
"""Characters of a word; what is longer is divided, so that it fits a line of a subtitle."""

# Chinese and Japanese are timed character by character.
_TOKEN = re.compile(rf"[{HAN_AND_KANA}][^\w\s]{{0,{MAX_WORD - 1}}}|[^\s{HAN_AND_KANA}]{{1,{MAX_WORD}}}")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its punctuation: its characters in the text, and its times in seconds of audio.

    ``text``: the characters ``[start, end)`` of the text, without ``MASK``.
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

    def feed(self, spans: Iterable[Span]) -> list[Word]:
        return [word for span in spans for word in self._feed(span)]

    def _feed(self, span: Span) -> list[Word]:
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
            written = self._text[token.start : token.end].replace(MASK, "")
            words.append(Word(written, token.start, token.end, token.start_s, _time_at(span, token.core_end)))
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


MAX_LINE = MAX_WORD
"""Characters of a line."""

WIDE = MAX_LINE / 16
"""Characters that a full-width one counts as: lines of Chinese and Japanese have 16."""

MAX_LINES = 2
MAX_CUE_S = 7.0
MIN_CUE_S = 1.0
"""Seconds for which a cue stays at least, unless it is full: shorter sentences share one."""

LONG_PAUSE_S = 1.0
"""A pause of this length ends a cue."""

_EMPHASIS = "*_"
_BLANK_LINE = re.compile(r"\s*\n\s*\n")  # ends a paragraph, and a heading


class CueBuilder:
    """Groups words into cues, as they come.

    A cue ends with a sentence if the next one begins ``MIN_CUE_S`` after the cue, with a paragraph, at a long
    pause, and before it would be too long; then it is divided after a clause where it has one in its second
    half. text: what the words are of.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[Word] = []
        self._held: Cue | None = None  # its end depends on the next cue

    def add(self, word: Word) -> list[Cue]:
        """Add the next word; returns the cues that are final now."""
        done: list[Cue] = []
        if self._words and (
            word.start_s - self._words[-1].end_s >= LONG_PAUSE_S
            or (self._ends_sentence(self._words[-1]) and word.start_s - self._words[0].start_s >= MIN_CUE_S)
        ):
            done += self._close(len(self._words))
        while self._words and not self._fits([*self._words, word]):
            done += self._close(_division(self._words))
        self._words.append(word)
        if _BLANK_LINE.match(self._text, word.end):
            done += self._close(len(self._words))
        return done

    def finish(self) -> list[Cue]:
        done = self._close(len(self._words)) if self._words else []
        return done + ([self._held] if self._held is not None else [])

    def _ends_sentence(self, word: Word) -> bool:
        stem = without_closers(word.text.rstrip(_EMPHASIS)).rstrip(_EMPHASIS)
        if not ends_sentence(stem):
            return False
        following = self._text[word.end :].split(None, 1)[:1]
        return not (stem.endswith(".") and following and is_abbreviated(stem, following[0]))

    def _fits(self, words: list[Word]) -> bool:
        return words[-1].end_s - words[0].start_s <= MAX_CUE_S and len(self._lines(words)) <= MAX_LINES

    def _lines(self, words: list[Word]) -> list[str]:
        return wrap(_joined(self._text, words))

    def _close(self, count: int) -> list[Cue]:
        """End a cue after ``count`` words; returns the one before it, as its end is known now."""
        words, self._words = self._words[:count], self._words[count:]
        start_s = words[0].start_s
        end_s = min(max(words[-1].end_s, start_s + MIN_CUE_S), start_s + MAX_CUE_S)
        held, self._held = self._held, Cue(start_s, end_s, tuple(filter(None, self._lines(words))))
        if held is None:
            return []
        return [Cue(held.start_s, min(held.end_s, max(start_s, held.start_s)), held.lines)]


def words_and_cues(text: str, spans: Iterable[Span]) -> tuple[list[Word], list[Cue]]:
    """Return the words and the cues of a text from all its spans."""
    builder, words = CueBuilder(text), WordTimer(text).feed(spans)
    cues = [cue for word in words for cue in builder.add(word)]
    return words, cues + builder.finish()


def wrap(pieces: list[str]) -> list[str]:
    """Divide words, each with the space before it, into lines of ``MAX_LINE``, two of them evenly."""
    lines = _filled(pieces, MAX_LINE)
    if len(lines) != MAX_LINES:
        return lines
    # The shortest width that still gives two lines makes them even.
    width = next(width for width in range(1, MAX_LINE + 1) if len(_filled(pieces, width)) <= MAX_LINES)
    return _filled(pieces, width)


def _filled(pieces: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        if lines and _width(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece.lstrip())
    # A piece that is itself wider than ``width`` needs more lines than there may be.
    return lines if all(_width(line) <= width for line in lines) else [*lines, *([""] * MAX_LINES)]


def _width(line: str) -> float:
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in line) if not line.isascii() else 0
    return len(line) + (WIDE - 1) * wide


def _joined(text: str, words: list[Word]) -> list[str]:
    """Return the words, each with a space before it where there is one in the text."""
    return [
        (" " if number and text[word.start - 1].isspace() else "") + " ".join(word.text.split())
        for number, word in enumerate(words)
    ]


def _division(words: list[Word]) -> int:
    """Return the number of words that a cue which is too long keeps."""
    after_clause = (at for at in range(len(words) - 1, len(words) // 2, -1))
    return next((at for at in after_clause if ends_clause(words[at - 1].text.rstrip(_EMPHASIS))), len(words))


_SRT_MARKS = re.compile(r"(?<=--)(?=>)|(?<=<)(?=[/a-z])", re.IGNORECASE)
"""Within what readers of SubRip, which has no escapes, take for the line of times, or a tag."""

_UNSEEN = "\u200b"

VTT_HEADER = "WEBVTT\n\n"


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its lines, and the seconds of audio from when to when it is shown."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def segment_cues(segments: Sequence[TranscribedSegment], known: Sequence[str] = ()) -> list[Cue]:
    """Return a cue of one line for each segment of a transcript, after its speaker's name if it has one.

    known: names of the first speakers.
    """
    return [Cue(segment.start_s, segment.end_s, (_line(segment, known),)) for segment in segments]


def _line(segment: TranscribedSegment, known: Sequence[str]) -> str:
    text = segment.text.strip()
    return text if segment.speaker is None else f"{speaker_name(segment.speaker, known)}: {text}"


def speaker_name(speaker: int, known: Sequence[str] = ()) -> str:
    """Return the name of a speaker as OpenAI's service gives it: one of ``known``, or A to Z, then AA."""
    if speaker < len(known):
        return known[speaker]
    first, last = divmod(speaker - len(known), 26)
    return (speaker_name(first - 1) if first else "") + chr(ord("A") + last)


def srt(cues: Iterable[Cue]) -> str:
    return "".join(srt_cue(number, cue) for number, cue in enumerate(cues, 1))


def vtt(cues: Iterable[Cue]) -> str:
    return VTT_HEADER + "".join(map(vtt_cue, cues))


WRITERS = {"srt": srt, "vtt": vtt}
"""Writers of subtitles, by the ending of their files."""


def srt_cue(number: int, cue: Cue) -> str:
    """Write a cue as SubRip, ``number`` from 1."""
    lines = (_SRT_MARKS.sub(_UNSEEN, line) for line in cue.lines)
    return "\n".join([str(number), _times(cue, ","), *lines, "", ""])


def vtt_cue(cue: Cue) -> str:
    """Write a cue as WebVTT, without the header."""
    return "\n".join([_times(cue, "."), *(html.escape(line, quote=False) for line in cue.lines), "", ""])


def _times(cue: Cue, point: str) -> str:
    return f"{_clock(cue.start_s, point)} --> {_clock(cue.end_s, point)}"


def _clock(seconds: float, point: str) -> str:
    """Write a time as hours, minutes, seconds and thousandths."""
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"
