"""Speaks an utterance in pieces that are joined without a seam."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

from kani.core.types import Emphasis, Prosody, Samples, Segment
from kani.engines.kokoro.lead_in import cut_lead_in, lead_in, with_beginning, with_rise
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Stop
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.network.silence import Silence, with_silences
from kani.engines.kokoro.pitch_control import (
    Rise,
    apply_pitch,
    apply_rises,
    emphasize,
    emphasized_symbols,
    rises_of,
)
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.timing import (
    TRAILING_SILENCE_S,
    TimedAudio,
    Timeline,
    symbol_edges,
    voiced_frame_range,
    word_boundary,
)
from kani.engines.kokoro.voices import VoiceOrMix
from kani.engines.kokoro.windows import OPENING_RATE, first_words, prediction_steps

_FADE = round(0.005 * SAMPLE_RATE)
_SEARCHED = round(0.006 * SAMPLE_RATE)
_NOTHING = np.zeros(0, np.float32)

# The second window takes 1.3 times as long as the first one, which is shorter; the rest is a margin.
_SECOND_WINDOW = 1.5


class PreparedUtterance(Protocol):
    """An utterance with its prosody, ready to be decoded."""

    @property
    def prosody(self) -> PredictedProsody:
        """The prosody, with the segment's pitch applied."""

    @property
    def level(self) -> float:
        """Power of the loud parts of the voice."""

    def windows(self, begin: int, end: int, *, skipped: int = 0) -> Iterator[tuple[int, int]]:
        """Cut frames [begin, end) into windows; skipped: see ``windows.windows``."""

    def decode(self, first: int, end: int, stop: Stop) -> Samples:
        """Decode the samples of frames [first, end). Raises Stopped and ModelFailed."""

    def after(self, spoken: PreparedUtterance, end: int, begin: int) -> PreparedUtterance:
        """Return the utterance as it goes on at sample ``begin`` where ``spoken`` ended at sample ``end``."""


@dataclass(frozen=True, slots=True)
class Manner:
    """Manner in which the prosody of some symbols is predicted."""

    complete: bool = True  # True if no words follow
    min_symbols: int = 0  # speak as in an utterance of at least this length
    like: PreparedUtterance | None = None  # an utterance with a timbre that is to be kept
    emphases: Sequence[Emphasis] = ()  # emphases of symbols
    silences: Sequence[Silence] = ()  # silences at symbols
    rises: Sequence[Rise] = ()

    def applied(
        self, prosody: PredictedProsody, symbols: str, language: str, wanted: Prosody, log_f0: float
    ) -> PredictedProsody:
        """Return the predicted prosody with the pitch of ``wanted``, and with silences, emphases and rises.

        symbols: that it was predicted of; log_f0: of the voice (log hertz).
        """
        prosody = apply_pitch(prosody, wanted, log_f0)
        prosody = apply_rises(prosody, self.rises, language, wanted, log_f0)
        prosody = emphasize(with_silences(prosody, self.silences), self.emphases)
        return with_rise(prosody, symbols, language)


WHOLE = Manner()


def _silences(utterance: Utterance, segment: Segment, lead: int = 0) -> list[Silence]:
    """Return the pauses between an utterance's words at the segment's tempo, after ``lead`` other symbols."""
    factor = segment.prosody.pauses / segment.speed
    return [
        Silence(lead + word.stop, lead + following.first, factor * word.pause_s)
        for word, following in pairwise(utterance.words)
        if word.pause_s
    ]


_SENTENCE_SYMBOLS = 60


class PredictionSpeed:
    """Speed at which prosody and features are predicted on this machine; shared by all segments.

    The least time counts, not a mean: what another stream took from one prediction says nothing of the next
    one, and a sentence is divided the same way each time.
    """

    def __init__(self) -> None:
        self.symbol_s = 0.0  # least seconds for a symbol of a sentence; 0 until one was predicted

    def note(self, symbols: int, seconds: float) -> None:
        """Note a prediction, unless it is short: a part of the time does not depend on the length."""
        if symbols >= _SENTENCE_SYMBOLS:
            self.symbol_s = min(self.symbol_s or math.inf, seconds / symbols)


