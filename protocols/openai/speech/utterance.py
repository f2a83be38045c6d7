"""The speech of one request: a session for each voice in it, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np
from starlette.requests import Request

from protocols.openai.settings import OpenAISettings
from protocols.openai.speech.body import SpeechBody
from protocols.openai.speech.tags import Turn, split_turns
from protocols.openai.voice_names import VoiceChoice, resolve_voice
from protocols.shared.client_languages import accept_languages
from protocols.shared.cloning_report import NEAREST_VOICE_NOTE
from protocols.shared.connection import client_address
from speech.audio.pcm import reframe
from speech.audio.prosody_filter import PAUSES_S
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.session.voice_resolver import LanguageMemory
from speech.types import Boundary, SpeechChunk, SpeechRequest

PROTOCOL = "openai"
USUAL_TEXT = 10_000
"""Characters of a text that the server's time limit is meant for; a longer one gets more in proportion."""

_ALL_OF_A_CHUNK = 2**31


async def open_utterance(
    service: SpeechService, settings: OpenAISettings, request: Request, body: SpeechBody
) -> Utterance:
    """Open the first session of a request, with all voices of the request resolved. Raises SpeechError."""
    marks = settings.voice_tags if body.voice_tags is None else body.voice_tags
    turns = split_turns(body.text, marks=marks)
    voices = {name: await _resolve(service, name, body.voice) for name in {turn.voice for turn in turns}}
    speech = SpeechRequest(
        language=body.language,
        languages=accept_languages(request.headers),
        speed=body.total_speed,
        emotion=body.style.emotion,
        pitch=body.style.pitch,
    )
    return Utterance(service, speech, turns, voices, body.unused_fields, client_address(request))


async def _resolve(service: SpeechService, name: str | None, default: str) -> VoiceChoice:
    param = "voice" if name is None else "input"
    return await asyncio.to_thread(resolve_voice, service, default if name is None else name, param)


class Utterance:
    """Speaks a request's turns; leave by ``async with``, which frees everything.

    The first session is opened at once, so that its refusal is known before any audio.
    """

    def __init__(
        self,
        service: SpeechService,
        speech: SpeechRequest,
        turns: list[Turn],
        voices: dict[str | None, VoiceChoice],
        unused: list[str],
        client: str,
    ) -> None:
        """voices: by the names in the turns. Raises InvalidRequest or Busy."""
        self.text = "".join(turn.text for turn in turns)
        """All that is spoken; the spans of the chunks point into it."""
        self._service = service
        self._speech = speech
        self._turns = turns
        self._voices = voices
        self._unused = unused
        self._client = client
        self._memory = LanguageMemory()
        self._session = self._open(turns[0], first=True)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer; known once there is a chunk.

        ``x-unused``: names of the given fields without effect; ``x-cloning``: kind of the imitation of a
        stored voice.
        """
        headers = {"x-unused": ", ".join(self._unused)} if self._unused else {}
        kind = self._session.cloning_kind
        if kind == "nearest voice":
            headers["x-cloning-note"] = NEAREST_VOICE_NOTE
        return headers | ({} if kind == "none" else {"x-cloning": kind})

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the speech at one sample rate; times count from its start, spans from the text's.

        Raises SpeechError.
        """
        sample_rate = position = samples = 0
        for turn in self._turns:
            if position:
                await self._session.aclose()
                self._session = self._open(turn)
                silence = np.zeros(self._pause_samples(sample_rate), np.float32)
                yield SpeechChunk(silence, sample_rate, samples / sample_rate)
                samples += len(silence)
            async with aclosing(self._speak(turn, sample_rate)) as chunks:
                start = samples
                async for chunk in chunks:
                    sample_rate = chunk.sample_rate
                    samples += len(chunk.samples)
                    yield _shifted(chunk, position, start / sample_rate)
            position += len(turn.text)

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
        async for chunk in reframe(aiter(session), sample_rate, _ALL_OF_A_CHUNK):
            yield chunk

    def _open(self, turn: Turn, *, first: bool = False) -> SpeechSession:
        chosen = self._voices[turn.voice]
        return self._service.open(
            replace(self._speech, voice=chosen.voice, voices=chosen.voices),
            protocol=PROTOCOL,
            client=self._client,
            memory=self._memory,
            max_text=len(turn.text),
            timeout_factor=max(1.0, len(turn.text) / USUAL_TEXT),
            rate_limited=first,
        )

    def _pause_samples(self, sample_rate: int) -> int:
        return round(PAUSES_S[Boundary.SENTENCE] / (self._speech.speed or 1.0) * sample_rate)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)


def _shifted(chunk: SpeechChunk, characters: int, seconds: float) -> SpeechChunk:
    """Return a chunk whose times and spans count from the beginning of the whole."""
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
