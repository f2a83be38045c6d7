"""ElevenLabs as an engine of the speech core: its service speaks, text by text, as that is written."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from engines.elevenlabs import account, messages
from engines.elevenlabs.account import ENGINE, VOICE_ID_PATTERN
from engines.elevenlabs.audio_in import AudioReceiver
from engines.elevenlabs.connection import open_connection
from engines.elevenlabs.exchange import send_and_receive
from engines.elevenlabs.failures import UpstreamFailed
from engines.elevenlabs.fallback import Fallback
from engines.elevenlabs.meter import UpstreamMeter
from engines.elevenlabs.text import SegmentText
from speech.engine import BackgroundLoadingEngine, Engine, EngineInfo
from speech.errors import EngineFailed, EngineUnavailable
from speech.text.incremental_text import IncrementalText
from speech.text.languages import primary
from speech.types import Segment, SpeechChunk, Voice

MAX_CONCURRENCY = 4
"""Streams at once, as many as ElevenLabs' smallest plan takes of its fast models."""

SPEED_RANGE = (0.7, 1.2)
SEED_COUNT = 2**32
TIMEOUT_S = 10.0

RETRY_DELAYS_S = (0.25, 1.0)
"""How long is waited before each further try, as long as nothing was heard."""

_KEY = re.compile(r"[!-~]{1,256}")
_MODEL = re.compile(r"[a-z0-9_]{1,64}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ElevenLabsUpstream:
    """api_key: of the account; voice_id: who speaks where no other is named; optimize_latency: 0 to 4, the
    quality given for an earlier first sound; base_url: where ElevenLabs is, without a path; places: streams
    at once; timeout_s: how long it may say nothing while something is due.
    """

    api_key: str = field(repr=False)
    voice_id: str
    model: str = "eleven_flash_v2_5"
    optimize_latency: int = 1
    base_url: str = "https://api.elevenlabs.io"
    max_concurrency: int = MAX_CONCURRENCY
    timeout_s: float = TIMEOUT_S


class ElevenLabsEngine:
    """An ElevenLabs account. What it is given to say, and in which voice, leaves this machine."""

    def __init__(
        self,
        settings: ElevenLabsUpstream,
        fallback: Engine | None = None,
        meter: UpstreamMeter | None = None,
    ) -> None:
        """fallback: speaks, with its own voices, what fails at ElevenLabs before a sound of it was heard.

        It is started and stopped with this engine.
        """
        self._settings = settings
        self._meter = meter or UpstreamMeter()
        self._stand_in = Fallback(fallback, self._meter) if fallback is not None else None
        self._tls: ssl.SSLContext | None = None
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        decoder = self._stand_in.engine.info.decoder if self._stand_in is not None else ""
        if decoder != self._info.decoder:
            self._info = replace(self._info, decoder=decoder)
        return self._info

    async def start(self) -> None:
        """Ask for the account's voices.

        Raises EngineUnavailable for what no later try can mend; a service that cannot be reached now is
        only a warning.
        """
        self._check()
        async with AsyncExitStack() as started:
            if self._stand_in is not None:
                await self._stand_in.engine.start()
                started.push_async_callback(self._stand_in.engine.stop)
            if urlsplit(self._settings.base_url).scheme == "https":
                self._tls = await asyncio.to_thread(ssl.create_default_context)
            self._info = self._described(await self._voices())
            started.pop_all()

    async def wait_until_loaded(self) -> None:
        """See ``LoadingEngine.settled``; of who speaks in its place."""
        if self._stand_in is not None and isinstance(self._stand_in.engine, BackgroundLoadingEngine):
            await self._stand_in.engine.wait_until_loaded()

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        if self._stand_in is not None:
            await self._stand_in.engine.stop()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each message."""
        async with SegmentText(segment) as text, aclosing(self._speak(segment, text)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``WritingEngine.stream``."""
        async with SegmentText(segment, written) as text, aclosing(self._speak(segment, text)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _speak(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak by ElevenLabs, tried again as long as nothing was heard; else by whoever stands in."""
        stand_in = self._stand_in
        if stand_in is not None and not stand_in.supports(segment.language):
            stand_in = None
        waits = iter(RETRY_DELAYS_S)
        while stand_in is None or not stand_in.active:
            heard = False
            try:
                async with aclosing(self._stream(segment, text)) as chunks:
                    async for chunk in chunks:
                        heard = True
                        yield chunk
                return
            except UpstreamFailed as error:
                self._meter.count_failure(error.metric_code)
                logger.warning("%s (%s; %s)", error, error.metric_code, error.detail)
                wait_s = next(waits, None) if error.transient and not heard else None
                if wait_s is None and (heard or stand_in is None):
                    raise EngineFailed(str(error), logged=True) from error
                if wait_s is None and error.affects_all_requests and stand_in is not None:
                    stand_in.activate()
            if wait_s is None:
                break
            await asyncio.sleep(wait_s)
        assert stand_in is not None, "without one, what failed was raised"
        async with aclosing(stand_in.synthesize(segment, text)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _stream(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """One try, through one connection. Raises UpstreamFailed."""
        settings, hearing = self._settings, AudioReceiver()
        schedule = messages.COMPLETE_TEXT_SCHEDULE if text.complete else messages.INCREMENTAL_TEXT_SCHEDULE
        async with open_connection(
            self._address(segment), settings.api_key, tls_context=self._tls, timeout_s=settings.timeout_s
        ) as connection:
            await connection.send(messages.initialize_connection(schedule, segment.speed))
            async with aclosing(
                send_and_receive(connection, text, hearing.times, settings.timeout_s)
            ) as received:
                async for message in received:
                    if (chunk := hearing.feed(message)) is not None:
                        yield chunk
        if hearing.mismatched_alignments:
            logger.info(
                "%d alignments of ElevenLabs' tell of other text than was sent", hearing.mismatched_alignments
            )
        if (last := hearing.finish()) is not None:
            yield last
        # Of signs alone a voice may have nothing to say.
        if not hearing.has_sound and any(character.isalnum() for character in text.text):
            raise UpstreamFailed("silent", "the stream ended without a sound")

    def _address(self, segment: Segment) -> str:
        """The WebSocket that speaks ``segment``."""
        settings = self._settings
        told = account.language_code(settings.model, primary(segment.language))
        seed = segment.sampling.seed
        path = messages.stream_path(
            segment.voice.removeprefix(f"{ENGINE}:"),
            model_id=settings.model,
            output_format=messages.OUTPUT_FORMAT,
            optimize_streaming_latency=settings.optimize_latency,
            sync_alignment=True,
            inactivity_timeout=messages.INACTIVITY_TIMEOUT_S,
            enable_ssml_parsing=False,
            **({} if told is None else {"language_code": told}),
            **({} if seed is None else {"seed": seed % SEED_COUNT}),
        )
        return "ws" + settings.base_url.removeprefix("http") + path

    def _check(self) -> None:
        """Raises EngineUnavailable for settings that nobody can speak with."""
        settings = self._settings
        if not settings.api_key:
            raise EngineUnavailable(
                "the ElevenLabs engine needs the key of an account: set ELEVEN_API_KEY "
                "(--engine auto needs none, and no network)"
            )
        if not settings.voice_id:
            raise EngineUnavailable("the ElevenLabs engine needs a voice: set ELEVEN_VOICE_ID to its id")
        for variable, value, form, like in (
            ("ELEVEN_API_KEY", settings.api_key, _KEY, "1 to 256 characters, letters, digits and signs"),
            ("ELEVEN_VOICE_ID", settings.voice_id, VOICE_ID_PATTERN, "1 to 64 letters and digits"),
            ("ELEVEN_MODEL", settings.model, _MODEL, "1 to 64 small letters, digits and underscores"),
        ):
            if form.fullmatch(value) is None:
                raise EngineUnavailable(f"the ElevenLabs engine cannot start: {variable} has to be {like}")
        if not account.accepts_streamed_text(settings.model):
            raise EngineUnavailable(
                f"ElevenLabs' model {settings.model} cannot be streamed into: "
                "set ELEVEN_MODEL to eleven_flash_v2_5 or eleven_multilingual_v2"
            )
        if not _safe(settings.base_url):
            raise EngineUnavailable(
                "the ElevenLabs engine sends its key through https only, but to this machine itself: "
                "set KANI_ELEVENLABS_URL to an address that begins with https://"
            )

    async def _voices(self) -> tuple[Voice, ...]:
        """The account's voices, the configured one first; it alone where the list cannot be had."""
        settings = self._settings
        own = account.make_voice(settings.voice_id)
        try:
            listed = await account.fetch_voices(
                settings.base_url, settings.api_key, tls_context=self._tls, timeout_s=settings.timeout_s
            )
        except UpstreamFailed as error:
            if error.code in ("invalid_api_key", "unauthorized"):
                raise EngineUnavailable(f"{error}: set ELEVEN_API_KEY to a valid one") from error
            logger.warning("%s (%s); only the voice of ELEVEN_VOICE_ID can be named", error, error.detail)
            return (own,)
        others = tuple(voice for voice in listed if voice.id != own.id)
        return (next((voice for voice in listed if voice.id == own.id), own), *others)

    def _described(self, voices: tuple[Voice, ...]) -> EngineInfo:
        settings = self._settings
        slowest, fastest = SPEED_RANGE
        if self._stand_in is not None:
            slowest = max(slowest, self._stand_in.engine.info.speed_range[0])
            fastest = min(fastest, self._stand_in.engine.info.speed_range[1])
        return EngineInfo(
            name=ENGINE,
            version=settings.model,
            sample_rate=messages.SAMPLE_RATE,
            voices=voices,
            default_voices=dict.fromkeys(account.model_languages(settings.model), voices[0].id),
            max_concurrency=settings.max_concurrency,
            speed_range=(slowest, fastest),
            supported_fields=frozenset({"seed"}),
            streams_inside_segment=True,
            accepts_partial_text=True,
            normalizes_text=True,
        )


def _safe(base_url: str) -> bool:
    """Whether nobody on the way can read what is sent to ``base_url``."""
    parts = urlsplit(base_url)
    if parts.scheme == "https":
        return True
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
