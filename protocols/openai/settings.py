"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""
