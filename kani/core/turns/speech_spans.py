"""Times of speech in a recording, by the probabilities of a voice."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from kani.core.recognizer import VOICE_CHUNK_S

Span = tuple[float, float]


def speech_spans(
    voices: Sequence[float],
    on: float,
    off: float,
    silence_s: float,
    shortest_s: float,
    longest_s: float,
    margin_s: float,
) -> list[Span]:
    """Return the start and the end of each stretch of speech in seconds, in order.

    voices: the probability of a voice in each ``VOICE_CHUNK_S`` of a recording: speech begins from ``on`` on,
    and ends below ``off``; silence_s: shorter silence is part of it; shortest_s: shorter speech is left out;
    longest_s: longer speech is cut, in its last silence if it has one; margin_s: is added on each side, up to
    the middle of the silence.
    """
    joined: list[Span] = []
    for start, end in _runs(voices, on, off, longest_s):
        begin, last = joined[-1] if joined else (0.0, -math.inf)
        if start - last < silence_s and end - begin <= longest_s:
            joined[-1] = begin, end
        else:
            joined.append((start, end))
    kept = [(start, end) for start, end in joined if end - start >= shortest_s]
    middles = [(end + start) / 2 for (_, end), (start, _) in pairwise(kept)]
    room = pairwise([0.0, *middles, len(voices) * VOICE_CHUNK_S])
    wide = ((start - margin_s, end + margin_s) for start, end in kept)
    return [(max(a, first), min(b, last)) for (a, b), (first, last) in zip(wide, room, strict=False)]


def _runs(voices: Sequence[float], on: float, off: float, longest_s: float) -> Iterator[Span]:
    """Yield the stretches without any silence, cut where they are too long."""
    longest = max(1, math.floor(min(longest_s / VOICE_CHUNK_S, len(voices)) + 1e-6))
    begin: int | None = None
    for at, voice in enumerate([*voices, -1.0]):
        if begin is not None and (voice < off or at - begin == longest):
            yield begin * VOICE_CHUNK_S, at * VOICE_CHUNK_S
            begin = at if voice >= off else None  # a cut ends no speech
        elif begin is None and voice >= max(on, off):
            begin = at
