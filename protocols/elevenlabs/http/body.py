"""The body of a request for speech, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocols.elevenlabs.errors import Unprocessable
from protocols.elevenlabs.models import validate_model
from protocols.elevenlabs.normalization import parse_normalization
from protocols.elevenlabs.voice_settings import VoiceSettings, parse_voice_settings
from protocols.shared.json_input import TooManyValues, parse_object
from speech.errors import InvalidRequest, TextTooLong
from speech.request import Range
from speech.text import languages
from speech.types import SpeechRequest

SEED_RANGE = Range(0, 4294967295)

_KINDS: dict[type, tuple[str, str]] = {
    str: ("string_type", "Input should be a valid string"),
    bool: ("bool_type", "Input should be a valid boolean"),
    int: ("int_type", "Input should be a valid integer"),
    list: ("list_type", "Input should be a valid list"),
    dict: ("dict_type", "Input should be a valid dictionary"),
}
"""What FastAPI says of a value that is none of that type."""

_FIELDS: dict[str, type] = {
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
_WITHOUT_EFFECT = (
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
    """language: a BCP 47 tag, None where the text tells it; normalize: whether numbers, abbreviations and
    the like are spelled out; unused: fields given that mean nothing here.
    """

    text: str
    language: str | None
    voice_settings: VoiceSettings
    seed: int | None
    normalize: bool
    unused: tuple[str, ...]

    def speech_request(self, voice: str | None, accepted: tuple[str, ...]) -> SpeechRequest:
        """The core's request, for our voice of that id; accepted: the languages that its client speaks."""
        settings = self.voice_settings
        return SpeechRequest(
            voice=voice,
            language=self.language,
            languages=accepted,
            speed=settings.speed,
            normalize=self.normalize,
            sampling=settings.sampling(self.seed),
        )

    def unused_fields(self, unused_fields: list[str]) -> list[str]:
        """Everything that was asked for in vain; unused_fields: what ``SpeechSession.unused`` names."""
        return sorted({*self.unused, *self.voice_settings.unused_fields(unused_fields)})


def parse_body(data: bytes, max_text: int) -> SpeechBody:
    """The body that ``data`` is; null is the same as left out, unknown fields are ignored.

    max_text: characters. Raises Unprocessable for what is missing or of the wrong type, and InvalidRequest
    for a value out of its range.
    """
    body = _fields(data)
    if "text" not in body:
        raise Unprocessable(_error("missing", ["body", "text"], "Field required", None))
    if wrong := [_wrong_type(name, body[name]) for name in body if not _is(body[name], _FIELDS[name])]:
        raise Unprocessable(*wrong)
    text: str = body["text"]
    if len(text) > max_text:
        raise TextTooLong(max_text)
    if not text.strip():
        raise InvalidRequest("text", "is empty")
    validate_model(body.get("model_id"))
    normalize = parse_normalization(body.get("apply_text_normalization"))
    if (seed := body.get("seed")) is not None:
        SEED_RANGE.check("seed", seed)
    unused = [name for name in _WITHOUT_EFFECT if body.get(name)]
    code = body.get("language_code")
    return SpeechBody(
        text,
        languages.resolve(code) if code else None,
        parse_voice_settings(body.get("voice_settings")),
        seed,
        normalize,
        tuple(unused),
    )


def _fields(data: bytes) -> dict[str, Any]:
    """Those of the body's fields that are known and not null."""
    try:
        given = parse_object(data.decode())
    except TooManyValues as error:
        raise InvalidRequest("body", str(error)) from error
    except ValueError as error:
        wrong = _error("json_invalid", ["body"], "JSON decode error", {})
        raise Unprocessable(wrong | {"ctx": {"error": str(error)}}) from error
    return {name: value for name, value in given.items() if name in _FIELDS and value is not None}


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wrong_type(name: str, value: Any) -> dict[str, Any]:
    kind, message = _KINDS[_FIELDS[name]]
    # A value may be as long as the body; what it is can be told from its beginning.
    shown = value if isinstance(value, int | float | bool) else f"{value!s:.100}"
    return _error(kind, ["body", name], message, shown)


def _error(kind: str, location: list[str], message: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": location, "msg": message, "input": value}
