"""Segments of a recording from the words of a live session."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kani.core.recognizer import VOICE_CHUNK_S
from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani.runtime.transcript import columns, compression_ratio, ends_segment
from kani_text import language_detection
from kani_text.writing import is_unspaced, space_between


class SegmentBuilder:
    """Joins words to segments: sentences, or parts of long ones."""

    def __init__(self, language: str | None, languages: Collection[str]) -> None:
        """language: of the recording, if it is known; languages: it is one of them."""
        self._language = language
        self._languages = languages
        self._words: list[TranscribedWord] = []
        self._width = 0
        self._voices: list[float] = []
        self._first_voice = 0

    def add_voices(self, voices: Sequence[float]) -> None:
        """Accept the probabilities of a voice in the next audio, one for each ``VOICE_CHUNK_S``."""
        self._voices += voices

    def add(self, word: TranscribedWord) -> TranscribedSegment | None:
        """Accept the next word; returns the segment before it if that has ended."""
        ended, last = None, self._words[-1] if self._words else None
        if last is not None and ends_segment(last.text, word.start_s - last.end_s, self._width):
            ended = self.finish()
        self._words.append(word)
        self._width += columns(word.text) + 1
        return ended

    def finish(self) -> TranscribedSegment | None:
        words, self._words, self._width = self._words, [], 0
        if not words:
            return None
        text = ""
        for word in words:
            text += space_between(text, word.text) + word.text
        # The texts of segments are joined as they are.
        text = text if is_unspaced(text[:1]) else f" {text}"
        language, probability = self._detect(text)
        start_s, end_s = words[0].start_s, words[-1].end_s
        return TranscribedSegment(
            text,
            start_s,
            end_s,
            tuple(words),
            seek_s=start_s,
            log_probability=sum(word.log_probability for word in words) / len(words),
            compression_ratio=compression_ratio(text),
            no_speech_probability=self._no_speech(start_s, end_s),
            language=language,
            language_probability=probability,
        )

    def _detect(self, text: str) -> tuple[str, float]:
        """Return the language of a segment, and 1 where it was given."""
        if self._language is not None:
            return self._language, 1.0
        found = language_detection.detect(text, self._languages)
        if found is None:
            return min(self._languages), 1 / len(self._languages)
        return found, language_detection.MIN_PROBABILITY

    def _no_speech(self, start_s: float, end_s: float) -> float:
        """Return the mean probability that there is no voice, and forget the voices before ``end_s``."""
        first = max(round(start_s / VOICE_CHUNK_S) - self._first_voice, 0)
        until = max(round(end_s / VOICE_CHUNK_S) - self._first_voice, 0)
        voices = self._voices[first:until]
        self._first_voice += len(self._voices[:until])
        del self._voices[:until]
        return 1 - sum(voices) / len(voices) if voices else 1.0
