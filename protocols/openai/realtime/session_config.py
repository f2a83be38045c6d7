"""Configuration of a Realtime session: read from the fields of either generation, written as either."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from protocols.openai.realtime.client_events import EventError, convert, unsupported
from speech.audio.encoding import AudioFormat
from speech.errors import UnsupportedLanguage
from speech.text.languages import primary, resolve

SessionKind = Literal["realtime", "transcription"]
Eagerness = Literal["low", "medium", "high", "auto"]

PCM = AudioFormat("audio/pcm", "pcm", 24_000, None, "audio/pcm")
FORMATS = {
    "audio/pcm": PCM,
    "audio/pcmu": AudioFormat("audio/pcmu", "ulaw", 8000, None, "audio/basic"),
    "audio/pcma": AudioFormat("audio/pcma", "alaw", 8000, None, "audio/x-alaw-basic"),
}
BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_BETA_NAMES = {name: beta for beta, name in BETA_FORMATS.items()}

DEFAULT_MODEL = "gpt-realtime"
DEFAULT_VOICE = "alloy"
DEFAULT_TRANSCRIPTION_MODEL = "whisper-1"
MIN_SPEED, MAX_SPEED = 0.25, 1.5
MAX_LANGUAGES = 20

SENTENCE_SILENCE_S: dict[Eagerness, float] = {"low": 1.2, "medium": 0.7, "auto": 0.7, "high": 0.4}
"""Silence behind a complete sentence that ends a turn, by the eagerness of ``semantic_vad``."""

LONGEST_SILENCE_S: dict[Eagerness, float] = {"low": 8.0, "medium": 4.0, "auto": 4.0, "high": 2.0}
"""Silence behind any other word that does."""


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Turn detection: the way in which the server finds the turns of the input audio."""

    kind: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float = 0.5  # probability of a voice from which on it is speech
    prefix_padding_ms: float = 300
    silence_duration_ms: float = 500
    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True

    @property
    def sentence_silence_s(self) -> float:
        """Silence behind a complete sentence that ends a turn, in seconds."""
        semantic = self.kind == "semantic_vad"
        return SENTENCE_SILENCE_S[self.eagerness] if semantic else self.silence_duration_ms / 1000

    @property
    def longest_silence_s(self) -> float:
        """Silence behind any other word that ends a turn, in seconds."""
        semantic = self.kind == "semantic_vad"
        return LONGEST_SILENCE_S[self.eagerness] if semantic else self.silence_duration_ms / 1000

    def as_json(self) -> dict[str, Any]:
        """Return the object of the wire."""
        responses = {"create_response": self.create_response, "interrupt_response": self.interrupt_response}
        if self.kind == "semantic_vad":
            return {"type": self.kind, "eagerness": self.eagerness, **responses}
        return {
            "type": self.kind,
            "threshold": self.threshold,
            "prefix_padding_ms": round(self.prefix_padding_ms),
            "silence_duration_ms": round(self.silence_duration_ms),
            "idle_timeout_ms": None,
            **responses,
        }


@dataclass(frozen=True, slots=True)
class Transcription:
    """Recognition of the input audio."""

    model: str = DEFAULT_TRANSCRIPTION_MODEL  # any name: there is one recogniser
    language: str | None = None  # primary subtag; None is detected from the speech

    def as_json(self) -> dict[str, Any]:
        """Return the object of the wire."""
        return {"model": self.model, "language": self.language, "prompt": ""}


