"""Settings of Wyoming."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WyomingSettings:
    version: str  # of this server
    max_text: int  # characters of one request
    end_of_speech: bool  # end every command where its speech ends, without being asked
