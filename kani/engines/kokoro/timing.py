"""Trims silence and times words while an utterance's audio arrives.

Both follow from the predicted durations, which lag the audio by a constant, and from the pauses found in
the audio, which are exact. The constants were measured on es, en and fr speech of six voices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kani.core.audio.pcm import leveled
from kani.core.timing.spans import spread
from kani.core.types import Samples, Span, SpeechChunk
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.text.phonemes import Utterance, Word

LEADING_SILENCE_S = 0.01
"""Silence kept before the first sound; it adds to the latency."""

TRAILING_SILENCE_S = 0.03
"""Silence kept at most after the last sound."""

SILENCE_BETWEEN_UTTERANCES_S = 0.15
"""Silence kept at most between two utterances of one text."""

_LAG = round(0.060 * SAMPLE_RATE)
_NEAR = round(0.200 * SAMPLE_RATE)
_SHORTEST_SILENCE = round(0.050 * SAMPLE_RATE)
_FADE = round(0.005 * SAMPLE_RATE)
_LEADING_SILENCE = round(LEADING_SILENCE_S * SAMPLE_RATE)
_HOP = 120
_LEAD = 5 * FRAME_SAMPLES
# The model's pauses are below -90 dB; audio 45 dB below the loud parts of speech is a breath or a decay.
_SILENCE = 10**-4.5
SILENT_ENERGY = -5.0
"""Predicted energy up to which nothing sounds."""

_NOTHING = np.zeros(0, np.float32)
# Symbols that are not phonemes: modifiers of the next phoneme, and of the one before.
_BEFORE = frozenset("ˈˌ")
_BEHIND = frozenset(" ː\u0303ʰʲᵝ→↗↓↘")


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word with its times, in seconds from the first sample of the output."""

    word: Word
    start_s: float
    end_s: float
    character_starts: tuple[float, ...]  # seconds at which each of its characters begins

    def shifted(self, seconds: float) -> TimedWord:
        starts = tuple(start + seconds for start in self.character_starts)
        return TimedWord(self.word, self.start_s + seconds, self.end_s + seconds, starts)


@dataclass(frozen=True, slots=True, eq=False)
class TimedAudio:
    """A piece of an utterance's audio at ``SAMPLE_RATE``, and the words with times that are final by now."""

    samples: Samples
    words: tuple[TimedWord, ...]

    def joined(self, following: TimedAudio) -> TimedAudio:
        return TimedAudio(np.concatenate([self.samples, following.samples]), self.words + following.words)


