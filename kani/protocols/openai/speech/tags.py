"""Marks inside the input.

``[voice:NAME]`` changes the voice, ``[rate:0.8]`` the speed, ``[pause:1.5s]`` makes a pause.
"""

import re
from dataclasses import dataclass, replace

from kani.core.request import RANGES
from kani.protocols.shared.errors import field_error

MAX_PAUSE_S = 10.0
MAX_MARKS = 1000
"""Limits of one text: marks make sessions and silence without costing characters that are spoken."""

_MARK = re.compile(r"\[(?P<kind>voice|rate|pause):(?P<value>[^\[\]\n]{1,200})\]", re.IGNORECASE)
_RATE = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")
_SECONDS = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(?P<unit>ms|s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Turn:
    """A passage in one voice at one rate: texts, and pauses in seconds between them."""

    voice: str | None  # as the client names it; None for the request's
    pieces: tuple[str | float, ...]
    rate: float = 1.0  # factor of the request's speed

    @property
    def text(self) -> str:
        return "".join(piece for piece in self.pieces if isinstance(piece, str))


def split_turns(text: str, *, marks: bool) -> list[Turn]:
    """Split a text at its marks; marks: whether there are any, or brackets are text like all else.

    Passages without text are dropped, a pause in them belongs to the next. At least one turn is returned.
    Raises RequestError for a pause or a rate without a valid number, or more than ``MAX_MARKS``.
    """
    if not marks:
        return [Turn(None, (text,))]
    turns: list[Turn] = []
    voice: str | None = None
    rate = 1.0
    pieces: list[str | float] = []
    end = count = 0
    for mark in _MARK.finditer(text):
        if (count := count + 1) > MAX_MARKS:
            raise field_error("input", f"too many marks (at most {MAX_MARKS})")
        pieces.append(text[end : mark.start()])
        end = mark.end()
        if mark["kind"].lower() == "pause":
            pieces.append(_seconds(mark["value"].strip()))
            continue
        pieces = _close(turns, voice, rate, pieces)
        if mark["kind"].lower() == "rate":
            rate = _rate(mark["value"].strip())
        else:
            voice = mark["value"].strip()
    pieces.append(text[end:])
    rest = _close(turns, voice, rate, pieces)
    if rest and turns:
        turns[-1] = replace(turns[-1], pieces=(*turns[-1].pieces, *rest))
    if not turns:
        raise field_error("input", "is empty", "string_below_min_length")
    return turns


def _close(turns: list[Turn], voice: str | None, rate: float, pieces: list[str | float]) -> list[str | float]:
    """Add a turn if there is text in it; return the pauses that are left for the next."""
    if any(isinstance(piece, str) and piece.strip() for piece in pieces):
        turns.append(Turn(voice, tuple(piece for piece in pieces if piece), rate))
        return []
    return [piece for piece in pieces if isinstance(piece, float) and piece]


def _rate(value: str) -> float:
    speed = RANGES["speed"]
    if _RATE.fullmatch(value) is None or not speed.low <= float(value) <= speed.high:
        raise field_error("input", f'"[rate:{value:.20}]" is no number {speed}')
    return float(value)


def _seconds(value: str) -> float:
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise field_error("input", f'"[pause:{value:.20}]" has no length, such as 1.5s or 300ms')
    seconds = float(match["number"]) / (1000 if (match["unit"] or "s").lower() == "ms" else 1)
    if seconds > MAX_PAUSE_S:
        raise field_error("input", f"a pause is too long (at most {MAX_PAUSE_S:g} s)")
    return seconds
