"""POST /v1/audio/alignments: the times of a given text's words in a recording."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.service import SpeechService
from kani.core.session.alignment import MAX_TEXT, Alignment
from kani.core.subtitles import WRITERS, words_and_cues
from kani.protocols.openai.errors import endpoint, json_response
from kani.protocols.openai.transcription.answers import MEDIA_TYPES
from kani.protocols.shared.calls.bodies import about
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani_text.languages import english_name, primary

PATH = "/v1/audio/alignments"


class AlignmentFields(Struct, kw_only=True):
    text: Annotated[str, about("What is said in the recording.", max_length=MAX_TEXT)]
    language: Annotated[str | None, about("Code, tag or name of its language; detected by default.")] = None
    model: Annotated[str, about("Any name; without effect.")] = ""
    response_format: Literal["json", "verbose_json", "srt", "vtt"] = "json"


def alignment_route(service: SpeechService, uploads: AudioUploads) -> BaseRoute:
    """Return the call."""

    async def align(request: Request) -> Response:
        async with uploads.receive(request) as upload:
            file, fields, unused = upload.read(AlignmentFields)
            opening = service.recognition.open_alignment(
                "openai", client_address(request), fields.text, fields.language
            )
            async with await opening as session:
                found = await cancel_on_disconnect(request, session.align(file, MAX_RECORDING_S))
        # An hour of words takes a while to be written.
        return await asyncio.to_thread(_answer, found, fields.response_format, unused)

    return Route(PATH, endpoint(align, {}), methods=["POST"])


def _answer(found: Alignment, response_format: str, headers: Mapping[str, str]) -> Response:
    words, cues = words_and_cues(found.text, found.spans)
    if (write := WRITERS.get(response_format)) is not None:
        return Response(write(cues), headers=headers, media_type=MEDIA_TYPES[response_format])
    described = {
        "text": found.text,
        "language": english_name(primary(found.language)) or found.language,
        "duration": round(found.duration_s, 3),
        "sample_rate": found.sample_rate,
        "confidence": round(1 - found.loss, 3),
        "words": [
            {
                "word": word.text,
                "start": round(word.start_s, 3),
                "end": round(word.end_s, 3),
                "start_sample": round(word.start_s * found.sample_rate),
                "end_sample": round(word.end_s * found.sample_rate),
                "confidence": round(1 - found.loss_of(word.start, word.end), 3),
            }
            for word in words
        ],
    }
    return json_response(described, headers=headers)
