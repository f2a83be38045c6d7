"""Settings of ElevenLabs' protocol, and of the relay's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MAX_TEXT = 40_000


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    max_text: int = MAX_TEXT  # characters of one request, or of one WebSocket context
    voices: Mapping[str, str] = field(default_factory=dict)  # this server's voices by additional voice ids
    timing: Literal["auto", "absolute", "relative"] = "auto"  # origin of character times on the WebSockets
    relay_voice: str | None = None  # None, or the id of no voice here: the default of the text's language
