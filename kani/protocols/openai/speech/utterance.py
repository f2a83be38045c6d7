"""The speech of one request: a session for each voice in it, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np
from starlette.requests import Request

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.audio.resampling import reframe
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import Boundary, SpeechChunk, SpeechRequest, TimedMark
from kani.protocols.openai.speech.body import SpeechBody, within_speed
from kani.protocols.openai.speech.tags import Turn, split_turns
from kani.protocols.openai.voice_names import VoiceChoice, resolve_voice
from kani.protocols.shared.calls.unused import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.cloning_report import NEAREST_VOICE_NOTE
from kani.protocols.shared.connection import client_address
from kani.text.foreign import header_value
from kani.text.ssml import without_tags
from kani.text.writing import ends_sentence

PROTOCOL = "openai"
USUAL_TEXT = 10_000
"""Characters of a text that the server's time limit is meant for; a longer one gets more in proportion."""


async def open_utterance(service: SpeechService, request: Request, body: SpeechBody[Any]) -> Utterance:
    """Open the first session of a request, with all voices of the request resolved. Raises SpeechError."""
    turns = list(body.turns) or split_turns(
        body.given.input, marks=body.given.allow_voice_tags and not body.given.is_document
    )
    speakers = {name: await _speaker(service, name, body) for name in {turn.voice for turn in turns}}
    speech = SpeechRequest(
        language=body.language,
        languages=accept_languages(request.headers),
        speed=body.total_speed,
        emotion=body.style.emotion,
        ssml=body.given.ssml,
        pitch=body.style.pitch,
    )
    return Utterance(service, speech, turns, speakers, body, client_address(request))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Speaker of a turn: a voice, and the factor of the speed that the request's alias for it has."""

    choice: VoiceChoice
    rate: float


async def _speaker(service: SpeechService, name: str | None, body: SpeechBody[Any]) -> Speaker:
    param = "voice" if name is None else "turns" if body.turns else "input"
    alias = body.speaker(body.voice if name is None else name)
    choice = await asyncio.to_thread(resolve_voice, service, alias.voice, param)
    return Speaker(choice, 1.0 if alias.rate is None else alias.rate)


class Utterance:
    """Speaks a request's turns; leave by ``async with``, which frees everything.

    The first session is opened at once, so that its refusal is known before any audio.
    """

    def __init__(
        self,
        service: SpeechService,
        speech: SpeechRequest,
        turns: list[Turn],
        speakers: dict[str | None, Speaker],
        body: SpeechBody[Any],
        client: str,
    ) -> None:
        """speakers: by the names in the turns. Raises InvalidRequest or Busy."""
        self.text = "".join(turn.text for turn in turns)
        """All that is spoken; the spans of the chunks point into it."""
        self.shown = without_tags(self.text) if body.given.is_document else self.text
        """The same with spaces for an SSML document's tags."""
        self.duration_s = 0.0
        """Seconds of the chunks so far."""
        self._service = service
        self._speech = speech
        self._turns = turns
        self._speakers = speakers
        self._volume = body.given.volume_multiplier
        self._unused = body.unused_fields
        self._client = client
        self._memory = LanguageMemory()
        self._session = self._open(turns[0], first=True)

    @property
    def marks(self) -> list[TimedMark]:
        """Marks of an SSML document that were reached so far."""
        return self._session.marks

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer; known once there is a chunk.

        ``x-unused``: names of the given fields without effect; ``x-cloning``: kind of the imitation of a
        stored voice; ``x-voice``: id of the voice that speaks, the last one of several.
        """
        headers = unused_header([*self._unused, *self._session.unused_ssml])
        headers["x-voice"] = header_value(self._session.resolved_voice.voice)
        kind = self._session.cloning_kind
        if kind == "nearest voice":
            headers["x-cloning-note"] = NEAREST_VOICE_NOTE
        return headers | ({} if kind == "none" else {"x-cloning": kind})

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the speech at one sample rate; times count from its start, spans from the text's.

        Raises SpeechError.
        """
        sample_rate = position = samples = 0
        before: Turn | None = None
        for turn in self._turns:
            if before is not None:
                await self._session.aclose()
                self._session = self._open(turn)
                silence = np.zeros(round(self._pause_s(before, turn) * sample_rate), np.float32)
                yield SpeechChunk(silence, sample_rate, samples / sample_rate)
                samples += len(silence)
            async with aclosing(self._speak(turn, sample_rate)) as chunks:
                start = samples
                async for chunk in chunks:
                    sample_rate = chunk.sample_rate
                    samples += len(chunk.samples)
                    self.duration_s = samples / sample_rate
                    yield _shifted(self._louder(chunk), position, start / sample_rate)
            position += len(turn.text)
            before = turn

    def _louder(self, chunk: SpeechChunk) -> SpeechChunk:
        if self._volume == 1:
            return chunk
        return replace(chunk, samples=np.clip(chunk.samples * np.float32(self._volume), -1, 1))

    async def _speak(self, turn: Turn, sample_rate: int) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a turn in the current session, at ``sample_rate`` hertz unless that is 0."""
        session = self._session
        for piece in turn.pieces:
            if isinstance(piece, str):
                session.feed(piece)
            else:
                session.add_pause(piece)
        session.finish()
        if not sample_rate:
            async for chunk in session:
                yield chunk
            return
        async for chunk in reframe(aiter(session), sample_rate):
            yield chunk

    def _open(self, turn: Turn, *, first: bool = False) -> SpeechSession:
        speaker = self._speakers[turn.voice]
        choice, rate = speaker.choice, speaker.rate * turn.rate
        speed = self._speech.speed if rate == 1 else within_speed((self._speech.speed or 1.0) * rate)
        return self._service.open(
            replace(self._speech, voice=choice.voice, voices=choice.voices, speed=speed),
            protocol=PROTOCOL,
            client=self._client,
            memory=self._memory,
            max_text=len(turn.text),
            timeout_factor=max(1.0, len(turn.text) / USUAL_TEXT),
            rate_limited=first,
        )

    def _pause_s(self, before: Turn, turn: Turn) -> float:
        """Seconds between two turns: as after a sentence, none where only the rate changes inside of one."""
        written = before.text.rstrip(" ")
        inside = before.voice == turn.voice and not (ends_sentence(written) or written.endswith("\n"))
        return 0.0 if inside else PAUSES_S[Boundary.SENTENCE] / (self._speech.speed or 1.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)


def _shifted(chunk: SpeechChunk, characters: int, seconds: float) -> SpeechChunk:
    """Return a chunk with times and spans that count from the beginning of the whole."""
    if not characters:
        return chunk
    spans = tuple(
        replace(
            span,
            start=span.start + characters,
            end=span.end + characters,
            start_s=span.start_s + seconds,
            end_s=span.end_s + seconds,
            character_starts=tuple(start_s + seconds for start_s in span.character_starts),
        )
        for span in chunk.spans
    )
    return replace(chunk, start_s=chunk.start_s + seconds, spans=spans)
