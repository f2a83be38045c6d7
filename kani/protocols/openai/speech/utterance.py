"""The speech of one request: a session for each voice in it, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from starlette.requests import Request

from kani.core.audio import synthetic_mark
from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import Boundary, SpeechChunk, SpeechRequest, TimedMark
from kani.protocols.openai.speech.body import SpeechBody, within_speed
from kani.protocols.openai.speech.tags import Turn, split_turns
from kani.protocols.openai.voice_names import VoiceChoice, resolve_voice
from kani.protocols.shared.calls.bodies import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.cloning_report import NEAREST_VOICE_NOTE
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.passages import Passage, SpokenPassages
from kani_text.foreign import header_value
from kani_text.markup import without_markup
from kani_text.ssml import without_tags
from kani_text.writing import ends_sentence

PROTOCOL = "openai"
USUAL_TEXT = 10_000
"""Characters of a text that the server's time limit is meant for; a longer one gets more in proportion."""


async def open_utterance(
    service: SpeechService, request: Request, body: SpeechBody[Any], *, timed: bool = True
) -> Utterance:
    """Open the first session of a request, with all voices of the request resolved. Raises SpeechError.

    timed: see ``SpeechRequest``.
    """
    marks = body.given.allow_voice_tags and not body.given.is_document
    turns = split_turns(body.given.input, marks=marks)
    speakers = {name: await _speaker(service, name, body) for name in {turn.voice for turn in turns}}
    client, languages, memory = client_address(request), accept_languages(request.headers), LanguageMemory()

    def open_session(turn: Turn) -> SpeechSession:
        speaker = speakers[turn.voice]
        rate = speaker.rate * turn.rate
        return service.open(
            SpeechRequest(
                voice=speaker.choice.voice,
                voices=speaker.choice.voices,
                language=body.language,
                quotations=body.given.quotations,
                melody=body.given.melody,
                languages=languages,
                speed=body.total_speed if rate == 1 else within_speed(body.total_speed * rate),
                emotion=body.style.emotion,
                ssml=body.given.ssml,
                pitch=body.style.pitch,
                timed=timed,
            ),
            protocol=PROTOCOL,
            client=client,
            memory=memory,
            terms=Terms(
                max_text=len(turn.text),
                timeout_factor=max(1.0, len(turn.text) / USUAL_TEXT),
                rate_limited=turn is turns[0],
            ),
        )

    pauses_s = [0.0, *(_pause_s(*pair, body.total_speed) for pair in pairwise(turns))]
    passages = [
        Passage(partial(open_session, turn), turn.pieces, pause_s)
        for turn, pause_s in zip(turns, pauses_s, strict=True)
    ]
    return Utterance(body, [turn.text for turn in turns], passages)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Speaker of a turn: a voice, and the factor of the speed that the request's alias for it has."""

    choice: VoiceChoice
    rate: float


async def _speaker(service: SpeechService, name: str | None, body: SpeechBody[Any]) -> Speaker:
    param = "voice" if name is None else "input"
    alias = body.speaker(body.voice if name is None else name)
    choice = await asyncio.to_thread(resolve_voice, service, alias.voice, param)
    return Speaker(choice, 1.0 if alias.rate is None else alias.rate)


class Utterance(SpokenPassages):
    def __init__(self, body: SpeechBody[Any], texts: Sequence[str], passages: Sequence[Passage]) -> None:
        """texts: of the passages. Raises InvalidRequest or Busy."""
        super().__init__(passages)
        self.text = "".join(texts)  # all that is spoken; the spans of the chunks point into it
        self._is_document = body.given.is_document
        self._starts = [0, *accumulate(map(len, texts))]
        self._volume = body.given.volume_multiplier
        self._unused = body.unused_fields

    async def shown(self) -> str:
        """Return ``text`` without its markup, as long as that; a long one takes long, in a thread."""
        return await asyncio.to_thread(without_tags if self._is_document else without_markup, self.text)

    @property
    def marks(self) -> list[TimedMark]:
        """Marks of an SSML document that were reached so far."""
        return self.session.marks

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer; known once there is a chunk.

        ``x-unused``: names of the given fields without effect; ``x-cloning``: kind of the imitation of a
        stored voice; ``x-voice``: id of the voice that speaks, the last one of several; ``x-ai-generated``.
        """
        headers = unused_header([*self._unused, *self.session.unused_ssml]) | synthetic_mark.headers()
        headers["x-voice"] = header_value(self.session.resolved_voice.voice)
        kind = self.session.cloning_kind
        if kind == "nearest voice":
            headers["x-cloning-note"] = NEAREST_VOICE_NOTE
        return headers | ({} if kind == "none" else {"x-cloning": kind})

    async def chunks(self) -> AsyncGenerator[SpeechChunk, None]:
        """Yield the speech at one sample rate; times count from its start, spans from the text's.

        Raises SpeechError.
        """
        async with aclosing(self.speak()) as spoken:
            async for number, start_s, chunk in spoken:
                yield _shifted(self._louder(chunk), self._starts[number], start_s)

    def _louder(self, chunk: SpeechChunk) -> SpeechChunk:
        if self._volume == 1:
            return chunk
        return replace(chunk, samples=np.clip(chunk.samples * np.float32(self._volume), -1, 1))


def _pause_s(before: Turn, turn: Turn, speed: float) -> float:
    """Seconds between two turns: as after a sentence, none where only the rate changes inside of one."""
    written = before.text.rstrip(" ")
    inside = before.voice == turn.voice and not (ends_sentence(written) or written.endswith("\n"))
    return 0.0 if inside else PAUSES_S[Boundary.SENTENCE] / speed


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
