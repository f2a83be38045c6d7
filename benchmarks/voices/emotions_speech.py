"""Sentences spoken in each emotion, as a session renders them, and their measures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import astuple, dataclass
from itertools import cycle

import numpy as np
import soxr

from benchmarks.kokoro.measures import pitch
from benchmarks.sentences import ABOUT_4_S
from kani.core.audio.prosody_filter import split_prosody, split_speed
from kani.core.audio.segment_filter import SegmentFilter
from kani.core.emotions import prosody_of
from kani.core.engine import Engine
from kani.core.types import Samples, Segment
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

Voices = Mapping[str, tuple[str, ...]]
"""Voices of the sentences by language (BCP 47)."""

KOKORO_VOICES: Voices = {"es": ("ef_dora", "em_alex"), "en": ("af_heart", "am_michael")}
ESPEAK_VOICES: Voices = {"es": ("espeak:es",), "en": ("espeak:en-us",)}

_LONGEST_S = 60
_LOUD_DB = 40.0
_STEP = 480
_BRIGHT_HZ = 2000.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, its language (BCP 47) and its voice."""

    text: str
    language: str
    voice: str


def sentences(voices: Voices) -> list[Sentence]:
    """Twenty sentences es and en, alternating over the voices of each language."""
    return [
        Sentence(text, language, voice)
        for language, own in voices.items()
        for text, voice in zip(ABOUT_4_S[language], cycle(own), strict=False)
    ]


def rendering(engine: Engine, sentence: Sentence, emotion: str, speed: float = 1.0) -> SegmentFilter:
    """The sentence as a session of this emotion and speed renders it."""
    info, manner = engine.info, prosody_of(emotion, None)
    own_speed, factor = split_speed(speed * manner.rate, info.speed_range)
    own, left = split_prosody(manner, info.native_prosody)
    segment = Segment(sentence.text, sentence.voice, sentence.language, own_speed, own, _LONGEST_S * factor)
    return SegmentFilter(
        engine.synthesize(segment), info.sample_rate, factor, _LONGEST_S * info.sample_rate, left
    )


async def spoken(engine: Engine, sentence: Sentence, emotion: str) -> Samples:
    """The complete sentence at 24 kHz."""
    pieces = [chunk.samples async for chunk in rendering(engine, sentence, emotion).chunks()]
    samples = np.concatenate(pieces)
    return np.asarray(soxr.resample(samples, engine.info.sample_rate, SAMPLE_RATE), np.float32)


async def first_sound_s(engine: Engine, sentence: Sentence, emotion: str, speed: float) -> float:
    """Seconds until the first audio; the rest is not generated."""
    begun = time.perf_counter()
    async with aclosing(rendering(engine, sentence, emotion, speed).chunks()) as chunks:
        async for chunk in chunks:
            if len(chunk.samples):
                return time.perf_counter() - begun
    raise AssertionError("a sentence has a sound")


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of one recording."""

    length_s: float  # seconds
    pitch: float  # median, semitones above 1 Hz
    pitch_range: float  # 10th to 90th percentile, semitones
    loudness: float  # mean power of the audible part, decibels
    brightness: float  # power above 2 kHz against that below, decibels


@dataclass(frozen=True, slots=True)
class Change:
    """A recording against the same sentence spoken neutrally."""

    rate: float  # factor
    pitch: float  # semitones
    pitch_range: float  # factor, between the same percentiles
    loudness: float  # decibels
    brightness: float  # decibels

    @classmethod
    def between(cls, found: Measures, neutral: Measures) -> Change:
        """Compare ``found`` with ``neutral``."""
        return cls(
            neutral.length_s / found.length_s,
            found.pitch - neutral.pitch,
            found.pitch_range / neutral.pitch_range,
            found.loudness - neutral.loudness,
            found.brightness - neutral.brightness,
        )

    def values(self) -> tuple[float, ...]:
        """All five, factors by their logarithms."""
        rate, higher, wider, *decibels = astuple(self)
        return (float(np.log(rate)), higher, float(np.log(wider)), *decibels)


def measured(samples: Samples) -> Measures:
    """Measure speech at 24 kHz."""
    found = pitch(samples)
    tones = 12 * np.log2(found[~np.isnan(found)])
    low, middle, high = np.percentile(tones, (10, 50, 90))
    power = np.square(samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)).mean(axis=1)
    heard = power[power > power.max() * 10 ** (-_LOUD_DB / 10)]
    spectrum = np.square(np.abs(np.fft.rfft(samples)))
    bright = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE) > _BRIGHT_HZ
    return Measures(
        len(samples) / SAMPLE_RATE,
        float(middle),
        float(high - low),
        float(10 * np.log10(heard.mean())),
        float(10 * np.log10(spectrum[bright].sum() / spectrum[~bright].sum())),
    )