@dataclass(frozen=True, slots=True)
class SessionConfig:
    """The whole configuration that is in force."""

    kind: SessionKind = "realtime"
    model: str = DEFAULT_MODEL  # as the client named it
    input_format: AudioFormat = PCM
    transcription: Transcription | None = None
    turn_detection: TurnDetection | None = TurnDetection()
    output_format: AudioFormat = PCM
    voice: str = DEFAULT_VOICE
    speed: float = 1.0

    def as_json(self, session_id: str, expires_at: int) -> dict[str, Any]:
        """Return the session object of the current generation."""
        audio_input = {
            "format": _format_json(self.input_format),
            "transcription": self.transcription and self.transcription.as_json(),
            "noise_reduction": None,
            "turn_detection": self.turn_detection and self.turn_detection.as_json(),
        }
        if self.kind == "transcription":
            return {
                "type": self.kind,
                "object": "realtime.transcription_session",
                "id": session_id,
                "expires_at": expires_at,
                "audio": {"input": audio_input},
                "include": None,
            }
        output = {"format": _format_json(self.output_format), "voice": self.voice, "speed": self.speed}
        return {
            "type": self.kind,
            "object": "realtime.session",
            "id": session_id,
            "model": self.model,
            "expires_at": expires_at,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": "inf",
            "tracing": None,
            "prompt": None,
            "audio": {"input": audio_input, "output": output},
            "include": None,
        }

    def as_beta_json(self, session_id: str, expires_at: int) -> dict[str, Any]:
        """Return the session object of the beta generation."""
        common = {
            "id": session_id,
            "expires_at": expires_at,
            "input_audio_format": _BETA_NAMES[self.input_format.name],
            "input_audio_transcription": self.transcription and self.transcription.as_json(),
            "input_audio_noise_reduction": None,
            "turn_detection": self.turn_detection and self.turn_detection.as_json(),
        }
        if self.kind == "transcription":
            return {"object": "realtime.transcription_session", **common, "include": None}
        return {
            "object": "realtime.session",
            "model": self.model,
            "modalities": ["text", "audio"],
            "instructions": "",
            "voice": self.voice,
            "speed": self.speed,
            "tools": [],
            "output_audio_format": _BETA_NAMES[self.output_format.name],
            "tool_choice": "none",
            "temperature": 0.8,
            "max_response_output_tokens": "inf",
            **common,
        }


def initial_config(kind: SessionKind, model: str | None) -> SessionConfig:
    """Return the configuration of a new session; model: of the address, if it names one."""
    if kind == "realtime":
        return SessionConfig(model=model or DEFAULT_MODEL)
    transcription = Transcription(model or DEFAULT_TRANSCRIPTION_MODEL)
    return SessionConfig("transcription", transcription=transcription)


Name = Annotated[str, Meta(max_length=200)]
Milliseconds = Annotated[float, Meta(ge=0, le=60_000)]
Speed = Annotated[float, Meta(ge=MIN_SPEED, le=MAX_SPEED)]
Modalities = list[Literal["text", "audio"]]


class _Format(Struct):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: int | None = None


class _Transcription(Struct):
    model: Name | None = None
    language: Name | None = None
    languages: Annotated[list[Name], Meta(max_length=MAX_LANGUAGES)] | None = None


class _TurnDetection(Struct):
    type: Literal["server_vad", "semantic_vad"] | UnsetType = UNSET
    threshold: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    prefix_padding_ms: Milliseconds | UnsetType | None = UNSET
    silence_duration_ms: Milliseconds | UnsetType | None = UNSET
    eagerness: Eagerness | UnsetType | None = UNSET
    create_response: bool | UnsetType | None = UNSET
    interrupt_response: bool | UnsetType | None = UNSET


class _VoiceId(Struct):
    id: Name


class _Input(Struct):
    format: _Format | UnsetType | None = UNSET
    transcription: _Transcription | UnsetType | None = UNSET
    turn_detection: _TurnDetection | UnsetType | None = UNSET


class AudioOutput(Struct):
    """Fields ``audio.output`` of a session or a response."""

    format: _Format | UnsetType | None = UNSET
    voice: Name | _VoiceId | UnsetType | None = UNSET
    speed: Speed | UnsetType | None = UNSET


class _Audio(Struct):
    input: _Input | UnsetType | None = UNSET
    output: AudioOutput | UnsetType | None = UNSET


class _Session(Struct):
    """Fields of both generations: those behind ``audio`` and ``tools`` are the beta's."""

    type: SessionKind | UnsetType = UNSET
    model: Name | UnsetType | None = UNSET
    audio: _Audio | UnsetType | None = UNSET
    output_modalities: Modalities | UnsetType | None = UNSET
    tools: list[Any] | UnsetType | None = UNSET
    tool_choice: Any = UNSET
    modalities: Modalities | UnsetType | None = UNSET
    voice: Name | _VoiceId | UnsetType | None = UNSET
    speed: Speed | UnsetType | None = UNSET
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
    """Return True if a session object has fields of the beta generation alone."""
    return "type" not in session and "audio" not in session and not _BETA_FIELDS.isdisjoint(session)


