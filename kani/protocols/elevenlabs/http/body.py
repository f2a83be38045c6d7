"""Bodies of text-to-speech requests, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kani.core.errors import InvalidRequest, TextTooLong
from kani.core.request import Range
from kani.core.types import SpeechRequest
from kani.protocols.elevenlabs.audio_tags import named_tags, without_tags
from kani.protocols.elevenlabs.errors import Unprocessable
from kani.protocols.elevenlabs.models import has_audio_tags, validate_model
from kani.protocols.elevenlabs.voice_settings import VoiceSettings, parse_normalization, parse_voice_settings
from kani.protocols.shared.json_input import TooManyValues, parse_object
from kani.text import languages

SEED_RANGE = Range(0, 4294967295)

_TYPE_ERRORS: dict[type, tuple[str, str]] = {
    str: ("string_type", "Input should be a valid string"),
    bool: ("bool_type", "Input should be a valid boolean"),
    int: ("int_type", "Input should be a valid integer"),
    list: ("list_type", "Input should be a valid list"),
    dict: ("dict_type", "Input should be a valid dictionary"),
}
"""FastAPI's error type and message by the expected type."""

FIELDS: dict[str, type] = {
    "text": str,
    "model_id": str,
    "language_code": str,
    "voice_settings": dict,
    "seed": int,
    "pronunciation_dictionary_locators": list,
    "previous_text": str,
    "next_text": str,
    "previous_request_ids": list,
    "next_request_ids": list,
    "use_pvc_as_ivc": bool,
    "apply_text_normalization": str,
    "apply_language_text_normalization": bool,
}
WITHOUT_EFFECT = (
    "pronunciation_dictionary_locators",
    "previous_text",
    "next_text",
    "previous_request_ids",
    "next_request_ids",
    "use_pvc_as_ivc",
    "apply_language_text_normalization",
)


@dataclass(frozen=True, slots=True)
class SpeechBody:
    """A validated request body."""

    text: str
    spoken: str  # of the same length, without audio tags
    language: str | None  # BCP 47 tag; None is detected from the text
    voice_settings: VoiceSettings
    seed: int | None
    normalize: bool  # whether numbers, abbreviations and the like are spelled out
    unused: tuple[str, ...]  # given fields without effect on this server

    def speech_request(self, voice: str | None, accepted: tuple[str, ...]) -> SpeechRequest:
        """Return the core's request.

        voice: this server's id of it; accepted: BCP 47 tags of the client's languages.
        """
        settings = self.voice_settings
        return SpeechRequest(
            voice=voice,
            language=self.language,
            languages=accepted,
            speed=settings.speed,
            normalize=self.normalize,
            sampling=settings.sampling(self.seed),
        )

    def unused_fields(self, session_fields: list[str]) -> list[str]:
        """Name all given fields without effect; session_fields: ``SpeechSession.unused_fields``."""
        return sorted({*self.unused, *self.voice_settings.unused_fields(session_fields)})


def parse_body(data: bytes, max_text: int) -> SpeechBody:
    """Parse a body; null equals a missing field, and unknown fields are ignored.

    max_text: characters. Raises Unprocessable for a missing field or one of the wrong type, and
    InvalidRequest for a value out of its range.
    """
    body = read_fields(data, FIELDS, required="text")
    text: str = body["text"]
    if len(text) > max_text:
        raise TextTooLong(max_text)
    if not text.strip():
        raise InvalidRequest("text", "is empty")
    validate_model(body.get("model_id"))
    normalize = parse_normalization(body.get("apply_text_normalization"))
    if (seed := body.get("seed")) is not None:
        SEED_RANGE.check("seed", seed)
    code = body.get("language_code")
    tags = named_tags([text]) if has_audio_tags(body.get("model_id")) else []
    return SpeechBody(
        text,
        without_tags(text) if tags else text,
        languages.resolve(code) if code else None,
        parse_voice_settings(body.get("voice_settings")),
        seed,
        normalize,
        (*(name for name in WITHOUT_EFFECT if body.get(name)), *tags),
    )


def read_fields(data: bytes, kinds: Mapping[str, type], *, required: str) -> dict[str, Any]:
    """Return the known fields that are not null, each of its type.

    Raises Unprocessable for a missing field or one of the wrong type, and InvalidRequest for too many values.
    """
    try:
        given = parse_object(data.decode())
    except TooManyValues as error:
        raise InvalidRequest("body", str(error)) from error
    except ValueError as error:
        wrong = field_error("json_invalid", ["body"], "JSON decode error", {})
        raise Unprocessable(wrong | {"ctx": {"error": str(error)}}) from error
    body = {name: value for name, value in given.items() if name in kinds and value is not None}
    if required not in body:
        raise Unprocessable(missing_field(["body", required]))
    wrong_types = (type_error(value, kinds[name], ["body", name]) for name, value in body.items())
    if errors := [error for error in wrong_types if error is not None]:
        raise Unprocessable(*errors)
    return body


def type_error(value: Any, kind: type, location: list[str | int]) -> dict[str, Any] | None:
    """Return FastAPI's error of a value that is not of its type; None if it is."""
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return None
    error_type, message = _TYPE_ERRORS[kind]
    # A value may be as long as the body: the error repeats only its beginning.
    shown = value if isinstance(value, int | float | bool) else f"{value!s:.100}"
    return field_error(error_type, location, message, shown)


def missing_field(location: list[str | int]) -> dict[str, Any]:
    """Return FastAPI's error of a field that is not there."""
    return field_error("missing", location, "Field required", None)


def field_error(error_type: str, location: list[str | int], message: str, value: Any) -> dict[str, Any]:
    """Return an error in FastAPI's form."""
    return {"type": error_type, "loc": location, "msg": message, "input": value}
