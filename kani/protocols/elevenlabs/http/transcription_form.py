"""Forms of POST /v1/speech-to-text, parsed and validated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Annotated, Literal

from msgspec import Meta, Struct

from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.errors import InvalidRequest
from kani.core.expected_words import MAX_WORD, MAX_WORDS, as_prompt, fault
from kani.core.request import Range
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.elevenlabs.errors import Unprocessable
from kani.protocols.elevenlabs.http.body import missing_field
from kani.protocols.shared.calls.bodies import about, read_form, within
from kani.protocols.shared.recordings.upload import AudioUpload
from kani.text import foreign

Speakers = Annotated[int, Meta(ge=1, le=MAX_SPEAKERS)]
ADDITIONAL_FORMATS = ("srt", "txt")

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
        str | None,
        about(f"JSON: a list of objects, each with a format: {', '.join(ADDITIONAL_FORMATS)}."),
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
    if any(name not in ADDITIONAL_FORMATS for name in names):
        reason = f"must be a list of objects with a format, one of {', '.join(ADDITIONAL_FORMATS)}"
        raise InvalidRequest("additional_formats", reason)
    return tuple(dict.fromkeys(map(str, names)))
