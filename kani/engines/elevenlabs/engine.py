"""ElevenLabs as an engine of the speech core: its service speaks text as it is written."""

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import urlsplit

import httpx2

from kani.core.audio.pcm import Pcm16Stream
from kani.core.engine import EngineInfo, Reading
from kani.core.errors import EngineUnavailable
from kani.core.types import Samples, Segment, Span, SpeechChunk, Voice
from kani.engines.elevenlabs import messages
from kani.engines.elevenlabs.connection import open_connection, send_and_receive
from kani.engines.elevenlabs.failures import UpstreamFailed, from_http_response
from kani.engines.elevenlabs.messages import SAMPLE_RATE, Message
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani.engines.elevenlabs.times import CharacterTimes
from kani.engines.plugin import Resources
from kani.engines.upstream.failures import redacted
from kani.engines.upstream.relay import SECONDS_EACH, RelayEngine, check_key
from kani.engines.upstream.text import SegmentText
from kani.runtime import bounded_http
from kani.runtime.silence_trim import SilenceTrimmer
from kani_text import foreign
from kani_text.incremental_text import IncrementalText
from kani_text.languages import primary

ENGINE = "elevenlabs"
VOICE_ID_PATTERN = re.compile(r"[A-Za-z0-9]{1,64}")

MAX_VOICES = 1000
_MAX_LIST_BYTES = 16 << 20
_MAX_NAME_CHARACTERS = 100

# From ElevenLabs' page of models. Norwegian is "no" there and "nb" in most texts' tags.
_LANGUAGES_29 = (
    "ar bg cs da de el en es fi fil fr hi hr id it ja ko ms nl pl pt ro ru sk sv ta tr uk zh".split()
)
_LANGUAGES_32 = [*_LANGUAGES_29, "hu", "nb", "no", "vi"]
# An unknown model counts as one of the latest.
_MODEL_LANGUAGES = {
    "eleven_multilingual_v2": _LANGUAGES_29,
    "eleven_monolingual_v1": ["en"],
    "eleven_flash_v2": ["en"],
    "eleven_turbo_v2": ["en"],
}
_TAKE_LANGUAGE_CODE = frozenset({"eleven_flash_v2_5", "eleven_turbo_v2_5"})
# They have another protocol, which takes no text in pieces.
_OTHER_PROTOCOL = ("eleven_v3", "eleven_v4")

SPEED_RANGE = (0.7, 1.2)
SEED_COUNT = 2**32
MAX_CONCURRENCY = 4
"""Streams at once: ElevenLabs' smallest plan allows 4 of its fast models."""

AUDIBLE_LEVEL = 0.002
"""Amplitude from which on a sample is a sound."""

logger = logging.getLogger(__name__)


async def fetch_voices(
    base_url: str, key: str, *, tls_context: ssl.SSLContext | None, timeout_s: float
) -> tuple[Voice, ...]:
    """Fetch the account's voices, at most ``MAX_VOICES``. Raises UpstreamFailed.

    Their language is left empty, as each voice speaks all languages of the model.
    """
    try:
        async with (
            asyncio.timeout(timeout_s),
            bounded_http.new_client(
                timeout=timeout_s, headers={"xi-api-key": key}, tls=tls_context
            ) as client,
            client.stream("GET", f"{base_url}/v1/voices") as answer,
        ):
            body = await bounded_http.body(answer, _MAX_LIST_BYTES)
    except bounded_http.AnswerRefused as error:
        raise UpstreamFailed("other", f"the list of voices {error}") from error
    except TimeoutError as error:
        raise UpstreamFailed("stalled", f"no list of voices within {timeout_s:g} s") from error
    except httpx2.HTTPError as error:
        raise UpstreamFailed("unreachable", redacted(f"{type(error).__name__}: {error}", key)) from error
    if answer.status_code != httpx2.codes.OK:
        raise from_http_response(answer.status_code, body, key)
    return read_voices(body)


