"""Faults of fields, in plain words: the path of a field, and what it takes by the type of its struct."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import inspect

from kani.core.errors import InvalidRequest
from kani.core.request import Range
from kani_text import foreign

_NAMES: Mapping[type[inspect.Type], str] = {
    inspect.StrType: "a string",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.BytesType: "bytes (base64 in JSON)",
    inspect.ListType: "a list",
    inspect.VarTupleType: "a list",
    inspect.DictType: "an object",
    inspect.StructType: "an object",
}
_ITEMS: Mapping[type[inspect.Type], str] = {
    inspect.StrType: " of strings",
    inspect.IntType: " of whole numbers",
    inspect.FloatType: " of numbers",
}
_MOST_SHOWN = 4  # fields of an object that a sentence shows


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a field."""

    path: str  # "turns[1].voice"
    kind: Literal["missing", "type", "value"]
    reason: str  # for people, as "must be a string"
    value: Any = None
    wanted: str = ""  # msgspec's name of the type, of a wrong type


class WrongFields(InvalidRequest):
    """A body with missing or wrong fields; the first of its ``faults`` is the error's."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(faults[0].path, faults[0].reason)
        self.faults = faults


def fault_of(error: foreign.Unreadable, name: str, expected: inspect.Type, value: Any) -> Fault:
    """Say what a parser found in a field of this name, type and value."""
    where, around = error.field, expected
    for step in re.findall(r"\.\.\.|[^.\[\]]+", where):
        around, expected = expected, _inside(expected, step) or expected
        value = value[int(step)] if isinstance(value, list) else (value or {}).get(step)
    if where.endswith("]") and struct_of(expected) is None:
        # A field is named, not its item, unless that has fields.
        where = where[: where.rindex("[")]
    else:
        around = expected
    where = where.replace("[...]", "")
    if missing := re.fullmatch(r"object missing required field `(.+)`", error.reason):
        return Fault(f"{name}.{where}.{missing[1]}".replace("..", ".").strip("."), "missing", "is needed")
    path = f"{name}.{where}".replace(".[", "[").replace("..", ".").strip(".")
    wrong = re.fullmatch(r"expected `(.+)`, got `.+`", error.reason)
    if wrong is not None:
        return Fault(path, "type", f"must be {_named(around)}", value, wrong[1])
    return Fault(path, "value", _limit(bare(expected)), value)


def struct_of(kind: inspect.Type) -> type[msgspec.Struct] | None:
    """Return the struct of a field that is an object of fields: it has nulls and faults of its own."""
    match kind:
        case inspect.Metadata(type=inner):
            return struct_of(inner)
        case inspect.UnionType(types=kinds):
            return next(filter(None, map(struct_of, kinds)), None)
        case inspect.StructType(cls=found):
            return found
    return None


def _inside(kind: inspect.Type, step: str) -> inspect.Type | None:
    """Return the type of what is at a step inside: a field, the number of an item, "..." for any name."""
    match kind:
        case inspect.Metadata(type=inner):
            return _inside(inner, step)
        case inspect.UnionType(types=kinds):
            found = [*filter(None, (_inside(each, step) for each in kinds))]
            tags = [tag for each in found if isinstance(each, inspect.LiteralType) for tag in each.values]
            return inspect.LiteralType(tuple(tags)) if tags else next(iter(found), None)
        case inspect.StructType(tag_field=field, tag=tag) if field == step:
            return inspect.LiteralType((tag,))
        case inspect.StructType(fields=fields):
            return next((field.type for field in fields if field.encode_name == step), None)
        case inspect.CollectionType(item_type=inner) | inspect.DictType(value_type=inner):
            return inner
    return None


def _named(kind: inspect.Type) -> str:
    """Say what is taken, as it follows "must be"."""
    match kind:
        case inspect.Metadata(type=inner):
            return _named(inner)
        case inspect.UnionType(types=kinds):
            names = [_named(each) for each in kinds if not isinstance(each, inspect.NoneType)]
            return " or ".join(dict.fromkeys(names))
        case inspect.StructType(fields=fields, tag_field=None) if len(fields) <= _MOST_SHOWN and not any(
            struct_of(each.type) for each in fields
        ):
            inside = (f'"{each.encode_name}": {_named(each.type)}' for each in fields)
            return f"{{{', '.join(inside)}}}"
        case inspect.LiteralType(values=values):
            return ("one of " if len(values) > 1 else "") + ", ".join(map(str, values))
        case inspect.CollectionType(item_type=item) | inspect.DictType(value_type=item):
            return _NAMES[type(kind)] + _ITEMS.get(type(bare(item)), "")
    return _NAMES.get(type(kind), "another value")


def bare(kind: inspect.Type) -> inspect.Type:
    """Return what is taken beside null, of several types the first."""
    match kind:
        case inspect.Metadata(type=inner):
            return bare(inner)
        case inspect.UnionType(types=kinds):
            return bare(next(each for each in kinds if not isinstance(each, inspect.NoneType)))
    return kind


def _limit(kind: inspect.Type) -> str:
    """Say what limit a value of the right type breaks."""
    match kind:
        case inspect.IntType(ge=low, le=high) | inspect.FloatType(ge=low, le=high) if low is not None:
            step = f", a multiple of {kind.multiple_of:g}" if kind.multiple_of else ""
            return f"must be {Range(low, low if high is None else high)}{step}"
        case inspect.StrType(max_length=int(most)):
            return f"too long (at most {most} characters)"
        case inspect.StrType():
            return "is empty"
        case inspect.CollectionType(min_length=least, max_length=most):
            return f"must be a list of {least} to {most}" if least else f"too many (at most {most})"
        case inspect.DictType(max_length=most):
            return f"must be an object of at most {most} names"
    return f"must be {_named(kind)}"
