"""Bodies of text-to-speech and text-to-dialogue requests, parsed and validated."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from kani.core.errors import InvalidRequest, TextTooLong
from kani.protocols.elevenlabs import models
from kani.protocols.elevenlabs.errors import InputsTooLong, Unprocessable
from kani.protocols.elevenlabs.models import named_tags, without_tags
from kani.protocols.elevenlabs.voice_settings import (
    FIELD,
    NORMALIZATION_CHOICES,
    SEED_RANGE,
    DialogueSettings,
    Settings,
    VoiceSettings,
    parse_normalization,
    requested,
)
from kani.protocols.shared.calls.bodies import (
    QUOTATIONS,
    UNUSED,
    Melody,
    NoObject,
    UnwantedJson,
    about,
    ignored,
    one_of,
    parse_object,
    read,
    within,
)
from kani.protocols.shared.calls.faults import Fault, WrongFields
from kani_text import languages

MAX_INPUTS = 1000
"""Each makes a session and a pause, without costing characters."""

MAX_VOICES = 10
"""Different voices of a dialogue, as in ElevenLabs' service."""

Model = Annotated[str, one_of(models.MODELS, "Any of them speaks by this server's own voices.")]
Seed = Annotated[int, within(SEED_RANGE)]
Kind = TypeVar("Kind", bound=Struct)

_TYPE_ERRORS = {
    "str": ("string_type", "Input should be a valid string"),
    "bool": ("bool_type", "Input should be a valid boolean"),
    "float": ("float_type", "Input should be a valid number"),
    "int": ("int_type", "Input should be a valid integer"),
    "array": ("list_type", "Input should be a valid list"),
    "object": ("dict_type", "Input should be a valid dictionary"),
}
"""FastAPI's error type and message by msgspec's name of the expected type."""


class CommonFields(Struct, kw_only=True):
    model_id: Model = models.DEFAULT_MODEL
    language_code: Annotated[str | None, about("Tag of the text's language; detected by default.")] = None
    quotations: Annotated[bool, QUOTATIONS] = True
    melody: Melody | None = None
    seed: Annotated[Seed | None, about("Seed of the sampling, for engines that sample.")] = None
    apply_text_normalization: Annotated[
        str, one_of(NORMALIZATION_CHOICES, "Whether numbers and the like are spelled out.")
    ] = "auto"
    pronunciation_dictionary_locators: Annotated[list[Any] | None, UNUSED] = None
    previous_text: Annotated[str | None, UNUSED] = None
    previous_request_ids: Annotated[list[Any] | None, UNUSED] = None
    next_request_ids: Annotated[list[Any] | None, UNUSED] = None
    use_pvc_as_ivc: Annotated[bool | None, UNUSED] = None


class SpeechFields(CommonFields, kw_only=True):
    """A null equals a missing field."""

    text: Annotated[str, about("The text.")]
    voice_settings: Settings | None = None
    next_text: Annotated[str | None, UNUSED] = None
    apply_language_text_normalization: Annotated[bool | None, UNUSED] = None


