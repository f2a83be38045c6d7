"""Kokoro's speech with its own times, which the alignment has to find."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.sentences import Sentences, mixed
from kani.core.timing.reference_voice import ReferenceSpeech
from kani.core.types import Samples, Segment, Span
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources

SPEEDS = (0.8, 1.0, 1.2)
PITCHES = (1.0, 1.0, 1.12, 1.0, 1.0, 0.9)
"""A third is played faster or slower, so that it is higher or lower too."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A sentence: its audio at ``sample_rate`` hertz, its words' times, and espeak-ng's speech of it."""

    language: str
    text: str
    voice: str
    samples: Samples
    sample_rate: int
    words: tuple[Span, ...]
    rendered: ReferenceSpeech

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


async def speak(sentences: Sentences, voices: Mapping[str, Sequence[str]]) -> list[Spoken]:
    """Speak each sentence with alternating voices of its language, at three speeds and three pitches."""
    renderer = EspeakReferenceVoice()
    spoken = []
    with tempfile.TemporaryDirectory() as nowhere:
        engine = KokoroEngine(KokoroSettings(decoder="onnx"), Resources(Path(nowhere)))
        await engine.start()
        counts = dict.fromkeys(voices, 0)
        for language, text in mixed(sentences):
            number = counts[language]
            counts[language] += 1
            voice = voices[language][number % len(voices[language])]
            speed = SPEEDS[number % len(SPEEDS)]
            segment = Segment(text, voice, language, speed=speed)
            chunks = [chunk async for chunk in engine.synthesize(segment)]
            pitch = PITCHES[number % len(PITCHES)]
            rate = round(chunks[0].sample_rate * pitch)
            faster = rate / chunks[0].sample_rate
            words = tuple(_faster(span, faster) for chunk in chunks for span in chunk.spans)
            samples = np.concatenate([chunk.samples for chunk in chunks])
            rendered = await renderer.render(text, language, speed)
            spoken.append(Spoken(language, text, voice, samples, rate, words, rendered))
        await engine.stop()
    return spoken


def _faster(span: Span, factor: float) -> Span:
    marks = tuple(mark / factor for mark in span.character_starts)
    return Span(span.start, span.end, span.start_s / factor, span.end_s / factor, marks)
