"""Speaks each word as a tone."""

import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineUnavailable
from kani.core.types import Segment, Span, SpeechChunk, Voice

RATE = 24_000
WORD_S = 0.25


class ToneEngine:
    """An ``Engine``; key: has to be empty or "open"; folder: that of ``write_table``, which is optional."""

    def __init__(self, pitch: float, languages: Sequence[str], key: str, folder: Path) -> None:
        self._pitch = pitch
        self._key = key
        self._prepared = (folder / "table.npy").is_file()
        self.info = EngineInfo(
            name="acme",
            version="prepared" if self._prepared else "1.0",
            sample_rate=RATE,
            voices=tuple(Voice(f"acme_{tag}", "Tone", tag, "acme") for tag in languages),
            default_voices={tag: f"acme_{tag}" for tag in languages},
            streams_inside_segment=True,
        )

    async def start(self) -> None:
        """Check the key."""
        if self._key not in ("", "open"):
            raise EngineUnavailable(f"the tones do not open with a key of {len(self._key)} characters")

    async def stop(self) -> None:
        """Nothing is to be freed."""

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a tone for each word."""
        count = round(WORD_S / segment.speed * RATE)
        for index, word in enumerate(re.finditer(r"\w+", segment.text)):
            samples = 0.5 * np.sin(2 * np.pi * self._pitch * np.arange(count) / RATE)
            start_s = index * count / RATE
            span = Span(word.start(), word.end(), start_s, start_s + count / RATE)
            yield SpeechChunk(samples.astype(np.float32), RATE, start_s, (span,))


def write_table(folder: Path) -> None:
    """Write one period of the tone."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "table.npy", np.sin(np.linspace(0, 2 * np.pi, 256)))
