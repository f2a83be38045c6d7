"""JSON schemas of bodies and parameters, made from the ranges, names and structs that the parsers use."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kani.core.request import Range

Schema = Mapping[str, Any]


def _schema(kind: str, about: str, allowed: Range | None = None, **more: Any) -> dict[str, Any]:
    limits = {} if allowed is None else {"minimum": allowed.low, "maximum": allowed.high}
    given = {"type": kind, "description": about or None, **limits, **more}
    return {name: value for name, value in given.items() if value is not None}


def text(about: str = "", *, longest: int | None = None) -> Schema:
    """Return the schema of a string; longest: characters."""
    return _schema("string", about, maxLength=longest)


def choice(names: Iterable[str], about: str = "", *, default: str | None = None) -> Schema:
    """Return the schema of one of ``names``."""
    return _schema("string", about, enum=[*names], default=default)


def number(about: str = "", allowed: Range | None = None) -> Schema:
    """Return the schema of a number within a range."""
    return _schema("number", about, allowed)


def whole(about: str = "", allowed: Range | None = None, *, default: int | None = None) -> Schema:
    """Return the schema of a whole number within a range."""
    return _schema("integer", about, allowed, default=default)


def flag(about: str = "", *, default: bool | None = None) -> Schema:
    """Return the schema of true or false."""
    return _schema("boolean", about, default=default)


def items(schema: Schema, about: str = "", *, most: int | None = None) -> Schema:
    """Return the schema of a list; most: its longest length."""
    return _schema("array", about, items=schema, maxItems=most)


def fields(about: str = "", required: Iterable[str] | None = None, **properties: Schema) -> Schema:
    """Return the schema of an object; without ``required`` every property is."""
    needed = [*properties] if required is None else [*required]
    return _schema("object", about, properties=properties, required=needed or None)


def mapping(about: str = "", values: Schema | None = None) -> Schema:
    """Return the schema of an object with any names; values: the schema of each value."""
    return _schema("object", about, additionalProperties=values)


def file(about: str) -> Schema:
    """Return the schema of a form's file."""
    return _schema("string", about, contentMediaType="application/octet-stream")


def nullable(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {**schema, "type": [schema["type"], "null"]}


def struct(kind: type[msgspec.Struct], **longest: int) -> Schema:
    """Return the schema of a struct's JSON, in which a null equals a missing field.

    longest: the most characters of fields where that is a setting.
    """
    components = msgspec.json.schema_components([kind], ref_template="{name}")[1]
    schema: dict[str, Any] = _plain(components[kind.__name__], components)
    properties = schema["properties"]
    for name, most in longest.items():
        properties[name]["maxLength"] = most
    needed = {name: properties[name] for name in schema["required"]}
    return schema | {"properties": needed | properties}


def form(kind: type[msgspec.Struct], **files: Schema) -> Schema:
    """Return the schema of a form with files, which are needed, and the fields of a struct."""
    schema = struct(kind)
    properties, required = {**files, **schema["properties"]}, [*files, *schema["required"]]
    return {**schema, "properties": properties, "required": required}


def _plain(schema: Any, components: Mapping[str, Any]) -> Any:
    """Return a schema without references, titles, and the null that is the default of a field."""
    if isinstance(schema, list):
        return [_plain(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(value, components) for name, value in schema.items() if value is not None}
    if isinstance(plain.get("title"), str):
        del plain["title"]
    if isinstance(name := plain.pop("$ref", None), str):
        plain = _plain(components[name], components) | plain
    if "default" in schema:
        alternatives = [each for each in plain.pop("anyOf", ()) if each != {"type": "null"}]
        plain |= (
            alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives} if alternatives else {}
        )
    return plain
