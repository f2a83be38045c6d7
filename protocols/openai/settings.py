"""Settings of OpenAI's audio API."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of OpenAI's audio API."""

    realtime_session_s: float = 3600.0  # longest life of a Realtime session
    realtime_idle_s: float = 900.0  # longest time without an event of its client
