"""The text of an answer with the times of its words: what of it was heard by a moment of its audio."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kani.core.types import Span

HEARD_PART = 0.5
"""Part of a word's length from which on it counts as heard."""


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    start_s: float
    end_s: float


class SpokenText:
    """Grows with the audio that is sent; ``heard_s`` is set once the listener broke it off."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self.duration_s = 0.0  # seconds of audio that were sent
        self.heard_s = math.inf  # seconds of it that were heard; infinite as far as is known

    def add(self, text: str, span: Span) -> str:
        """Add the part of ``text`` that ``span`` is about; returns it."""
        piece = text[span.start : span.end]
        self._pieces.append(_Piece(piece, span.start_s, span.end_s))
        return piece

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self._pieces)

    @property
    def heard(self) -> str:
        """The words that were heard: those that were played for half their length at least."""
        if self.heard_s >= self.duration_s:
            return self.text
        heard = since = ""
        for piece in self._pieces:
            if not any(map(str.isalnum, piece.text)):
                since += piece.text
                continue
            if piece.start_s + HEARD_PART * (piece.end_s - piece.start_s) >= self.heard_s:
                break
            heard += since + piece.text
            since = ""
        # Marks right after a word are its own; those before one that was not heard are not.
        own = since.split(maxsplit=1)[:1] if since[:1].strip() else []
        return heard and "".join([heard, *own])
