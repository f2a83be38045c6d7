"""Voices of the passages of an SSML document."""

from __future__ import annotations

import asyncio

from kani.core.errors import InvalidRequest, StoreUnavailable
from kani.core.session.voice_resolver import VoiceResolver
from kani.core.types import SpeechRequest
from kani.core.voices.catalogue import ResolvedVoice
from kani.text.ssml import Style

MAX_VOICES = 50
"""Different voices and languages of one session; more are spoken by the session's voice."""


class StyleVoices:
    """Resolves voices and languages once; what there is not is named and spoken by the session's voice."""

    def __init__(self, voices: VoiceResolver) -> None:
        self.unused: list[str] = []  # names of what has no effect: "ssml.voice", "ssml.lang", "ssml.emphasis"
        self._voices = voices
        self._known: dict[tuple[str | None, str | None], ResolvedVoice | None] = {}

    async def resolve(self, request: SpeechRequest, style: Style, own: ResolvedVoice) -> ResolvedVoice | None:
        """Return the voice of a style; None for ``own``, the session's. A later call returns the same."""
        key = style.voice, style.language
        if key == (None, None):
            return None
        if key not in self._known:
            self._known[key] = (
                await self._find(request, style, own) if len(self._known) < MAX_VOICES else None
            )
        return self._known[key]

    def voice(self, style: Style) -> ResolvedVoice | None:
        """Return what ``resolve`` has returned; None before."""
        return self._known.get((style.voice, style.language))

    async def _find(self, request: SpeechRequest, style: Style, own: ResolvedVoice) -> ResolvedVoice | None:
        language = style.language
        if style.voice is not None:
            try:
                # A stored voice is in a file, or farther away.
                return await asyncio.to_thread(self._voices.by_name, style.voice, language)
            except (InvalidRequest, StoreUnavailable):
                self.note("ssml.voice")
        if language is None or language == own.language:
            return None
        try:
            return self._voices.by_language(request, language)
        except InvalidRequest:
            self.note("ssml.lang")
            return None

    def note(self, name: str) -> None:
        if name not in self.unused:
            self.unused.append(name)
