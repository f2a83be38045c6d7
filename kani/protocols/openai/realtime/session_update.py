"""Updates of a Realtime session's configuration, read from the session objects of both generations."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from kani.core.audio.encoding import AudioFormat
from kani.core.errors import SpeechError, UnsupportedLanguage
from kani.core.expected_words import MAX_TEXT, MAX_WORD, MAX_WORDS
from kani.core.recognition_service import spoken_language
from kani.core.service import SpeechService
from kani.protocols.openai.errors import api_error
from kani.protocols.openai.realtime.answers.model_fields import (
    ModelFields,
    refuse_model_fields,
    with_model_fields,
)
from kani.protocols.openai.realtime.client_events import EventError, convert, faulty
from kani.protocols.openai.realtime.session_config import (
    BETA_FORMATS,
    DEFAULT_TRANSCRIPTION_MODEL,
    DEFAULT_VOICE,
    FORMATS,
    LOG_PROBABILITIES,
    PCM,
    Eagerness,
    SessionConfig,
    SessionKind,
    Transcription,
    TurnDetection,
)
from kani.protocols.openai.voice_names import resolve_voice

MIN_SPEED, MAX_SPEED = 0.25, 1.5
MAX_LANGUAGES = 20

Name = Annotated[str, Meta(max_length=200)]
Keyword = Annotated[str, Meta(max_length=MAX_WORD)]
Milliseconds = Annotated[float, Meta(ge=0, le=60_000)]
Speed = Annotated[float, Meta(ge=MIN_SPEED, le=MAX_SPEED)]
IdleMilliseconds = Annotated[float, Meta(ge=100, le=600_000)]


class Format(Struct):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None


class _Transcription(Struct):
    model: Name | None = None
    language: Name | None = None
    languages: Annotated[list[Name], Meta(max_length=MAX_LANGUAGES)] | None = None
    prompt: Annotated[str, Meta(max_length=MAX_TEXT)] | None = None
    keywords: Annotated[list[Keyword], Meta(max_length=MAX_WORDS)] | None = None


class _TurnDetection(Struct):
    type: Literal["server_vad", "semantic_vad"] | UnsetType = UNSET
    threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    prefix_padding_ms: Milliseconds | UnsetType | None = UNSET
    silence_duration_ms: Milliseconds | UnsetType | None = UNSET
    eagerness: Eagerness | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET
    idle_timeout_ms: IdleMilliseconds | UnsetType | None = UNSET
    over_answer: bool | UnsetType | None = UNSET


class VoiceId(Struct):
    id: Name


class _Input(Struct):
    format: Format | UnsetType | None = UNSET
    transcription: _Transcription | UnsetType | None = UNSET
    turn_detection: _TurnDetection | UnsetType | None = UNSET


class AudioOutput(Struct):
    """Fields ``audio.output`` of a session or a response."""

    format: Format | UnsetType | None = UNSET
    voice: Name | VoiceId | UnsetType | None = UNSET
    speed: Speed | UnsetType | None = UNSET


class _Audio(Struct):
    input: _Input | UnsetType | None = UNSET
    output: AudioOutput | UnsetType | None = UNSET


class _Session(ModelFields):
    """Fields of both generations: those after ``audio`` are the beta's."""

    type: SessionKind | UnsetType = UNSET
    model: Name | UnsetType | None = UNSET
    audio: _Audio | UnsetType | None = UNSET
    voice: Name | VoiceId | UnsetType | None = UNSET
    speed: Speed | UnsetType | None = UNSET
    include: list[Name] | UnsetType | None = UNSET
    input_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] | UnsetType | None = UNSET
    output_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] | UnsetType | None = UNSET
    input_audio_transcription: _Transcription | UnsetType | None = UNSET
    turn_detection: _TurnDetection | UnsetType | None = UNSET


