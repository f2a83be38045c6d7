"""Stand-ins for the adapters of Kyutai's package, which need neither it nor torch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.recognizer import RecognizerInfo
from kani.core.types import Samples, Span, Voice
from kani.engines.kyutai.script import Script
from kani.engines.packages.adapter import Utterance, Word
from kani.engines.plugin import Resources
from tests.engines.packages.stand_in import Ear, SharedTone

RATE, FRAME = 24_000, 1920
FRAMES_A_WORD = 2
VOICE = "unmute-prod-website/default_voice.wav"


class Speech(SharedTone):
    """Says each word with two frames of noise, "forever" with more and more; the seed is the noise's."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        voice = Voice(f"kyutai:{VOICE}", VOICE, "en", "kyutai")
        return replace(
            super().load(settings, resources),
            name="kyutai",
            sample_rate=RATE,
            voices=(voice,),
            max_concurrency=2,
            default_voices={"en": voice.id},
            accepts_partial_text=True,
            cloning="none",
            supported_fields=frozenset({"seed"}),
            streams_inside_segment=True,
        )

    async def speak(self, utterance: Utterance) -> AsyncGenerator[Samples | Span, None]:
        script, written, frames = Script(), utterance.written, 0
        random = np.random.default_rng(utterance.seed)
        while True:
            text, complete = utterance.segment.text, True
            if written is not None:
                text, complete = written.text, written.boundary is not None
            for word in script.take(text, complete=complete):
                yield Span(word.start, word.end, 0.08 * frames, 0.08 * (frames + FRAMES_A_WORD))
                made = 0
                while made < FRAMES_A_WORD or word.written == "forever":
                    made, frames = made + 1, frames + 1
                    await asyncio.sleep(0)
                    yield random.uniform(-0.5, 0.5, FRAME).astype(np.float32)
            if complete:
                return
            assert written is not None
            await written.wait_for_more(len(text))


class Session:
    """Hears the word "loud" where a loud frame begins, and tells pauses by the silence since."""

    def __init__(self) -> None:
        self.pauses: tuple[float, float, float, float] | None = None
        self.pending = False
        self._at = 0

    async def feed(self, samples: Samples) -> list[Word]:
        loud, was, start_s = bool(np.abs(samples).max() > 0.1), self.pending, 0.08 * self._at
        self.pending, self._at = loud, self._at + 1
        self.pauses = (0.0, 0.0, 0.0, 0.0) if loud else (0.9, 0.9, 0.9, 0.9)
        return [] if loud or not was else [Word("loud", start_s - 0.08, start_s, 0.5)]

    async def finish(self) -> list[Word]:
        return await self.feed(np.zeros(FRAME, np.float32))

    async def close(self) -> None: ...


class Hearing(Ear):
    """Hears live, two streams at once."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        self.streams = 2
        return RecognizerInfo("kyutai", "stand-in", RATE, frozenset({"en", "fr"}), live_delay_s=0.16)

    def listen(self, language: str | None) -> Session:  # type: ignore[override]
        return Session()
