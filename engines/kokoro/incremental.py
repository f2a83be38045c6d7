"""Incremental synthesis: speaks a sentence while its text is still arriving.

When enough new words are there, the prosody of the whole sentence so far is predicted, but only the new words
are decoded, up to a few before the last one known: each piece is intoned as part of a sentence that
continues. Pieces are joined in the middle of the space between two words, at the offset where their
waveforms correlate best (the idea of WSOLA, Verhelst and Roelands 1993).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Stop
from engines.kokoro.network.parts import NormAffine, NormStatistics
from engines.kokoro.synthesizer import WindowedSynthesizer, voiced_frame_range
from engines.kokoro.text.phonemes import Utterance, split_utterances
from engines.kokoro.text.reader import TextReader
from engines.kokoro.timing import (
    SILENCE_BETWEEN_UTTERANCES_S,
    TimedAudio,
    Timeline,
    speech_chunk,
    symbol_edges,
    word_boundary,
)
from engines.kokoro.windows import windows
from speech.playback import Playback
from speech.text.incremental_text import IncrementalText
from speech.types import Pronunciation, Samples, Segment, SpeechChunk

LOOKAHEAD_WORDS = 3
"""Lookahead in words; with two, pitch jumps at the joints double."""

_CLOSING = ".,;:!?…。，、！？；："
_MARKS = frozenset(_CLOSING)
"""Marks behind which a voice pauses whatever follows: words before them need no lookahead."""

_CONTEXT_WORDS = 10
"""Words of left context for the prosody where the sentence is too long to predict as a whole."""

_ASSUMED_SYMBOLS = 90
"""Assumed length of the sentence in symbols: a voice has a style for each length, and with the style for the
few words so far all would be spoken too fast (0.94 of the time; now 1.01-1.03)."""

# Words needed, besides the lookahead, to begin a sentence whose text is still arriving, and to continue it.
# It continues with fewer before the listener runs out of audio.
_FIRST_WORDS = 2
_MORE_WORDS = 5

_SAFETY_S = 0.05
"""Audio that the listener should still have when the next piece begins to play."""

_FADE = round(0.005 * SAMPLE_RATE)
_SEARCHED = round(0.006 * SAMPLE_RATE)
# Counted without a dictionary: in a script without spaces a word has two characters or more.
_UNSPACED = "々〇〆\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]{{1,2}}[{_CLOSING}]*|[^\s{_UNSPACED}]+")
_NOTHING = np.zeros(0, np.float32)


class PieceTiming:
    """Positions the chunks of a sentence's pieces, and tracks how much audio the listener has left."""

    def __init__(self) -> None:
        self._playback = Playback()
        self._end_s = 0.0
        self._begun = 0.0
        self._latency_s: float | None = None

    @property
    def deadline(self) -> float:
        """Time on the monotonic clock at which the listener runs out of audio."""
        return self._playback.ends_at

    @property
    def spare_s(self) -> float:
        """Seconds that the next piece may begin later: its latency is taken to be that of the last one."""
        return self._playback.remaining_s - (self._latency_s or 0.0) - _SAFETY_S

    def begin_piece(self) -> None:
        """Note that the synthesis of a piece begins."""
        self._begun, self._latency_s = time.monotonic(), None

    def add(self, audio: TimedAudio) -> SpeechChunk:
        """Convert audio of the current piece to the sentence's next chunk."""
        if self._latency_s is None:
            self._latency_s = time.monotonic() - self._begun
        chunk = speech_chunk(audio, self._end_s)
        self._end_s = chunk.end_s
        self._playback.add(chunk.duration_s)
        return chunk