_BETA_FIELDS = frozenset(
    {
        *("modalities", "voice", "speed", "input_audio_format", "output_audio_format"),
        *("input_audio_transcription", "turn_detection", "input_audio_noise_reduction"),
    }
)


def is_beta_session(session: dict[str, Any]) -> bool:
    """Return True if a session object has fields of the beta generation only."""
    return "type" not in session and "audio" not in session and not _BETA_FIELDS.isdisjoint(session)


def updated_config(
    config: SessionConfig, session: dict[str, Any], languages: Collection[str], root: str = "session"
) -> SessionConfig:
    """Return ``config`` with the fields of a session object: absent ones stay, unknown ones are ignored.

    languages: primary subtags that can be recognised; root: name of the object in errors. Raises EventError.
    """
    given = convert(session, _Session, root)
    if config.answers:
        config = with_model_fields(config, given, root)
    else:
        refuse_model_fields(given, given.output_modalities, root)
    if given.type is not UNSET:
        config = replace(config, kind=given.type)
    if isinstance(given.model, str):
        config = replace(config, model=given.model)
    if given.include is not UNSET:
        config = replace(config, log_probabilities=LOG_PROBABILITIES in (given.include or ()))
    audio = given.audio if isinstance(given.audio, _Audio) else _Audio()
    beta = _beta_audio(given)
    for part, transcription in (
        (beta, f"{root}.input_audio_transcription"),
        (audio, f"{root}.audio.input.transcription"),
    ):
        if isinstance(part.input, _Input):
            config = _with_input(config, part.input, languages, f"{root}.audio.input", transcription)
        if isinstance(part.output, AudioOutput):
            config = with_output(config, part.output, f"{root}.audio.output")
    if config.kind == "transcription" and config.transcription is None:
        config = replace(config, transcription=Transcription())
    return config


def heard_languages(service: SpeechService) -> Collection[str]:
    """Return the primary subtags that can be recognised."""
    recognizer = service.recognition.recognizer
    return recognizer.info.languages if recognizer is not None else frozenset()


async def check_voice(
    service: SpeechService, config: SessionConfig, session: dict[str, Any], root: str = "session"
) -> None:
    """Raise EventError for a voice of a session object that is not there; ``config`` was made of it."""
    param = f"{root}.voice" if "voice" in session else f"{root}.audio.output.voice"
    try:
        await asyncio.to_thread(resolve_voice, service, config.voice)
    except SpeechError as error:
        known = api_error(error)
        raise faulty(param, str(known).removeprefix("voice: "), known.code or "server_error") from error


def applied_update(
    config: SessionConfig, session: dict[str, Any], languages: Collection[str]
) -> tuple[SessionConfig, list[EventError]]:
    """Return ``config`` with the fields of a session object that can be served, and the others' errors.

    A voice agent that declares a tool still gets its voice and its turn detection.
    """
    errors: list[EventError] = []
    rest = session
    while True:
        try:
            updated = updated_config(config, rest, languages)
        except EventError as error:
            errors.append(error)
            given, rest = rest, without(rest, (error.param or "").split(".")[1:])
            if rest == given or not rest.keys() - {"type"}:
                return config, errors
        else:
            return updated, errors


