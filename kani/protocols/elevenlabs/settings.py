"""Settings of ElevenLabs' protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """Settings of the HTTP calls and the WebSockets."""

    max_text: int = 40_000  # characters of one request, or of one WebSocket context
    voices: Mapping[str, str] = field(default_factory=dict)  # this server's voices by additional voice ids
    timing: Literal["auto", "absolute", "relative"] = "auto"  # origin of character times on the WebSockets
