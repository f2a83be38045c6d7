"""One request of the protocol, spoken: what the WebSocket and the REST calls have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from starlette.requests import HTTPConnection

from protocols.kani.messages import (
    MAX_WHOLE_ANSWER_S,
    SAMPLE_RATE,
    SpeakRequest,
    clean_names,
    language_name,
    reference_bytes,
)
from protocols.shared.client_languages import accept_languages
from protocols.shared.cloning_report import cloning_fields
from protocols.shared.memory_budget import Reservation
from speech.audio.decoding import RECORDING_POOL, run_in_pool
from speech.audio.pcm import REFERENCE_RATE, decode_recording, pcm16, reframe, wav
from speech.errors import InvalidRequest, UnknownVoice
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.timing.spans import span_rows
from speech.types import Recording, SpeechChunk, SpeechRequest

PROTOCOL = "kani"
FALLBACK_LANGUAGE = "es"
"""Kani's own default, where neither request, voice nor text tells another."""

MAX_WHOLE_ANSWER_BYTES = 512 * 2**20
"""Of audio of answers that are sent whole, all clients' together."""

MAX_NAMED_VOICES = 16
"""How many voices one connection may name; the oldest is forgotten first."""


class NamedVoices:
    """Recordings that a connection gave a name with ``voice_id``; they end with it."""

    def __init__(self) -> None:
        self._recordings: dict[str, Recording] = {}

    def add(self, voice: str, recording: Recording) -> None:
        """Keep ``recording`` as ``voice``."""
        self._recordings.pop(voice, None)
        self._recordings[voice] = recording
        while len(self._recordings) > MAX_NAMED_VOICES:
            del self._recordings[next(iter(self._recordings))]

    def get(self, voice: str | None) -> Recording | None:
        """The recording of that name, if there is one."""
        return self._recordings.get(voice) if voice is not None else None


@asynccontextmanager
async def open_speech(
    service: SpeechService, speak: SpeakRequest, connection: HTTPConnection, voices: NamedVoices
) -> AsyncIterator[tuple[SpeechSession, AsyncIterator[SpeechChunk]]]:
    """The session of a request and its audio at 22,050 Hz, in pieces of at most ``chunk_size`` frames.

    Raises SpeechError, also while the audio is read.
    """
    try:
        async with await _open(service, speak, connection, voices) as session:
            session.feed(speak.text)
            session.finish()
            yield session, reframe(aiter(session), SAMPLE_RATE, speak.frame_samples)
    except InvalidRequest as error:
        if error.field != "reference" or speak.reference is not None:
            raise
        # The recording is that of the voice it names.
        raise InvalidRequest("voice", error.reason) from error


async def _open(
    service: SpeechService, speak: SpeakRequest, connection: HTTPConnection, voices: NamedVoices
) -> SpeechSession:
    reference, told = None, accept_languages(connection.headers)
    if speak.reference is not None:
        reference = await run_in_pool(RECORDING_POOL, _decoded, speak.reference)
    voice = speak.config.voice_id
    request = speak.to_request(reference, told)
    named = voices.get(request.voice) if reference is None else None

    def opened(request: SpeechRequest) -> SpeechSession:
        return service.open(
            request,
            protocol=PROTOCOL,
            client=connection.client.host if connection.client else "",
            fallback_language=FALLBACK_LANGUAGE,
            low_latency=speak.wants_chunks,
        )

    if named is None:
        try:
            return opened(request)
        except UnknownVoice:
            if reference is None or voice is None:
                raise
            voices.add(voice, reference)
            named = reference
    return opened(speak.without_voice().to_request(named, told))


def _decoded(encoded: str) -> Recording:
    return decode_recording(reference_bytes(encoded), sample_rate=REFERENCE_RATE)


class Whole:
    """The audio of an answer that is sent whole; ``share`` is what it may hold of all answers' memory."""

    def __init__(self, share: Reservation) -> None:
        self._share = share
        self._pcm = bytearray()
        self.spans: list[list[float]] = []

    def add(self, chunk: SpeechChunk) -> None:
        """Keep a chunk. Raises Busy where there is no memory for it, InvalidRequest for too long a speech."""
        self._share.grow(2 * len(chunk.samples))
        self._pcm += pcm16(chunk.samples)
        self.spans += span_rows(chunk.spans)
        if len(self._pcm) > 2 * SAMPLE_RATE * MAX_WHOLE_ANSWER_S:
            limit = f"{MAX_WHOLE_ANSWER_S:g} s, use tts_stream_request"
            raise InvalidRequest("text", f"its speech is too long for one answer (at most {limit})")

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return len(self._pcm) // 2

    def wav(self) -> bytes:
        """The WAV file."""
        return wav(bytes(self._pcm), SAMPLE_RATE)


def chunk_metadata(chunk: SpeechChunk) -> dict[str, Any]:
    """What a ``tts_stream_chunk`` says of its audio."""
    return {
        "chunk_size": 2 * len(chunk.samples),
        "duration": len(chunk.samples) / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "spans": span_rows(chunk.spans),
    }


def answer_metadata(session: SpeechSession, speak: SpeakRequest, samples: int) -> dict[str, Any]:
    """What the end of an answer says of all its audio, ``samples`` long."""
    config, speaker = speak.config, session.resolved_voice
    asked = {"emotion_strength": config.emotion_strength, "requested_duration": config.duration}
    return {
        "duration": samples / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "language": config.language or language_name(speaker.language),
        "emotion": config.emotion or "neutral",
        "speed": config.speed or 1.0,
        **{name: value for name, value in asked.items() if value is not None},
        "engine": speaker.engine.info.name,
        "voice": speaker.voice,
        "passages": [asdict(passage) for passage in session.foreign_passages],
        **cloning_fields(session),
        "unused": clean_names([*session.unused_fields, *speak.unused]),
        "truncated": session.truncated,
    }


def completion_message(session: SpeechSession, done: str) -> str:
    """The message of a finished answer: ``done``, and what a client should know besides."""
    if session.nothing_speakable:
        return f"{done}: there is nothing to say in this text, so it is a short silence"
    if session.truncated:
        return f"{done}, cut at max_tokens (50 tokens are a second of a segment's speech)"
    return done
