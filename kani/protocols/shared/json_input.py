"""Parses clients' JSON, refusing input that would block the event loop for long."""

from __future__ import annotations

from typing import Any

from kani.text import foreign

MAX_VALUES = 100_000
"""JSON with more values is refused before it is parsed: parsing it would block the event loop."""


class TooManyValues(ValueError):
    """More than ``MAX_VALUES`` values."""

    def __init__(self) -> None:
        super().__init__(f"too many values (at most {MAX_VALUES})")


def parse_object(text: str) -> dict[str, Any]:
    """Parse a JSON object. Raises TooManyValues, and ValueError if ``text`` is no JSON object."""
    if len(text) > MAX_VALUES and sum(map(text.count, "[{,")) > MAX_VALUES:
        raise TooManyValues
    parsed = foreign.parse_json(text)
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed
