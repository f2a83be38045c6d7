"""Text to speech by HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute
from typing_extensions import override

from kani.core.audio.encoding import AudioFormat
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.timing.characters import FormsClock
from kani.core.types import Span, SpeechChunk
from kani.core.voices.store import CUSTOM_PREFIX
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.http.body import SpeechBody, parse_body
from kani.protocols.elevenlabs.http.timed_speech import PROTOCOL, TimedSpeech, four_routes
from kani.protocols.elevenlabs.http.timestamps import alignment_fields
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.passages import Passage
from kani.protocols.shared.whole_answer import MemoryBudget

PATH = "/v1/text-to-speech/{voice_id}"


class TextSpeech(TimedSpeech[Span]):
    """The speech of a text. voice: this server's id of it."""

    def __init__(
        self, passage: Passage, audio_format: AudioFormat, body: SpeechBody, voice: str | None
    ) -> None:
        super().__init__([passage], audio_format, len(body.text))
        self._body = body
        self._is_stored = (voice or "").startswith(CUSTOM_PREFIX)
        self._clock = FormsClock()
        self._clock.feed(body.text)

    @property
    @override
    def headers(self) -> dict[str, str]:
        """The same with ``x-cloning``: the kind of cloning of a stored voice."""
        return super().headers | ({"x-cloning": self.session.cloning_kind} if self._is_stored else {})

    @property
    @override
    def unused_fields(self) -> list[str]:
        return self._body.unused_fields(self.session.unused_fields)

    @override
    async def chunks(self) -> AsyncGenerator[tuple[SpeechChunk, Sequence[Span]], None]:
        async with aclosing(self.speak()) as spoken:
            async for _, _, chunk in spoken:
                yield chunk, chunk.spans

    @override
    def timestamp_fields(self, timed: list[Span]) -> dict[str, Any]:
        return alignment_fields([self._clock.align(timed)])


def speech_routes(
    service: SpeechService, settings: ElevenLabsSettings, budget: MemoryBudget
) -> list[BaseRoute]:
    """Return the calls; budget: as for ``four_routes``."""

    async def open_speech(request: Request, streamed: bool) -> TextSpeech:
        body = parse_body(await request.body(), settings.max_text)
        audio_format = resolve_format(request.query_params.get("output_format"), streamed=streamed)
        voice_id = request.path_params["voice_id"]
        voice = await asyncio.to_thread(resolve_voice, service, voice_id, settings, body.language)

        def open_session() -> SpeechSession:
            return service.open(
                body.speech_request(voice, accept_languages(request.headers)),
                protocol=PROTOCOL,
                client=client_address(request),
                low_latency=streamed,
                max_text=settings.max_text,
            )

        return TextSpeech(Passage(open_session, (body.spoken,)), audio_format, body, voice)

    return four_routes(PATH, open_speech, budget)
