"""Forms of POST /v1/speech-to-text, parsed and validated."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from kani.core.diarization.diarizer import MAX_SPEAKERS
from kani.core.errors import InvalidRequest
from kani.core.expected_words import as_prompt, fault
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.elevenlabs.errors import Unprocessable
from kani.protocols.elevenlabs.http.body import missing_field
from kani.protocols.shared.recordings.upload import AudioUpload
from kani.text import foreign

GRANULARITIES = ("none", "word", "character")
FILE_FORMATS = ("other", "pcm_s16le_16")
ADDITIONAL_FORMATS = ("srt", "txt")

MAX_TEMPERATURE = 2.0

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


@dataclass(frozen=True, slots=True)
class TranscriptionForm:
    file: IO[bytes]
    options: TranscriptionOptions
    granularity: str  # one of ``GRANULARITIES``
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
    code = upload.get("language_code")
    language = spoken_language(code) if code else None
    diarize, speakers = _diarize(upload), _speakers(upload)
    without_effect = _WITHOUT_EFFECT if diarize else ("num_speakers", *_WITHOUT_EFFECT)
    unused = [name for name in without_effect if (upload.get(name) or "").lower() not in _EMPTY]
    return TranscriptionForm(
        upload.file,
        TranscriptionOptions(language, prompt=as_prompt(_keyterms(upload)), temperature=_temperature(upload)),
        _choice(upload, "timestamps_granularity", GRANULARITIES, "word"),
        _choice(upload, "file_format", FILE_FORMATS, "other") != "other",
        _additional_formats(upload.get("additional_formats")),
        diarize,
        speakers,
        tuple(unused),
    )


def _keyterms(upload: AudioUpload) -> list[str]:
    terms = [term.strip() for term in upload.fields.get("keyterms", ()) if term.strip()]
    if reason := fault(terms):
        raise InvalidRequest("keyterms", reason)
    return terms


def _temperature(upload: AudioUpload) -> float:
    given = upload.get("temperature") or "0"
    try:
        temperature = float(given)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= MAX_TEMPERATURE:
        raise InvalidRequest("temperature", f"must be a number between 0 and {MAX_TEMPERATURE:g}")
    # Whisper's highest is 1.
    return min(temperature, 1.0)


def _diarize(upload: AudioUpload) -> bool:
    given = (upload.get("diarize") or "false").lower()
    if given not in ("true", "false", "1", "0", "null"):
        raise InvalidRequest("diarize", "must be true or false")
    return given in ("true", "1")


def _speakers(upload: AudioUpload) -> int | None:
    given = upload.get("num_speakers") or "null"
    if given == "null":
        return None
    if not re.fullmatch("[0-9]{1,2}", given) or not 1 <= int(given) <= MAX_SPEAKERS:
        raise InvalidRequest("num_speakers", f"must be a whole number from 1 to {MAX_SPEAKERS}")
    return int(given)


def _choice(upload: AudioUpload, name: str, known: tuple[str, ...], default: str) -> str:
    given = upload.get(name) or default
    if given not in known:
        raise InvalidRequest(name, f"must be one of {', '.join(known)}")
    return given


def _additional_formats(given: str | None) -> tuple[str, ...]:
    try:
        formats = foreign.parse_json(given) if given else None
    except foreign.Unreadable as error:
        raise InvalidRequest("additional_formats", "must be JSON") from error
    if formats is None:
        return ()
    names = [one.get("format") if isinstance(one, dict) else None for one in _as_list(formats)]
    if any(name not in ADDITIONAL_FORMATS for name in names):
        reason = f"must be a list of objects with a format, one of {', '.join(ADDITIONAL_FORMATS)}"
        raise InvalidRequest("additional_formats", reason)
    return tuple(dict.fromkeys(map(str, names)))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
