"""Text of recordings, POST /v1/speech-to-text, and the times of a given text in one, /v1/forced-alignment."""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
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
from kani.core.session.alignment import Alignment
from kani.core.subtitles import segment_cues, srt, words_and_cues
from kani.core.timing.characters import FormsClock
from kani.core.transcriber import TranscribedWord, TranscriptionOptions
from kani.protocols.elevenlabs.errors import Unprocessable, endpoint, json_answer
from kani.protocols.elevenlabs.http.body import missing_field
from kani.protocols.elevenlabs.http.speech import PROTOCOL
from kani.protocols.shared.calls.bodies import about, read_form, unknown_fields, within
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.recordings.transcript import Transcript, transcribing
from kani.protocols.shared.recordings.upload import MAX_RECORDING_S, AudioUpload, AudioUploads
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani_text import foreign

TRANSCRIPTION_PATH, ALIGNMENT_PATH = "/v1/speech-to-text", "/v1/forced-alignment"

ADDITIONAL_FORMATS = {"srt": "application/x-subrip", "txt": "text/plain"}
"""Content types of further formats of the transcript; their names are also extensions of files."""

Speakers = Annotated[int, Meta(ge=1, le=MAX_SPEAKERS)]

_NOT_SERVED = {
    "source_url": "recordings by address are not fetched: send the file",
    "cloud_storage_url": "recordings by address are not fetched: send the file",
    "webhook": "webhooks are not served: the answer holds the transcript",
    "entity_redaction": "nothing is redacted here: the transcript holds every word",
}
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
    given: TranscriptionFields
    file: IO[bytes]
    options: TranscriptionOptions
    additional_formats: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()  # given fields without effect on this server


def parse_form(upload: AudioUpload, spoken_language: Callable[[str], str | None]) -> TranscriptionForm:
    """Parse the fields of ``upload``.

    spoken_language: returns the recogniser's language for a code, a tag or a name. Raises Unprocessable for
    missing fields, InvalidRequest for wrong values, and what ``spoken_language`` raises.
    """
    for name, reason in _NOT_SERVED.items():
        if _asks(upload.fields.get(name, ())):
            raise InvalidRequest(name, reason)
    missing = [] if upload.get("model_id") else ["model_id"]
    if upload.file is None or missing:
        missing += ["file"] if upload.file is None else []
        raise Unprocessable(*(missing_field(["body", name]) for name in missing))
    fields = read_form(upload.fields, TranscriptionFields)
    if reason := fault(fields.keyterms):
        raise InvalidRequest("keyterms", reason)
    language = spoken_language(fields.language_code) if fields.language_code else None
    asked = (name for name, values in upload.fields.items() if _asks(values))
    without_effect = () if fields.diarize else ("num_speakers",)
    known = {*TranscriptionFields.__struct_fields__, *_NOT_SERVED}.difference(without_effect)
    return TranscriptionForm(
        fields,
        upload.file,
        # Whisper's highest temperature is 1.
        TranscriptionOptions(
            language, prompt=as_prompt(fields.keyterms), temperature=min(fields.temperature, 1.0)
        ),
        _additional_formats(fields.additional_formats),
        tuple(sorted(unknown_fields(asked, known))),
    )


def _asks(values: Iterable[str]) -> bool:
    return any(value.lower() not in _EMPTY for value in values)


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


def uploads_of(max_upload: int) -> dict[str, AudioUploads]:
    """Return what receives the uploads of each call, by its path; max_upload: bytes of a recording."""
    return {
        TRANSCRIPTION_PATH: AudioUploads(max_upload),
        ALIGNMENT_PATH: AudioUploads(max_upload, field_bytes=2 << 20, form_bytes=3 << 20),
    }


def recording_routes(service: SpeechService, uploads: Mapping[str, AudioUploads]) -> list[BaseRoute]:
    """Return the calls. Errors are ``{"detail": …}`` with 400, 413, 422, 429, 500 or 503."""
    files = service.budgets.recordings

    async def convert(request: Request) -> Response:
        async with uploads[TRANSCRIPTION_PATH].receive(request, files) as upload:
            form = parse_form(upload, service.recognition.spoken)
            heard, given = (request, service, PROTOCOL, form.file, form.options), form.given
            pcm = given.file_format != "other"
            async with transcribing(*heard, diarize=bool(given.diarize), pcm=pcm) as (session, segments):
                collected = Transcript.of(session, segments, form.options.language, given.num_speakers)
                transcript = await cancel_on_disconnect(request, collected)
        return json_answer(describe_transcript(transcript, form), unused=form.unused)

    async def align(request: Request) -> Response:
        async with uploads[ALIGNMENT_PATH].receive(request, files) as upload:
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
        return await asyncio.to_thread(lambda: json_answer(_described(found), unused=unused))

    calls = {TRANSCRIPTION_PATH: convert, ALIGNMENT_PATH: align}
    return [Route(path, endpoint(handler), methods=["POST"]) for path, handler in calls.items()]


def describe_transcript(transcript: Transcript, form: TranscriptionForm) -> dict[str, Any]:
    """Return the answer: the text, and its words with the spaces between them."""
    answer: dict[str, Any] = {
        "language_code": three_letter_code(transcript.language),
        "language_probability": round(transcript.language_probability, 4),
        "text": transcript.text,
        "words": _items(transcript, form.given.timestamps_granularity),
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
