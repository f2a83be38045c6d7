"""Fields of a transcription request, parsed and validated; unknown fields are named."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from kani.core.audio.recording_file import Clip
from kani.core.errors import UnsupportedLanguage
from kani.core.expected_words import MAX_WORD, MAX_WORDS, as_prompt, fault
from kani.core.request import Range
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.openai.transcription import known_speakers as known
from kani.protocols.openai.transcription.known_speakers import KnownSpeakers
from kani.protocols.shared.calls.bodies import about, one_of, parse_object, read_form, unknown_fields, within
from kani.protocols.shared.errors import field_error
from kani.protocols.shared.recordings.upload import AudioUpload

FORMATS = ("json", "text", "srt", "verbose_json", "vtt", "diarized_json")
NAMING = ("srt", "vtt", "verbose_json")
"""Formats that name the speakers if the model is of those that do, or by Speaches' ``diarization``."""

DIARIZING = "diarize"
"""Part of the names of OpenAI's models that tell speakers apart."""

MAX_LANGUAGES = 20
MAX_PROMPT = 16 * 1024
"""Characters; the model reads the last 220 tokens."""

_TIMES = "timestamp_granularities"

SpokenLanguage = Callable[[str], str | None]
"""Returns the recogniser's language for a code, a tag or a name, None to detect it. Raises
UnsupportedLanguage.
"""


class TranslationFields(Struct, kw_only=True):
    """The form may also be a JSON object, with the file as base64 in input_audio.data."""

    model: Annotated[str, about("Any name, for example whisper-1.")]
    language: Annotated[
        str | None, about("Code, tag or name of the spoken language; detected by default.")
    ] = None
    languages: Annotated[
        list[str], about("Languages between which detection decides.", max_length=MAX_LANGUAGES)
    ] = []
    keywords: Annotated[
        list[Annotated[str, Meta(max_length=MAX_WORD)]],
        about("Words that may occur in the recording.", max_length=MAX_WORDS),
    ] = []
    prompt: Annotated[str, about("Text that precedes the recording.", max_length=MAX_PROMPT)] = ""
    response_format: Annotated[str, one_of(FORMATS, "Format of the transcript.")] = "json"
    temperature: Annotated[float, within(Range(0, 1), "Sampling temperature.")] = 0.0
    timestamp_granularities: Annotated[list[Literal["word", "segment"]], about("Times in verbose_json.")] = []
    include: Annotated[list[Literal["logprobs"]], about("Further fields of the answer.")] = []
    chunking_strategy: Annotated[str, about("auto, or an object of the type server_vad; without effect.")] = (
        "auto"
    )
    stream: Annotated[bool, about("Whether the answer is server-sent events.")] = False
    diarization: Annotated[bool, about("Whether subtitles and verbose_json name the speakers.")] = False
    start: Annotated[float | None, about("Second at which the recording is heard from.")] = None
    duration: Annotated[float | None, about("Seconds of it that are heard, with start.")] = None


class TranscriptionFields(TranslationFields, kw_only=True):
    """The form may also be a JSON object, with the file as base64 in input_audio.data."""

    known_speaker_names: Annotated[
        list[str], about(f"With diarized_json: names of {known.MAX_SPEAKERS} speakers at most.")
    ] = []
    known_speaker_references: Annotated[
        list[str], about(f"A recording of each of them, {known.MIN_S:g} to {known.MAX_S:g} s, as a data URL.")
    ] = []


@dataclass(frozen=True, slots=True)
class TranscriptionParams:
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
    """Parse the fields of ``upload``. Raises RequestError."""
    if upload.file is None:
        raise field_error("file", "is missing: send the recording as a form's file", "missing_file")
    if upload.get("model") is None:
        raise field_error("model", "is missing; any name is accepted, whisper-1 say", "missing_model")
    # Some clients send the list as one text: "word,segment" or ["word"].
    listed = [each for text in upload.fields.get(_TIMES, ()) for each in re.split(r'[\s,"\[\]]+', text)]
    fields = read_form({**upload.fields, _TIMES: listed}, TranscriptionFields)
    response_format = _response_format(fields.response_format, translate=translate)
    words = "word" in fields.timestamp_granularities
    timed = response_format == "verbose_json"
    if words and not timed and fields.model == "whisper-1":
        # OpenAI refuses only this: clients send the field with json, and with its other models words, too.
        raise field_error(_TIMES, "words need response_format verbose_json")
    _check_chunking(fields.chunking_strategy)
    asked = fields.diarization or DIARIZING in fields.model
    diarize = response_format == "diarized_json" or (response_format in NAMING and asked)
    effective = {*TranslationFields.__struct_fields__, "file", "input_audio"} - {"chunking_strategy"}
    effective -= set() if timed else {_TIMES}
    effective -= set() if response_format in NAMING else {"diarization"}
    effective |= {known.NAMES, known.REFERENCES} if diarize else set()
    given = (name for name, values in upload.fields.items() if any(values))
    return TranscriptionParams(
        _options(fields, spoken_language, translate=translate),
        response_format,
        words=words,
        segments="segment" in fields.timestamp_granularities or not fields.timestamp_granularities,
        log_probabilities="logprobs" in fields.include,
        stream=fields.stream,
        unused=tuple(unknown_fields(given, effective)),
        diarize=diarize,
        clip=_clip(fields),
        known_speakers=KnownSpeakers.of(upload) if diarize else KnownSpeakers(),
    )


def _options(
    fields: TranslationFields, spoken_language: SpokenLanguage, *, translate: bool
) -> TranscriptionOptions:
    language = fields.language
    if reason := fault(fields.keywords):
        raise field_error("keywords", reason)
    candidates = {
        code for name in fields.languages if (code := _language("languages", name, spoken_language))
    }
    return TranscriptionOptions(
        language=_language("language", language, spoken_language) if language else None,
        candidates=frozenset(candidates),
        translate=translate,
        prompt=as_prompt(fields.keywords, fields.prompt),
        temperature=fields.temperature,
    )


def _response_format(given: str, *, translate: bool) -> str:
    # OpenAI's translations have no speakers.
    allowed = [name for name in FORMATS if not (translate and name == "diarized_json")]
    if given in allowed:
        return given
    reason = f"unknown format {given[:40]!r} (one of {', '.join(allowed)})"
    raise field_error("response_format", reason, "unsupported_format")


def _language(field: str, name: str, spoken_language: SpokenLanguage) -> str | None:
    try:
        return spoken_language(name)
    except UnsupportedLanguage as error:
        raise field_error(field, error.reason, "unsupported_language") from error


def _clip(fields: TranslationFields) -> Clip:
    """Return the stretch that Speaches' ``start`` and ``duration`` name, in seconds."""
    clip = Clip(fields.start or 0.0, math.inf if fields.duration is None else fields.duration)
    if not 0 <= clip.start_s < math.inf:
        raise field_error("start", "must be a number of seconds, 0 or more")
    if fields.duration is not None and not (clip.length_s > 0 and fields.start is not None):
        raise field_error("duration", "must be a number of seconds above 0, and needs start")
    return clip


def _check_chunking(given: str) -> None:
    """Check ``chunking_strategy``, which has no effect: pauses divide every recording here."""
    if given == "auto":
        return
    try:
        strategy: dict[str, Any] = parse_object(given)
    except ValueError:
        strategy = {}
    if strategy.get("type") != "server_vad":
        raise field_error("chunking_strategy", 'must be "auto" or {"type": "server_vad"}')
