"""Bodies of speech requests, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from protocols.openai.errors import ApiError
from protocols.openai.speech.formats import resolve_format
from protocols.openai.speech.instructions import Style, parse_instructions
from protocols.openai.voice_names import DEFAULT_NAME
from protocols.shared.json_input import TooManyValues, parse_object
from speech.audio.encoding import AudioFormat
from speech.errors import TextTooLong, UnsupportedLanguage
from speech.request import RANGES
from speech.text import languages

STREAM_FORMATS = ("audio", "sse")

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
class SpeechBody:
    """A validated request body."""

    text: str
    voice: str  # as the client names it
    audio_format: AudioFormat
    speed: float
    style: Style
    language: str | None  # BCP 47 tag; None is detected from the text
    sse: bool  # whether the audio is sent as server-sent events
    voice_tags: bool | None  # whether marks in the text are read; None if the client says nothing

    @property
    def total_speed(self) -> float:
        """Speed and pace together, within the range of a speed."""
        speed = RANGES["speed"]
        return min(max(self.speed * self.style.pace, speed.low), speed.high)

    @property
    def unused_fields(self) -> list[str]:
        """Names of the given fields without effect."""
        return ["instructions"] if self.style.ignored else []


def parse_body(given: Mapping[str, Any], max_text: int) -> SpeechBody:
    """Parse a body; null equals a missing field, unknown fields are ignored, and any ``model`` is accepted.

    max_text: characters. Raises ApiError, and InvalidRequest for a value out of its range.
    """
    text = _text(given, max_text)
    speed = field(given, "speed", (int, float))
    if speed is not None:
        RANGES["speed"].check("speed", speed)
    field(given, "model", str)
    stream_format = field(given, "stream_format", str) or STREAM_FORMATS[0]
    if stream_format not in STREAM_FORMATS:
        known = ", ".join(STREAM_FORMATS)
        raise ApiError(400, f"stream_format: must be one of {known}", "stream_format", "invalid_value")
    return SpeechBody(
        text,
        _voice(given),
        resolve_format(field(given, "response_format", str)),
        1.0 if speed is None else float(speed),
        parse_instructions(field(given, "instructions", str)),
        _language(given),
        stream_format == "sse",
        field(given, "allow_voice_tags", bool),
    )


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
