"""GET /v1/audio/voices/{voice}/preview: a sentence in a voice, spoken once and then kept in memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from kani.core.audio import synthetic_mark
from kani.core.audio.encoding import AudioFormat, FileEncoder
from kani.core.errors import EngineFailed, SpeechCancelled, TimedOut, UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.types import SpeechRequest, Voice
from kani.core.voices.sample_sentences import sentence
from kani.core.voices.store import StoredVoice
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.protocol import is_anonymous
from kani.protocols.shared.ranges import bytes_answer
from kani_text.languages import canonical, primary

MAX_CACHED_BYTES = 24 * 2**20
"""Memory of all previews. One is 20 to 40 KB as MP3, 120 to 240 KB as WAV."""

FORMATS = {
    "mp3": AudioFormat("mp3", 24_000, 64_000),
    "wav": AudioFormat("wav", 24_000),
}
"""Formats by name; the first is the default."""

_MAX_AGE_S = 3600
_PROTOCOL = "voices"

Key = tuple[str, ...]
"""The voice's id, the moments of its last change, the language and the format."""


@dataclass(slots=True)
class PreviewCache:
    """The most recently used previews, and those being made, which their callers share."""

    max_bytes: int = MAX_CACHED_BYTES
    _cached: OrderedDict[Key, bytes] = field(default_factory=OrderedDict)
    _pending: dict[Key, asyncio.Task[bytes]] = field(default_factory=dict)
    _bytes: int = 0

    async def get(self, key: Key, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the preview of ``key``, made by ``make`` unless it is cached or being made.

        It is made to its end even if its callers are cancelled. Raises what ``make`` raises.
        """
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        task = self._pending.get(key)
        if task is None:
            task = self._pending[key] = asyncio.create_task(self._made(key, make), name="voice preview")
        return await asyncio.shield(task)

    async def _made(self, key: Key, make: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            audio = await make()
        finally:
            del self._pending[key]
        self._cached[key] = audio
        self._bytes += len(audio)
        while self._bytes > self.max_bytes and len(self._cached) > 1:
            self._bytes -= len(self._cached.popitem(last=False)[1])
        return audio


async def preview(request: Request, service: SpeechService, cache: PreviewCache) -> Response:
    """Answer the call. Raises RequestError, and the errors that ``forms.endpoint`` answers."""
    name = request.query_params.get("format") or next(iter(FORMATS))
    if name not in FORMATS:
        raise RequestError(400, f"format: must be one of {', '.join(FORMATS)}", "format")
    wanted = request.path_params["voice"]
    found = await asyncio.to_thread(find_voice, service, wanted)
    if not isinstance(found, Voice) and is_anonymous(request.scope):
        # As in the list, a client without a key learns of no stored voice.
        raise UnknownVoice(wanted)
    language = _language(service, found, request.query_params.get("language"))
    audio_format = FORMATS[name]

    async def make() -> bytes:
        return await _speak(service, found.id, language, audio_format, client_address(request))

    try:
        audio = await cache.get((found.id, *_changes(service, found), language, name), make)
    except TimedOut as error:
        raise RequestError(504, str(error)) from error
    except (EngineFailed, SpeechCancelled) as error:
        raise RequestError(500, str(error)) from error
    headers = {"cache-control": f"private, max-age={_MAX_AGE_S}", "x-content-type-options": "nosniff"}
    headers |= synthetic_mark.headers()
    return bytes_answer(request, audio, headers, audio_format.content_type)


def find_voice(service: SpeechService, name: str) -> Voice | StoredVoice:
    """Return a voice by its id, or a stored one by its name. Reads files. Raises UnknownVoice."""
    try:
        found = service.catalogue.find(name)
    except UnknownVoice:
        found = None
    return found or service.store.get(name)


def _language(service: SpeechService, voice: Voice | StoredVoice, wanted: str | None) -> str:
    """Return the language of the sentence: the voice's own, else ``wanted``, else English or any other.

    Raises RequestError for a language that is not spoken here.
    """
    spoken = service.catalogue.languages
    if voice.language:
        language = voice.language
    elif wanted is not None:
        language = canonical(wanted)
    else:
        language = "en" if "en" in spoken else next(iter(spoken))
    if primary(language) not in spoken or not sentence(language):
        raise RequestError(400, f"language: {language[:40]!r} is not spoken here", "language")
    return language


def _changes(service: SpeechService, voice: Voice | StoredVoice) -> tuple[str, ...]:
    """Return what changes when a stored voice sounds differently; nothing for a built-in one."""
    if isinstance(voice, Voice):
        return ()
    states = (
        f"{status.engine} {status.state} {status.similarity}" for status in service.cloning.statuses(voice)
    )
    return (voice.consent_at, *states)


async def _speak(
    service: SpeechService, voice: str, language: str, audio_format: AudioFormat, client: str
) -> bytes:
    request = SpeechRequest(voice=voice, language=language, timed=False)
    async with service.open(
        request, protocol=_PROTOCOL, client=client, terms=Terms(low_latency=False)
    ) as session:
        session.feed(sentence(language))
        session.finish()
        encoder: FileEncoder | None = None
        async for chunk in session:
            encoder = encoder or FileEncoder(audio_format, chunk.sample_rate)
            await asyncio.to_thread(encoder.add, chunk.samples)
    encoder = encoder or FileEncoder(audio_format, audio_format.sample_rate)
    return await asyncio.to_thread(encoder.finish)
