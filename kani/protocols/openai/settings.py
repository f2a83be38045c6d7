"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""

    max_text: int = 100_000  # characters of one input
    instructions: str = ""  # of the language model, for Realtime's clients that give none
