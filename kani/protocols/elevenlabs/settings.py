"""Settings of ElevenLabs' protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """Settings of the HTTP calls and the WebSockets."""

    max_text: int = 40_000  # characters of one request, or of one WebSocket context
    timing: Literal["auto", "absolute", "relative"] = "auto"  # origin of character times on the WebSockets
    voices: Mapping[str, str] = field(default_factory=dict)  # this server's voices by additional voice ids
    max_audio_bytes: int = 25 * 2**20  # of one recording to be transcribed
    max_audio_s: float = 14_400.0  # of one recording to be transcribed