class IncrementalSentence:
    """One sentence whose text grows; works in the calling thread."""

    def __init__(self, synthesizer: WindowedSynthesizer, reader: TextReader, segment: Segment) -> None:
        """segment: voice, speed and prosody; its text is not used."""
        self._synthesizer = synthesizer
        self._reader = reader
        self._segment = segment
        self._statistics: NormStatistics | None = None
        self._base = 0
        self._tail = _NOTHING
        self._emitted = 0
        self.spoken_length = 0
        """Characters of the text spoken so far."""

    def count_ready_words(self, text: str) -> int:
        """Number of new words of the unfinished ``text`` that can be spoken now: all but the lookahead.

        Words before a mark inside the sentence need no lookahead.
        """
        new = _WORD.findall(text, self.spoken_length)
        marked = (count for count, word in enumerate(new[:-1], 1) if word[-1] in _MARKS)
        return max(len(new) - LOOKAHEAD_WORDS, *marked, 0)

    def synthesize(
        self, text: str, ending: str | None, stop: Stop, pronunciations: Sequence[Pronunciation] = ()
    ) -> Iterator[TimedAudio]:
        """Speak the new words of ``text``, the whole sentence so far; yields one window a step.

        ending: mark that closes a complete text without one, None while the sentence continues;
        pronunciations: parts of the text with their IPA. Times count from the sentence's first sample.
        Raises UnknownVoice, Stopped and ModelFailed.
        """
        *long, utterance = self._utterances(text, ending or "", pronunciations)
        for part in long:
            # More words arrived at once than fit into one utterance.
            yield from self._shifted(
                self._synthesizer.synthesize(
                    part, self._segment, stop, trailing_silence_s=SILENCE_BETWEEN_UTTERANCES_S
                )
            )
            self.spoken_length = part.words[-1].end
            self._tail = _NOTHING
        words = utterance.words
        first = next((at for at, word in enumerate(words) if word.end > self.spoken_length), len(words))
        until = len(words) if ending is not None else _last_separated(utterance, _count_speakable(utterance))
        if until > first:
            self.spoken_length = words[until - 1].end
            yield from self._shifted(
                self._synthesize_piece(utterance, first, until, ending is not None, stop)
            )
        if ending is not None:
            self.spoken_length = len(text)

    def _synthesize_piece(
        self, utterance: Utterance, first: int, until: int, complete: bool, stop: Stop
    ) -> Iterator[TimedAudio]:
        """Speak the words [first, until) of ``utterance``, the sentence so far."""
        words, voice = utterance.words, self._synthesizer.voice_of(self._segment)
        prosody, features = self._synthesizer.predict(
            utterance.symbols, self._segment, stop, min_symbols=_ASSUMED_SYMBOLS
        )
        if self._statistics is None:
            self._statistics = self._synthesizer.predict_statistics(voice, prosody, features, stop)
        norms = NormAffine.from_statistics(features, self._statistics)
        edges = symbol_edges(prosody.frames)
        begin, end = (frame * FRAME_SAMPLES for frame in voiced_frame_range(prosody))
        continues = first > 0
        if continues:
            begin = word_boundary(utterance, words[first - 1], words[first], edges)
        else:
            # The last piece is beyond the left context: there is nothing to join to.
            self._tail = _NOTHING
        if not complete:
            end = word_boundary(utterance, words[until - 1], words[until], edges)
        timeline = Timeline(
            utterance,
            prosody.frames,
            words=words[first:until],
            first_sample=begin,
            continues=continues,
            level=self._synthesizer.level(voice),
        )
        first_frame = max(begin - (_SEARCHED + _FADE if continues else 0), 0) // FRAME_SAMPLES
        last_frame = min(-(-(end + _FADE) // FRAME_SAMPLES), features.frames)
        for frame, next_frame in windows(first_frame, last_frame):
            samples = self._synthesizer.decode_window(features, norms, frame, next_frame, stop)
            last, tail = next_frame == last_frame, _NOTHING
            if last and not complete:
                cut = end - frame * FRAME_SAMPLES
                samples, tail = samples[:cut], samples[cut - _FADE : cut + _FADE]
            if frame == first_frame:
                samples = self._join(samples, begin - frame * FRAME_SAMPLES)
            if last:
                self._tail = tail
            yield timeline.feed(samples, last=last and complete, cut=last and not complete)

    def _shifted(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        """Shift the words' times to count from the sentence's first sample."""
        start_s = self._emitted / SAMPLE_RATE
        for piece in pieces:
            self._emitted += len(piece.samples)
            yield TimedAudio(piece.samples, tuple(word.shifted(start_s) for word in piece.words))

    def _utterances(self, text: str, ending: str, pronunciations: Sequence[Pronunciation]) -> list[Utterance]:
        """Utterances for the new words of ``text``, with as much left context as fits.

        More than one only where the new words alone exceed the longest utterance.
        """
        while True:
            ahead = [
                replace(one, start=one.start - self._base, end=one.end - self._base)
                for one in pronunciations
                if one.start >= self._base
            ]
            parts = split_utterances(text[self._base :], self._reader, ending=ending, pronunciations=ahead)
            if len(parts) <= 1 or self._base >= self.spoken_length:
                break
            before = list(_WORD.finditer(text, self._base, self.spoken_length))[-_CONTEXT_WORDS:]
            # If that is too long as well, no left context at all.
            back = before[0].start() if before else self.spoken_length
            self._base = back if back > self._base else self.spoken_length
        moved = [
            replace(
                part,
                words=tuple(
                    replace(word, start=word.start + self._base, end=word.end + self._base)
                    for word in part.words
                ),
            )
            for part in parts
        ]
        return moved or [Utterance("", ())]

    def _join(self, samples: Samples, at: int) -> Samples:
        """Join to the last piece: cut near ``at`` where the waveforms correlate best, and cross-fade."""
        tail = self._tail
        if not len(tail):
            return samples[at:]
        around = samples[at - _SEARCHED - _FADE : at + _SEARCHED + _FADE]
        alike = np.correlate(around, tail, "valid")
        power = np.convolve(np.square(around), np.ones(len(tail), np.float32), "valid")
        best = int((alike / np.sqrt(power + np.float32(1e-6))).argmax()) - _SEARCHED
        samples = samples[at + best :].copy()
        ramp = np.linspace(0.0, 1.0, _FADE, endpoint=False, dtype=np.float32)
        samples[:_FADE] = samples[:_FADE] * ramp + tail[_FADE:] * (1 - ramp)
        return samples


async def has_enough_words(
    sentence: IncrementalSentence, text: IncrementalText, known: str, timing: PieceTiming
) -> bool:
    """True if a piece of the unfinished text ``known`` should be spoken now; if not, wait for more text.

    Every piece costs time and a joint, so it pays to wait for more words while the listener has audio left.
    """
    ready, spare_s = sentence.count_ready_words(known), timing.spare_s
    begun = sentence.spoken_length > 0
    wanted = _FIRST_WORDS if not begun else _MORE_WORDS if spare_s > 0 else 1
    if ready >= wanted:
        return True
    await text.wait_for_more(len(known), spare_s if begun and ready > 0 else None)
    return False


def _count_speakable(utterance: Utterance) -> int:
    """Number of words of an unfinished sentence that can be spoken: those before a mark or the lookahead."""
    symbols, words = utterance.symbols, utterance.words
    marked = (
        at
        for at in range(1, len(words))
        if not _MARKS.isdisjoint(symbols[words[at - 1].stop : words[at].first])
    )
    return max(len(words) - LOOKAHEAD_WORDS, *marked, 0)


def _last_separated(utterance: Utterance, stop: int) -> int:
    """Last position up to ``stop`` where espeak-ng did not join two words into one group of symbols."""
    words = utterance.words
    while stop > 0 and " " not in utterance.symbols[words[stop - 1].stop : words[stop].first]:
        stop -= 1
    return stop
