"""Fields of a transcription request, parsed and validated; unknown fields are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from kani.core.audio.recording_file import Clip
from kani.core.errors import UnsupportedLanguage
from kani.core.expected_words import MAX_WORDS, as_prompt, fault
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.openai.errors import ApiError
from kani.protocols.openai.transcription.known_speakers import NAMES, REFERENCES, KnownSpeakers
from kani.protocols.shared.calls.unused import unknown_fields
from kani.protocols.shared.json_input import parse_object
from kani.protocols.shared.recordings.upload import AudioUpload

FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
NAMING = ("srt", "vtt", "verbose_json")
"""Formats that name the speakers if the model is of those that do, or by Speaches' ``diarization``."""

GRANULARITIES = ("word", "segment")
INCLUDES = ("logprobs",)

FIELDS = frozenset(
    {
        *("file", "input_audio", "model", "language", "languages", "prompt", "keywords", "response_format"),
        *("temperature", "timestamp_granularities", "include", "stream", "start", "duration"),
    }
)
"""Fields that have an effect; ``model`` may have any name."""

DIARIZING = "diarize"
"""Part of the names of OpenAI's models that tell speakers apart."""

MAX_LANGUAGES = 20
MAX_PROMPT = 16 * 1024
"""Characters; the model reads the last 220 tokens."""

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

SpokenLanguage = Callable[[str], str | None]
"""Returns the recogniser's language for a code, a tag or a name, None to detect it. Raises
UnsupportedLanguage.
"""


@dataclass(frozen=True, slots=True)
class TranscriptionParams:
    """A validated request."""

    options: TranscriptionOptions
    response_format: str  # one of ``FORMATS``
    words: bool  # whether verbose_json has words
    segments: bool  # whether verbose_json has segments
    log_probabilities: bool  # whether json has them
    stream: bool
    unused: tuple[str, ...]  # names of the given fields without effect
    diarize: bool  # whether the answer names the speakers
    clip: Clip = field(default_factory=Clip)  # what of the recording is heard
    known_speakers: KnownSpeakers = field(default_factory=KnownSpeakers)


def parse_params(
    upload: AudioUpload, spoken_language: SpokenLanguage, *, translate: bool
) -> TranscriptionParams:
    """Parse the fields of ``upload``. Raises ApiError (400) that names the field."""
    if upload.file is None:
        raise ApiError(400, "file: is missing: send the recording as a form's file", "file", "missing_file")
    if upload.get("model") is None:
        raise ApiError(
            400, "model: is missing; any name is accepted, whisper-1 say", "model", "missing_model"
        )
    response_format = _response_format(upload, translate=translate)
    granularities = _choices(upload, "timestamp_granularities", GRANULARITIES)
    timed = response_format == "verbose_json"
    if "word" in granularities and not timed and upload.get("model") == "whisper-1":
        # OpenAI refuses only this: clients send the field with json, and with its other models words, too.
        message = "timestamp_granularities: words need response_format verbose_json"
        raise ApiError(400, message, "timestamp_granularities", "invalid_value")
    stream = _flag(upload, "stream")
    includes = _choices(upload, "include", INCLUDES)
    _check_chunking(upload)
    asked = _flag(upload, "diarization") or DIARIZING in (upload.get("model") or "")
    diarize = response_format == "diarized_json" or (response_format in NAMING and asked)
    known = FIELDS - (set() if timed else {"timestamp_granularities"})
    known |= {NAMES, REFERENCES} if diarize else set()
    known |= {"diarization"} if response_format in NAMING else set()
    return TranscriptionParams(
        _options(upload, spoken_language, translate=translate),
        response_format,
        words="word" in granularities,
        segments="segment" in granularities or not granularities,
        log_probabilities="logprobs" in includes,
        stream=stream,
        unused=tuple(unknown_fields((name for name, values in upload.fields.items() if any(values)), known)),
        diarize=diarize,
        clip=_clip(upload),
        known_speakers=KnownSpeakers.of(upload) if diarize else KnownSpeakers(),
    )


