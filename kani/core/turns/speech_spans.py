"""Times of speech in a recording, by the probabilities of a voice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kani.core.recognizer import VOICE_CHUNK_S

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class SpeechRule:
    """What counts as one stretch of speech; lengths in seconds."""

    on: float  # probability of a voice from which on speech begins
    off: float  # probability below which it ends
    silence_s: float  # shorter silence is part of the speech
    shortest_s: float = 0.0  # shorter speech is left out
    longest_s: float = math.inf  # longer speech is cut, in its last silence if it has one
    margin_s: float = 0.0  # added on each side, up to the middle of the silence


def speech_spans(voices: Sequence[float], rule: SpeechRule) -> list[Span]:
    """Return the start and the end of each stretch of speech in seconds, in order.

    voices: the probability of a voice in each ``VOICE_CHUNK_S`` of a recording.
    """
    joined: list[Span] = []
    for start, end in _runs(voices, rule):
        begin, last = joined[-1] if joined else (0.0, -math.inf)
        if start - last < rule.silence_s and end - begin <= rule.longest_s:
            joined[-1] = begin, end
        else:
            joined.append((start, end))
    kept = [(start, end) for start, end in joined if end - start >= rule.shortest_s]
    middles = [(end + start) / 2 for (_, end), (start, _) in pairwise(kept)]
    room = pairwise([0.0, *middles, len(voices) * VOICE_CHUNK_S])
    wide = ((start - rule.margin_s, end + rule.margin_s) for start, end in kept)
    return [(max(a, first), min(b, last)) for (a, b), (first, last) in zip(wide, room, strict=False)]


def _runs(voices: Sequence[float], rule: SpeechRule) -> Iterator[Span]:
    """Yield the stretches without any silence, cut where they are too long."""
    longest = max(1, math.floor(min(rule.longest_s / VOICE_CHUNK_S, len(voices)) + 1e-6))
    begin: int | None = None
    for at, voice in enumerate([*voices, -1.0]):
        if begin is not None and (voice < rule.off or at - begin == longest):
            yield begin * VOICE_CHUNK_S, at * VOICE_CHUNK_S
            begin = None
        if begin is None and voice >= max(rule.on, rule.off):
            begin = at
