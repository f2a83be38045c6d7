"""JSON that clients send: read as it comes, but never so much of it that everybody else has to wait."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_VALUES = 100_000
"""JSON with more values than this is refused unread: parsing it would hold up everybody."""


class TooManyValues(ValueError):
    """More than ``MAX_VALUES`` values."""

    def __init__(self) -> None:
        super().__init__(f"too many values (at most {MAX_VALUES})")


def parse_object(text: str) -> dict[str, Any]:
    """The object that ``text`` is. Raises TooManyValues, and ValueError for what is no JSON object.

    Python's own parser is used because it takes half a surrogate pair, which JavaScript sends when a
    text was cut inside an emoji.
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
