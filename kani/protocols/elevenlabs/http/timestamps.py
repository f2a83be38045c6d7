"""Audio with the times of its characters, as JSON: whole, and in lines."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from kani.core.timing.characters import TimedCharacters, TimedForms
from kani.protocols.shared.streamed_answer import ByteStream, in_blocks


def audio_with_fields(data: bytes, fields: dict[str, Any]) -> tuple[int, ByteStream]:
    """Return the length of a whole answer's JSON and its blocks, which are written while they are sent.

    A copy would take 4/3 of the audio's memory.
    """
    head, tail = json.dumps({"audio_base64": "|"} | fields).encode().split(b"|", 1)

    async def blocks() -> ByteStream:
        yield head
        async for block in in_blocks(data):
            yield base64.b64encode(block)
        yield tail

    return len(head) + -(-len(data) // 3) * 4 + len(tail), blocks()


def audio_line(data: bytes, fields: dict[str, Any]) -> bytes:
    return json.dumps({"audio_base64": base64.b64encode(data).decode()} | fields).encode() + b"\n"


def alignment_fields(parts: Sequence[TimedForms]) -> dict[str, Any]:
    """Return the two alignments of consecutive texts; between two of them there may be a pause.

    Times are seconds since the answer's first sample, rounded to 1 ms.
    """
    return {
        "alignment": _alignment_json([part.written for part in parts]),
        "normalized_alignment": _alignment_json([part.spoken for part in parts]),
    }


def _alignment_json(parts: Sequence[TimedCharacters]) -> dict[str, Any] | None:
    """Return None without characters. Within a text each character ends where the next begins."""
    characters: list[str] = []
    starts: list[float] = []
    ends: list[float] = []
    for part in parts:
        edges = [round(edge, 3) for edge in part.edges_s]
        characters += part.text
        starts += edges[:-1]
        ends += edges[1:]
    if not characters:
        return None
    return {
        "characters": characters,
        "character_start_times_seconds": starts,
        "character_end_times_seconds": ends,
    }
