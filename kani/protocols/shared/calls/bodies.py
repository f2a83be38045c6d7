"""JSON of messages, and bodies of calls as structs: a field is parsed, bounded and described where it stands.

The limits of a field and its description are the ``Meta`` of its type; ``schemas.struct`` describes a struct.
"""

import functools
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from kani.core.request import RANGES, Range
from kani.protocols.shared.calls.faults import Fault, WrongFields, bare, fault_of, struct_of
from kani_text import foreign

S = TypeVar("S")
T = TypeVar("T", bound=msgspec.Struct)

MAX_VALUES = 100_000
"""JSON with more values is refused before it is parsed: parsing it would block the event loop."""

_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}

UNUSED = Meta(description="Without effect on this server.")
QUOTATIONS = Meta(description="Whether quotations and sentences in another language are spoken in it.")
FILLED = Meta(pattern=r"\S")
"""Limit of a string that is not empty."""


def about(text: str, *, max_length: int | None = None) -> Meta:
    """Return a description; max_length: characters, items or names."""
    return Meta(description=text, max_length=max_length)


def within(allowed: Range, text: str | None = None) -> Meta:
    """Return the limits of a number, and its description."""
    return Meta(ge=allowed.low, le=allowed.high, description=text)


Melody = Annotated[float, within(RANGES["melody"], "Share of the melody of questions and lists.")]


def one_of(names: Iterable[str], text: str) -> Meta:
    """Return the description of a name, which the parser looks up in a table."""
    return Meta(description=text, extra_json_schema={"enum": [*names]})


SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}

Speed = Annotated[float, within(RANGES["speed"])]
Temperature = Annotated[float, within(RANGES["temperature"])]
TopK = Annotated[int, within(RANGES["top_k"])]
Seed = Annotated[int, within(RANGES["seed"])]

_MOST_UNUSED = 20
_STEP = re.compile(r"[\w-]{1,60}")
_UNUSED_NAME = re.compile(r"[\w.-]{1,60}", re.ASCII)


class UnwantedJson(ValueError):
    """JSON that is not taken; ``str()`` says to a client what is expected."""


class NoObject(UnwantedJson):
    """JSON of another kind than an object."""


class WrongEncoding(ValueError):
    """Bytes that are no UTF-8."""

    def __init__(self) -> None:
        super().__init__("JSON has to be in UTF-8, not in an encoding such as Latin-1 or UTF-16")


def json_text(message: Mapping[str, Any]) -> str:
    """Write a message; bytes become base64, and NumPy's numbers numbers."""
    try:
        return msgspec.json.encode(message, enc_hook=float).decode()
    except UnicodeEncodeError:
        # An unpaired surrogate of the client's text goes back as the same escape.
        return json.dumps(msgspec.to_builtins(message, enc_hook=float), separators=(",", ":"))


