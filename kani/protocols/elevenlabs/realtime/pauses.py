"""Pauses that end a segment, where the server commits."""

from __future__ import annotations

from kani.core.recognizer import PAUSE_LENGTHS_S, VOICE_CHUNK_S, Step
from kani.core.turns.interruption import LIKELY
from kani.core.turns.speech_gate import SpeechGate
from kani.protocols.elevenlabs.realtime.config import SessionConfig


class Pauses:
    """Finds the pauses in the steps of one recognition."""

    def __init__(self, config: SessionConfig) -> None:
        self._gate = SpeechGate(config.vad_threshold)
        self._pause_s = config.pause_s
        self._least_s = config.min_speech_duration_ms / 1000
        # For recognisers that tell no voices: the length of pause that is asked for, or the next longer one.
        self._index = next(i for i, length_s in enumerate(PAUSE_LENGTHS_S) if length_s >= self._pause_s)
        self._voiced_s = 0.0  # since the last segment

    def feed(self, step: Step) -> bool:
        """Take the next step; returns True in a pause that ends a segment: all of its words are known."""
        if not step.voices:
            return step.pause_probabilities[self._index] >= LIKELY
        for voice in step.voices:
            self._gate.feed(voice)
            self._voiced_s += VOICE_CHUNK_S * self._gate.speaking
        known = step.settled or step.pause_probabilities[2] >= LIKELY
        return known and self._voiced_s >= self._least_s and self._gate.silence_s >= self._pause_s

    @property
    def onset_s(self) -> float | None:
        """Start of the speech that goes on (seconds of the recognition); None in silence."""
        return self._gate.onset_s if self._gate.speaking else None

    def begin_segment(self) -> None:
        """Count the speech of the next segment."""
        self._voiced_s = 0.0
