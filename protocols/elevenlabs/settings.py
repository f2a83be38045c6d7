"""What an operator chooses for ElevenLabs' protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    """max_text: characters of one request, or of one context of a WebSocket; timing: what the times of
    characters count from on the WebSockets; voices: this server's voices by the ids that clients name
    besides.
    """

    max_text: int = 40_000
    timing: Literal["auto", "absolute", "relative"] = "auto"
    voices: Mapping[str, str] = field(default_factory=dict)
