"""Times of the words: POST /v1/audio/captions, and Kokoro-FastAPI's POST /dev/captioned_speech."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.service import SpeechService
from kani.core.session.budget import Share
from kani.core.subtitles import VTT_HEADER, Cue, CueBuilder, Word, WordTimer, srt_cue, vtt_cue
from kani.core.timing.spans import mark_rows
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.speech.body import SpeechFields, parse_body, read_object
from kani.protocols.openai.speech.utterance import Utterance, open_utterance
from kani.protocols.shared.calls.bodies import UNUSED, about, json_text
from kani.protocols.shared.errors import json_response
from kani.protocols.shared.streamed_answer import ByteStream, begun_answer
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.shared.whole_answer import WholeAnswer

MEDIA_TYPES = {"srt": "application/x-subrip", "vtt": "text/vtt", "json": "application/json"}
"""Content types by ``format``."""

_WORD_BYTES = 250
"""Memory of a word and its times in an answer that is sent whole."""


class CaptionFields(SpeechFields, kw_only=True):
    """A null equals a missing field."""

    format: Annotated[Literal["srt", "vtt", "json"], about("Format of the subtitles.")] = "srt"
    response_format: Annotated[Any, UNUSED] = None


class CaptionedFields(SpeechFields, kw_only=True):
    """A null equals a missing field."""

    stream: Annotated[bool, about("Whether the answer is a line of JSON for each block of audio.")] = True
    return_timestamps: Annotated[bool, about("Whether the answer has the times of the words.")] = True


def caption_routes(service: SpeechService, max_text: int) -> list[BaseRoute]:

    async def captions(request: Request) -> Response:
        given = read_object(await request.body())
        body = parse_body(given | {"response_format": "pcm"}, max_text, CaptionFields)
        kind = body.given.format
        async with AsyncExitStack() as stack:
            utterance = await stack.enter_async_context(await open_utterance(service, request, body))
            if kind == "json":
                memory = stack.enter_context(service.budgets.whole_answers.share("ask for it as a stream"))
                content = await cancel_on_disconnect(request, _captions_json(utterance, memory))
                return json_response(content, headers=utterance.headers)
            return await begun_answer(
                request,
                _subtitles(utterance, kind),
                stack,
                headers=lambda: utterance.headers,
                media_type=f"{MEDIA_TYPES[kind]}; charset=utf-8",
            )

    async def captioned_speech(request: Request) -> Response:
        body = parse_body(read_object(await request.body()), max_text, CaptionedFields)
        timed = body.given.return_timestamps
        async with AsyncExitStack() as stack:
            utterance = await stack.enter_async_context(await open_utterance(service, request, body))
            if not body.given.stream:
                memory = stack.enter_context(service.budgets.whole_answers.share("ask for it as a stream"))
                whole = _captioned_whole(utterance, body.audio_format, timed, memory)
                content = await cancel_on_disconnect(request, whole)
                return json_response(content, headers=utterance.headers)
            lines = _captioned_lines(utterance, body.audio_format, timed)
            return await begun_answer(
                request, lines, stack, headers=lambda: utterance.headers, media_type="application/json"
            )

    return [
        Route("/v1/audio/captions", endpoint(captions), methods=["POST"]),
        Route("/dev/captioned_speech", endpoint(captioned_speech), methods=["POST"]),
    ]


async def _cues(utterance: Utterance) -> AsyncGenerator[list[Cue], None]:
    """Yield the cues that each chunk of the speech completes."""
    shown = await utterance.shown()
    timer, builder = WordTimer(shown), CueBuilder(shown)
    async for chunk in utterance.chunks():
        yield [cue for word in timer.feed(chunk.spans) for cue in builder.add(word)]
    yield builder.finish()


async def _subtitles(utterance: Utterance, kind: str) -> ByteStream:
    """Yield the subtitles of each cue once it is complete; the first block has the file's header."""
    head = VTT_HEADER if kind == "vtt" else ""
    number = 0
    async for cues in _cues(utterance):
        written = head if cues else ""
        for cue in cues:
            number += 1
            written += srt_cue(number, cue) if kind == "srt" else vtt_cue(cue)
        if written:
            head = ""
            yield _encoded(written)
    if not number:
        yield _encoded(head or "\n")


async def _captions_json(utterance: Utterance, memory: Share) -> dict[str, Any]:
    shown = await utterance.shown()
    timer, builder = WordTimer(shown), CueBuilder(shown)
    words: list[Word] = []
    cues: list[Cue] = []
    end_s = 0.0
    async for chunk in utterance.chunks():
        timed = timer.feed(chunk.spans)
        memory.grow(_WORD_BYTES * len(timed))
        words += timed
        cues += [cue for word in timed for cue in builder.add(word)]
        end_s = chunk.end_s
    cues += builder.finish()
    return {
        "duration": round(end_s, 3),
        "words": [
            {"word": word.text, "start": round(word.start_s, 3), "end": round(word.end_s, 3)}
            for word in words
        ],
        "captions": [
            {"start": round(cue.start_s, 3), "end": round(cue.end_s, 3), "text": "\n".join(cue.lines)}
            for cue in cues
        ],
        **({"marks": mark_rows(utterance.marks)} if utterance.marks else {}),
    }


async def _captioned_whole(
    utterance: Utterance, audio_format: AudioFormat, timed: bool, memory: Share
) -> dict[str, Any]:
    timer, words = WordTimer(await utterance.shown()), []
    answer = WholeAnswer(memory, audio_format)
    async for chunk in utterance.chunks():
        words += timer.feed(chunk.spans)
        await answer.add(chunk)
    audio = await asyncio.to_thread(lambda: base64.b64encode(answer.finish()).decode())
    return _captioned(audio, audio_format, words if timed else None)


async def _captioned_lines(utterance: Utterance, audio_format: AudioFormat, timed: bool) -> ByteStream:
    """Yield a line of JSON for each block of audio, with the words that it completes."""
    timer, encoder = WordTimer(await utterance.shown()), AsyncEncoder(audio_format)
    words: list[Word] = []
    async for chunk in utterance.chunks():
        words += timer.feed(chunk.spans)
        if data := await encoder.feed(chunk.samples, chunk.sample_rate):
            yield _line(data, audio_format, words if timed else None)
            words = []
    if (data := await encoder.finish()) or words:
        yield _line(data, audio_format, words if timed else None)


def _line(data: bytes, audio_format: AudioFormat, words: list[Word] | None) -> bytes:
    return json_text(_captioned(data, audio_format, words)).encode() + b"\n"


def _captioned(audio: str | bytes, audio_format: AudioFormat, words: list[Word] | None) -> dict[str, Any]:
    timestamps = None
    if words is not None:
        timestamps = [
            {"word": word.text, "start_time": round(word.start_s, 3), "end_time": round(word.end_s, 3)}
            for word in words
        ]
    return {"audio": audio, "audio_format": audio_format.content_type, "timestamps": timestamps}


def _encoded(text: str) -> bytes:
    # Half a surrogate pair of the client's text cannot be encoded.
    return text.encode("utf-8", "replace")
