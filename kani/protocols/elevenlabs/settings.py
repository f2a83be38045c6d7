"""Settings that the calls of ElevenLabs' protocol, and of the relay's, are given."""

from __future__ import annotations

from dataclasses import dataclass, field

from kani.protocols.elevenlabs.plugin import Settings

MAX_TEXT = 40_000


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    own: Settings = field(default_factory=Settings)
    max_text: int = MAX_TEXT  # characters of one request, or of one WebSocket context
    relay_voice: str | None = None  # None, or the id of no voice here: the default of the text's language
