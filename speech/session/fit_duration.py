"""Speech of an exact length: all of a text is said once to see how long it is by itself, and then to measure.

A voice says it faster or slower as far as it can (once more, where its engine renders speeds); the rest,
and what it misses by, is a filter's (``speech.audio.prosody_filter``). Each segment makes up for what those
before it were too long or too short by.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise

from speech.audio.segment_filter import SegmentFilter
from speech.engine import EngineInfo
from speech.errors import InvalidRequest
from speech.session.context import ResolvedVoice
from speech.text.incremental_text import IncrementalText
from speech.text.segment_pipeline import Pause
from speech.types import SpeechChunk

MIN_STRETCH, MAX_STRETCH = 0.6, 1.6
"""How long speech may become against its length by itself and stay intelligible."""

_NEAR = 0.003
"""What is so near to its length is left as it is."""

_SLOWEST = 0.25
_ROOM_S = 3600.0


@dataclass(frozen=True, slots=True)
class NaturalTake:
    """One segment as it was said: its chunks at the session's rate, unless they were not kept.

    pause_s: the silence behind it, unless it is the last.
    """

    resolved_voice: ResolvedVoice
    text: IncrementalText
    chunks: tuple[SpeechChunk, ...]
    seconds: float
    pause_s: float

    @property
    def engine_info(self) -> EngineInfo:
        """Of the engine that said it."""
        return self.resolved_voice.engine.info

    @property
    def can_change_speed(self) -> bool:
        """Whether its engine says it faster or slower, and otherwise just so."""
        slowest, fastest = self.engine_info.speed_range
        return slowest < fastest


def stretch_factor(duration_s: float, takes: list[NaturalTake | Pause]) -> float:
    """How much longer than by itself everything but the rests has to be to last ``duration_s`` in all.

    Raises InvalidRequest with the range that is possible.
    """
    rests_s = sum(part.seconds for part in takes if isinstance(part, Pause))
    natural_s = sum(part.seconds for part in takes if isinstance(part, NaturalTake))
    # At the end there is no pause, and a rest takes a pause's place.
    natural_s += sum(
        part.pause_s
        for part, following in pairwise(takes)
        if isinstance(part, NaturalTake) and isinstance(following, NaturalTake)
    )
    shortest_s, longest_s = (rests_s + share * natural_s for share in (MIN_STRETCH, MAX_STRETCH))
    if not natural_s and rests_s <= duration_s:
        # Nothing is said: it is silent for so long.
        return 1.0
    if not shortest_s <= duration_s <= longest_s:
        reason = f"this text can be said in {shortest_s:.2f} to {longest_s:.2f} s"
        raise InvalidRequest("duration_s", reason)
    return (duration_s - rests_s) / natural_s


def fit_take(take: NaturalTake, seconds: float, rate: int) -> SegmentFilter:
    """A take that lasts ``seconds``."""
    factor = take.seconds / max(seconds, MIN_STRETCH * take.seconds) if take.seconds else 1.0
    factor = 1.0 if abs(factor - 1) < _NEAR else max(factor, _SLOWEST)
    return SegmentFilter(_again(take), rate, factor, round(_ROOM_S * rate))


async def collect(
    chunks: AsyncGenerator[SpeechChunk, None], most_s: float
) -> tuple[tuple[SpeechChunk, ...], float]:
    """The chunks and how long they are; none of them if that is more than ``most_s``."""
    taken: list[SpeechChunk] = []
    seconds = 0.0
    async with aclosing(chunks):
        async for chunk in chunks:
            seconds += chunk.duration_s
            taken.append(chunk)
            if seconds > most_s:
                taken.clear()
    return tuple(taken), seconds


async def _again(take: NaturalTake) -> AsyncGenerator[SpeechChunk, None]:
    for chunk in take.chunks:
        yield chunk
