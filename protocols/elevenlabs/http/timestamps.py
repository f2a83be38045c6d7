"""When each character is said, as the HTTP answers tell it."""

from __future__ import annotations

from typing import Any

from speech.timing.characters import TimedCharacters, TimedForms


def alignment_json(timed: TimedCharacters) -> dict[str, Any] | None:
    """Seconds since the answer's first sample, to the millisecond; None where there are no characters.

    They tile: each character ends where the next one starts.
    """
    if not timed.text:
        return None
    edges = [round(edge, 3) for edge in timed.edges_s]
    return {
        "characters": list(timed.text),
        "character_start_times_seconds": edges[:-1],
        "character_end_times_seconds": edges[1:],
    }


def timestamps_json(audio_base64: str, reading: TimedForms) -> dict[str, Any]:
    """An answer, or a line of one."""
    return {
        "audio_base64": audio_base64,
        "alignment": alignment_json(reading.written),
        "normalized_alignment": alignment_json(reading.spoken),
    }
