"""Bodies of text-to-dialogue requests, parsed and validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct

from kani.core.errors import InvalidRequest
from kani.protocols.elevenlabs.audio_tags import named_tags, without_tags
from kani.protocols.elevenlabs.errors import InputsTooLong
from kani.protocols.elevenlabs.http.body import CommonFields, Model, read_body
from kani.protocols.elevenlabs.models import DEFAULT_DIALOGUE_MODEL, validate_model
from kani.protocols.elevenlabs.voice_settings import DialogueSettings, VoiceSettings, requested
from kani.protocols.shared.calls.bodies import UNUSED, about, ignored

MAX_INPUTS = 1000
"""Each makes a session and a pause, without costing characters."""

MAX_VOICES = 10
"""Different voices of a dialogue, as in ElevenLabs' service."""


class DialogueInput(Struct):
    text: Annotated[str, about("A line's text.")]
    voice_id: Annotated[str, about("Id of its voice.")]

    @property
    def spoken(self) -> str:
        """The text without its audio tags, at the same length."""
        return without_tags(self.text)


class DialogueFields(CommonFields, kw_only=True):
    """A null equals a missing field."""

    inputs: Annotated[
        list[DialogueInput],
        Meta(
            description=f"Lines, in {MAX_VOICES} voices at most, together as long as a text may be.",
            min_length=1,
            max_length=MAX_INPUTS,
        ),
    ]
    model_id: Model = DEFAULT_DIALOGUE_MODEL
    settings: DialogueSettings | None = None
    future_text: Annotated[str | None, UNUSED] = None
    audio_effects: Annotated[dict[str, Any] | None, UNUSED] = None


@dataclass(frozen=True, slots=True)
class DialogueBody:
    inputs: tuple[DialogueInput, ...]
    language: str | None  # BCP 47 tag; None is detected from each text
    settings: VoiceSettings
    seed: int | None
    normalize: bool  # whether numbers, abbreviations and the like are spelled out
    unused: tuple[str, ...]  # given fields and tags without effect on this server

    @property
    def length(self) -> int:
        return sum(len(line.text) for line in self.inputs)

    def unused_fields(self, session_fields: list[str]) -> list[str]:
        """Name all given fields without effect; session_fields: ``SpeechSession.unused_fields``."""
        return sorted({*self.unused, *self.settings.unused_fields(session_fields)})


def parse_dialogue(data: bytes, max_text: int) -> DialogueBody:
    """Parse a body; null equals a missing field, and unknown fields are ignored.

    max_text: characters of all texts. Raises Unprocessable for a missing field or one of the wrong type, and
    InvalidRequest for a value out of its range.
    """
    fields = read_body(data, DialogueFields)
    _check_inputs(fields.inputs, max_text)
    validate_model(fields.model_id)
    return DialogueBody(
        tuple(fields.inputs),
        fields.language,
        requested(fields.settings, "settings"),
        fields.seed,
        fields.normalize,
        (*ignored(fields), *named_tags(line.text for line in fields.inputs)),
    )


def _check_inputs(inputs: list[DialogueInput], max_text: int) -> None:
    if sum(len(line.text) for line in inputs) > max_text:
        raise InputsTooLong(max_text)
    for index, line in enumerate(inputs):
        if not line.text.strip():
            raise InvalidRequest(f"inputs[{index}].text", "is empty")
    if len({line.voice_id for line in inputs}) > MAX_VOICES:
        raise InvalidRequest("inputs", f"name too many different voices (at most {MAX_VOICES})")
