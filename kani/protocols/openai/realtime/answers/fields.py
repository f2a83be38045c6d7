"""Fields of ``response.create``, and the items that a response is made from."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from kani.core.conversation.items import Item, Message
from kani.protocols.openai.realtime.answers.model_fields import (
    ModelFields,
    refuse_model_fields,
    with_model_fields,
)
from kani.protocols.openai.realtime.client_events import EventError, convert, unsupported
from kani.protocols.openai.realtime.conversation import Conversation, audio_in, read_item, served_parts
from kani.protocols.openai.realtime.session_config import SessionConfig
from kani.protocols.openai.realtime.session_update import AudioOutput, updated_config, with_output, without

MAX_INPUT_ITEMS = 256


class _Audio(Struct):
    output: AudioOutput | UnsetType | None = UNSET


_MetadataText = Annotated[str, Meta(max_length=512)]


class ResponseFields(ModelFields):
    """Fields of ``response.create``. Others are ignored."""

    conversation: str = "auto"
    input: Annotated[list[Any], Meta(max_length=MAX_INPUT_ITEMS)] | None = None
    metadata: Annotated[dict[_MetadataText, _MetadataText], Meta(max_length=16)] | None = None
    audio: _Audio | None = None

    @property
    def in_conversation(self) -> bool:
        """True if the answer becomes part of the conversation."""
        return self.conversation != "none"


def served_response(
    fields: dict[str, Any], config: SessionConfig
) -> tuple[ResponseFields, SessionConfig, list[EventError]]:
    """Return what ``read_response`` does, without the tools and parts of items that are not served.

    There is an error for each of these. Raises EventError for any other field.
    """
    errors: list[EventError] = []
    if isinstance(items := fields.get("input"), list) and len(items) <= MAX_INPUT_ITEMS:
        served = [
            served_parts(item, f"response.input[{at}]", sees=config.answers) for at, item in enumerate(items)
        ]
        fields = fields | {"input": [item for item, _ in served]}
        errors += [error for _, refused in served for error in refused]
    while True:
        try:
            return *read_response(fields, config), errors
        except EventError as error:
            param = error.param or ""
            if not param.startswith("response.tools["):
                raise
            errors.append(error)
            # Without any tool left the session's do not take their place.
            fields = {"tools": [], **without(fields, param.split(".")[1:])}


def read_response(fields: dict[str, Any], config: SessionConfig) -> tuple[ResponseFields, SessionConfig]:
    """Return the fields of a response, and ``config`` with those of its own. Raises EventError."""
    given = convert(fields, ResponseFields, "response")
    if config.answers:
        config = with_model_fields(config, given, "response")
    else:
        refuse_model_fields(given, given.output_modalities or given.modalities, "response")
    if given.audio is not None and isinstance(given.audio.output, AudioOutput):
        config = with_output(config, given.audio.output, "response.audio.output")
    beta: dict[str, Any] = {name: fields[name] for name in ("voice", "output_audio_format") if name in fields}
    return given, updated_config(config, beta, (), "response") if beta else config


def items_of(given: ResponseFields, conversation: Conversation, config: SessionConfig) -> list[Item]:
    """Return what a model is to answer: ``input``, or the whole conversation. Raises EventError."""
    if given.input is None:
        return [*conversation.items]
    return [
        _input_item(each, f"response.input[{number}]", conversation, config)
        for number, each in enumerate(given.input)
    ]


def named_items(given: ResponseFields, items: Sequence[Item]) -> Iterator[tuple[Item, Any, str]]:
    """Yield the items of ``input``, if there is one, with the JSON of each and its name."""
    for number, (item, each) in enumerate(zip(items, given.input or (), strict=False)):
        yield item, each, f"response.input[{number}]"


def text_to_read(given: ResponseFields, conversation: Conversation, config: SessionConfig) -> str:
    """Return the text to be read: the user's in ``input``, or outside the conversation its last item's.

    In the conversation the user's own text would come back as the answer to it. Raises EventError.
    """
    if given.input is not None:
        param, items = "response.input", items_of(given, conversation, config)
        for *_, audio in (each for named in named_items(given, items) for each in audio_in(*named)):
            raise unsupported(f"{audio}: speech cannot be answered", audio)
    elif given.in_conversation:
        reason = "put the text to read aloud in it, or set conversation to none to read the user's last"
        raise unsupported(f"response.input: is missing, {reason}", "response.input")
    else:
        param = "response"
        last = conversation.last_of_user()
        items = [] if last is None else [last]
    messages = [item for item in items if isinstance(item, Message) and item.role == "user"]
    text = "\n".join(message.written for message in messages)
    if not text.strip():
        raise unsupported(f"{param}: holds no input_text to read aloud", "response.input")
    return text


def _input_item(given: Any, param: str, conversation: Conversation, config: SessionConfig) -> Item:
    if isinstance(given, dict) and given.get("type") == "item_reference":
        item_id = given.get("id")
        return conversation.find(item_id if isinstance(item_id, str) else "", f"{param}.id")
    return read_item(given, param, answers=config.answers)
