"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""

    max_audio_bytes: int = 25 * 2**20  # of one recording to be transcribed
    max_audio_s: float = 14_400.0  # of one recording to be transcribed
