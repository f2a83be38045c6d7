"""Bodies of text-to-dialogue requests, parsed and validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kani.core.errors import InvalidRequest
from kani.protocols.elevenlabs.audio_tags import named_tags, without_tags
from kani.protocols.elevenlabs.errors import InputsTooLong, Unprocessable
from kani.protocols.elevenlabs.http.body import SEED_RANGE, missing_field, read_fields, type_error
from kani.protocols.elevenlabs.models import validate_model
from kani.protocols.elevenlabs.voice_settings import (
    VoiceSettings,
    parse_dialogue_settings,
    parse_normalization,
)
from kani.text import languages

MAX_INPUTS = 1000
"""Each makes a session and a pause, without costing characters."""

MAX_VOICES = 10
"""Different voices of a dialogue, as in ElevenLabs' service."""

FIELDS: dict[str, type] = {
    "inputs": list,
    "model_id": str,
    "language_code": str,
    "settings": dict,
    "seed": int,
    "apply_text_normalization": str,
    "pronunciation_dictionary_locators": list,
    "previous_text": str,
    "future_text": str,
    "previous_request_ids": list,
    "next_request_ids": list,
    "use_pvc_as_ivc": bool,
    "audio_effects": dict,
}
WITHOUT_EFFECT = (
    "pronunciation_dictionary_locators",
    "previous_text",
    "future_text",
    "previous_request_ids",
    "next_request_ids",
    "use_pvc_as_ivc",
    "audio_effects",
)


@dataclass(frozen=True, slots=True)
class DialogueInput:
    text: str
    voice_id: str

    @property
    def spoken(self) -> str:
        """The text without its audio tags, at the same length."""
        return without_tags(self.text)


@dataclass(frozen=True, slots=True)
class DialogueBody:
    """A validated request body."""

    inputs: tuple[DialogueInput, ...]
    language: str | None  # BCP 47 tag; None is detected from each text
    settings: VoiceSettings
    seed: int | None
    normalize: bool  # whether numbers, abbreviations and the like are spelled out
    unused: tuple[str, ...]  # given fields and tags without effect on this server

    @property
    def length(self) -> int:
        """Characters of all texts."""
        return sum(len(line.text) for line in self.inputs)

    def unused_fields(self, session_fields: list[str]) -> list[str]:
        """Name all given fields without effect; session_fields: ``SpeechSession.unused_fields``."""
        return sorted({*self.unused, *self.settings.unused_fields(session_fields)})


def parse_dialogue(data: bytes, max_text: int) -> DialogueBody:
    """Parse a body; null equals a missing field, and unknown fields are ignored.

    max_text: characters of all texts. Raises Unprocessable for a missing field or one of the wrong type, and
    InvalidRequest for a value out of its range.
    """
    body = read_fields(data, FIELDS, required="inputs")
    inputs = _inputs(body["inputs"], max_text)
    validate_model(body.get("model_id"))
    normalize = parse_normalization(body.get("apply_text_normalization"))
    if (seed := body.get("seed")) is not None:
        SEED_RANGE.check("seed", seed)
    code = body.get("language_code")
    unused = [name for name in WITHOUT_EFFECT if body.get(name)]
    return DialogueBody(
        inputs,
        languages.resolve(code) if code else None,
        parse_dialogue_settings(body.get("settings"), "settings"),
        seed,
        normalize,
        (*unused, *named_tags(line.text for line in inputs)),
    )


def _inputs(given: list[Any], max_text: int) -> tuple[DialogueInput, ...]:
    if not 1 <= len(given) <= MAX_INPUTS:
        raise InvalidRequest("inputs", f"must be a list of 1 to {MAX_INPUTS} texts with their voices")
    if errors := [error for index, line in enumerate(given) for error in _input_errors(index, line)]:
        raise Unprocessable(*errors)
    inputs = tuple(DialogueInput(line["text"], line["voice_id"]) for line in given)
    if sum(len(line.text) for line in inputs) > max_text:
        raise InputsTooLong(max_text)
    for index, line in enumerate(inputs):
        if not line.text.strip():
            raise InvalidRequest(f"inputs[{index}].text", "is empty")
    if len({line.voice_id for line in inputs}) > MAX_VOICES:
        raise InvalidRequest("inputs", f"name too many different voices (at most {MAX_VOICES})")
    return inputs


def _input_errors(index: int, line: Any) -> list[dict[str, Any]]:
    location: list[str | int] = ["body", "inputs", index]
    if (error := type_error(line, dict, location)) is not None:
        return [error]
    errors = [
        type_error(line[name], str, [*location, name]) if name in line else missing_field([*location, name])
        for name in ("text", "voice_id")
    ]
    return [error for error in errors if error is not None]