class Timeline:
    """Trims an utterance's audio piece by piece and times its words.

    ``LEADING_SILENCE_S`` of silence stays before the first sound, and at most ``trailing_silence_s`` after
    the last. Words come in order, each once both its ends are certain, at the latest with the last piece;
    starts never decrease, and no word ends after the next one starts.
    """

    def __init__(
        self,
        utterance: Utterance,
        frames: npt.NDArray[np.int64],
        *,
        words: Sequence[Word] | None = None,
        first_sample: int = 0,
        before: Samples | None = None,
        level: float | None = None,
        trailing_silence_s: float = TRAILING_SILENCE_S,
    ) -> None:
        """frames: length of each symbol, the pads included; words: those in the audio, if not all.

        first_sample: of the audio in the whole utterance; before: 5 ms or more of the utterance before it, if
        audio came before that it follows seamlessly: its beginning is left as it is. level: power of the
        voice's loud parts (default: that of the first piece, which also counts if it is louder), or the
        ``level`` of the timeline before.
        """
        self._words = tuple(utterance.words if words is None else words)
        self._symbols = utterance.symbols
        self._edges = edges = symbol_edges(frames)
        self._boundaries = [
            word_boundary(utterance, word, following, edges) for word, following in pairwise(self._words)
        ]
        self.level = level or 0.0  # power of the loud parts, from the first piece on
        self._threshold: float | None = None
        self._trailing_silence = round(trailing_silence_s * SAMPLE_RATE)
        self._continues = continues = before is not None
        # The steps of 5 ms are counted from the utterance's beginning, wherever the audio begins.
        earlier = _NOTHING if before is None else before[len(before) - first_sample % _HOP :]
        self._first_sample = first_sample
        self._origin = first_sample - len(earlier)
        # Sound long before the first symbol is not speech.
        self._earliest = first_sample if continues else max(int(edges[1]) - _LEAD, first_sample)
        self._loud = np.zeros(0, np.bool_)
        self._unclassified = earlier
        self._pending = np.zeros(0, np.float32)
        self._begin: int | None = first_sample if continues else None
        self._start: int | None = None
        self._emitted = 0

    def feed(self, samples: Samples, *, last: bool = False, cut: bool = False) -> TimedAudio:
        """Process the next piece of audio.

        last: no more audio follows; cut: none follows either, but another utterance continues seamlessly.
        """
        self._classify(samples)
        self._pending = np.concatenate([self._pending, samples])
        known = self._origin + len(self._loud) * _HOP
        loud = self._loud_steps()
        if not len(loud) and not last and not cut and not self._continues:
            return TimedAudio(_NOTHING, ())
        first = max(self._origin + int(loud[0]) * _HOP if len(loud) else 0, self._first_sample)
        end = self._origin + int(loud[-1] + 1) * _HOP if len(loud) else known
        begins = self._begin is None
        if self._begin is None:
            self._begin = max(first - _LEADING_SILENCE, self._origin)
            self._pending = self._pending[self._begin - self._origin :]
        if self._start is None and (len(loud) or last or cut):
            self._start = first
        output, self._pending = self._pending, _NOTHING
        if last:
            surplus = known + len(self._unclassified) - (end + self._trailing_silence)
            output = output[: max(len(output) - max(surplus, 0), 0)]
        output = output.copy()
        fade = min(_FADE, len(output) // 2)
        ramp = np.linspace(0.0, 1.0, fade, endpoint=False, dtype=np.float32)
        if begins:
            output[:fade] *= ramp
        if last and fade:
            output[-fade:] *= ramp[::-1]
        return TimedAudio(output, tuple(self._certain(known, end, last=last, cut=cut)))

    def _classify(self, samples: Samples) -> None:
        """Classify each 5 ms as loud or silent, relative to the voice's loud parts."""
        unclassified = np.concatenate([self._unclassified, samples])
        if self._threshold is None:
            if not self._continues:
                # A sentence may be louder than the voice is elsewhere.
                self.level = max(self.level, speech_level(unclassified))
            self._threshold = self.level * _SILENCE
        power = _power(unclassified)
        self._unclassified = unclassified[len(power) * _HOP :]
        self._loud = np.concatenate([self._loud, power > self._threshold])

    def _certain(self, known: int, end: int, *, last: bool, cut: bool) -> Iterator[TimedWord]:
        """Yield the words with certain ends; known: end of the audio so far, end: of its sound."""
        if self._start is None or self._begin is None:
            return
        gaps, ended = self._gaps(), last or cut
        while self._emitted < len(self._words):
            at = self._emitted
            start = self._start
            if at < len(self._boundaries):
                expected = self._boundaries[at]
                # A pause that began before the boundary may still turn out to precede the next word.
                settled = expected + (_NEAR if end < min(expected, known) else 0) <= known
                if not (settled or ended):
                    return
                stop, following = gaps[at]
                self._start = max(following, start)
                if ended:
                    self._start = max(min(self._start, end), start)
                stop = max(start, min(stop, self._start))
            elif ended:
                stop = max(self._end_at_cut(known, end) if cut and self._words[at].pause_s else end, start)
            else:
                return
            self._emitted += 1
            word = self._words[at]
            phonemes = [start, *(max(start, min(edge, stop)) for edge in self._inner_edges(word)), stop]
            edges = [(sample - self._begin) / SAMPLE_RATE for sample in phonemes]
            yield TimedWord(word, edges[0], edges[-1], self._character_starts(word, edges, start, stop))

    def _character_starts(
        self, word: Word, edges: Sequence[float], start: int, stop: int
    ) -> tuple[float, ...]:
        """Seconds at which a word's characters begin: at their own symbols, else spread over its phonemes.

        edges: of the phonemes in seconds; start, stop: of the word in samples.
        """
        if not word.characters:
            return spread(word.end - word.start, edges)
        assert self._begin is not None
        own = [int(self._edges[at + 1]) - _LAG for at in word.characters]
        own[0] = start
        return tuple((max(start, min(at, stop)) - self._begin) / SAMPLE_RATE for at in own)

    def _inner_edges(self, word: Word) -> list[int]:
        """Samples at which a word's second and later phonemes begin.

        A stress mark belongs to the phoneme after it, a length mark to the one before.
        """
        begins = [
            at
            for at in range(word.first + 1, word.stop)
            if self._symbols[at] not in _BEHIND and self._symbols[at - 1] not in _BEFORE
        ]
        return [int(self._edges[at + 1]) - _LAG for at in begins]

    def _gaps(self) -> list[tuple[int, int]]:
        """End of each word but the last and start of the next, in samples."""
        gaps = [(at, at) for at in self._boundaries]
        for pause in self._pauses() if gaps else ():
            # A pause precedes one word only: the one predicted nearest to the pause's end.
            distance, index = min((abs(pause[1] - at), index) for index, at in enumerate(self._boundaries))
            expected = self._boundaries[index]
            # A pause that only begins at the predicted boundary lies inside the word.
            if pause[0] < expected and distance <= _NEAR and distance < _distance(gaps[index], expected):
                gaps[index] = pause
        return gaps

    def _end_at_cut(self, known: int, end: int) -> int:
        """End of a word that has a pause after it; the sound after that is the beginning of the next word."""
        return min([end, *(pause[0] for pause in self._pauses() if pause[1] > known - _NEAR)])

    def _pauses(self) -> list[tuple[int, int]]:
        """Silences of at least 50 ms between two sounds, as (start, end) in samples."""
        loud = self._loud_steps()
        silent = np.flatnonzero(np.diff(loud) > 1)
        pauses = ((int(loud[at]) + 1, int(loud[at + 1])) for at in silent)
        return [
            (self._origin + start * _HOP, self._origin + end * _HOP)
            for start, end in pauses
            if (end - start) * _HOP >= _SHORTEST_SILENCE
        ]

    def _loud_steps(self) -> npt.NDArray[np.intp]:
        """Indices of the 5 ms steps, from the first sample on, that are loud and may be speech."""
        loud = np.flatnonzero(self._loud)
        return loud[loud * _HOP > self._earliest - self._origin - _HOP]


def speech_chunk(
    audio: TimedAudio, start_s: float, gain: float, utterance_start_s: float = 0.0, first_character: int = 0
) -> SpeechChunk:
    """Convert a piece of an utterance to a chunk of its segment.

    gain: of the voice (``Voices.gain``); first_character: words before it get no span.
    """
    words = (word.shifted(utterance_start_s) for word in audio.words if word.word.start >= first_character)
    spans = (
        Span(timed.word.start, timed.word.end, timed.start_s, timed.end_s, timed.character_starts)
        for timed in words
    )
    return SpeechChunk(leveled(audio.samples, gain), SAMPLE_RATE, start_s, tuple(spans))


def speech_level(samples: Samples) -> float:
    """Power of the loud parts of speech (95th percentile over 5 ms); 0 for less than 5 ms."""
    power = _power(samples)
    return float(np.percentile(power, 95)) if len(power) else 0.0


def _power(samples: Samples) -> Samples:
    hops = len(samples) // _HOP
    return np.asarray(np.square(samples[: hops * _HOP].reshape(hops, _HOP)).mean(axis=1))


def symbol_edges(frames: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sample at which each symbol begins, and last the one at which the utterance ends."""
    return np.concatenate([[0], np.cumsum(frames)]) * FRAME_SAMPLES


def voiced_frame_range(prosody: PredictedProsody) -> tuple[int, int]:
    """Frames [begin, end) that contain the sound, with at least half a frame of margin on either side.

    The predicted energy, two values a frame, is about -9.5 in silence. In 148 sentences of all voices no
    sound was more than 0.2 frames outside of where it is above -5.
    """
    sounding = np.flatnonzero(prosody.energy.ravel() > SILENT_ENERGY)
    frames = int(prosody.frames.sum())
    if not len(sounding):
        return 0, frames
    return max(int(sounding[0]) - 1, 0) // 2, min((int(sounding[-1]) + 3) // 2, frames)


def word_boundary(utterance: Utterance, word: Word, following: Word, edges: npt.NDArray[np.int64]) -> int:
    """Predicted sample of the boundary between two words, for when no pause is found in the audio.

    It is the middle of the last space between them by ``edges`` (``symbol_edges``), less the durations' lag.
    """
    space = utterance.symbols.rfind(" ", word.stop, following.first)
    if space < 0:
        # Joined by espeak-ng: no space of their own.
        return int(edges[following.first + 1]) - _LAG
    return int(edges[space + 1] + edges[space + 2]) // 2 - _LAG


def _distance(gap: tuple[int, int], expected: int) -> float:
    """Distance from the end of a pause already assigned to the word's predicted start."""
    return abs(gap[1] - expected) if gap[0] < gap[1] else float("inf")
