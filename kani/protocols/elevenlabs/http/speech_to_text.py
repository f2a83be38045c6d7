"""Speech to text of recordings: POST /v1/speech-to-text."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack, aclosing
from typing import Any

from babel.core import get_global
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.service import SpeechService
from kani.core.subtitles import segment_cues, srt
from kani.core.transcriber import TranscribedWord
from kani.protocols.elevenlabs.errors import FieldTooLarge
from kani.protocols.elevenlabs.http.responses import TASK_NAME, endpoint, json_response
from kani.protocols.elevenlabs.http.transcription_form import TranscriptionForm, parse_form
from kani.protocols.shared.calls.unused import unused_header
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.disconnect import cancel_on_disconnect
from kani.protocols.shared.recordings.transcript import Transcript
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUploads, FileTooLarge

PROTOCOL = "elevenlabs"
PATH = "/v1/speech-to-text"

_FILES = {"srt": ("srt", "application/x-subrip"), "txt": ("txt", "text/plain")}
"""Extension and content type of each additional format."""


def longest_body() -> dict[str, int]:
    """Return the bytes of the longest body, by its path."""
    return {PATH: AudioUploads().max_body}


def speech_to_text_routes(service: SpeechService) -> list[BaseRoute]:
    """Return the call. Errors are ``{"detail": …}`` with 400, 413, 422, 429, 500 or 503."""
    uploads = AudioUploads()

    async def convert(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            try:
                upload = await stack.enter_async_context(uploads.receive(request))
            except FileTooLarge as error:
                raise FieldTooLarge("file", error.reason) from error
            form = parse_form(upload, service.recognition.spoken)
            session = await stack.enter_async_context(
                service.recognition.open_transcription(
                    protocol=PROTOCOL,
                    client=client_address(request),
                    options=form.options,
                    diarize=form.diarize,
                )
            )
            segments = await stack.enter_async_context(
                aclosing(session.segments(form.file, MAX_RECORDING_S, pcm=form.pcm))
            )
            collected = Transcript.collect(session, segments, form.options.language, form.speakers)
            transcript = await cancel_on_disconnect(request, collected, name=TASK_NAME)
        answer = json_response(describe_transcript(transcript, form))
        answer.headers.update(unused_header(form.unused))
        return answer

    return [Route(PATH, endpoint(convert), methods=["POST"])]


def describe_transcript(transcript: Transcript, form: TranscriptionForm) -> dict[str, Any]:
    """Return the answer: the text, and its words with the spaces between them."""
    answer: dict[str, Any] = {
        "language_code": three_letter_code(transcript.language),
        "language_probability": round(transcript.language_probability, 4),
        "text": transcript.text,
        "words": _items(transcript, form.granularity),
        "transcription_id": request_ids.current(),
        "audio_duration_secs": round(transcript.duration_s, 3),
    }
    if form.additional_formats:
        answer["additional_formats"] = [_file(transcript, name) for name in form.additional_formats]
    return answer


def three_letter_code(language: str | None) -> str:
    """Return the ISO 639-3 code of a primary subtag, where it has one; "" for none."""
    if language is None:
        return ""
    aliases = get_global("language_aliases")
    return next((code for code, tag in aliases.items() if tag == language and len(code) == 3), language)


def _items(transcript: Transcript, granularity: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    end_s = 0.0
    for segment in transcript.segments:
        at, speaker = 0, None if segment.speaker is None else f"speaker_{segment.speaker}"
        for word in segment.words:
            found = max(segment.text.find(word.text, at), at)
            # The space before the first word divides nothing.
            if items and found > at:
                items.append(
                    _space(segment.text[at:found], _times(end_s, word.start_s, granularity), speaker)
                )
            items.append(_word(word, granularity, speaker))
            at, end_s = found + len(word.text), word.end_s
    return items


def _space(text: str, times: dict[str, float | None], speaker: str | None) -> dict[str, Any]:
    return {"text": text, **times, "type": "spacing", "speaker_id": speaker, "logprob": 0.0}


def _word(word: TranscribedWord, granularity: str, speaker: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"text": word.text, **_times(word.start_s, word.end_s, granularity)}
    item |= {"type": "word", "speaker_id": speaker, "logprob": round(word.log_probability, 4)}
    if granularity == "character":
        item["characters"] = _characters(word)
    return item


def _characters(word: TranscribedWord) -> list[dict[str, Any]]:
    """Divide the word's time evenly: the recogniser times words."""
    length_s = (word.end_s - word.start_s) / max(1, len(word.text))
    edges = [word.start_s + at * length_s for at in range(len(word.text) + 1)]
    return [
        {"text": letter, **_times(start_s, end_s, "character")}
        for letter, start_s, end_s in zip(word.text, edges, edges[1:], strict=False)
    ]


def _times(start_s: float, end_s: float, granularity: str) -> dict[str, float | None]:
    if granularity == "none":
        return {"start": None, "end": None}
    # Rounded down, so that no time is later than the next.
    return {"start": math.floor(start_s * 1000) / 1000, "end": math.floor(end_s * 1000) / 1000}


def _file(transcript: Transcript, name: str) -> dict[str, Any]:
    extension, content_type = _FILES[name]
    return {
        "requested_format": name,
        "file_extension": extension,
        "content_type": content_type,
        "is_base64_encoded": False,
        "content": srt(segment_cues(transcript.segments)) if name == "srt" else transcript.text,
    }