def updated_config(
    config: SessionConfig, session: dict[str, Any], languages: Collection[str], root: str = "session"
) -> SessionConfig:
    """Return ``config`` with the fields of a session object: absent ones stay, unknown ones are ignored.

    languages: primary subtags that can be recognised; root: name of the object in errors. Raises EventError.
    """
    given = convert(session, _Session, root)
    refuse_model_requests(given.tools, given.tool_choice, given.output_modalities, root)
    if given.type is not UNSET:
        config = replace(config, kind=given.type)
    if isinstance(given.model, str):
        config = replace(config, model=given.model)
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


def refuse_model_requests(tools: Any, tool_choice: Any, modalities: Any, root: str) -> None:
    """Raise EventError for what only a language model can do: calls of tools, and answers as text."""
    if isinstance(tools, list) and tools and tool_choice != "none":
        raise unsupported(f"{root}.tools: tools cannot be called", f"{root}.tools")
    if isinstance(modalities, list) and modalities and "audio" not in modalities:
        param = f"{root}.output_modalities"
        raise unsupported(f"{param}: answers are audio", param)


def _beta_audio(given: _Session) -> _Audio:
    """Return the beta's fields as the current generation's."""
    formats = [
        _Format(BETA_FORMATS[name]) if isinstance(name, str) else name  # type: ignore[arg-type]
        for name in (given.input_audio_format, given.output_audio_format)
    ]
    audio_input = _Input(formats[0], given.input_audio_transcription, given.turn_detection)
    return _Audio(audio_input, AudioOutput(formats[1], given.voice, given.speed))


def _with_input(
    config: SessionConfig, given: _Input, languages: Collection[str], root: str, transcription_param: str
) -> SessionConfig:
    if given.format is not UNSET:
        config = replace(config, input_format=_read_format(given.format, f"{root}.format"))
    if given.transcription is None:
        config = replace(config, transcription=None)
    elif given.transcription is not UNSET:
        transcription = _read_transcription(
            given.transcription, config.transcription, languages, transcription_param
        )
        config = replace(config, transcription=transcription)
    if given.turn_detection is None:
        config = replace(config, turn_detection=None)
    elif given.turn_detection is not UNSET:
        detection = _read_turn_detection(given.turn_detection, config.turn_detection)
        config = replace(config, turn_detection=detection)
    return config


def with_output(config: SessionConfig, given: AudioOutput, root: str) -> SessionConfig:
    """Return ``config`` with the fields of an ``audio.output``; null means the default. Raises EventError."""
    if given.format is not UNSET:
        config = replace(config, output_format=_read_format(given.format, f"{root}.format"))
    if given.voice is not UNSET:
        voice = given.voice.id if isinstance(given.voice, _VoiceId) else given.voice
        config = replace(config, voice=voice or DEFAULT_VOICE)
    if given.speed is not UNSET:
        config = replace(config, speed=1.0 if given.speed is None else given.speed)
    return config


def _read_format(given: _Format | None, param: str) -> AudioFormat:
    if given is None:
        return PCM
    audio_format = FORMATS[given.type]
    if given.rate not in (None, audio_format.sample_rate):
        rate = audio_format.sample_rate
        raise EventError(f"{param}.rate: {given.type} has {rate} Hz", "invalid_value", f"{param}.rate")
    return audio_format


def _read_transcription(
    given: _Transcription, before: Transcription | None, known: Collection[str], param: str
) -> Transcription:
    model = given.model or (before.model if before is not None else DEFAULT_TRANSCRIPTION_MODEL)
    named = [given.language] if given.language else given.languages or []
    spoken = [_read_language(name, known, param) for name in named]
    # Of several languages that may be spoken the recogniser detects the one that is.
    return Transcription(model, spoken[0] if len(spoken) == 1 else None)


def _read_language(name: str, known: Collection[str], param: str) -> str:
    try:
        language = primary(resolve(name))
    except UnsupportedLanguage:
        language = ""
    if language not in known:
        param = f"{param}.language"
        raise EventError(f"{param}: {name!r} cannot be recognised", "unsupported_language", param)
    return language


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


def _format_json(audio_format: AudioFormat) -> dict[str, Any]:
    rate = {"rate": audio_format.sample_rate} if audio_format.codec == "pcm" else {}
    return {"type": audio_format.name, **rate}
