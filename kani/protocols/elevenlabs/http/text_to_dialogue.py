"""Text to dialogue by HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute
from typing_extensions import override

from kani.core.audio.encoding import AudioFormat
from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.errors import UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.characters import FormsClock, TimedForms
from kani.core.types import Boundary, SpeechChunk, SpeechRequest
from kani.protocols.elevenlabs.errors import UnknownSpeaker
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.http.dialogue_body import DialogueBody, parse_dialogue
from kani.protocols.elevenlabs.http.timed_speech import PROTOCOL, TimedSpeech, four_routes
from kani.protocols.elevenlabs.http.timestamps import alignment_fields
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.passages import Passage
from kani.protocols.shared.whole_answer import MemoryBudget

PATH = "/v1/text-to-dialogue"

SPEAKER_PAUSE_S = 0.2
"""Seconds of silence before another speaker: the average gap before an answer in conversations, over ten
languages (Stivers et al. 2009). Lines of one speaker have the pause between two sentences."""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """Characters of a dialogue's line; times are seconds since the dialogue began."""

    index: int  # of the line
    characters: TimedForms


class DialogueSpeech(TimedSpeech[TimedLine]):
    """The speech of a dialogue: a session for each of its lines."""

    def __init__(self, passages: Sequence[Passage], audio_format: AudioFormat, body: DialogueBody) -> None:
        super().__init__(passages, audio_format, body.length)
        self._body = body
        self._unused: set[str] = set()

    @property
    @override
    def unused_fields(self) -> list[str]:
        return self._body.unused_fields([*self._unused])

    @override
    async def chunks(self) -> AsyncGenerator[tuple[SpeechChunk, Sequence[TimedLine]], None]:
        clock, line = FormsClock(), -1
        async with aclosing(self.speak()) as spoken:
            async for index, start_s, chunk in spoken:
                self._unused.update(self.session.unused_fields)
                if line != index:
                    clock, line = FormsClock(), index
                    clock.feed(self._body.inputs[index].text)
                characters = clock.align(chunk.spans).later(start_s)
                yield chunk, [TimedLine(index, characters)] if characters.written.text else []

    @override
    def timestamp_fields(self, timed: list[TimedLine]) -> dict[str, Any]:
        """Return the alignments and voice segments of consecutive characters of the dialogue.

        The segments' character indices point into the alignment of the same answer or line.
        """
        lines = _joined(timed)
        segments = []
        end = 0
        for line in lines:
            begin, end = end, end + len(line.characters.written.text)
            edges_s = line.characters.written.edges_s
            segments.append(
                {
                    "voice_id": self._body.inputs[line.index].voice_id,
                    "start_time_seconds": round(edges_s[0], 3),
                    "end_time_seconds": round(edges_s[-1], 3),
                    "character_start_index": begin,
                    "character_end_index": end,
                    "dialogue_input_index": line.index,
                }
            )
        return alignment_fields([line.characters for line in lines]) | {"voice_segments": segments}


def _joined(timed: list[TimedLine]) -> list[TimedLine]:
    lines: list[TimedLine] = []
    for part in timed:
        if lines and lines[-1].index == part.index:
            lines[-1] = TimedLine(part.index, lines[-1].characters + part.characters)
        else:
            lines.append(part)
    return lines


def dialogue_routes(
    service: SpeechService, settings: ElevenLabsSettings, budget: MemoryBudget
) -> list[BaseRoute]:
    """Return the calls; budget: as for ``four_routes``."""

    async def open_speech(request: Request, streamed: bool) -> DialogueSpeech:
        body = parse_dialogue(await request.body(), settings.max_text)
        audio_format = resolve_format(request.query_params.get("output_format"), streamed=streamed)
        speakers = await _find_speakers(service, settings, body)
        languages, memory = accept_languages(request.headers), LanguageMemory()

        def open_session(index: int) -> SpeechSession:
            line = body.inputs[index]
            return service.open(
                SpeechRequest(
                    voice=speakers[line.voice_id],
                    language=body.language,
                    languages=languages,
                    normalize=body.normalize,
                    sampling=body.settings.sampling(body.seed),
                ),
                protocol=PROTOCOL,
                client=client_address(request),
                memory=memory,
                low_latency=streamed,
                max_text=len(line.text),
                rate_limited=index == 0,
            )

        passages = [
            Passage(partial(open_session, index), (line.spoken,), _pause_s(body, index))
            for index, line in enumerate(body.inputs)
        ]
        return DialogueSpeech(passages, audio_format, body)

    return four_routes(PATH, open_speech, budget)


async def _find_speakers(
    service: SpeechService, settings: ElevenLabsSettings, body: DialogueBody
) -> dict[str, str | None]:
    """Find this server's voices by the dialogue's ids. Raises UnknownSpeaker."""
    speakers: dict[str, str | None] = {}
    for index, line in enumerate(body.inputs):
        if line.voice_id in speakers:
            continue
        try:
            speakers[line.voice_id] = await asyncio.to_thread(
                resolve_voice, service, line.voice_id, settings, body.language
            )
        except UnknownVoice as error:
            raise UnknownSpeaker(error.voice, f"inputs[{index}].voice_id") from error
    return speakers


def _pause_s(body: DialogueBody, index: int) -> float:
    if not index:
        return 0.0
    same = body.inputs[index - 1].voice_id == body.inputs[index].voice_id
    return PAUSES_S[Boundary.SENTENCE] if same else SPEAKER_PAUSE_S
