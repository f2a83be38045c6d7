"""A server of OpenAI's audio API as an engine of the speech core: ``/audio/speech``, its PCM streamed."""

from collections.abc import AsyncGenerator
from email.message import Message

import httpx2

from kani.core.audio.pcm import Pcm16Stream
from kani.core.engine import EngineInfo
from kani.core.errors import UnsupportedLanguage
from kani.core.types import Segment, SpeechChunk, Voice
from kani.engines.openai.plugin import LANGUAGES, OpenAIUpstreamSettings
from kani.engines.openai.service import (
    MAX_SPEECH_PIECES,
    SILENCE_S,
    STREAMS,
    Upstream,
    UpstreamFailed,
    chosen_model,
    names,
)
from kani.engines.plugin import Resources
from kani.engines.upstream.relay import RelayEngine
from kani.engines.upstream.text import SegmentText
from kani.runtime import bounded_http
from kani.runtime.silence_trim import TrimmedSpeech
from kani_text import languages
from kani_text.languages import primary

ENGINE = "openai"
USUAL_MODEL = "tts-1"

MAX_TYPE = 200
"""Characters of a type that are read."""

LONGER_S = 5.0
"""Seconds that an answer may be longer than the segment, with its silence."""

_FILES = (b"RIFF", b"ID3", b"OggS", b"fLaC")
_FILE_BYTES = 4
"""First bytes of files, which would be noise as PCM; and how many tell all of them."""

_PCM = (
    "audio/pcm",
    "audio/x-pcm",
    "audio/l16",
    "audio/raw",
    "application/octet-stream",
    "binary/octet-stream",
)


class OpenAIEngine(RelayEngine):
    """Speaks by another server. Texts leave this process; tempo, times and prosody are made here."""

    SERVICE = "upstream", "the upstream server"
    KEY = "KANI_UPSTREAM_KEY"

    def __init__(
        self, settings: OpenAIUpstreamSettings, resources: Resources, *, silence_s: float = SILENCE_S
    ) -> None:
        super().__init__(resources, settings.sample_rate)
        self._settings = settings
        self._streams = resources.max_concurrent or STREAMS
        self._upstream = Upstream(settings, silence_s)
        self._named, self._model = resources.model, resources.model or USUAL_MODEL

    async def _connect(self) -> None:
        await self._upstream.start()

    async def _disconnect(self) -> None:
        await self._upstream.stop()

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        return self._relay(segment, SegmentText(segment), lambda: self._speak(segment))

    async def _speak(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Speak by one request, which ends with the segment's longest time. Raises UpstreamFailed."""
        rate = self._settings.sample_rate
        speech, pcm = TrimmedSpeech(rate), Pcm16Stream()
        max_bytes = round((segment.max_seconds + LONGER_S) * rate) * 2
        received, held = 0, b""
        patience_s = self._upstream.patience_s(segment.max_seconds)
        async with self._upstream.answer("POST", "/audio/speech", json=self._request(segment)) as answer:
            self._check_type(answer)
            async for piece in bounded_http.pieces(
                answer, max_bytes + (1 << 24), MAX_SPEECH_PIECES, within_s=patience_s
            ):
                held += piece
                if not received and len(held) < _FILE_BYTES:
                    continue
                if not received and held.startswith(_FILES):
                    raise UpstreamFailed("unreadable", "it is a file, although PCM was asked for")
                received += len(held)
                if (chunk := speech.feed(pcm.feed(held))) is not None:
                    yield chunk
                held = b""
                if received > max_bytes:
                    break
        if not speech.end_s:
            raise UpstreamFailed("silent", f"{received} bytes without a sound")
        yield speech.finish(len(segment.text))

    def _request(self, segment: Segment) -> dict[str, str]:
        named = segment.voice.removeprefix(f"{ENGINE}:")
        request = {"model": self._model, "voice": named, "input": segment.text, "response_format": "pcm"}
        if self._settings.language_field:
            request[self._settings.language_field] = segment.language
        return request

    def _check_type(self, answer: httpx2.Response) -> None:
        """Raise UpstreamFailed for an answer that is no PCM of the right rate."""
        header = Message()
        header["content-type"] = answer.headers.get("content-type", "")[:MAX_TYPE]
        (kind, _), *parameters = header.get_params([("", "")])
        if kind and kind.lower() not in _PCM:
            raise UpstreamFailed("unreadable", f"its type is {kind[:50]}, not PCM")
        told = {name.lower(): value for name, value in parameters}
        for name, due, cure in (
            ("rate", self._settings.sample_rate, ": set KANI_UPSTREAM_RATE"),
            ("channels", 1, ""),
        ):
            if (value := told.get(name) or str(due)) != str(due):
                raise UpstreamFailed("unreadable", f"its PCM has {name} {value}, not {due}{cure}")

    async def _list(self) -> None:
        """Choose the server's model and describe its voices."""
        self._info = self._info or self._describe([])
        if self._named is None:
            self._model = await chosen_model(self._upstream, USUAL_MODEL)
        self._info = self._describe(names(await self._upstream.listed("/audio/voices", "voices", "data")))

    def _describe(self, listed: list[tuple[str, str, str]]) -> EngineInfo:
        """Describe it with the voices that the server lists (see ``names``), or those of the settings."""
        voices = listed or [("alloy", "", "")]
        if self._settings.voices:
            known = {voice[0]: voice for voice in listed}
            voices = [known.get(name, (name, "", "")) for name in self._settings.voices]
        own = tuple(
            Voice(f"{ENGINE}:{id}", id, _tag(language), ENGINE, gender) for id, language, gender in voices
        )
        told = dict.fromkeys(primary(voice.language) for voice in own if voice.language)
        spoken = [primary(_tag(each)) for each in self._settings.languages] or list(told) or LANGUAGES
        defaults = {
            each: next((voice.id for voice in own if primary(voice.language) == each), own[0].id)
            for each in spoken
            if each
        }
        return EngineInfo(
            name=ENGINE,
            version=self._model,
            sample_rate=self._settings.sample_rate,
            voices=own,
            default_voices=defaults,
            max_concurrency=self._streams,
            speed_range=(1.0, 1.0),
            streams_inside_segment=True,
            times_words=False,
        )


def _tag(language: str) -> str:
    """Return a language's tag; empty for one that is not known."""
    try:
        return languages.resolve(language) if language else ""
    except UnsupportedLanguage:
        return ""