def _options(
    upload: AudioUpload, spoken_language: SpokenLanguage, *, translate: bool
) -> TranscriptionOptions:
    language = upload.get("language")
    keywords = _list(upload, "keywords", MAX_WORDS)
    if reason := fault(keywords):
        raise _invalid("keywords", reason)
    named = _list(upload, "languages", MAX_LANGUAGES)
    candidates = {code for name in named if (code := _language("languages", name, spoken_language))}
    return TranscriptionOptions(
        language=_language("language", language, spoken_language) if language else None,
        candidates=frozenset(candidates),
        translate=translate,
        prompt=as_prompt(keywords, _prompt(upload)),
        temperature=_temperature(upload),
    )


def _prompt(upload: AudioUpload) -> str:
    prompt = upload.get("prompt") or ""
    if len(prompt) > MAX_PROMPT:
        raise _invalid("prompt", f"is too long (at most {MAX_PROMPT} characters)")
    return prompt


def _response_format(upload: AudioUpload, *, translate: bool) -> str:
    given = upload.get("response_format") or "json"
    # OpenAI's translations have no speakers.
    known = [name for name in FORMATS if not (translate and name == "diarized_json")]
    if given in known:
        return given
    message = f"response_format: unknown format {given[:40]!r} (one of {', '.join(known)})"
    raise ApiError(400, message, "response_format", "unsupported_format")


def _choices(upload: AudioUpload, name: str, known: Sequence[str]) -> tuple[str, ...]:
    given = tuple(value for value in upload.fields.get(name, ()) if value)
    if wrong := next((value for value in given if value not in known), None):
        raise _invalid(name, f"unknown value {wrong[:40]!r} (one of {', '.join(known)})")
    return given


def _list(upload: AudioUpload, name: str, most: int) -> tuple[str, ...]:
    given = tuple(value.strip() for value in upload.fields.get(name, ()) if value.strip())
    if len(given) > most:
        raise _invalid(name, f"too many (at most {most})")
    return given


def _language(field: str, name: str, spoken_language: SpokenLanguage) -> str | None:
    try:
        return spoken_language(name)
    except UnsupportedLanguage as error:
        raise ApiError(400, f"{field}: {error.reason}", field, "unsupported_language") from error


def _flag(upload: AudioUpload, name: str) -> bool:
    given = (upload.get(name) or "false").lower()
    if given not in _TRUE + _FALSE:
        raise _invalid(name, "must be true or false")
    return given in _TRUE


def _temperature(upload: AudioUpload) -> float:
    temperature = _number(upload, "temperature", 0.0)
    if not 0 <= temperature <= 1:
        raise _invalid("temperature", "must be a number between 0 and 1")
    return temperature


def _clip(upload: AudioUpload) -> Clip:
    """Return the stretch that Speaches' ``start`` and ``duration`` name, in seconds."""
    clip = Clip(_number(upload, "start", 0.0), _number(upload, "duration", math.inf))
    if not 0 <= clip.start_s < math.inf:
        raise _invalid("start", "must be a number of seconds, 0 or more")
    if upload.get("duration") and not (clip.length_s > 0 and upload.get("start")):
        raise _invalid("duration", "must be a number of seconds above 0, and needs start")
    return clip


def _number(upload: AudioUpload, name: str, otherwise: float) -> float:
    """Return a number, ``otherwise`` without one, and -1, which no field takes, for what is none."""
    given = upload.get(name)
    try:
        return otherwise if given is None else float(given)
    except ValueError:
        return -1.0


def _check_chunking(upload: AudioUpload) -> None:
    """Check ``chunking_strategy``, which has no effect: pauses divide every recording here."""
    given = upload.get("chunking_strategy")
    if given is None or given == "auto":
        return
    try:
        strategy: dict[str, Any] = parse_object(given)
    except ValueError:
        strategy = {}
    if strategy.get("type") != "server_vad":
        raise _invalid("chunking_strategy", 'must be "auto" or {"type": "server_vad"}')


def _invalid(field: str, reason: str) -> ApiError:
    return ApiError(400, f"{field}: {reason}", field, "invalid_value")
