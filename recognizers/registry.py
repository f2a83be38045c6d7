"""Which recogniser a name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from speech.recognizer import Recognizer

NAMES = ("auto", "whisper", "none")


class RecognizerSettings(Protocol):
    """What recognisers need to know of the settings.

    models_dir: a folder with model files, or None; cache_dir: where fetched ones are kept.
    """

    @property
    def models_dir(self) -> Path | None: ...  # noqa: D102

    @property
    def cache_dir(self) -> Path: ...  # noqa: D102


def recognizer_for(name: str, settings: RecognizerSettings) -> Recognizer | None:
    """The recogniser of ``name``, not started; ``auto`` is ``whisper``, ``none`` is None.

    Its libraries are imported only when it is started. Raises ValueError for a name not in ``NAMES``.
    """
    match name:
        case "auto" | "whisper":
            from recognizers.whisper import WhisperRecognizer

            return WhisperRecognizer(models_dir=settings.models_dir, cache_dir=settings.cache_dir)
        case "none":
            return None
    raise ValueError(f"no recogniser is called {name!r}")