def read_voices(body: bytes) -> tuple[Voice, ...]:
    """Return the voices of a list, at most ``MAX_VOICES``. Raises UpstreamFailed if it is none."""
    try:
        listed = foreign.parse_json(body)["voices"]
    except (ValueError, LookupError, TypeError) as error:
        raise UpstreamFailed("other", "the list of voices cannot be parsed") from error
    voices = []
    for entry in listed if isinstance(listed, list) else []:
        if not isinstance(entry, dict):
            continue
        id, name, labels = entry.get("voice_id"), entry.get("name"), entry.get("labels")
        if not isinstance(id, str) or VOICE_ID_PATTERN.fullmatch(id) is None:
            continue
        gender = labels.get("gender") if isinstance(labels, dict) else None
        known = gender if gender in ("female", "male") else ""
        voices.append(make_voice(id, name if isinstance(name, str) else "", known))
    return tuple(voices[:MAX_VOICES])


def make_voice(id: str, name: str = "", gender: str = "") -> Voice:
    """Return ElevenLabs' voice ``id`` as clients of this server name it."""
    return Voice(f"{ENGINE}:{id}", name[:_MAX_NAME_CHARACTERS] or id, "", ENGINE, gender)


class AudioReceiver:
    """Receives one stream, trims its silence, and places its words; ``times`` takes the text that is sent."""

    def __init__(self) -> None:
        self.times = CharacterTimes()
        self.mismatched_alignments = 0  # alignments of text that was not sent
        self._pcm = Pcm16Stream()
        self._trimmer = SilenceTrimmer(SAMPLE_RATE, AUDIBLE_LEVEL)
        self._received = 0
        self._emitted = 0

    @property
    def has_sound(self) -> bool:
        return self._trimmer.has_sound

    def feed(self, message: Message) -> SpeechChunk | None:
        """Accept a message; returns the chunk that it completes, if any."""
        if message.alignment is not None and not self.times.add_alignment(
            message.alignment, self._received / SAMPLE_RATE
        ):
            self.mismatched_alignments += 1
        samples = self._pcm.feed(message.audio)
        self._received += len(samples)
        trimmed = self._trimmer.feed(samples)
        if not self.has_sound:
            return None
        until_s = (self._emitted + len(trimmed)) / SAMPLE_RATE
        return self._chunk(trimmed, self.times.words(until_s + self._trimmed_s))

    def finish(self) -> SpeechChunk | None:
        """Return the last chunk, after the last message; None where there was no sound."""
        if not self.has_sound:
            return None
        rest = self._trimmer.finish()
        end_s = (self._emitted + len(rest)) / SAMPLE_RATE
        return self._chunk(rest, self.times.finish(end_s + self._trimmed_s))

    @property
    def _trimmed_s(self) -> float:
        """Seconds of silence that were cut off before the speech."""
        return self._trimmer.dropped / SAMPLE_RATE

    def _chunk(self, samples: Samples, words: list[Span]) -> SpeechChunk | None:
        if not len(samples) and not words:
            return None
        start_s = self._emitted / SAMPLE_RATE
        self._emitted += len(samples)
        spans = tuple(self._shifted(word) for word in words)
        return SpeechChunk(samples, SAMPLE_RATE, start_s, spans)

    def _shifted(self, word: Span) -> Span:
        """Count the times of ``word`` from the start of the trimmed audio."""
        start_s, end_s, *starts = (
            max(time_s - self._trimmed_s, 0.0)
            for time_s in (word.start_s, word.end_s, *word.character_starts)
        )
        return Span(word.start, word.end, start_s, end_s, tuple(starts))


