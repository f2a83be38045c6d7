"""Bodies of speech requests, parsed and validated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from kani.core.audio.encoding import AudioFormat
from kani.core.errors import TextTooLong, UnsupportedLanguage
from kani.core.request import RANGES, Range
from kani.protocols.openai.errors import ApiError
from kani.protocols.openai.speech.formats import OPUS_RATE, resolve_format
from kani.protocols.openai.speech.instructions import Style, parse_instructions
from kani.protocols.openai.speech.tags import Turn
from kani.protocols.openai.voice_names import DEFAULT_NAME
from kani.protocols.shared.calls.unused import unknown_fields
from kani.protocols.shared.json_input import TooManyValues, parse_object
from kani.text import languages

STREAM_FORMATS = ("audio", "sse")

VOLUME = Range(0.0, 10.0)
"""Factors of the amplitude that ``volume_multiplier`` takes; peaks are clipped."""

MAX_ALIASES = 100
USUAL_INPUT = 4096
"""Characters of the longest input of OpenAI's own service."""

FIELDS = frozenset(
    {
        *("input", "voice", "model", "response_format", "speed", "instructions", "stream_format"),
        *("language", "lang_code", "allow_voice_tags", "sample_rate", "volume_multiplier"),
        *("voice_aliases", "stream", "ssml"),
    }
)
"""Fields that have an effect; ``model`` may have any name."""

_TYPE_NAMES: dict[type | tuple[type, ...], str] = {
    str: "a string",
    (int, float): "a number",
    bool: "true or false",
}

_LANGUAGE_CODES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja"} | {
    "p": "pt-BR",
    "z": "zh",
}
"""Kokoro's one-letter codes, which Kokoro-FastAPI takes as ``lang_code``."""


@dataclass(frozen=True, slots=True)
class VoiceAlias:
    """A name of the request's own for a voice, as Kokoro-FastAPI has them."""

    voice: str
    rate: float = 1.0  # factor of the speed


@dataclass(frozen=True, slots=True)
class SpeechBody:
    """A validated request body."""

    text: str
    voice: str  # as the client names it
    audio_format: AudioFormat
    speed: float
    style: Style
    language: str | None  # BCP 47 tag; None is detected from the text
    sse: bool  # whether the audio is sent as server-sent events
    voice_tags: bool  # whether marks in the text are read
    aliases: Mapping[str, VoiceAlias]
    volume: float  # factor of the amplitude
    streamed: bool | None  # whether the audio is sent while it is made; None if the client says nothing
    ssml: bool | None  # whether the text is SSML; None where its beginning tells
    unknown_fields: tuple[str, ...]  # given names that mean nothing here
    turns: tuple[Turn, ...] = ()  # of a dialogue; empty where the text's marks make them

    @property
    def total_speed(self) -> float:
        """Speed and pace together, within the range of a speed."""
        return within_speed(self.speed * self.style.pace)

    @property
    def whole(self) -> bool:
        """True if the audio is sent once it is complete, as a file that says its length.

        So is a FLAC of usual length unless the client asks for a stream: libsndfile opens no other.
        """
        if self.sse or self.streamed is not None:
            return not self.sse and self.streamed is False
        return self.audio_format.codec == "flac" and len(self.text) <= USUAL_INPUT

    def alias(self, name: str) -> VoiceAlias | None:
        """Return what a name stands for: spelled so in ``aliases``, else in another case, as marks may be."""
        folded = {each.casefold(): alias for each, alias in self.aliases.items()}
        return self.aliases.get(name) or folded.get(name.casefold())

    @property
    def unused_fields(self) -> list[str]:
        """Names of the given fields without effect."""
        return [*(["instructions"] if self.style.ignored else []), *self.unknown_fields]


def within_speed(speed: float) -> float:
    """Return the nearest speed in the range of a speed."""
    return min(max(speed, RANGES["speed"].low), RANGES["speed"].high)


