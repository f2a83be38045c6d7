"""Which engines a name stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from speech.engine import Engine
from speech.errors import EngineUnavailable

NAMES = ("auto", "kani", "kokoro", "espeak", "elevenlabs")

_NOT_YET = {
    "kani": "the Kani engine is not part of this version yet; --engine auto speaks with Kokoro and espeak-ng",
    "elevenlabs": "the ElevenLabs engine is not part of this version yet; --engine auto needs no network",
}


class EngineSettings(Protocol):
    """What engines need to know of the settings.

    models_dir: a folder with model files, or None; cache_dir: where fetched ones are kept;
    threads: cores to compute with, or None for the engine's own choice.
    """

    @property
    def models_dir(self) -> Path | None: ...  # noqa: D102

    @property
    def cache_dir(self) -> Path: ...  # noqa: D102

    @property
    def threads(self) -> int | None: ...  # noqa: D102


def engines_for(name: str, settings: EngineSettings) -> list[Engine]:
    """The engines of ``name``, not started, the preferred one first.

    ``auto``: Kokoro for the languages it speaks and espeak-ng for the others; else exactly the
    one that is named. An engine's libraries are imported only when it is asked for. Raises
    EngineUnavailable for one that is not here, and ValueError for a name not in ``NAMES``.
    """
    match name:
        case "auto":
            return [_kokoro(settings), _espeak()]
        case "kokoro":
            return [_kokoro(settings)]
        case "espeak":
            return [_espeak()]
        case "kani" | "elevenlabs":
            raise EngineUnavailable(_NOT_YET[name])
    raise ValueError(f"no engine is called {name!r}")


def _kokoro(settings: EngineSettings) -> Engine:
    from engines.kokoro.engine import THREADS, KokoroEngine

    return KokoroEngine(
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir,
        threads=settings.threads or THREADS,
    )


def _espeak() -> Engine:
    from engines.espeak import EspeakEngine

    return EspeakEngine()
