"""Speech to text of recordings: POST /v1/speech-to-text."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import IO, Annotated, Any, Literal

from babel.core import get_global
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.errors import InvalidRequest
from kani.core.expected_words import MAX_WORD, MAX_WORDS, as_prompt, fault
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.subtitles import segment_cues, srt
from kani.core.transcriber import TranscribedWord, TranscriptionOptions
from kani.protocols.elevenlabs.errors import Unprocessable, endpoint, json_response
from kani.protocols.elevenlabs.http.body import missing_field
from kani.protocols.elevenlabs.http.speech import PROTOCOL
from kani.protocols.shared.calls.bodies import about, read_form, within
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.transcript import Transcript
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUpload, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani_text import foreign

PATH = "/v1/speech-to-text"

ADDITIONAL_FORMATS = {"srt": "application/x-subrip", "txt": "text/plain"}
"""Content types of further formats of the transcript; their names are also extensions of files."""

Speakers = Annotated[int, Meta(ge=1, le=MAX_SPEAKERS)]

_NOT_SERVED = {
    "source_url": "recordings by address are not fetched: send the file",
    "cloud_storage_url": "recordings by address are not fetched: send the file",
    "webhook": "webhooks are not served: the answer holds the transcript",
}
_WITHOUT_EFFECT = (
    "detect_speaker_roles",
    "diarization_threshold",
    "entity_detection",
    "entity_redaction",
    "multichannel_output_style",
    "no_verbatim",
    "numbers_format",
    "seed",
    "transcript_edit",
    "use_multi_channel",
    "use_speaker_library",
)
_EMPTY = ("", "false", "null", "{}", "[]")


class TranscriptionFields(Struct, kw_only=True):
    """Further fields of ElevenLabs' API are accepted without an effect, and named in x-unused."""

    model_id: Annotated[str, about("Any name, for example scribe_v1.")]
    language_code: Annotated[
        str | None, about("Code, tag or name of the spoken language; detected by default.")
    ] = None
    timestamps_granularity: Literal["none", "word", "character"] = "word"
    file_format: Annotated[Literal["other", "pcm_s16le_16"], about("Whether the file is bare samples.")] = (
        "other"
    )
    temperature: Annotated[float, within(Range(0, 2), "Sampling temperature.")] = 0.0
    keyterms: Annotated[
        list[Annotated[str, Meta(max_length=MAX_WORD)]],
        about("Words that may occur in the recording.", max_length=MAX_WORDS),
    ] = []
    additional_formats: Annotated[
        str | None, about(f"JSON: a list of objects, each with a format: {', '.join(ADDITIONAL_FORMATS)}.")
    ] = None
    diarize: Annotated[bool | None, about("Whether each word has a speaker_id.")] = None
    num_speakers: Annotated[Speakers | None, about("The most speakers that diarize finds.")] = None


@dataclass(frozen=True, slots=True)
class TranscriptionForm:
    file: IO[bytes]
    options: TranscriptionOptions
    granularity: str  # as the field ``timestamps_granularity``
    pcm: bool  # whether the file is 16-bit little-endian PCM at 16 kHz, without a header
    additional_formats: tuple[str, ...]
    diarize: bool
    speakers: int | None  # their greatest number, if it was given
    unused: tuple[str, ...]  # given fields without effect on this server


def parse_form(upload: AudioUpload, spoken_language: Callable[[str], str | None]) -> TranscriptionForm:
    """Parse the fields of ``upload``.

    spoken_language: returns the recogniser's language for a code, a tag or a name. Raises Unprocessable for
    missing fields, InvalidRequest for wrong values, and what ``spoken_language`` raises.
    """
    for name, reason in _NOT_SERVED.items():
        if (upload.get(name) or "").lower() not in _EMPTY:
            raise InvalidRequest(name, reason)
    missing = [] if upload.get("model_id") else ["model_id"]
    if upload.file is None or missing:
        missing += ["file"] if upload.file is None else []
        raise Unprocessable(*(missing_field(["body", name]) for name in missing))
    fields = read_form(upload.fields, TranscriptionFields)
    if reason := fault(fields.keyterms):
        raise InvalidRequest("keyterms", reason)
    language = spoken_language(fields.language_code) if fields.language_code else None
    without_effect = _WITHOUT_EFFECT if fields.diarize else ("num_speakers", *_WITHOUT_EFFECT)
    return TranscriptionForm(
        upload.file,
        # Whisper's highest temperature is 1.
        TranscriptionOptions(
            language, prompt=as_prompt(fields.keyterms), temperature=min(fields.temperature, 1.0)
        ),
        fields.timestamps_granularity,
        fields.file_format != "other",
        _additional_formats(fields.additional_formats),
        bool(fields.diarize),
        fields.num_speakers,
        tuple(name for name in without_effect if (upload.get(name) or "").lower() not in _EMPTY),
    )


def _additional_formats(given: str | None) -> tuple[str, ...]:
    try:
        formats = foreign.parse_json(given) if given else None
    except foreign.Unreadable as error:
        raise InvalidRequest("additional_formats", "must be JSON") from error
    if formats is None:
        return ()
    listed = formats if isinstance(formats, list) else [formats]
    names = [one.get("format") if isinstance(one, dict) else None for one in listed]
    if any(name not in [*ADDITIONAL_FORMATS] for name in names):
        reason = f"must be a list of objects with a format, one of {', '.join(ADDITIONAL_FORMATS)}"
        raise InvalidRequest("additional_formats", reason)
    return tuple(dict.fromkeys(map(str, names)))


def longest_body(max_upload: int) -> dict[str, int]:
    """Return the bytes of the longest body, by its path; max_upload: of a recording."""
    return {PATH: AudioUploads(max_upload).max_body}


def speech_to_text_routes(service: SpeechService, max_upload: int) -> list[BaseRoute]:
    """Return the call. Errors are ``{"detail": …}`` with 400, 413, 422, 429, 500 or 503."""
    uploads = AudioUploads(max_upload, disk=service.budgets.recordings)

    async def convert(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            upload = await stack.enter_async_context(uploads.receive(request))
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
            collected = Transcript.of(session, segments, form.options.language, form.speakers)
            transcript = await cancel_on_disconnect(request, collected)
        return json_response(describe_transcript(transcript, form), unused=form.unused)

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
                times = _times(end_s, word.start_s, granularity)
                space = {"text": segment.text[at:found], **times, "type": "spacing"}
                items.append(space | {"speaker_id": speaker, "logprob": 0.0})
            items.append(_word(word, granularity, speaker))
            at, end_s = found + len(word.text), word.end_s
    return items


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
    return {
        "requested_format": name,
        "file_extension": name,
        "content_type": ADDITIONAL_FORMATS[name],
        "is_base64_encoded": False,
        "content": srt(segment_cues(transcript.segments)) if name == "srt" else transcript.text,
    }
