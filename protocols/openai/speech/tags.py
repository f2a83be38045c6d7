"""Marks inside the input: ``[voice:NAME]`` changes the voice, ``[pause:1.5s]`` makes a pause."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protocols.openai.errors import ApiError

MAX_PAUSE_S = 10.0
MAX_MARKS = 1000
"""Limits of one text: marks make sessions and silence without costing characters that are spoken."""

_MARK = re.compile(r"\[(?P<kind>voice|pause):(?P<value>[^\[\]\n]{1,200})\]", re.IGNORECASE)
_SECONDS = re.compile(r"(?P<number>[0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(?P<unit>ms|s)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Turn:
    """A passage in one voice: texts, and pauses in seconds between them."""

    voice: str | None  # as the client names it; None for the request's
    pieces: tuple[str | float, ...]

    @property
    def text(self) -> str:
        """All that is spoken in it."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))


def split_turns(text: str, *, marks: bool) -> list[Turn]:
    """Split a text at its marks; marks: whether there are any, or brackets are text like all else.

    Passages without text are dropped, a pause in them belongs to the next. At least one turn is returned.
    Raises ApiError for a pause without a valid length, or more than ``MAX_MARKS``.
    """
    if not marks:
        return [Turn(None, (text,))]
    turns: list[Turn] = []
    voice: str | None = None
    pieces: list[str | float] = []
    end = count = 0
    for mark in _MARK.finditer(text):
        if (count := count + 1) > MAX_MARKS:
            raise _invalid(f"too many marks (at most {MAX_MARKS})")
        pieces.append(text[end : mark.start()])
        end = mark.end()
        if mark["kind"].lower() == "pause":
            pieces.append(_seconds(mark["value"].strip()))
            continue
        pieces = _close(turns, voice, pieces)
        voice = mark["value"].strip()
    pieces.append(text[end:])
    rest = _close(turns, voice, pieces)
    if rest and turns:
        turns[-1] = Turn(turns[-1].voice, (*turns[-1].pieces, *rest))
    if not turns:
        raise ApiError(400, "input: is empty", "input", "string_below_min_length")
    return turns


def _close(turns: list[Turn], voice: str | None, pieces: list[str | float]) -> list[str | float]:
    """Add a turn if there is text in it; return the pauses that are left for the next."""
    if any(isinstance(piece, str) and piece.strip() for piece in pieces):
        turns.append(Turn(voice, tuple(piece for piece in pieces if piece)))
        return []
    return [piece for piece in pieces if isinstance(piece, float) and piece]


def _seconds(value: str) -> float:
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise _invalid(f'"[pause:{value:.20}]" has no length, such as 1.5s or 300ms')
    seconds = float(match["number"]) / (1000 if (match["unit"] or "s").lower() == "ms" else 1)
    if seconds > MAX_PAUSE_S:
        raise _invalid(f"a pause is too long (at most {MAX_PAUSE_S:g} s)")
    return seconds


def _invalid(reason: str) -> ApiError:
    return ApiError(400, f"input: {reason}", "input", "invalid_value")