def sse(content: Mapping[str, Any], name: str = "") -> bytes:
    """Write a server-sent event, with a name if there is one."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json_text(content)}\n\n".encode()


def object_of(text: str | bytes, broken: str, refuse: Callable[[str], Exception]) -> dict[str, Any]:
    """Parse a JSON object; raises what ``refuse`` returns for a sentence, ``broken`` for no JSON."""
    try:
        return parse_object(text)
    except ValueError as error:
        raise refuse(str(error) if isinstance(error, UnwantedJson | WrongEncoding) else broken) from error


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object in UTF-8, with or without a byte order mark.

    Raises UnwantedJson, WrongEncoding, and ValueError if ``text`` is no JSON.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError as error:
            raise WrongEncoding from error
    if text[1:2] == "\0" or text[:1] == "\0":
        raise WrongEncoding
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_VALUES and sum(map(text.count, "[{,")) > MAX_VALUES:
        raise UnwantedJson(f"too many values (at most {MAX_VALUES})")
    parsed = foreign.parse_json(text)
    if not isinstance(parsed, dict):
        raise NoObject(f"a JSON object is expected, not {_KINDS.get(type(parsed), 'a number')}")
    return parsed


def read(given: Any, kind: type[T], place: str = "", *, strict: bool = True) -> T:
    """Convert a parsed object; a null equals a missing field, unknown fields are ignored.

    place: the path of the object; strict: as for ``foreign.convert``. Raises WrongFields.
    """
    if not isinstance(given, dict):
        raise WrongFields(Fault(place or "body", "type", "must be an object", given, "object"))
    values, faults = dict[str, Any](), list[Fault]()
    for field, expected, inner in _fields(kind):
        value = given.get(field.encode_name)
        path = f"{place}.{field.encode_name}" if place else field.encode_name
        if value is not None:
            try:
                values[field.name] = (
                    read(value, inner, path)
                    if inner is not None and isinstance(value, dict)
                    else foreign.convert(value, field.type, strict=strict)
                )
            except foreign.Unreadable as error:
                if error.field.startswith("[...]"):
                    error.field = _at_fault(value, field.type, strict=strict) + error.field[5:]
                faults.append(fault_of(error, path, expected, value))
            except WrongFields as wrong:
                faults += wrong.faults
        elif field.required:
            faults.append(Fault(path, "missing", "is needed"))
    if faults:
        raise WrongFields(*faults)
    return kind(**values)


def converted(value: Any, kind: type[S], place: str = "", *, whole: str = "body", strict: bool = True) -> S:
    """Convert a parsed value in which null differs from a missing field. Raises WrongFields.

    place: as for ``read``; whole: name of a value without a place; strict: as for ``foreign.convert``.
    """
    try:
        return foreign.convert(value, kind, strict=strict)
    except foreign.Unreadable as error:
        raise wrong_fields(error, kind, place, whole=whole, value=value) from error


def wrong_fields(
    error: foreign.Unreadable, kind: Any, place: str = "", *, whole: str = "body", value: Any = None
) -> WrongFields:
    """Say in plain words what a parser found that knew the type; the arguments are those of ``converted``."""
    fault = fault_of(error, place, _described(kind), value)
    return WrongFields(fault if fault.path else replace(fault, path=whole))


def read_form(given: Mapping[str, Sequence[str]], kind: type[T]) -> T:
    """Convert a form's texts as ``read``; an empty one equals none."""
    values = dict[str, Any]()
    for field, expected, _ in _fields(kind):
        *_, last = texts = ["", *given.get(field.encode_name, ())]
        match bare(expected):
            case inspect.ListType():
                values[field.encode_name] = [text.strip() for text in texts if text.strip()] or None
            case inspect.BoolType():
                values[field.encode_name] = SWITCHES.get(last.lower(), last) or None
            case _:
                values[field.encode_name] = last or None
    try:
        return read(values, kind, strict=False)
    except WrongFields as wrong:
        # Every value has the type of a form's values.
        raise WrongFields(*(replace(fault, kind="value") for fault in wrong.faults)) from wrong


def unknown(given: Mapping[str, Any], kind: type[msgspec.Struct]) -> list[str]:
    """Return the given names that are no fields of the struct, for ``x-unused``."""
    names = (name for name, value in given.items() if value is not None)
    return unknown_fields(names, kind.__struct_encode_fields__)


def unserved(given: Mapping[str, Any], kind: type[msgspec.Struct], place: str) -> list[str]:
    """Return paths of fields that ask for something, and that the struct and those inside do not have."""
    found = list[str]()
    known = {field.encode_name: inner for field, _, inner in _fields(kind)}
    for name, value in given.items():
        path, inner = f"{place}.{name[:100]}", known.get(name)
        if value and name not in known:
            found.append(path)
        elif inner is not None and isinstance(value, dict):
            found += unserved(value, inner, path)
    return sorted(found)[:_MOST_UNUSED]


_described = functools.cache(inspect.type_info)


@functools.cache
def _fields(
    kind: type[msgspec.Struct],
) -> list[tuple[msgspec.structs.FieldInfo, inspect.Type, type[msgspec.Struct] | None]]:
    """Return each field, its type, and the struct of one that is an object of fields."""
    types = inspect.type_info(kind)
    assert isinstance(types, inspect.StructType)
    fields = zip(msgspec.structs.fields(kind), types.fields, strict=True)
    return [(field, described.type, struct_of(described.type)) for field, described in fields]


@functools.cache
def _ignored(kind: type[msgspec.Struct]) -> list[str]:
    fields = msgspec.structs.fields(kind)
    return [field.name for field in fields if UNUSED in getattr(field.type, "__metadata__", ())]


def ignored(fields: msgspec.Struct) -> list[str]:
    """Return the names of fields that are ``UNUSED``, and given."""
    return [name for name in _ignored(type(fields)) if getattr(fields, name)]


def _at_fault(given: Mapping[str, Any], kind: Any, *, strict: bool) -> str:
    """Return the step to the name that has the fault in an object of any names: msgspec does not tell it."""
    for name in filter(_STEP.fullmatch, given):
        try:
            foreign.convert({name: given[name]}, kind, strict=strict)
        except foreign.Unreadable:
            return f".{name}"
    return "[...]"


def unknown_fields(given: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the given names that are not known and may stand in a header, ``_MOST_UNUSED`` at most."""
    return [name for name in given if name not in known and _UNUSED_NAME.fullmatch(name)][:_MOST_UNUSED]


def unused_header(names: Collection[str]) -> dict[str, str]:
    """Return the header for the names, none without any."""
    return {"x-unused": foreign.header_value(", ".join(names))} if names else {}
