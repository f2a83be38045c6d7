"""Stands for transcribe-cpp 0.4.1: a file is JSON, and each half second with a voice is a word of it."""

import json
import threading
from pathlib import Path
from types import SimpleNamespace as Part

import numpy as np

PART = 8_000


class Error(RuntimeError):
    """Base of the package's."""


Aborted, OutputRepetition, InputTooShort, OutputTruncated, UnsupportedRequest = (
    type(name, (Error,), {})
    for name in "Aborted OutputRepetition InputTooShort OutputTruncated UnsupportedRequest".split()
)


def set_log_callback(callback: object) -> None:
    """Log nothing."""


class Model:
    """A file: ``languages``, ``detects``, and ``times``, the kind of times that it tells."""

    def __init__(self, file: str, backend: str) -> None:
        self.about = about = json.loads(Path(file).read_text())
        self.variant, self.arch = about["name"], ""
        targets = ["en"] if len(about["languages"]) > 1 else []
        detects, languages = about["detects"], about["languages"]
        self.capabilities = Part(
            languages=languages, supports_language_detect=detects, translate_target_languages=targets
        )

    def supports(self, feature: str) -> bool:
        return feature == "context_prompt"

    def session(self, n_threads: int) -> "Session":
        return Session(self.about)


class Session:
    """One call at a time."""

    def __init__(self, about: dict) -> None:
        self.about, self.cancelled = about, threading.Event()

    def cancel(self) -> None:
        self.cancelled.set()

    def run(self, samples: np.ndarray, language: str | None = None, prompt: str = "", **_: str) -> Part:
        """Hear. A prompt that is a path makes this file, and then waits to be cancelled."""
        self.cancelled.clear()
        if language is not None and self.about.get("refuses_language"):
            raise UnsupportedRequest("it detects the language")
        if prompt.startswith("/"):
            Path(prompt).touch()
            self.cancelled.wait()
            raise Aborted("cancelled")
        loud = [np.abs(samples[at : at + PART]).max() > 0.2 for at in range(0, len(samples), PART)]
        at_s = [at * PART / 16_000 for at in np.flatnonzero(loud)]
        names = [f"word{number}" for number in range(1, len(at_s) + 1)]
        times, words, segments = self.about["times"], [], []
        if times == "word":
            words = [
                Part(text=name, t0_ms=start_s * 1000, t1_ms=start_s * 1000 + 500, first_token=at, n_tokens=1)
                for at, (name, start_s) in enumerate(zip(names, at_s, strict=True))
            ]
        if times == "segment" and at_s:
            start, end = at_s[0] * 1000, at_s[-1] * 1000 + 500
            segments = [Part(text=f" {' '.join(names)}.", t0_ms=start, t1_ms=end)]
        tokens = [Part(p=0.5) for _ in names]
        text = f" {' '.join(names)}" if names else ""
        found = language or self.about["languages"][0]
        return Part(
            text=text, words=words, segments=segments, tokens=tokens, timestamp_kind=times, language=found
        )
