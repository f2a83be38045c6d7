"""Text to speech and text to dialogue by HTTP: whole or streamed, with or without the characters' times."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.audio import synthetic_mark
from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.audio.prosody_filter import PAUSES_S
from kani.core.errors import UnknownVoice
from kani.core.service import SpeechService
from kani.core.session.budget import Share
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.timing.characters import FormsClock, TimedCharacters, TimedForms
from kani.core.types import Boundary, Span, SpeechChunk, SpeechRequest
from kani.core.voices.store import CUSTOM_PREFIX
from kani.protocols.elevenlabs.errors import UnknownSpeaker, endpoint
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.http.body import SpeechBody, parse_dialogue, parse_text
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.calls.bodies import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.passages import Passage, SpokenPassages
from kani.protocols.shared.streamed_answer import ByteStream, StreamedAnswer, begun_answer, in_blocks
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.shared.whole_answer import WholeAnswer

PROTOCOL = "elevenlabs"
TEXT_PATH = "/v1/text-to-speech/{voice_id}"
DIALOGUE_PATH = "/v1/text-to-dialogue"

SPEAKER_PAUSE_S = 0.2
"""Seconds of silence before another speaker: the average gap before an answer in conversations, over ten
languages (Stivers et al. 2009). Lines of one speaker have the pause between two sentences."""


class SpokenSpans(NamedTuple):
    """Spans of a line that a chunk speaks; their times count from ``start_s``."""

    line: int
    start_s: float
    spans: Sequence[Span]


class LinesSpeech(SpokenPassages):
    """The speech of a text, or of a dialogue: a session for each of its lines.

    is_stored: whether a voice that a client stored speaks a text.
    """

    def __init__(
        self, passages: Sequence[Passage], audio_format: AudioFormat, body: SpeechBody, *, is_stored: bool
    ) -> None:
        super().__init__(passages)
        self.audio_format = audio_format
        self._body = body
        self._is_stored = is_stored
        self._unused: set[str] = set()
        self._timed_line = -1
        self._clock = FormsClock()

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer, known once there is a chunk.

        ``character-cost``: characters of the text; ``x-unused``: names of the given fields without effect;
        ``x-cloning``: kind of cloning of a stored voice; ``x-ai-generated``.
        """
        request_id = request_ids.current()
        headers = {"request-id": request_id, "x-trace-id": request_id} | synthetic_mark.headers()
        headers["character-cost"] = str(self._body.length)
        if self._is_stored:
            headers["x-cloning"] = self.session.cloning_kind
        return headers | unused_header(self._body.unused_fields([*self._unused, *self.session.unused_fields]))

    async def chunks(self) -> AsyncGenerator[tuple[SpeechChunk, list[SpokenSpans]], None]:
        """Yield the speech, each chunk with what is spoken in it. Raises SpeechError."""
        async with aclosing(self.speak()) as spoken:
            async for line, start_s, chunk in spoken:
                self._unused.update(self.session.unused_fields)
                yield chunk, [SpokenSpans(line, start_s, chunk.spans)] if chunk.spans else []

    def timestamp_fields(self, spoken: Sequence[SpokenSpans]) -> dict[str, Any]:
        """Return the alignments of consecutive spans, and of a dialogue the voice segments.

        The segments' character indices point into the alignment of the same answer or line.
        """
        lines: list[tuple[int, TimedForms]] = []
        for line, parts in groupby(spoken, key=lambda part: part.line):
            characters = self._align(line, [*parts])
            if characters.written.text:
                lines.append((line, characters))
        fields = alignment_fields([characters for _, characters in lines])
        return fields | {"voice_segments": self._voice_segments(lines)} if self._body.is_dialogue else fields

    def _align(self, line: int, parts: Sequence[SpokenSpans]) -> TimedForms:
        if line != self._timed_line:
            self._timed_line, self._clock = line, FormsClock()
            self._clock.feed(self._body.lines[line].text)
        spans = [span for part in parts for span in part.spans]
        return self._clock.align(spans).later(parts[0].start_s)

    def _voice_segments(self, lines: Sequence[tuple[int, TimedForms]]) -> list[dict[str, Any]]:
        segments = []
        end = 0
        for line, characters in lines:
            begin, end = end, end + len(characters.written.text)
            edges_s = characters.written.edges_s
            segments.append(
                {
                    "voice_id": self._body.lines[line].voice_id,
                    "start_time_seconds": round(edges_s[0], 3),
                    "end_time_seconds": round(edges_s[-1], 3),
                    "character_start_index": begin,
                    "character_end_index": end,
                    "dialogue_input_index": line,
                }
            )
        return segments


