"""Says utterances, whole or window by window; in the calling thread, a piece a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, Self

import numpy as np

from engines.kokoro.lead_in import lead_in, without
from engines.kokoro.network.norm_statistics import Statistics
from engines.kokoro.network.onnx_model import FRAME, Rendering, Stop, WholeModel
from engines.kokoro.network.parts import Affine, Features, NormStatistics, PartedModel, Prosody
from engines.kokoro.pitch_control import intoned
from engines.kokoro.text.phonemes import Utterance
from engines.kokoro.timing import KEPT_AFTER_S, Heard, Timeline, level_of
from engines.kokoro.voice_embedding import mix_of
from engines.kokoro.voice_mix import Mix, Who
from engines.kokoro.voices import Voices
from engines.kokoro.windows import windows
from speech.errors import InvalidRequest
from speech.text.languages import primary
from speech.types import Manner, Samples, Segment

_SILENT_ENERGY = -5.0


class Speaker(Protocol):
    """One way of decoding."""

    def say(
        self, utterance: Utterance, segment: Segment, stop: Stop, *, keep_after_s: float = KEPT_AFTER_S
    ) -> Iterator[Heard]:
        """The speech of ``utterance``, as ``segment`` wants it (its text is not looked at).

        keep_after_s: how much of the model's silence may stay behind. Raises UnknownVoice, InvalidRequest for
        an embedding that it cannot speak like, Stopped and ModelFailed.
        """

    def for_a_segment(self) -> Self:
        """The speaker of one segment: none of its utterances is decoded otherwise than the first."""


class WholeSpeaker:
    """All of an utterance at once, by the published graph: the model's own samples."""

    def __init__(self, model: WholeModel, voices: Voices) -> None:
        self._model = model
        self._voices = voices

    def say(
        self, utterance: Utterance, segment: Segment, stop: Stop, *, keep_after_s: float = KEPT_AFTER_S
    ) -> Iterator[Heard]:
        """See ``Speaker.say``; one piece."""
        if segment.embedding is not None:
            raise InvalidRequest("reference", "this engine speaks with its own voices only")
        lead = lead_in(utterance, segment.language)
        symbols = lead + utterance.symbols
        style = self._voices.style(segment.voice, len(symbols))
        rendering = self._model.render(symbols, style, segment.speed, stop)
        yield _whole(rendering, utterance, lead, keep_after_s)

    def for_a_segment(self) -> Self:
        """See ``Speaker.for_a_segment``."""
        return self


class WindowSpeaker:
    """The first sound before the rest is decoded: prosody of the whole, then window by window."""

    def __init__(self, model: PartedModel, voices: Voices, statistics: Statistics) -> None:
        self._model = model
        self._voices = voices
        self._statistics = statistics

    def say(
        self, utterance: Utterance, segment: Segment, stop: Stop, *, keep_after_s: float = KEPT_AFTER_S
    ) -> Iterator[Heard]:
        """See ``Speaker.say``; what needs to be seen whole (led in, or a voice's first) is one piece."""
        who = self.who(segment)
        lead = lead_in(utterance, segment.language)
        prosody, features = self.foresee(lead + utterance.symbols, segment, stop)
        if isinstance(who, str) and not self._statistics.knows(who):
            samples = self._recorded(who, prosody, features, stop)
            yield _whole(Rendering(samples, prosody.frames), utterance, lead, keep_after_s)
            return
        norms = Affine.of(features, self._statistics.expected(who, prosody, features))
        if lead:
            samples = self.window(features, norms, 0, features.frames, stop)
            yield _whole(Rendering(samples, prosody.frames), utterance, lead, keep_after_s)
            return
        begin, end = spoken_frames(prosody)
        timeline = Timeline(
            utterance,
            prosody.frames,
            first=begin * FRAME,
            level=self.level(who),
            keep_after_s=keep_after_s,
        )
        for first, until in windows(begin, end):
            samples = self.window(features, norms, first, until, stop)
            yield timeline.feed(samples, last=until == end)

    def for_a_segment(self) -> Self:
        """See ``Speaker.for_a_segment``."""
        return type(self)(self._model.by_one_decoder(), self._voices, self._statistics)

    def who(self, segment: Segment) -> Who:
        """Who speaks it: its voice, or the mix that its embedding has for its language.

        Raises InvalidRequest for an embedding that is none of this engine's.
        """
        if segment.embedding is None:
            return segment.voice
        return mix_of(segment.embedding, primary(segment.language), self._voices)

    def foresee(
        self, symbols: str, segment: Segment, stop: Stop, *, as_long_as: int = 0
    ) -> tuple[Prosody, Features]:
        """What is known of an utterance before its sound, its melody as the segment's manner wants it.

        In the style of one of ``as_long_as`` symbols at least.
        """
        who = self.who(segment)
        style = self._voices.style(who, max(len(symbols), as_long_as))
        prosody = self._model.prosody(symbols, style, segment.speed, stop)
        known = isinstance(who, Mix) or self._statistics.knows(who)
        tone = self._statistics.tone(who) if known else prosody.tone
        prosody = intoned(prosody, _of_mix(segment.manner, who), tone)
        return prosody, self._model.features(prosody, style, stop)

    def expected(self, who: Who, prosody: Prosody, features: Features, stop: Stop) -> NormStatistics:
        """What the norms will see in an utterance; of a voice not known yet it is recorded first (whole)."""
        if isinstance(who, str) and not self._statistics.knows(who):
            self._recorded(who, prosody, features, stop)
        return self._statistics.expected(who, prosody, features)

    def level(self, who: Who) -> float:
        """The power of the loud parts of a voice, or a mix, that is known."""
        return self._statistics.level(who)

    def window(self, features: Features, norms: Affine, first: int, end: int, stop: Stop) -> Samples:
        """The samples of frames [first, end)."""
        return self._model.window(features, norms, first, end, stop)

    def _recorded(self, voice: str, prosody: Prosody, features: Features, stop: Stop) -> Samples:
        samples, seen = self._model.recorded(features, stop)
        self._statistics.record(voice, prosody, features, seen, level_of(samples))
        return samples


def spoken_frames(prosody: Prosody) -> tuple[int, int]:
    """The frames [begin, end) in which there is sound, and at least half a frame on either side.

    The energy that the model foresees, two values a frame, is about -9.5 where it is silent. In 148
    sentences of all voices no sound was more than 0.2 frames outside of where it is above -5.
    """
    sounding = np.flatnonzero(prosody.energy.ravel() > _SILENT_ENERGY)
    frames = int(prosody.frames.sum())
    if not len(sounding):
        return 0, frames
    return max(int(sounding[0]) - 1, 0) // 2, min((int(sounding[-1]) + 3) // 2, frames)


def _of_mix(manner: Manner, who: Who) -> Manner:
    """The manner, of one who is higher or livelier by itself than the voice of its melody."""
    if isinstance(who, str):
        return manner
    return replace(manner, pitch=manner.pitch + who.pitch, pitch_range=manner.pitch_range * who.pitch_range)


def _whole(rendering: Rendering, utterance: Utterance, lead: str, keep_after_s: float) -> Heard:
    """What is heard of a rendering of ``lead`` and ``utterance``."""
    if lead:
        rendering = without(rendering, lead)
    timeline = Timeline(utterance, rendering.frames, keep_after_s=keep_after_s)
    return timeline.feed(rendering.samples, last=True)