class PreparingSynthesizer(ABC):
    """Predicts the prosody of an utterance, then decodes it piece by piece: Kokoro, or a student."""

    def __init__(self) -> None:
        self.speed = PredictionSpeed()  # speed of the predictions so far, of all segments

    @abstractmethod
    def prepare(
        self, symbols: str, segment: Segment, stop: Stop, manner: Manner = WHOLE
    ) -> PreparedUtterance:
        """Predict the prosody of ``symbols`` with the voice, speed and pitch of ``segment``.

        Raises UnknownVoice, InvalidRequest for an unusable embedding, Stopped and ModelFailed.
        """

    @abstractmethod
    def voice_of(self, segment: Segment) -> VoiceOrMix:
        """Return the voice or mix that speaks a segment. Raises UnknownVoice and InvalidRequest."""

    def synthesize(
        self,
        utterance: Utterance,
        segment: Segment,
        stop: Stop,
        *,
        trailing_silence_s: float = TRAILING_SILENCE_S,
        in_steps: bool = True,
    ) -> Iterator[TimedAudio]:
        """Speak ``utterance`` with the voice, speed and prosody of ``segment``; its text is not used.

        A piece for each window; one for all of an utterance with a lead-in. trailing_silence_s: silence kept
        at most after the speech; in_steps: predict the prosody of the first words first where possible, so
        that sound begins sooner. Raises UnknownVoice, InvalidRequest for an unusable embedding, Stopped and
        ModelFailed.
        """
        lead = lead_in(utterance, segment.language)
        if not lead:
            pieces, count = Pieces(self, segment, in_steps=in_steps), len(utterance.words)
            yield from pieces.speak(utterance, 0, count, stop, trailing_silence_s=trailing_silence_s)
            return
        manner = Manner(
            emphases=emphasized_symbols(utterance, segment.emphases, len(lead)),
            silences=_silences(utterance, segment, len(lead)),
            rises=rises_of(utterance, len(lead)),
        )
        prepared = self.prepare(lead + utterance.symbols, segment, stop, manner)
        frames = prepared.prosody.frames
        samples, frames = cut_lead_in(prepared.decode(0, int(frames.sum()), stop), frames, lead)
        timeline = Timeline(utterance, frames, trailing_silence_s=trailing_silence_s)
        yield timeline.feed(samples, last=True)