def speech_routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """Return the four calls of texts, and those of dialogues.

    Errors are ``{"detail": …}`` with 400, 404, 422, 429, 500, 503 or 504.
    """

    async def whole(request: Request, *, timed: bool) -> Response:
        """Answer with the audio file, or with JSON that has its times too."""
        async with AsyncExitStack() as stack:
            memory = stack.enter_context(service.budgets.whole_answers.share("ask for /stream"))
            async with await _open_speech(service, settings, request, streamed=False, timed=timed) as speech:
                data, spoken = await cancel_on_disconnect(request, _encode_whole(speech, memory))
                headers = speech.headers
            length, blocks, media_type = len(data), in_blocks(data), speech.audio_format.content_type
            if timed:
                fields = await asyncio.to_thread(speech.timestamp_fields, spoken)
                length, blocks = audio_with_fields(data, fields)
                media_type = "application/json"
            headers["content-length"] = str(length)
            return StreamedAnswer(blocks, headers=headers, media_type=media_type, stack=stack.pop_all())

    async def streamed(request: Request, *, timed: bool) -> Response:
        """Start the answer with the first audio, so that earlier errors have a status."""
        async with AsyncExitStack() as stack:
            speech = await _open_speech(service, settings, request, streamed=True, timed=timed)
            await stack.enter_async_context(speech)
            return await begun_answer(
                request,
                _encode(speech, timed=timed),
                stack,
                headers=lambda: speech.headers,
                media_type="application/x-ndjson" if timed else speech.audio_format.content_type,
            )

    calls: list[tuple[str, Callable[..., Awaitable[Response]]]] = [
        ("", partial(whole, timed=False)),
        ("/with-timestamps", partial(whole, timed=True)),
        ("/stream", partial(streamed, timed=False)),
        ("/stream/with-timestamps", partial(streamed, timed=True)),
    ]
    return [
        Route(path + end, endpoint(answer), methods=["POST"])
        for path in (TEXT_PATH, DIALOGUE_PATH)
        for end, answer in calls
    ]


async def _open_speech(
    service: SpeechService, settings: ElevenLabsSettings, request: Request, *, streamed: bool, timed: bool
) -> LinesSpeech:
    """Parse a request and open its speech. Raises SpeechError and Unprocessable."""
    data, voice_id = await request.body(), request.path_params.get("voice_id")
    if voice_id is None:
        body = parse_dialogue(data, settings.max_text)
    else:
        body = parse_text(data, settings.max_text, voice_id)
    audio_format = resolve_format(request.query_params.get("output_format"), streamed=streamed)
    speakers = await _find_speakers(service, settings, body)
    languages, memory = accept_languages(request.headers), LanguageMemory()

    def open_session(index: int) -> SpeechSession:
        line = body.lines[index]
        return service.open(
            SpeechRequest(
                voice=speakers[line.voice_id],
                language=body.language,
                quotations=body.given.quotations,
                melody=body.given.melody,
                languages=languages,
                speed=body.settings.speed,
                normalize=body.normalize,
                sampling=body.settings.sampling(body.given.seed),
                timed=timed,
            ),
            protocol=PROTOCOL,
            client=client_address(request),
            memory=memory,
            terms=Terms(low_latency=streamed, max_text=len(line.text), rate_limited=index == 0),
        )

    passages = [
        Passage(partial(open_session, index), (line.spoken,), _pause_s(body, index))
        for index, line in enumerate(body.lines)
    ]
    is_stored = not body.is_dialogue and (speakers[body.lines[0].voice_id] or "").startswith(CUSTOM_PREFIX)
    return LinesSpeech(passages, audio_format, body, is_stored=is_stored)


