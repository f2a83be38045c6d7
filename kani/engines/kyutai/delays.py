"""Delay of the text after the audio, and the silence that a checkpoint expects around it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from kani.core.recognizer import STEP_S

_REST_S = 1.0


@dataclass(frozen=True, slots=True)
class Delays:
    """Numbers of frames of ``STEP_S``."""

    before: int
    """Frames of silence before the audio."""
    text: int
    """Frames between a word and its text."""
    after: int
    """Frames of silence after the audio that decide its last words."""

    @classmethod
    def of_seconds(cls, before_s: float, text_s: float) -> Self:
        """Round the seconds of a checkpoint's settings as Kyutai's own servers do: 0.5 s are 6 frames.

        After the audio follows a second more than the delay, as in transformers' feature extractor.
        """
        return cls(
            math.ceil(before_s / STEP_S), math.floor(text_s / STEP_S), math.ceil((text_s + _REST_S) / STEP_S)
        )

    def time_s(self, position: int) -> float:
        """Return the time in the audio that a position of the language model is about, negative before it."""
        return (position + 1 - self.before - self.text) * STEP_S
