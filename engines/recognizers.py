"""Which recogniser a name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from speech.recognizer import Recognizer

RECOGNIZER_NAMES = ("auto", "whisper", "none")


class RecognizerSettings(Protocol):
    """What recognisers need to know of the settings.

    models_dir: a folder with model files, or None; cache_dir: where fetched ones are kept; no_fetch: whether
    fetching is forbidden.
    """

    @property
    def models_dir(self) -> Path | None: ...  # noqa: D102

    @property
    def cache_dir(self) -> Path: ...  # noqa: D102

    @property
    def no_fetch(self) -> bool: ...  # noqa: D102


def recognizer_for(
    name: str, settings: RecognizerSettings, *, fetch_requested: bool = False
) -> Recognizer | None:
    """The recogniser of ``name``, not started; ``auto`` is ``whisper``, ``none`` is None.

    fetching: whether the user asked for nothing but the files. Missing files are fetched for that, and for a
    recogniser that was named; unless ``settings.no_fetch``. Its libraries are imported only when it is
    started. Raises ValueError for a name not in ``NAMES``.
    """
    match name:
        case "auto" | "whisper":
            from engines.whisper.engine import WhisperRecognizer

            return WhisperRecognizer(
                models_dir=settings.models_dir,
                cache_dir=settings.cache_dir,
                may_fetch=(fetch_requested or name != "auto") and not settings.no_fetch,
            )
        case "none":
            return None
    raise ValueError(f"no recogniser is called {name!r}")
