"""JSON schemas of bodies and parameters, made from the ranges, names and structs that the parsers use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kani.core.request import Range

Schema = Mapping[str, Any]
_UNSET: Any = object()


def _schema(kind: str, about: str, default: Any = _UNSET, **more: Any) -> dict[str, Any]:
    schema = {"type": kind} | ({"description": about} if about else {})
    schema |= {name: value for name, value in more.items() if value is not None}
    return schema if default is _UNSET else schema | {"default": default}


def text(about: str = "", *, longest: int | None = None, default: Any = _UNSET) -> Schema:
    """Return the schema of a string; longest: characters."""
    return _schema("string", about, default, maxLength=longest)


def choice(names: Iterable[str], about: str = "", *, default: Any = _UNSET) -> Schema:
    """Return the schema of one of ``names``."""
    return _schema("string", about, default, enum=[*names])


def number(about: str = "", allowed: Range | None = None, *, default: Any = _UNSET) -> Schema:
    """Return the schema of a number within a range."""
    return _schema("number", about, default, **_limits(allowed))


def whole(about: str = "", allowed: Range | None = None, *, default: Any = _UNSET) -> Schema:
    """Return the schema of a whole number within a range."""
    return _schema("integer", about, default, **_limits(allowed))


def flag(about: str = "", *, default: Any = _UNSET) -> Schema:
    """Return the schema of true or false."""
    return _schema("boolean", about, default)


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


def struct_fields(
    kind: type[msgspec.Struct], about: Mapping[str, str], ranges: Mapping[str, Range]
) -> dict[str, Schema]:
    """Return the schema of each field of a struct, null left out, which equals a missing field.

    about: the description of each field; ranges: limits of fields. Raises KeyError for a field without a
    description.
    """
    properties = msgspec.json.schema_components([kind])[1][kind.__name__]["properties"]
    return {
        name: _without_null(schema) | {"description": about[name]} | _limits(ranges.get(name))
        for name, schema in properties.items()
    }


def required_fields(kind: type[msgspec.Struct]) -> list[str]:
    """Return the names of a struct's fields without a default."""
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    alternatives = [each for each in kept.pop("anyOf", ()) if each != {"type": "null"}]
    return kept | (alternatives[0] if len(alternatives) == 1 else {})


def _limits(allowed: Range | None) -> dict[str, float]:
    return {} if allowed is None else {"minimum": allowed.low, "maximum": allowed.high}