async def _find_speakers(
    service: SpeechService, settings: ElevenLabsSettings, body: SpeechBody
) -> dict[str, str | None]:
    """Find this server's voices by the lines' ids. Raises UnknownVoice, of a dialogue UnknownSpeaker."""
    speakers: dict[str, str | None] = {}
    for index, line in enumerate(body.lines):
        if line.voice_id in speakers:
            continue
        try:
            speakers[line.voice_id] = await asyncio.to_thread(
                resolve_voice, service, line.voice_id, settings, body.language
            )
        except UnknownVoice as error:
            if not body.is_dialogue:
                raise
            raise UnknownSpeaker(error.voice, f"inputs[{index}].voice_id") from error
    return speakers


def _pause_s(body: SpeechBody, index: int) -> float:
    if not index:
        return 0.0
    same = body.lines[index - 1].voice_id == body.lines[index].voice_id
    return PAUSES_S[Boundary.SENTENCE] if same else SPEAKER_PAUSE_S


async def _encode_whole(speech: LinesSpeech, memory: Share) -> tuple[bytes, list[SpokenSpans]]:
    """Encode the speech as a file, and return what is spoken in it. Raises SpeechError."""
    answer = WholeAnswer(memory, speech.audio_format, max_s=None)
    spoken: list[SpokenSpans] = []
    async with aclosing(speech.chunks()) as chunks:
        async for chunk, parts in chunks:
            spoken += parts
            await answer.add(chunk)
    return await asyncio.to_thread(answer.finish), spoken


async def _encode(speech: LinesSpeech, *, timed: bool) -> ByteStream:
    """Yield blocks of encoded audio, or a line of JSON for each, with the characters that begin in it."""
    encoder = AsyncEncoder(speech.audio_format)
    spoken: list[SpokenSpans] = []
    async with aclosing(speech.chunks()) as chunks:
        async for chunk, parts in chunks:
            spoken += parts
            if data := await encoder.feed(chunk.samples, chunk.sample_rate):
                yield audio_line(data, speech.timestamp_fields(spoken)) if timed else data
                spoken = []
    if (data := await encoder.finish()) or spoken:
        yield audio_line(data, speech.timestamp_fields(spoken)) if timed else data


def audio_with_fields(data: bytes, fields: dict[str, Any]) -> tuple[int, ByteStream]:
    """Return the length of a whole answer's JSON and its blocks, which are written while they are sent.

    A copy would take 4/3 of the audio's memory.
    """
    head, tail = json.dumps({"audio_base64": "|"} | fields).encode().split(b"|", 1)

    async def blocks() -> ByteStream:
        yield head
        async for block in in_blocks(data):
            yield base64.b64encode(block)
        yield tail

    return len(head) + -(-len(data) // 3) * 4 + len(tail), blocks()


def audio_line(data: bytes, fields: dict[str, Any]) -> bytes:
    return json.dumps({"audio_base64": base64.b64encode(data).decode()} | fields).encode() + b"\n"


def alignment_fields(parts: Sequence[TimedForms]) -> dict[str, Any]:
    """Return the two alignments of consecutive texts; between two of them there may be a pause.

    Times are seconds since the answer's first sample, rounded to 1 ms.
    """
    return {
        "alignment": _alignment_json([part.written for part in parts]),
        "normalized_alignment": _alignment_json([part.spoken for part in parts]),
    }


def _alignment_json(parts: Sequence[TimedCharacters]) -> dict[str, Any] | None:
    """Return None without characters. Within a text each character ends where the next begins."""
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for part in parts:
        edges = [round(edge, 3) for edge in part.edges_s]
        characters += part.text
        starts += edges[:-1]
        ends += edges[1:]
    if not characters:
        return None
    return {
        "characters": characters,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }
