"""Speech of one ``synthesize``, or of the text between ``synthesize-start`` and ``synthesize-stop``."""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from kani.core.errors import UnknownVoice, UnsupportedLanguage
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import SpeechRequest
from kani.protocols.shared.idle_flush import IdleFlush
from kani.protocols.wyoming import events
from kani.protocols.wyoming.events import VoiceChoice
from kani.protocols.wyoming.framing import Event
from kani_text.languages import resolve
from kani_text.writing import is_unspaced

PROTOCOL = "wyoming"

SILENT_RATE = 24_000
"""Hertz of speech without any samples."""

MAX_CHUNK_SAMPLES = 8192

IDLE_FLUSH_S = 0.9
"""Seconds without text after which the words so far are spoken to their end."""

_PIPER_VOICE = re.compile(r"([a-z]{2,3}_[A-Z]{2,3})-.+")
"""Name of a voice of Piper, with its language: ``de_DE-thorsten-medium``."""

Send = Callable[[Event], Awaitable[None]]


def open_speech(
    service: SpeechService,
    choice: VoiceChoice | None,
    client: str,
    memory: LanguageMemory,
    how: SpeechRequest,
) -> SpeechSession:
    """Open a session with a client's voice; memory: the connection's; how: the request without voice and
    language. Raises InvalidRequest and Busy.

    A language is accepted in any spelling, such as Piper's ``de_DE``. A voice that is no longer there is
    still named by the settings of assistants: the default voice of its language speaks instead if its name
    is one of Piper's, else that of the text's language.
    """
    choice = choice or VoiceChoice()
    language = resolve(choice.language) if choice.language else None
    try:
        request = replace(how, voice=choice.name or None, language=language)
        return _open(service, request, client, memory)
    except UnknownVoice as unknown:
        piper = _PIPER_VOICE.fullmatch(unknown.voice)
        if language is None and piper is not None:
            with suppress(UnsupportedLanguage):
                request = replace(how, language=resolve(piper[1]))
                return _open(service, request, client, memory)
        return _open(service, replace(how, language=language), client, memory)


def _open(
    service: SpeechService, request: SpeechRequest, client: str, memory: LanguageMemory
) -> SpeechSession:
    return service.open(request, protocol=PROTOCOL, client=client, memory=memory)


class Speech:
    """One utterance. ``streamed``: its text comes in pieces."""

    def __init__(self, session: SpeechSession, *, streamed: bool) -> None:
        self._session = session
        self._streamed = streamed
        self._idle_flush = IdleFlush(IDLE_FLUSH_S)
        self._ended = False
        self.complete = False  # True once all of its text has come

    def feed(self, text: str) -> None:
        """Append text, which is dropped once the speech has ended. Raises TextTooLong."""
        if self._ended:
            return
        self._session.feed(text)
        if may_go_on(text):
            self._idle_flush.cancel()
        elif text:
            self._idle_flush.restart(self._session.flush)

    def finish(self) -> None:
        self.complete = True
        self._idle_flush.cancel()
        if not self._ended:
            self._session.finish()

    async def abandon(self) -> None:
        """Free the session of speech that is not answered."""
        self._idle_flush.cancel()
        await self._session.aclose()

    async def answer(self, send: Send) -> None:
        """Send the speech. Raises SpeechError."""
        rate = 0
        try:
            async with self._session as session:
                async for chunk in session:
                    if not rate:
                        rate = chunk.sample_rate
                        await send(events.audio_start(rate))
                    for start in range(0, len(chunk.samples), MAX_CHUNK_SAMPLES):
                        piece = chunk.samples[start : start + MAX_CHUNK_SAMPLES]
                        await send(events.audio_chunk(piece, rate))
                if not rate:
                    await send(events.audio_start(SILENT_RATE))
                await send(events.AUDIO_STOP)
                if self._streamed:
                    await send(events.SYNTHESIZE_STOPPED)
        finally:
            self._ended = True
            self._idle_flush.cancel()


def may_go_on(text: str) -> bool:
    """Return True if the next letters may belong to the last word of ``text``."""
    return text[-1:].isalnum() and not is_unspaced(text[-1:])
