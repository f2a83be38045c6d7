"""Adapters without a package: tones for speech, counted steps for recognition."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.recognizer import RecognizerInfo
from kani.core.transcriber import TranscribedWord
from kani.core.types import Samples, Span, Voice
from kani.engines.packages.adapter import Utterance
from kani.engines.plugin import Resources
from kani.runtime.errors import DeviceError

RATE, HEARING_RATE, STEP = 8_000, 16_000, 1_280
WORD_S, SILENCE_S, DELAY_S = 0.1, 0.2, 0.16
ERRORS: dict[str, Exception] = {
    "missing": ModuleNotFoundError("No module named 'maker'"),
    "damage": EngineUnavailable("cut"),
    "fault": KeyError("a.weight"),
    "device": DeviceError("no CUDA here"),
    "large": type("OutOfMemoryError", (RuntimeError,), {})("tried to allocate 9 GiB"),
}


SECOND = (0.1 * np.sin(np.arange(RATE))).astype(np.float32)
WRONG: dict[str, Any] = {
    "nan": np.where(np.arange(RATE) == RATE // 2, np.float32(np.nan), SECOND),
    "infinite": np.full(RATE, np.inf, np.float32),
    "loud": SECOND * np.float32(1e10),
    "double": SECOND.astype(np.float64),
    "stereo": SECOND.reshape(2, -1),
    "integers": (SECOND * 32767).astype(np.int16),
    "nothing": SECOND[:0],
}
"""Audio that breaks the contract, by the text for which it is spoken again and again."""


class Tone:
    """Speaks a tone of ``WORD_S`` for each word, between silences; "hush" goes on without an end."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        """settings: an error that it ``raises``, whether it ``waits`` for a file "go", or ``forks``."""
        if "raises" in settings:
            raise ERRORS[settings["raises"]]
        if "waits" in settings:
            (resources.cache_dir / "waits").touch()
            while not (resources.cache_dir / "go").exists():
                time.sleep(0.05)
        if "forks" in settings:
            multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1e6,), daemon=True).start()
        voices = (Voice("stand_in:a", "A", "en", "stand_in"),)
        return EngineInfo("stand_in", "1", RATE, voices, {"en": "stand_in:a"})

    def speak(self, utterance: Utterance) -> Generator[Samples | Span, None, None]:
        text = utterance.segment.text
        if text == "wrong":
            raise InvalidRequest("text", "the stand-in does not say this")
        if text == "broken":
            raise ValueError("a fault of the package")
        silence = np.zeros(round(SILENCE_S * RATE), np.float32)
        while text in WRONG and not utterance.stopped.is_set():
            yield WRONG[text]
        yield silence
        at, start_s = 0, SILENCE_S
        for word in text.split() if text != "silence" else ():
            at = text.index(word, at)
            yield 0.3 * np.sin(np.arange(round(WORD_S * RATE))).astype(np.float32)
            yield Span(at, at + len(word), start_s, start_s + WORD_S)
            at, start_s = at + len(word), start_s + WORD_S
            while word == "hush" and not utterance.stopped.is_set():
                yield silence
        yield silence


class Session:
    """Hears a word in each five steps, named by its number; tells pauses if ``pauses`` is set."""

    def __init__(self, pauses: tuple[float, ...]) -> None:
        self.pauses = pauses
        self.pending = False
        self._steps = self._words = 0

    def feed(self, samples: Samples) -> list[TranscribedWord]:
        assert len(samples) == STEP
        self._steps += 1
        self.pending = self._steps % 5 != 0
        return [] if self.pending else [self._word(self._steps)]

    def _word(self, steps: int) -> TranscribedWord:
        self._words += 1
        return TranscribedWord(f"w{self._words}.", 0.08 * steps - 0.32, 0.08 * steps - 0.08, -0.7)

    def finish(self) -> list[TranscribedWord]:
        return [self._word(self._steps + 4)] if self.pending else []

    def close(self) -> None:
        OPEN.discard(self)


OPEN: set[Session] = set()


class Ear:
    """Hears live."""

    streams = 2

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        self._pauses = tuple(settings.get("pauses", ()))
        languages = frozenset(settings.get("languages", ["en"]))
        return RecognizerInfo("ear", "1", HEARING_RATE, languages, live_delay_s=DELAY_S)

    def listen(self, language: str | None) -> Session:
        OPEN.add(session := Session(self._pauses))
        assert len(OPEN) <= self.streams
        return session
