"""A sentence that is spoken while it is written, a few words behind the last.

Each time there are enough new words, the prosody of all the sentence so far is foreseen, and only the
new words are decoded, up to a few before the end of what is known: so every piece has the melody of a
sentence that goes on. Pieces are joined in the middle of the space between two words, where their sounds
are most alike (the idea of WSOLA, Verhelst and Roelands 1993).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Stop
from engines.kokoro.network.parts import NormAffine, NormStatistics
from engines.kokoro.synthesizer import WindowedSynthesizer, voiced_frame_range
from engines.kokoro.text.espeak_ipa import Phonemizer
from engines.kokoro.text.phonemes import Utterance, split_utterances
from engines.kokoro.timing import (
    SILENCE_BETWEEN_UTTERANCES_S,
    TimedAudio,
    Timeline,
    symbol_edges,
    word_boundary,
)
from engines.kokoro.windows import windows
from speech.types import Pronunciation, Samples, Segment

LOOKAHEAD_WORDS = 3
"""Words behind which one speaks: with two, the melody steps at the joints twice as much."""

_MARKS = frozenset(".,;:!?…")
"""Behind these a voice pauses, whatever comes."""

_REMEMBERED = 10
"""Words before the next one that its melody is foreseen from, where the sentence is too long for all."""

_EXPECTED = 90
"""Symbols that a sentence is taken to have from its first words on: a voice has a style for each length,
and in that of the few words so far all would be said too fast (0.94 of the time; now 1.01-1.03)."""

_FADE = round(0.005 * SAMPLE_RATE)
_SEARCHED = round(0.006 * SAMPLE_RATE)
_WORD = re.compile(r"\S+")
_NOTHING = np.zeros(0, np.float32)


class IncrementalSentence:
    """What was said of a sentence that is being written; used in the calling thread."""

    def __init__(self, speaker: WindowedSynthesizer, say: Phonemizer, segment: Segment) -> None:
        """say: tells the symbols of a clause; segment: voice and speed (its text is not looked at)."""
        self._speaker = speaker
        self._say = say
        self._segment = segment
        self._statistics: NormStatistics | None = None
        self._base = 0
        self._tail = _NOTHING
        self._given = 0
        self.spoken_length = 0
        """Characters of the text that were spoken."""

    def count_ready_words(self, text: str, *, complete: bool) -> int:
        """How many words of ``text`` can be said now: all that are new, or all but those held back.

        What stands before a mark inside the sentence has its melody, and is not held back.
        """
        new = text[self.spoken_length :].split()
        if complete:
            return len(new)
        marked = (count for count, word in enumerate(new[:-1], 1) if word[-1] in _MARKS)
        return max(len(new) - LOOKAHEAD_WORDS, *marked, 0)

    def synthesize(
        self, text: str, ending: str | None, stop: Stop, pronunciations: Sequence[Pronunciation] = ()
    ) -> Iterator[TimedAudio]:
        """Say what can be said now of ``text``, all of the sentence so far; a window a step.

        Times count from the sentence's first sample. ending: the mark that closes a complete text
        without one; None: the sentence goes on; pronunciations: parts of the text that are said by their
        IPA. Raises UnknownVoice, Stopped and ModelFailed.
        """
        *long, utterance = self._utterances(text, ending or "", pronunciations)
        for part in long:
            # More words came at once than the model can say in one go.
            yield from self._placed(
                self._speaker.synthesize(
                    part, self._segment, stop, trailing_silence_s=SILENCE_BETWEEN_UTTERANCES_S
                )
            )
            self.spoken_length = part.words[-1].end
            self._tail = _NOTHING
        words = utterance.words
        first = next((at for at, word in enumerate(words) if word.start >= self.spoken_length), len(words))
        until = len(words) if ending is not None else _apart(utterance, _certain(utterance))
        if until > first:
            self.spoken_length = words[until - 1].end
            yield from self._placed(self._piece(utterance, first, until, ending is not None, stop))
        if ending is not None:
            self.spoken_length = len(text)

    def _piece(
        self, utterance: Utterance, first: int, until: int, complete: bool, stop: Stop
    ) -> Iterator[TimedAudio]:
        """Say the words [first, until) of ``utterance``, which is the sentence so far."""
        words, who = utterance.words, self._speaker.voice_of(self._segment)
        prosody, features = self._speaker.predict(
            utterance.symbols, self._segment, stop, min_symbols=_EXPECTED
        )
        if self._statistics is None:
            self._statistics = self._speaker.predict_statistics(who, prosody, features, stop)
        norms = NormAffine.from_statistics(features, self._statistics)
        edges = symbol_edges(prosody.frames)
        begin, end = (frame * FRAME_SAMPLES for frame in voiced_frame_range(prosody))
        goes_on = first > 0
        if goes_on:
            begin = word_boundary(utterance, words[first - 1], words[first], edges)
        else:
            # What was said last is not remembered any more: there is nothing to join with.
            self._tail = _NOTHING
        if not complete:
            end = word_boundary(utterance, words[until - 1], words[until], edges)
        timeline = Timeline(
            utterance,
            prosody.frames,
            words=words[first:until],
            first_sample=begin,
            continues=goes_on,
            level=self._speaker.level(who),
        )
        first_frame = max(begin - (_SEARCHED + _FADE if goes_on else 0), 0) // FRAME_SAMPLES
        last_frame = min(-(-(end + _FADE) // FRAME_SAMPLES), features.frames)
        for frame, next_frame in windows(first_frame, last_frame):
            samples = self._speaker.decode_window(features, norms, frame, next_frame, stop)
            last, tail = next_frame == last_frame, _NOTHING
            if last and not complete:
                cut = end - frame * FRAME_SAMPLES
                samples, tail = samples[:cut], samples[cut - _FADE : cut + _FADE]
            if frame == first_frame:
                samples = self._joined(samples, begin - frame * FRAME_SAMPLES)
            if last:
                self._tail = tail
            yield timeline.feed(samples, last=last and complete, cut=last and not complete)

    def _placed(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        """What is heard, with times that count from the sentence's first sample."""
        begun_s = self._given / SAMPLE_RATE
        for heard in pieces:
            self._given += len(heard.samples)
            yield TimedAudio(heard.samples, tuple(word.shifted(begun_s) for word in heard.words))

    def _utterances(self, text: str, ending: str, pronunciations: Sequence[Pronunciation]) -> list[Utterance]:
        """What is to be said of ``text``, with as much of what was said before it as one can be aware of.

        More than one only where more has not been said than the model takes.
        """
        while True:
            ahead = [
                replace(one, start=one.start - self._base, end=one.end - self._base)
                for one in pronunciations
                if one.start >= self._base
            ]
            parts = split_utterances(text[self._base :], self._say, ending=ending, pronunciations=ahead)
            if len(parts) <= 1 or self._base >= self.spoken_length:
                break
            before = list(_WORD.finditer(text, self._base, self.spoken_length))[-_REMEMBERED:]
            # If that is too long as well, nothing of it.
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

    def _joined(self, samples: Samples, at: int) -> Samples:
        """The samples from ``at`` on, or from near it where they go on best from what was said before."""
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


def _certain(utterance: Utterance) -> int:
    """How many words of a sentence that goes on can be said: those before a mark, or those not held back."""
    symbols, words = utterance.symbols, utterance.words
    marked = (
        at
        for at in range(1, len(words))
        if not _MARKS.isdisjoint(symbols[words[at - 1].stop : words[at].first])
    )
    return max(len(words) - LOOKAHEAD_WORDS, *marked, 0)


def _apart(utterance: Utterance, stop: int) -> int:
    """The last place up to ``stop`` at which words are not joined to one group of symbols."""
    words = utterance.words
    while stop > 0 and " " not in utterance.symbols[words[stop - 1].stop : words[stop].first]:
        stop -= 1
    return stop
