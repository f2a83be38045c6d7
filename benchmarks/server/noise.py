"""An engine that makes noise at once, as a plug-in of the server: all that is measured is the server's own.

``NOISE_TIMED=1``: at 24 kHz with a time for each word, as Kokoro has them; otherwise at 22,050 Hz without, as
Kani. Pieces last 80 ms, as Kani's frames, a letter 60 ms.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

import numpy as np

from kani.core.engine import Described, EngineInfo
from kani.core.types import Segment, Span, SpeechChunk, Voice
from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.plugin_settings import PluginSettings
from kani_text.writing import word_spans

TIMED = bool(os.environ.get("NOISE_TIMED"))
RATE = 24_000 if TIMED else 22_050
PIECE_S = 0.08
LETTER_S = 0.06
_NOISE = np.random.default_rng(0).uniform(-0.05, 0.05, RATE).astype(np.float32)


class NoiseEngine(Described):
    """Speaks any number of segments at once."""

    async def start(self) -> None:
        """Describe itself."""
        self._info = EngineInfo(
            "noise",
            "0",
            RATE,
            (Voice("noise", "noise", "es", "noise"),),
            {"es": "noise"},
            max_concurrency=4096,
            streams_inside_segment=True,
            times_words=TIMED,
        )

    async def stop(self) -> None:
        """Nothing to do."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See Engine."""
        words = [
            Span(start, end, start * LETTER_S, end * LETTER_S)
            for start, end in (word_spans(segment.text, 0, len(segment.text)) if TIMED else ())
        ]
        step, total = round(PIECE_S * RATE), round(len(segment.text) * LETTER_S * RATE)
        for at in range(0, total, step):
            ends = min(at + step, total)
            count = len(words) if ends == total else sum(word.start_s * RATE < ends for word in words)
            spans, words = tuple(words[:count]), words[count:]
            yield SpeechChunk(_NOISE[: ends - at], RATE, at / RATE, spans)


def build(settings: PluginSettings, resources: Resources) -> NoiseEngine:
    """Build it."""
    return NoiseEngine()


ENGINE = EnginePlugin("noise", PluginSettings, build)
