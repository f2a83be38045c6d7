"""Times of a given text in a recording: POST /v1/forced-alignment."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.service import SpeechService
from kani.core.session.alignment import Alignment
from kani.core.subtitles import words_and_cues
from kani.core.timing.characters import FormsClock
from kani.protocols.elevenlabs.errors import Unprocessable, endpoint, json_response
from kani.protocols.elevenlabs.http.body import missing_field
from kani.protocols.elevenlabs.http.speech import PROTOCOL
from kani.protocols.shared.calls.bodies import unknown_fields
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect

PATH = "/v1/forced-alignment"

_TEXT_BYTES, _FORM_BYTES = 2 << 20, 3 << 20


def longest_body(max_upload: int) -> dict[str, int]:
    """Return the bytes of the longest body, by its path; max_upload: of a recording."""
    return {PATH: AudioUploads(max_upload, _TEXT_BYTES, _FORM_BYTES).max_body}


def forced_alignment_routes(service: SpeechService, max_upload: int) -> list[BaseRoute]:
    """Return the call. Errors are ``{"detail": …}`` with 400, 413, 422, 429, 500 or 503."""
    uploads = AudioUploads(max_upload, _TEXT_BYTES, _FORM_BYTES, service.budgets.recordings)

    async def align(request: Request) -> Response:
        async with uploads.receive(request) as upload:
            text = upload.get("text")
            if upload.file is None or text is None:
                missing = [*(["file"] * (upload.file is None)), *(["text"] * (text is None))]
                raise Unprocessable(*(missing_field(["body", name]) for name in missing))
            opening = service.recognition.open_alignment(PROTOCOL, client_address(request), text)
            async with await opening as session:
                found = await cancel_on_disconnect(request, session.align(upload.file, MAX_RECORDING_S))
        given = (name for name, values in upload.fields.items() if any(values))
        unused = unknown_fields(given, {"text", "enabled_spooled_file"})
        # An hour of characters takes a while to be written.
        return await asyncio.to_thread(lambda: json_response(_described(found), unused=unused))

    return [Route(PATH, endpoint(align), methods=["POST"])]


def _described(found: Alignment) -> dict[str, Any]:
    words, _ = words_and_cues(found.text, found.spans)
    clock = FormsClock()
    clock.feed(found.text)
    first, *rest = clock.align(found.spans).written.edges_s
    edges = [round(edge, 3) for edge in (max(first, found.spans[0].start_s), *rest)]
    return {
        "characters": [
            {"text": letter, "start": start, "end": end}
            for letter, start, end in zip(found.text, edges[:-1], edges[1:], strict=True)
        ],
        "words": [
            {
                "text": word.text,
                "start": round(word.start_s, 3),
                "end": round(word.end_s, 3),
                "loss": round(found.loss_of(word.start, word.end), 3),
            }
            for word in words
        ],
        "loss": round(found.loss, 3),
    }
