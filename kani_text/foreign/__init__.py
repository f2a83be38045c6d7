"""The gate for what strangers send: parsed with one kind of error, written so that it does no harm.

Parsers fail in more ways than a caller thinks of: deep nesting is a RecursionError, half a surrogate pair a
UnicodeEncodeError where a message quotes it, and a number of more than 4,300 digits a ValueError.
"""

import json
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NoReturn, TypeVar

import msgspec

T = TypeVar("T")

MAX_DEPTH = 100
"""Levels of parsed JSON: writing it, or walking through it, fails with more than some hundreds."""

_TOO_DEEP = "nested too deeply"


class Unreadable(ValueError):
    """A value that cannot be parsed, or is not of the wanted form.

    reason: for people, in lower case; field: the path to the fault ("session.voice"), empty where it is the
    whole value; formed: whether it could be parsed, so that the form is what is wrong.
    """

    def __init__(self, reason: str, field: str = "", *, formed: bool = False) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.reason, self.field, self.formed = reason, field, formed


def parse_json(text: str | bytes | bytearray, *, endless: bool = False) -> Any:
    """Parse JSON. Raises Unreadable.

    Uses Python's own parser, which accepts half a surrogate pair: JavaScript sends one when a text was cut
    inside an emoji. endless: whether NaN, Infinity and 1e999 are accepted, which cannot be written again.
    """
    number, constant = (None, None) if endless else (_finite, _refuse_constant)
    parsed = guarded(partial(json.loads, text, parse_float=number, parse_constant=constant))
    count: Callable[[Any], int] = text.count
    lists, objects = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    # Few brackets are not nested too deeply.
    level, depth = [parsed] if count(lists) + count(objects) > MAX_DEPTH else [], 0
    while level := [inner for each in level for inner in _inside(each)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise Unreadable(_TOO_DEEP)
    return parsed


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def decode_json(data: bytes, kind: type[T]) -> T:
    """Parse JSON into a struct, or another type that msgspec knows. Raises Unreadable."""
    return guarded(lambda: msgspec.json.decode(data, type=kind))


def decode_pack(decoder: msgspec.msgpack.Decoder[T], data: bytes | memoryview | msgspec.Raw) -> T:
    """Parse MessagePack. Raises Unreadable."""
    return guarded(partial(decoder.decode, data))


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Convert what was parsed into a struct, or another type that msgspec knows. Raises Unreadable.

    strict: whether a text is a text only; else it may be a number, or true or false, as in forms.
    """
    try:
        return guarded(lambda: msgspec.convert(value, kind, strict=strict))
    except Unreadable as error:
        if not isinstance(error.__cause__, UnicodeEncodeError):
            raise
    # msgspec needs UTF-8 of keys, of words from a list, and of what it quotes in an error.
    return guarded(lambda: msgspec.convert(without_halves(value), kind, strict=strict))


def guarded(parse: Callable[[], T]) -> T:
    """Return what ``parse`` returns, which raises whatever a parser does. Raises Unreadable only."""
    try:
        return parse()
    except RecursionError as error:
        raise Unreadable(_TOO_DEEP) from error
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").removeprefix(".")
        raise Unreadable(reason[:1].lower() + reason[1:], field, formed=True) from error
    except UnicodeEncodeError as error:
        raise Unreadable("holds half of a surrogate pair") from error
    except ValueError as error:
        digits = "integer string conversion" in str(error)
        raise Unreadable("a number has too many digits" if digits else str(error)) from error


def without_halves(value: Any) -> Any:
    """Return parsed JSON with U+FFFD for each half of a surrogate pair, which has no UTF-8."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [without_halves(each) for each in value]
        case dict():
            return {without_halves(key): without_halves(each) for key, each in value.items()}
    return value


def log_value(text: str) -> str:
    """Return text with an escape for each character that no terminal should get, line breaks excepted."""
    return "".join(each if each.isprintable() or each in "\n\t" else _escaped(each) for each in text)


def header_value(text: str) -> str:
    """Return text for a header of HTTP: printable ASCII, with escapes for all other characters."""
    return "".join(each if " " <= each <= "~" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