def without(given: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return an object without the field on a path of names, or without as much of the path as it has.

    Of a list only the element goes that the path names, such as "tools[1]". Objects and lists that this
    leaves empty go, too. A format is one value, and goes as a whole.
    """
    name, _, index = path[0].partition("[") if path else ("", "", "")
    if name not in given:
        return given
    inner = given[name]
    if isinstance(inner, list) and index and len(inner) > 1:
        at = int(index.rstrip("]"))
        return given | {name: inner[:at] + inner[at + 1 :]}
    if isinstance(inner, dict) and name != "format" and len(path) > 1:
        left = without(inner, path[1:])
        if left and left != inner:
            return given | {name: left}
    return {key: value for key, value in given.items() if key != name}


def _beta_audio(given: _Session) -> _Audio:
    formats = [
        Format(BETA_FORMATS[name]) if isinstance(name, str) else name  # type: ignore[arg-type]
        for name in (given.input_audio_format, given.output_audio_format)
    ]
    audio_input = _Input(formats[0], given.input_audio_transcription, given.turn_detection)
    return _Audio(audio_input, AudioOutput(formats[1], given.voice, given.speed))


def _with_input(
    config: SessionConfig, given: _Input, languages: Collection[str], root: str, transcription_param: str
) -> SessionConfig:
    if given.format is not UNSET:
        config = replace(config, input_format=read_format(given.format, f"{root}.format"))
    if given.transcription is None:
        config = replace(config, transcription=None)
    elif given.transcription is not UNSET:
        transcription = _read_transcription(
            given.transcription, config.transcription, languages, transcription_param
        )
        config = replace(config, transcription=transcription)
    if given.turn_detection is None:
        config = replace(config, turns=None)
    elif given.turn_detection is not UNSET:
        detection = _read_turn_detection(given.turn_detection, config.turn_detection)
        config = replace(config, turns=detection)
    return config


def with_output(config: SessionConfig, given: AudioOutput, root: str) -> SessionConfig:
    """Return ``config`` with the fields of an ``audio.output``; null means the default. Raises EventError."""
    if given.format is not UNSET:
        config = replace(config, output_format=read_format(given.format, f"{root}.format"))
    if given.voice is not UNSET:
        voice = given.voice.id if isinstance(given.voice, VoiceId) else given.voice
        config = replace(config, voice=voice or DEFAULT_VOICE)
    if given.speed is not UNSET:
        config = replace(config, speed=1.0 if given.speed is None else given.speed)
    return config


def read_format(given: Format | None, param: str, other: int | None = None) -> AudioFormat:
    """Return a format; None is PCM, which may have an ``other`` rate in hertz. Raises EventError."""
    if given is None:
        return PCM
    known = FORMATS[given.type]
    rates = {known.sample_rate, other or known.sample_rate} if known.codec == "pcm" else {known.sample_rate}
    if given.rate is not None and given.rate not in rates:
        raise faulty(f"{param}.rate", f"{given.type} has {' or '.join(map(str, sorted(rates)))} Hz")
    return replace(known, sample_rate=given.rate or known.sample_rate)


def _read_transcription(
    given: _Transcription, before: Transcription | None, known: Collection[str], param: str
) -> Transcription:
    model = given.model or (before.model if before is not None else DEFAULT_TRANSCRIPTION_MODEL)
    named = [given.language] if given.language else given.languages or []
    param = f"{param}.{'language' if given.language else 'languages'}"
    spoken = [code for name in named if (code := _read_language(name, known, param))]
    # If several languages may be spoken, the recogniser detects the one that is.
    language = spoken[0] if len(spoken) == 1 else None
    several = tuple(spoken) if language is None else ()
    keywords = tuple(stripped for word in given.keywords or () if (stripped := word.strip()))
    return Transcription(model, language, given.prompt or "", keywords, several)


def _read_language(name: str, known: Collection[str], param: str) -> str | None:
    try:
        return spoken_language(name, known)
    except UnsupportedLanguage as error:
        raise faulty(param, f"{name!r} cannot be recognised", "unsupported_language") from error


def _read_turn_detection(given: _TurnDetection, before: TurnDetection | None) -> TurnDetection:
    """Return the detection: fields that are absent stay, or have their defaults if the type changes."""
    kind = given.type or (before.kind if before is not None else "server_vad")
    base = before if before is not None and before.kind == kind else TurnDetection(kind)
    defaults = TurnDetection()
    fields = msgspec.structs.asdict(given)
    fields.pop("type")
    changed = {
        name: getattr(defaults, name) if value is None else value
        for name, value in fields.items()
        if value is not UNSET
    }
    return replace(base, **changed)