def parse_body(given: Mapping[str, Any], max_text: int, *, own_fields: Collection[str] = ()) -> SpeechBody:
    """Parse a body; null equals a missing field, unknown fields are named, any ``model`` is accepted.

    max_text: characters; own_fields: of the call, besides ``FIELDS``. Raises ApiError, and InvalidRequest for
    a value out of its range.
    """
    text = _text(given, max_text)
    speed = field(given, "speed", (int, float))
    if speed is not None:
        RANGES["speed"].check("speed", speed)
    volume = field(given, "volume_multiplier", (int, float))
    if volume is not None:
        VOLUME.check("volume_multiplier", volume)
    field(given, "model", str)
    stream_format = field(given, "stream_format", str) or STREAM_FORMATS[0]
    if stream_format not in STREAM_FORMATS:
        known = ", ".join(STREAM_FORMATS)
        raise ApiError(400, f"stream_format: must be one of {known}", "stream_format", "invalid_value")
    sample_rate = field(given, "sample_rate", (int, float))
    audio_format = resolve_format(field(given, "response_format", str), sample_rate)
    names = (name for name, value in given.items() if value is not None)
    unused = unknown_fields(names, FIELDS.union(own_fields))
    if audio_format.codec == "opus" and sample_rate not in (None, OPUS_RATE):
        unused.append("sample_rate")
    return SpeechBody(
        text,
        _voice(given),
        audio_format,
        1.0 if speed is None else float(speed),
        parse_instructions(field(given, "instructions", str)),
        _language(given),
        stream_format == "sse",
        bool(field(given, "allow_voice_tags", bool)),
        _aliases(given),
        1.0 if volume is None else float(volume),
        field(given, "stream", bool),
        field(given, "ssml", bool),
        tuple(unused),
    )


def _aliases(given: Mapping[str, Any]) -> dict[str, VoiceAlias]:
    """Return Kokoro-FastAPI's ``voice_aliases``: voices, or voices and rates, by names. Raises ApiError."""
    aliases = given.get("voice_aliases")
    if aliases is None:
        return {}
    if not isinstance(aliases, dict) or len(aliases) > MAX_ALIASES:
        reason = f"voice_aliases: must be an object of at most {MAX_ALIASES} names"
        raise ApiError(400, reason, "voice_aliases", "invalid_type")
    return {name: _alias(name, value) for name, value in aliases.items()}


def _alias(name: str, value: Any) -> VoiceAlias:
    voice, rate = (value.get("voice"), value.get("rate")) if isinstance(value, dict) else (value, None)
    rate = 1.0 if rate is None else rate
    param = f"voice_aliases.{name[:40]}"
    if not isinstance(voice, str) or not isinstance(rate, int | float) or isinstance(rate, bool):
        reason = f'{param}: must be a voice, or {{"voice": a string, "rate": a number}}'
        raise ApiError(400, reason, "voice_aliases", "invalid_type")
    RANGES["speed"].check(f"{param}.rate", rate)
    return VoiceAlias(voice, float(rate))


def read_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises ApiError."""
    try:
        return parse_object(data.decode())
    except TooManyValues as error:
        raise ApiError(400, f"the body has {error}", code="invalid_json") from error
    except ValueError as error:
        raise ApiError(400, f"the body must be a JSON object: {error}", code="invalid_json") from error


def field(given: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """Return a field; None if it is missing or null. Raises ApiError if it is not of type ``kind``."""
    value = given.get(name)
    if value is None or (isinstance(value, kind) and (kind is bool or not isinstance(value, bool))):
        return value
    raise ApiError(400, f"{name}: must be {_TYPE_NAMES[kind]}", name, "invalid_type")


def _text(given: Mapping[str, Any], max_text: int) -> str:
    text: str | None = field(given, "input", str)
    if text is None:
        raise ApiError(400, "input: is needed", "input", "missing_required_parameter")
    if len(text) > max_text:
        raise TextTooLong(max_text)
    if not text.strip():
        raise ApiError(400, "input: is empty", "input", "string_below_min_length")
    return text


def _voice(given: Mapping[str, Any]) -> str:
    """Return the voice, which the API takes as a string or as ``{"id": string}``."""
    voice = given.get("voice")
    name = voice.get("id") if isinstance(voice, dict) else voice
    if voice is None:
        return DEFAULT_NAME
    if not isinstance(name, str):
        raise ApiError(400, 'voice: must be a string or {"id": a string}', "voice", "invalid_type")
    return name.strip() or DEFAULT_NAME


def _language(given: Mapping[str, Any]) -> str | None:
    """Return the language of ``language`` or Kokoro-FastAPI's ``lang_code``. Raises ApiError."""
    for name in ("language", "lang_code"):
        code = field(given, name, str)
        if code:
            try:
                return languages.resolve(_LANGUAGE_CODES.get(code.lower(), code))
            except UnsupportedLanguage as error:
                raise ApiError(400, f"{name}: {error.reason}", name, "unsupported_language") from error
    return None