class DialogueInput(Struct):
    text: Annotated[str, about("A line's text.")]
    voice_id: Annotated[str, about("Id of its voice.")]


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
    model_id: Model = models.DEFAULT_DIALOGUE_MODEL
    settings: DialogueSettings | None = None
    future_text: Annotated[str | None, UNUSED] = None
    audio_effects: Annotated[dict[str, Any] | None, UNUSED] = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a dialogue, or a whole text."""

    text: str
    spoken: str  # of the same length, without audio tags
    voice_id: str


@dataclass(frozen=True, slots=True)
class SpeechBody:
    """A text, which is one line, or a dialogue."""

    given: CommonFields
    lines: tuple[Line, ...]
    settings: VoiceSettings
    language: str | None  # BCP 47 tag; None is detected from each text
    normalize: bool  # whether numbers, abbreviations and the like are spelled out
    unused: tuple[str, ...]  # given fields and tags without effect on this server

    @property
    def is_dialogue(self) -> bool:
        return isinstance(self.given, DialogueFields)

    @property
    def length(self) -> int:
        return sum(len(line.text) for line in self.lines)

    def unused_fields(self, session_fields: list[str]) -> list[str]:
        """Name all given fields without effect; session_fields: ``SpeechSession.unused_fields``."""
        return sorted({*self.unused, *self.settings.unused_fields(session_fields)})


def parse_text(data: bytes, max_text: int, voice_id: str) -> SpeechBody:
    """Parse the body of a text; null equals a missing field, and unknown fields are ignored.

    max_text: characters. Raises Unprocessable for a missing field or one of the wrong type, and
    InvalidRequest for a value out of its range.
    """
    fields = read_body(data, SpeechFields)
    text = fields.text
    if len(text) > max_text:
        raise TextTooLong(max_text)
    if not text.strip():
        raise InvalidRequest("text", "is empty")
    models.validate_model(fields.model_id)
    tags = named_tags([text]) if models.has_audio_tags(fields.model_id) else []
    line = Line(text, without_tags(text) if tags else text, voice_id)
    return _body(fields, (line,), requested(fields.voice_settings, FIELD), tags)


def parse_dialogue(data: bytes, max_text: int) -> SpeechBody:
    """Parse the body of a dialogue, as ``parse_text``; max_text: characters of all texts."""
    fields = read_body(data, DialogueFields)
    _check_inputs(fields.inputs, max_text)
    models.validate_model(fields.model_id)
    lines = tuple(Line(each.text, without_tags(each.text), each.voice_id) for each in fields.inputs)
    tags = named_tags(line.text for line in lines)
    return _body(fields, lines, requested(fields.settings, "settings"), tags)


def _body(
    fields: CommonFields, lines: tuple[Line, ...], settings: VoiceSettings, tags: list[str]
) -> SpeechBody:
    language = languages.resolve(fields.language_code) if fields.language_code else None
    normalize = parse_normalization(fields.apply_text_normalization)
    return SpeechBody(fields, lines, settings, language, normalize, (*ignored(fields), *tags))


def _check_inputs(inputs: list[DialogueInput], max_text: int) -> None:
    if sum(len(line.text) for line in inputs) > max_text:
        raise InputsTooLong(max_text)
    for index, line in enumerate(inputs):
        if not line.text.strip():
            raise InvalidRequest(f"inputs[{index}].text", "is empty")
    if len({line.voice_id for line in inputs}) > MAX_VOICES:
        raise InvalidRequest("inputs", f"name too many different voices (at most {MAX_VOICES})")


def read_body(data: bytes, kind: type[Kind]) -> Kind:
    """Return the fields of a body.

    Raises Unprocessable for a missing field or one of the wrong type, and InvalidRequest for too many values,
    and for a value out of its limits.
    """
    try:
        given = parse_object(data)
    except NoObject as error:
        expected = "Input should be a valid dictionary or object to extract fields from"
        raise Unprocessable(field_error("model_attributes_type", ["body"], expected, None)) from error
    except UnwantedJson as error:
        raise InvalidRequest("body", str(error)) from error
    except ValueError as error:
        fault = {"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error", "input": {}}
        raise Unprocessable(fault | {"ctx": {"error": str(error)}}) from error
    try:
        return read(given, kind)
    except WrongFields as wrong:
        faults = [_fastapi_error(fault) for fault in wrong.faults if fault.kind != "value"]
        # Settings of a wrong type are errors of their own.
        if faults and "settings." not in wrong.faults[0].path:
            raise Unprocessable(*faults) from wrong
        raise


def _fastapi_error(fault: Fault) -> dict[str, Any]:
    error, message = _TYPE_ERRORS.get(fault.wanted.partition(" ")[0], ("missing", "Field required"))
    steps = re.findall(r"[^.\[\]]+", fault.path)
    location: list[str | int] = ["body", *(int(step) if step.isdecimal() else step for step in steps)]
    # A value may be as long as the body: the error repeats only its beginning.
    shown = fault.value if isinstance(fault.value, int | float | None) else f"{fault.value!s:.100}"
    return field_error(error, location, message, shown)


def missing_field(location: list[str | int]) -> dict[str, Any]:
    """Return FastAPI's error of a field that is not there."""
    return field_error("missing", location, "Field required", None)


def field_error(error_type: str, location: list[str | int], message: str, value: Any) -> dict[str, Any]:
    return {"type": error_type, "loc": location, "msg": message, "input": value}
