"""Speed of the network's two halves on this machine."""

from __future__ import annotations

import math

STREAMS_SHARE = 0.8
"""Share of the cores for streams that are synthesized at the same time, by the cost of a sample. The rest is
for what the sample lacks: the sockets, the text, and predictions that come together."""

LEAST_STREAMS = 2
"""Streams that begin on a machine of any speed: an answer of an assistant waits no minutes for the end of a
long text, though both may have gaps."""

_SENTENCE_SYMBOLS = 60

MEASURED_SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


def real_time_streams(cost: float, cores: int) -> int:
    """Number of streams that ``cores`` synthesize while they are played, at least ``LEAST_STREAMS``.

    cost: processor seconds for a second of audio.
    """
    return max(LEAST_STREAMS, int(STREAMS_SHARE * cores / cost))


class PredictionSpeed:
    """Speed at which prosody and features are predicted on this machine; shared by all segments.

    The least time counts, not a mean: what another stream took from one prediction says nothing of the next
    one, and a sentence is divided the same way each time.
    """

    def __init__(self) -> None:
        self.symbol_s = 0.0
        """Least seconds for a symbol of a sentence; 0 until one was predicted."""

    def note(self, symbols: int, seconds: float) -> None:
        """Note a prediction, unless it is short: a part of the time does not depend on the length."""
        if symbols >= _SENTENCE_SYMBOLS:
            self.symbol_s = min(self.symbol_s or math.inf, seconds / symbols)
