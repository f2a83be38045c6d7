"""Adapters without a package: tones for speech, counted steps for recognition."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.recognizer import RecognizerInfo
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples, Span, Voice
from kani.engines.packages.adapter import Heard, Utterance, Word
from kani.engines.plugin import Resources
from kani.runtime.errors import DeviceError

RATE, HEARING_RATE, STEP = 8_000, 16_000, 1_280
WORD_S, SILENCE_S = 0.1, 0.2
DELAY_S = 0.16


def tone(seconds: float, pitch: float = 440.0) -> Samples:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


class Tone:
    """Speaks a tone of ``WORD_S`` for each word; its pitch is the seed."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        if settings.get("fault"):
            raise KeyError("a.weight")
        if settings.get("missing"):
            import a_package_that_is_missing  # type: ignore[import-not-found]  # noqa: F401
        if "damage" in settings:
            raise EngineUnavailable(settings["damage"])
        if "device" in settings:
            raise DeviceError(settings["device"])
        if settings.get("large"):
            raise type("OutOfMemoryError", (RuntimeError,), {})("tried to allocate 9 GiB")
        if settings.get("forks"):
            multiprocessing.get_context("spawn").Process(target=time.sleep, args=(1e6,), daemon=True).start()
        self._settings = settings
        return EngineInfo(
            "stand_in", "1", RATE, (Voice("stand_in:a", "A", "en", "stand_in"),), {"en": "stand_in:a"},
        )  # fmt: skip

    def speak(self, utterance: Utterance) -> Generator[Samples | Span, None, None]:
        segment = utterance.segment
        if segment.text == "wrong":
            raise InvalidRequest("text", "the stand-in does not say this")
        if segment.text == "broken":
            raise ValueError("a fault of the package")
        pitch = utterance.seed
        yield np.zeros(round(SILENCE_S * RATE), np.float32)
        if segment.text == "silence":
            return
        at, start_s = 0, SILENCE_S
        for word in segment.text.split():
            at = segment.text.index(word, at)
            yield tone(WORD_S, pitch)
            yield Span(at, at + len(word), start_s, start_s + WORD_S)
            at, start_s = at + len(word), start_s + WORD_S
            while word == "hush" and not utterance.stopped.is_set():
                yield np.zeros(RATE, np.float32)
        yield np.zeros(round(SILENCE_S * RATE), np.float32)


class Session:
    """Hears a word in each five steps, named by its number; tells pauses if ``pauses`` is set."""

    def __init__(self, language: str | None, pauses: tuple[float, float, float, float] | None) -> None:
        self.pauses = pauses
        self.pending = False
        self._steps = self._words = 0
        self._language = language or ""

    def feed(self, samples: Samples) -> list[Word]:
        assert len(samples) == STEP
        self._steps += 1
        self.pending = self._steps % 5 != 0
        return [] if self.pending else [self._word(self._steps)]

    def _word(self, steps: int) -> Word:
        self._words += 1
        return Word(f"w{self._words}.", 0.08 * steps - 0.32, 0.08 * steps - 0.08, 0.5, self._language)

    def finish(self) -> list[Word]:
        return [self._word(self._steps + 4)] if self.pending else []

    def close(self) -> None:
        OPEN.discard(self)


OPEN: set[Session] = set()


class Ear:
    """Hears live."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        self.streams, self._pauses = settings.get("streams", 2), settings.get("pauses")
        return RecognizerInfo(
            "ear", "1", HEARING_RATE, frozenset(settings.get("languages", ["en"])), live_delay_s=DELAY_S
        )

    def listen(self, language: str | None) -> Session:
        OPEN.add(session := Session(language, self._pauses))
        assert len(OPEN) <= self.streams
        return session


class Reader:
    """Hears recordings: their seconds. A prompt is a file that it makes; then it waits to be stopped."""

    streams = 1

    def load(self, settings: Mapping[str, Any], resources: Resources) -> RecognizerInfo:
        languages = frozenset({"en"})
        return RecognizerInfo("reader", "1", HEARING_RATE, languages, recordings_only="it reads recordings")

    def hear(self, samples: Samples, options: TranscriptionOptions, stopped: threading.Event) -> list[Heard]:
        if options.prompt:
            Path(options.prompt).touch()
            stopped.wait()
        seconds = len(samples) / HEARING_RATE
        return [Heard(f" {seconds:g} s", 0.0, seconds, language="en", probability=0.5)]
