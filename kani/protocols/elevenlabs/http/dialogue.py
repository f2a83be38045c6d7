"""The speech of a dialogue: a session for each of its lines, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy as np

from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.audio.resampling import reframe
from kani.core.errors import UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.characters import FormsClock, TimedForms
from kani.core.types import Boundary, Samples, SpeechChunk, SpeechRequest
from kani.protocols.elevenlabs.errors import UnknownSpeaker
from kani.protocols.elevenlabs.http.dialogue_body import DialogueBody
from kani.protocols.elevenlabs.http.timestamps import alignment_fields
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice

PROTOCOL = "elevenlabs"

SPEAKER_PAUSE_S = 0.2
"""Seconds of silence before another speaker: the average gap before an answer in conversations, over ten
languages (Stivers et al. 2009). Lines of one speaker have the pause between two sentences."""


@dataclass(frozen=True, slots=True)
class TimedLine:
    """Characters of a dialogue's line; times are seconds since the dialogue began."""

    index: int  # of the line
    characters: TimedForms


@dataclass(frozen=True, slots=True, eq=False)
class DialogueChunk:
    """Audio, and the characters of a line that begin in it."""

    samples: Samples
    sample_rate: int
    line: TimedLine


async def find_speakers(
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


class Dialogue:
    """Speaks a dialogue; leave by ``async with``, which frees everything.

    The first session is opened at once, so that its refusal is known before any audio.
    """

    def __init__(
        self,
        service: SpeechService,
        body: DialogueBody,
        speakers: dict[str, str | None],
        *,
        languages: tuple[str, ...],
        client: str,
        low_latency: bool,
    ) -> None:
        """speakers: this server's voices by the dialogue's ids; languages: BCP 47 tags of the client's.

        Raises InvalidRequest or Busy.
        """
        self._service = service
        self._body = body
        self._speakers = speakers
        self._request = SpeechRequest(
            language=body.language,
            languages=languages,
            normalize=body.normalize,
            sampling=body.settings.sampling(body.seed),
        )
        self._client = client
        self._low_latency = low_latency
        self._memory = LanguageMemory()
        self._unused: set[str] = set()
        self._session = self._open(0)

    @property
    def unused_fields(self) -> list[str]:
        """Names of given fields without effect, as far as it is known from the lines spoken so far."""
        return self._body.unused_fields([*self._unused])

    async def chunks(self) -> AsyncGenerator[DialogueChunk, None]:
        """Yield the speech at the sample rate of its first line. Raises SpeechError."""
        sample_rate = samples = 0
        for index in range(len(self._body.inputs)):
            if index:
                await self._session.aclose()
                self._session = self._open(index)
                silence = np.zeros(round(self._pause_s(index) * sample_rate), np.float32)
                samples += len(silence)
                yield DialogueChunk(silence, sample_rate, TimedLine(index, TimedForms()))
            start = samples
            clock = FormsClock()
            clock.feed(self._body.inputs[index].text)
            async with aclosing(self._speak(index, sample_rate)) as chunks:
                async for chunk in chunks:
                    self._unused.update(self._session.unused_fields)
                    sample_rate = chunk.sample_rate
                    samples += len(chunk.samples)
                    characters = clock.align(chunk.spans).later(start / sample_rate)
                    yield DialogueChunk(chunk.samples, sample_rate, TimedLine(index, characters))

    async def _speak(self, index: int, sample_rate: int) -> AsyncGenerator[SpeechChunk, None]:
        """Speak a line in the current session, at ``sample_rate`` hertz unless that is 0."""
        session = self._session
        session.feed(self._body.inputs[index].spoken)
        session.finish()
        speech = reframe(aiter(session), sample_rate) if sample_rate else aiter(session)
        async for chunk in speech:
            yield chunk

    def _open(self, index: int) -> SpeechSession:
        line = self._body.inputs[index]
        return self._service.open(
            replace(self._request, voice=self._speakers[line.voice_id]),
            protocol=PROTOCOL,
            client=self._client,
            memory=self._memory,
            low_latency=self._low_latency,
            max_text=len(line.text),
            rate_limited=index == 0,
        )

    def _pause_s(self, index: int) -> float:
        """Seconds before a line."""
        before, line = self._body.inputs[index - 1 : index + 1]
        same = before.voice_id == line.voice_id
        return PAUSES_S[Boundary.SENTENCE] if same else SPEAKER_PAUSE_S

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

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.__aexit__(kind, error, trace)


def _joined(timed: list[TimedLine]) -> list[TimedLine]:
    """Join the characters of each line."""
    lines: list[TimedLine] = []
    for part in timed:
        if not part.characters.written.text:
            continue
        if lines and lines[-1].index == part.index:
            lines[-1] = TimedLine(part.index, lines[-1].characters + part.characters)
        else:
            lines.append(part)
    return lines