class ElevenLabsEngine(RelayEngine):
    """Speaks with an ElevenLabs account. Texts and voice ids leave this machine."""

    SERVICE = ENGINE, "ElevenLabs"
    KEY = "ELEVEN_API_KEY"

    def __init__(self, settings: UpstreamSettings, resources: Resources, *, timeout_s: float = 10.0) -> None:
        """timeout_s: longest silence of the service while something is due."""
        super().__init__(resources, messages.SAMPLE_RATE)
        self._settings = settings
        self._key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None

    async def _connect(self) -> None:
        self._check_settings()
        if urlsplit(self._settings.url).scheme == "https":
            self._tls = await asyncio.to_thread(ssl.create_default_context)

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each message."""
        return self._speak(segment, SegmentText(segment))

    def stream(self, segment: Segment, text: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        return self._speak(segment, SegmentText(segment, text))

    def _speak(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        return self._relay(segment, text, lambda: self._stream(segment, text))

    async def _stream(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak by one connection, without retries. Raises UpstreamFailed."""
        receiver = AudioReceiver()
        schedule = messages.COMPLETE_TEXT_SCHEDULE if text.complete else messages.INCREMENTAL_TEXT_SCHEDULE
        async with open_connection(
            self._url(segment), self._key, tls_context=self._tls, timeout_s=self._timeout_s
        ) as connection:
            await connection.send(messages.initialize_connection(schedule, segment.speed))
            within_s = self._timeout_s + SECONDS_EACH * segment.max_seconds
            exchange = send_and_receive(connection, text, receiver.times, self._timeout_s, within_s)
            async with aclosing(exchange) as received:
                async for message in received:
                    if (chunk := receiver.feed(message)) is not None:
                        yield chunk
        if receiver.mismatched_alignments:
            logger.info(
                "ignored %d alignments of ElevenLabs: not the text that was sent",
                receiver.mismatched_alignments,
            )
        if (last := receiver.finish()) is not None:
            yield last
        # A text of nothing but punctuation may have no sound.
        if not receiver.has_sound and any(character.isalnum() for character in text.text):
            raise UpstreamFailed("silent", "the stream ended without a sound")

    def _url(self, segment: Segment) -> str:
        settings = self._settings
        language = primary(segment.language)
        code = "no" if language == "nb" else language
        seed = segment.sampling.seed
        path = messages.stream_path(
            segment.voice.removeprefix(f"{ENGINE}:"),
            model_id=settings.model,
            output_format=messages.OUTPUT_FORMAT,
            optimize_streaming_latency=settings.optimize_latency,
            sync_alignment=True,
            inactivity_timeout=messages.INACTIVITY_TIMEOUT_S,
            enable_ssml_parsing=False,
            **({"language_code": code} if settings.model in _TAKE_LANGUAGE_CODE else {}),
            **({} if seed is None else {"seed": seed % SEED_COUNT}),
        )
        return "ws" + settings.url.removeprefix("http") + path

    def _check_settings(self) -> None:
        settings = self._settings
        if not self._key:
            raise EngineUnavailable(
                "the ElevenLabs engine needs the key of an account: set ELEVEN_API_KEY "
                "(--engine auto needs none, and no network)"
            )
        if not settings.voice_id:
            raise EngineUnavailable("the ElevenLabs engine needs a voice: set ELEVEN_VOICE_ID to its id")
        if VOICE_ID_PATTERN.fullmatch(settings.voice_id) is None:
            raise EngineUnavailable("ELEVEN_VOICE_ID has to be 1 to 64 letters and digits")
        if settings.model.startswith(_OTHER_PROTOCOL):
            raise EngineUnavailable(
                f"ElevenLabs' model {settings.model} cannot be streamed into: "
                "set ELEVEN_MODEL to eleven_flash_v2_5 or eleven_multilingual_v2"
            )
        check_key(self._key, self.KEY, settings.url, "KANI_ELEVENLABS_URL")

    async def _list(self) -> None:
        """Describe the account's voices, the configured one first."""
        settings = self._settings
        own = make_voice(settings.voice_id or "")
        self._info = self._info or self._describe((own,))
        listed = await fetch_voices(settings.url, self._key, tls_context=self._tls, timeout_s=self._timeout_s)
        others = tuple(voice for voice in listed if voice.id != own.id)
        self._info = self._describe((next((voice for voice in listed if voice.id == own.id), own), *others))

    def _describe(self, voices: tuple[Voice, ...]) -> EngineInfo:
        settings = self._settings
        slowest, fastest = SPEED_RANGE
        if self._fallback is not None:
            own_slowest, own_fastest = self._fallback.info.speed_range
            slowest, fastest = max(slowest, own_slowest), min(fastest, own_fastest)
        return EngineInfo(
            name=ENGINE,
            version=settings.model,
            sample_rate=messages.SAMPLE_RATE,
            voices=voices,
            default_voices=dict.fromkeys(_MODEL_LANGUAGES.get(settings.model, _LANGUAGES_32), voices[0].id),
            max_concurrency=MAX_CONCURRENCY,
            speed_range=(slowest, fastest),
            supported_fields=frozenset({"seed"}),
            streams_inside_segment=True,
            accepts_partial_text=True,
            reading=Reading(normalizes=True),
        )
