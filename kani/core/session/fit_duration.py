"""Speech of an exact duration: each segment is synthesized at its natural speed, then stretched.

Slower speech is synthesized once more at that speed, where the engine supports it; the rest is left to
``kani.core.audio.prosody_filter``. Each segment compensates for the error of those before it.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import pairwise

from kani.core.audio.prosody_filter import SegmentFilter
from kani.core.errors import InvalidRequest, Reason
from kani.core.types import SpeechChunk
from kani.core.voices.catalogue import ResolvedVoice
from kani_text.incremental_text import IncrementalText
from kani_text.segment_pipeline import Pause

MIN_STRETCH, MAX_STRETCH = 0.6, 1.6
"""Range of durations, relative to the natural one, that keeps speech intelligible."""

_TOLERANCE = 0.003
"""Relative error of a duration that is not corrected."""

_MIN_SPEED = 0.25
_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class NaturalTake:
    """One segment, synthesized at its natural speed."""

    voice: ResolvedVoice
    text: IncrementalText
    chunks: tuple[SpeechChunk, ...]  # at the session's sample rate; none where the audio was not kept
    seconds: float
    pause_s: float  # silence after it, unless it is the last


def stretch_factor(duration_s: float, takes: list[NaturalTake | Pause]) -> float:
    """Stretch factor for the speech (not the requested pauses) so that the whole lasts ``duration_s``.

    Raises InvalidRequest with the possible range.
    """
    fixed_s = sum(part.seconds for part in takes if isinstance(part, Pause))
    natural_s = sum(part.seconds for part in takes if isinstance(part, NaturalTake))
    # There is no pause at the end, nor beside a requested one.
    natural_s += sum(
        part.pause_s
        for part, following in pairwise(takes)
        if isinstance(part, NaturalTake) and isinstance(following, NaturalTake)
    )
    shortest_s, longest_s = (fixed_s + share * natural_s for share in (MIN_STRETCH, MAX_STRETCH))
    if not natural_s and fixed_s <= duration_s:
        return 1.0
    if not shortest_s <= duration_s <= longest_s:
        reason = f"this text can be said in {shortest_s:.2f} to {longest_s:.2f} s"
        limits = {"low": round(shortest_s, 2), "high": round(longest_s, 2)}
        raise InvalidRequest("duration_s", reason, Reason("out_of_range", limits))
    return (duration_s - fixed_s) / natural_s


def fit_take(take: NaturalTake, seconds: float, sample_rate: int) -> SegmentFilter:
    """Return a filter that makes the take last ``seconds``, as far as ``MIN_STRETCH`` allows."""
    factor = take.seconds / max(seconds, MIN_STRETCH * take.seconds) if take.seconds else 1.0
    factor = 1.0 if abs(factor - 1) < _TOLERANCE else max(factor, _MIN_SPEED)
    return SegmentFilter(_replay(take), sample_rate, factor, round(_MAX_S * sample_rate))


async def _replay(take: NaturalTake) -> AsyncGenerator[SpeechChunk, None]:
    for chunk in take.chunks:
        yield chunk
