"""Parses clients' JSON, refusing input that would block the event loop for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kani.text import foreign

MAX_VALUES = 100_000
"""JSON with more values is refused before it is parsed: parsing it would block the event loop."""


_KINDS = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}


class UnwantedJson(ValueError):
    """JSON that is not taken; ``str()`` says to a client what is expected."""


class NoObject(UnwantedJson):
    """JSON of another kind than an object."""


def object_of(text: str | bytes, broken: str, refuse: Callable[[str], Exception]) -> dict[str, Any]:
    """Parse a JSON object; raises what ``refuse`` returns for a sentence, ``broken`` for no JSON."""
    try:
        return parse_object(text.decode() if isinstance(text, bytes) else text)
    except ValueError as error:
        raise refuse(str(error) if isinstance(error, UnwantedJson) else broken) from error


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises UnwantedJson, and ValueError if ``text`` is no JSON."""
    if len(text) > MAX_VALUES and sum(map(text.count, "[{,")) > MAX_VALUES:
        raise UnwantedJson(f"too many values (at most {MAX_VALUES})")
    parsed = foreign.parse_json(text)
    if not isinstance(parsed, dict):
        raise NoObject(f"a JSON object is expected, not {_KINDS.get(type(parsed), 'a number')}")
    return parsed
