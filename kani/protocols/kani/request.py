"""One request of the protocol: its session, and the metadata of its answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.encoding import AudioFormat
from kani.core.audio.pcm import REFERENCE_RATE, decode_recording
from kani.core.audio.resampling import reframe
from kani.core.errors import InvalidRequest, UnknownVoice
from kani.core.recent import Recent
from kani.core.service import SpeechService
from kani.core.session.budget import Share
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.spans import mark_rows
from kani.core.types import Recording, SpeechChunk, SpeechRequest
from kani.protocols.kani import messages
from kani.protocols.kani.messages import SAMPLE_RATE, SpeakRequest
from kani.protocols.shared.cloning_report import cloning_fields

PROTOCOL = "kani"
FALLBACK_LANGUAGE = "es"
"""Kani's own default, where nothing tells the language of a text."""

# Its clients may take the header for 44 bytes.
WAV = AudioFormat("wav", SAMPLE_RATE, marked=False)
"""Format of answers that are sent in one piece."""

MAX_NAMED_VOICES = 16
"""Recordings that one connection may name; the oldest is dropped first."""


STREAMED = "use tts_stream_request or /stream-tts"
"""Advice to clients where an answer that is sent whole finds no memory."""


class NamedVoices(Recent[str | None, Recording]):
    """Recordings that a connection named with ``voice_id``, until the connection ends; None is no name."""

    def __init__(self, memory: Share) -> None:
        """memory: a share of ``Budgets.references``."""
        super().__init__(MAX_NAMED_VOICES)
        self._memory = memory

    def name(self, voice: str, recording: Recording) -> None:
        """Keep a recording under a name. Raises Busy."""
        self._memory.grow(recording.samples.nbytes)
        self.keep(voice, recording)
        self._memory.hold(sum(each.samples.nbytes for each in self.values()))


@asynccontextmanager
async def open_speech(
    service: SpeechService,
    speak: SpeakRequest,
    client: str,
    accepted: tuple[str, ...],
    voices: NamedVoices,
    memory: LanguageMemory | None = None,
) -> AsyncIterator[tuple[SpeechSession, AsyncGenerator[SpeechChunk, None]]]:
    """Yield a request's session and its audio: 22,050 Hz, in chunks of at most ``chunk_size`` frames.

    client: its address; accepted: the languages of its ``Accept-Language``; voices, memory: the connection's.
    Raises SpeechError, also while the audio is read.
    """
    terms = Terms(fallback_language=FALLBACK_LANGUAGE, low_latency=speak.wants_chunks)
    opened = partial(service.open, protocol=PROTOCOL, client=client, memory=memory, terms=terms)
    try:
        async with await _open(opened, speak, accepted, voices) as session:
            session.feed(speak.text)
            session.finish()
            yield session, reframe(aiter(session), SAMPLE_RATE, speak.frame_samples, even=True)
    except InvalidRequest as error:
        if error.field != "reference" or speak.reference is not None:
            raise
        # The bad recording is the voice's, not the request's.
        raise InvalidRequest("voice", error.reason) from error


async def _open(
    opened: Callable[[SpeechRequest], SpeechSession],
    speak: SpeakRequest,
    accepted: tuple[str, ...],
    voices: NamedVoices,
) -> SpeechSession:
    """Open the session, with the recording of the request or the one that its voice's name stands for."""
    reference = None
    if speak.reference is not None:
        reference = await run_in_pool(RECORDING_POOL, _decode, speak.reference)
    voice = speak.config.voice_id
    request = speak.to_request(reference, accepted)
    named = voices.get(request.voice) if reference is None else None
    if named is None:
        try:
            return opened(request)
        except UnknownVoice:
            if reference is None or voice is None:
                raise
            voices.name(voice, reference)
            named = reference
    return opened(speak.without_voice().to_request(named, accepted))


def _decode(encoded: str) -> Recording:
    return decode_recording(messages.reference_bytes(encoded), sample_rate=REFERENCE_RATE)


def answer_metadata(session: SpeechSession, speak: SpeakRequest, samples: int) -> dict[str, Any]:
    config, voice = speak.config, session.resolved_voice
    given = {"emotion_strength": config.emotion_strength, "requested_duration": config.duration}
    return {
        "duration": samples / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "language": config.language or messages.language_name(voice.language),
        "emotion": config.emotion or "neutral",
        "speed": config.speed or 1.0,
        **{name: value for name, value in given.items() if value is not None},
        "engine": voice.engine.info.name,
        "voice": voice.voice,
        "passages": [asdict(passage) for passage in session.foreign_passages],
        **cloning_fields(session),
        "unused": messages.clean_names([*session.unused_fields, *speak.unused]),
        "truncated": session.truncated,
        **({"marks": mark_rows(session.marks)} if session.marks else {}),
    }


def completion_message(session: SpeechSession, done: str) -> str:
    """Return the message of a finished answer: ``done``, and a warning if there is one."""
    if session.nothing_speakable:
        return f"{done}: there is nothing to say in this text, so it is a short silence"
    if session.truncated:
        return f"{done}, cut at max_tokens (50 tokens are a second of a segment's speech)"
    return done
