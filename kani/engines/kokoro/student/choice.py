"""Describes students to the core: beside Kokoro, and without it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kani.core.engine import EngineInfo, LightVoices
from kani.core.types import Voice
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.pitch_control import NATIVE_PROSODY_FIELDS
from kani.engines.kokoro.student.files import StudentFacts
from kani.engines.kokoro.voices import DEFAULT_VOICES, ENGINE

STREAMS_A_CORE = 40
"""Streams that students speak at once for each core. A second of audio takes it 0.01 processor seconds, a
client's socket as much again, and the other half is left to Kokoro."""


def student_slots() -> int:
    """Number of streams that students speak at once on this machine; their speed is not measured."""
    return STREAMS_A_CORE * (os.cpu_count() or 1)


def light_voices(students: Sequence[StudentFacts], *, always: bool) -> LightVoices:
    """Describe students beside Kokoro; always: they speak in every session."""
    return LightVoices({each.voice: each.language for each in students}, student_slots(), always)


def default_voices(students: Sequence[StudentFacts]) -> dict[str, str]:
    """Return the voice of each language that ``students`` speak: Kokoro's default, or else the first."""
    voices: dict[str, str] = {}
    for each in students:
        if each.voice == DEFAULT_VOICES.get(each.language):
            voices[each.language] = each.voice
        voices.setdefault(each.language, each.voice)
    return voices


def engine_of_students(
    students: Sequence[StudentFacts], voices: Sequence[Voice], speed_range: tuple[float, float]
) -> EngineInfo:
    """Describe an engine that has students only; voices: Kokoro's."""
    taught = {each.voice for each in students}
    return EngineInfo(
        name=ENGINE,
        version="1.0 student",
        sample_rate=SAMPLE_RATE,
        voices=tuple(voice for voice in voices if voice.id in taught),
        default_voices=default_voices(students),
        max_concurrency=student_slots(),
        slots_are_streams=True,
        speed_range=speed_range,
        streams_inside_segment=True,
        pausable=True,
        accepts_partial_text=True,
        native_prosody=NATIVE_PROSODY_FIELDS,
        accepts_ipa=True,
        reads_by_espeak=True,
        emphasizes=True,
        decoder="student",
    )
