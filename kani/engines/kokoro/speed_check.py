"""Speed of the network's two halves on this machine."""

from __future__ import annotations

import math

STREAMS_SHARE = 0.8
"""Fraction of the cores planned for streams; the rest is for sockets, text and predictions that come
together, which the measured sample does not include."""

LEAST_STREAMS = 2
"""Minimum of streams at once, so that a short answer never waits for a long text (both may stutter)."""

LATE_COST = 0.3
"""Processor seconds for a second of audio from which on sentences begin late. Where they are 0.11 (VNNI), the
first sound comes after 65 to 112 ms; where they are 0.55 (AVX2), after 239 to 306 ms."""

_SENTENCE_SYMBOLS = 60

MEASURED_SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


def real_time_streams(cost: float, cores: int) -> int:
    """Number of streams that ``cores`` synthesize while they are played, at least ``LEAST_STREAMS``.

    cost: processor seconds for a second of audio.
    """
    return max(LEAST_STREAMS, int(STREAMS_SHARE * cores / cost))


def begins_late(cost: float) -> bool:
    """Return True if a sentence's first sound comes noticeably late on this machine.

    cost: processor seconds for a second of audio.
    """
    return cost > LATE_COST


class PredictionSpeed:
    """Speed at which prosody and features are predicted on this machine; shared by all segments.

    The least time counts, not a mean: what another stream took from one prediction says nothing of the next
    one, and a sentence is divided the same way each time.
    """

    def __init__(self) -> None:
        self.symbol_s = 0.0  # least seconds for a symbol of a sentence; 0 until one was predicted

    def note(self, symbols: int, seconds: float) -> None:
        """Note a prediction, unless it is short: a part of the time does not depend on the length."""
        if symbols >= _SENTENCE_SYMBOLS:
            self.symbol_s = min(self.symbol_s or math.inf, seconds / symbols)
