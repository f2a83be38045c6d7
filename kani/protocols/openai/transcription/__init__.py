"""OpenAI's audio API, text of recordings: POST /v1/audio/transcriptions, translations and alignments."""

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.core.session.transcription import TranscriptionSession
from kani.core.transcriber import TranscribedSegment
from kani.protocols.openai.errors import api_error, endpoint
from kani.protocols.openai.transcription import answers, timestamps
from kani.protocols.openai.transcription.known_speakers import FIELD_BYTES, FORM_BYTES
from kani.protocols.openai.transcription.params import TranscriptionParams, parse_params
from kani.protocols.shared.calls.bodies import sse, unused_header
from kani.protocols.shared.errors import json_response
from kani.protocols.shared.recordings.transcript import Segments, Transcript, transcribing
from kani.protocols.shared.recordings.upload import AudioUploads
from kani.protocols.shared.streamed_answer import ByteStream, begun_answer
from kani.protocols.shared.tasks import cancel_on_disconnect

PROTOCOL = "openai"

TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"
TRANSLATIONS_PATH = "/v1/audio/translations"

PATHS = (
    TRANSCRIPTIONS_PATH,
    TRANSLATIONS_PATH,
    timestamps.PATH,
    timestamps.SPEECH_PATH,
    timestamps.SPEAKERS_PATH,
)


def uploads_of(max_upload: int) -> AudioUploads:
    """Return what receives the uploads of all calls; max_upload: bytes of a recording."""
    return AudioUploads(max_upload, FIELD_BYTES, FORM_BYTES)


def transcription_routes(service: SpeechService, uploads: AudioUploads) -> list[BaseRoute]:
    async def answer(request: Request, *, translate: bool) -> Response:
        async with AsyncExitStack() as stack:
            upload = await stack.enter_async_context(uploads.receive(request, service.budgets.recordings))
            params = parse_params(upload, service.recognition.spoken, translate=translate)
            assert upload.file is not None
            given = request, service, PROTOCOL, upload.file, params.options
            session, segments = await stack.enter_async_context(
                transcribing(*given, diarize=params.diarize, clip=params.clip)
            )
            await cancel_on_disconnect(request, params.known_speakers.introduce(session))
            if params.stream:
                # Errors of the file and of the recogniser's start come before the first event: as a status.
                return await begun_answer(
                    request,
                    _events(session, segments, params),
                    stack,
                    headers=lambda: unused_header(params.unused) | {"cache-control": "no-cache"},
                    media_type="text/event-stream",
                )
            collected = Transcript.of(session, segments, params.options.language)
            transcript = await cancel_on_disconnect(request, collected)
            return _whole(transcript, params)

    return [
        timestamps.alignment_route(service, uploads),
        *timestamps.voice_routes(service, uploads),
        *(
            Route(path, endpoint(partial(answer, translate=translate)), methods=["POST"])
            for path, translate in ((TRANSCRIPTIONS_PATH, False), (TRANSLATIONS_PATH, True))
        ),
    ]


def _whole(transcript: Transcript, params: TranscriptionParams) -> Response:
    media_type, headers = answers.MEDIA_TYPES.get(params.response_format), unused_header(params.unused)
    if media_type is None:
        return json_response(answers.json_answer(transcript, params), headers=headers)
    answer = answers.plain_answer(transcript, params)
    return Response(answer, headers=headers, media_type=media_type)


async def _events(
    session: TranscriptionSession, segments: Segments, params: TranscriptionParams
) -> ByteStream:
    """Yield the events of a stream. Raises as ``segments`` before the first event; then an event says so."""
    heard: list[TranscribedSegment] = []
    try:
        async for segment in segments:
            yield _event(answers.delta_event(segment, params, first=not heard))
            heard.append(segment)
        transcript = await Transcript.of(session, heard, params.options.language)
    except SpeechError as error:
        if not heard:
            raise
        yield _event({"error": api_error(error).as_json()})
        return
    if params.diarize and params.response_format not in answers.MEDIA_TYPES:
        # The speakers are known once all was heard.
        for event in answers.segment_events(transcript, params):
            yield _event(event)
    yield _event(answers.done_event(transcript, params))
    yield b"data: [DONE]\n\n"


def _event(content: dict[str, Any]) -> bytes:
    # SubtitleEdit reads no event without its name.
    return sse(content, content.get("type", ""))