@dataclass(eq=False)
class Pieces:
    """Speaks an utterance piece by piece, each intoned as part of an utterance that continues.

    For each piece the prosody of all words so far is predicted; the last few are not spoken yet. Pieces are
    joined in the middle of the space between two words, at the offset where their waveforms correlate best
    (the idea of WSOLA, Verhelst and Roelands 1993).
    """

    synthesizer: PreparingSynthesizer
    segment: Segment  # voice, speed and prosody
    _: KW_ONLY
    min_symbols: int = 0  # see ``Manner``
    in_steps: bool = True  # divide a long first piece by ``prediction_steps``
    same_statistics: bool = False  # keep the first step's
    _first: PreparedUtterance | None = None
    _spoken: tuple[PreparedUtterance, int] | None = None
    _tail: Samples = field(default_factory=lambda: _NOTHING)
    _level: float = 0.0
    _emitted: int = 0

    def speak(
        self,
        utterance: Utterance,
        first: int,
        until: int,
        stop: Stop,
        *,
        complete: bool = True,
        trailing_silence_s: float = TRAILING_SILENCE_S,
    ) -> Iterator[TimedAudio]:
        """Speak the words [first, until) of ``utterance``, all that is known so far; a window a step.

        complete: no words follow. Times count from the first sample of the first piece. Raises UnknownVoice,
        Stopped and ModelFailed.
        """
        utterance = with_beginning(utterance, self.segment.language)
        self.min_symbols = max(self.min_symbols, len(utterance.symbols))
        steps = [(len(utterance.words), until)]
        if self.in_steps and first == 0:
            steps = list(prediction_steps(utterance, until, self.segment, self.synthesizer.speed.symbol_s))
        for index, (predicted, spoken) in enumerate(steps):
            opens = predicted < len(utterance.words)
            pieces = self._speak_step(
                first_words(utterance, predicted),
                first,
                spoken,
                stop,
                complete=complete and not opens,
                rate=OPENING_RATE if opens else 1.0,
                skipped_sizes=index,
                trailing_silence_s=trailing_silence_s,
            )
            yield from self._follow(pieces)
            first = spoken

    def insert(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        """Pass on audio of another utterance; words' times count from the first piece's first sample."""
        yield from self._follow(pieces)
        self._spoken, self._tail = None, _NOTHING

    def _follow(self, pieces: Iterator[TimedAudio]) -> Iterator[TimedAudio]:
        start_s = self._emitted / SAMPLE_RATE
        for piece in pieces:
            self._emitted += len(piece.samples)
            yield TimedAudio(piece.samples, tuple(word.shifted(start_s) for word in piece.words))

    def _speak_step(
        self,
        utterance: Utterance,
        first: int,
        until: int,
        stop: Stop,
        *,
        complete: bool,
        rate: float,
        skipped_sizes: int,
        trailing_silence_s: float,
    ) -> Iterator[TimedAudio]:
        """Speak the words [first, until) with the prosody of ``utterance`` at ``rate`` times its speed."""
        words, segment = utterance.words, replace(self.segment, speed=self.segment.speed * rate)
        manner = Manner(
            complete,
            self.min_symbols,
            self._first,
            emphases=emphasized_symbols(utterance, segment.emphases),
            silences=_silences(utterance, self.segment),
            rises=rises_of(utterance),
        )
        prepared = self.synthesizer.prepare(utterance.symbols, segment, stop, manner)
        if self.same_statistics and self._first is None:
            self._first = prepared
        prosody, frames = prepared.prosody, int(prepared.prosody.frames.sum())
        edges = symbol_edges(prosody.frames)
        begin, end = (frame * FRAME_SAMPLES for frame in voiced_frame_range(prosody))
        continues = first > 0
        if continues:
            begin = word_boundary(utterance, words[first - 1], words[first], edges)
            if self._spoken is not None:
                prepared = prepared.after(*self._spoken, begin)
        else:
            # The last piece is beyond the left context: there is nothing to join to.
            self._tail = _NOTHING
        if not complete:
            end = word_boundary(utterance, words[until - 1], words[until], edges)
        timeline: Timeline | None = None
        held: TimedAudio | None = None
        first_frame = max(begin - (_SEARCHED + _FADE if continues else 0), 0) // FRAME_SAMPLES
        last_frame = min(-(-(end + _FADE) // FRAME_SAMPLES), frames)
        for frame, next_frame in prepared.windows(first_frame, last_frame, skipped=skipped_sizes):
            begun = time.perf_counter()
            samples = prepared.decode(frame, next_frame, stop)
            took_s = time.perf_counter() - begun
            last, tail = next_frame == last_frame, _NOTHING
            if last and not complete:
                cut = end - frame * FRAME_SAMPLES
                samples, tail = samples[:cut], samples[cut - _FADE : cut + _FADE]
            is_first = timeline is None and not continues
            if timeline is None:
                at = self._best_cut(samples, begin - frame * FRAME_SAMPLES)
                timeline = Timeline(
                    utterance,
                    prosody.frames,
                    words=words[first:until],
                    first_sample=frame * FRAME_SAMPLES + at,
                    before=samples[:at] if continues else None,
                    level=self._level or prepared.level,
                    trailing_silence_s=trailing_silence_s,
                )
                samples = self._joined(samples[at:])
            if last:
                self._spoken, self._tail = (prepared, end), tail
            piece = timeline.feed(samples, last=last and complete, cut=last and not complete)
            self._level = timeline.level
            played_s = segment.ahead_s + len(piece.samples) / SAMPLE_RATE
            if is_first and not last and played_s < _SECOND_WINDOW * took_s:
                # Silence was trimmed from it: playback would run dry before the second window is there.
                held = piece
                continue
            yield piece if held is None else held.joined(piece)
            held = None

    def _best_cut(self, samples: Samples, at: int) -> int:
        """Return the place near ``at`` where samples are most similar to the last piece's end."""
        tail = self._tail
        if not len(tail):
            return at
        around = samples[at - _SEARCHED - _FADE : at + _SEARCHED + _FADE]
        alike = np.correlate(around, tail, "valid")
        power = np.convolve(np.square(around), np.ones(len(tail), np.float32), "valid")
        return at + int((alike / np.sqrt(power + np.float32(1e-6))).argmax()) - _SEARCHED

    def _joined(self, samples: Samples) -> Samples:
        """Cross-fade from the last piece's end to samples."""
        tail = self._tail
        if not len(tail):
            return samples
        samples = samples.copy()
        ramp = np.linspace(0.0, 1.0, _FADE, endpoint=False, dtype=np.float32)
        samples[:_FADE] = samples[:_FADE] * ramp + tail[_FADE:] * (1 - ramp)
        return samples
