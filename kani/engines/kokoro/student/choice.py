"""When the student speaks instead of Kokoro: what the core is told of it."""

from __future__ import annotations

import os

from kani.core.engine import EngineInfo, LightVoices
from kani.core.types import Voice
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.pitch_control import NATIVE_PROSODY_FIELDS
from kani.engines.kokoro.student.model import StudentFacts
from kani.engines.kokoro.voices import ENGINE

STREAMS_A_CORE = 40
"""Streams that a student speaks at once for each core. A second of audio takes it 0.01 processor seconds, a
client's socket as much again, and the other half is left to Kokoro."""


def student_slots() -> int:
    """Number of streams that a student speaks at once on this machine; its speed is not measured."""
    return STREAMS_A_CORE * (os.cpu_count() or 1)


def light_voices(student: StudentFacts, *, always: bool) -> LightVoices:
    """Describe a student beside Kokoro; always: it speaks in every session."""
    return LightVoices({student.voice: student.language}, student_slots(), always)


def alone(student: StudentFacts, voices: tuple[Voice, ...], speed_range: tuple[float, float]) -> EngineInfo:
    """Describe an engine that has a student only; voices: Kokoro's."""
    return EngineInfo(
        name=ENGINE,
        version="1.0 student",
        sample_rate=SAMPLE_RATE,
        voices=tuple(voice for voice in voices if voice.id == student.voice),
        default_voices={student.language: student.voice},
        max_concurrency=student_slots(),
        slots_are_streams=True,
        speed_range=speed_range,
        streams_inside_segment=True,
        pausable=True,
        accepts_partial_text=True,
        native_prosody=NATIVE_PROSODY_FIELDS,
        accepts_ipa=True,
        decoder="student",
    )
