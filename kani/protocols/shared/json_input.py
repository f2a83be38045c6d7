"""Parses clients' JSON, refusing input that would block the event loop for long."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_VALUES = 100_000
"""JSON with more values is refused before it is parsed: parsing it would block the event loop."""


class TooManyValues(ValueError):
    """More than ``MAX_VALUES`` values."""

    def __init__(self) -> None:
        super().__init__(f"too many values (at most {MAX_VALUES})")


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises TooManyValues, and ValueError if ``text`` is no JSON object.

    Uses Python's own parser, which accepts half a surrogate pair: JavaScript sends one when a text was cut
    inside an emoji.
    """
    if len(text) > MAX_VALUES and sum(map(text.count, "[{,")) > MAX_VALUES:
        raise TooManyValues
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
