"""Settings of Wyoming."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WyomingSettings:
    """Settings of Wyoming."""

    version: str  # of this server
    max_text: int  # characters of one request
    write_timeout_s: float  # longest time that a client may read nothing of what is sent to it
    end_of_speech: bool  # end every command where its speech ends, without being asked
    zeroconf: bool  # announce the port to the local network
