"""Selects engines and the recogniser by the names that the settings give them."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from engines.elevenlabs.metrics import UpstreamMetrics
from engines.settings import ElevenLabsUpstream, KaniSettings, KokoroSettings, PocketSettings
from speech.engine import Engine
from speech.recognizer import Recognizer

ENGINE_NAMES = ("auto", "kani", "kokoro", "espeak", "pocket", "elevenlabs")
RECOGNIZER_NAMES = ("auto", "whisper", "none")

# Languages of Pocket TTS that Kokoro was not trained on.
_BEYOND_KOKORO = ("de", "nl")

# CUDA's driver, by platform: it counts devices without torch, which takes seconds to import.
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


class Engines(NamedTuple):
    """Engines that are not started."""

    required: tuple[Engine, ...]  # must start; in order of preference
    late: tuple[str, Engine] | None = None  # name and engine; preferred once it has started beside the others


def engines_for(
    name: str,
    *,
    kani: KaniSettings,
    kokoro: KokoroSettings,
    pocket: PocketSettings,
    elevenlabs: ElevenLabsUpstream,
    metrics: UpstreamMetrics,
    cache_dir: Path,
) -> Engines:
    """Build the engines of ``name``, one of ``ENGINE_NAMES``.

    ``auto``: Kokoro for its languages and espeak-ng for all others; the Kani model joins late where there
    is a CUDA device, else Pocket TTS where its files of a language that Kokoro lacks are here. Any other
    name stands for that engine alone. metrics: counts failures of ElevenLabs;
    cache_dir: folder of fetched and built files. The libraries of an engine are imported only when it is
    built. Raises ValueError for an unknown name.
    """
    match name:
        case "auto":
            embedded = (_kokoro(kokoro), _espeak())
            if not cuda_device_count():
                late = _late_pocket(pocket, cache_dir)
                return Engines(embedded, None if late is None else ("pocket", late))
            # Never on the CPU: there Kani would be slower than the voice that it replaces.
            device = "cuda" if kani.device == "auto" else kani.device
            return Engines(embedded, ("kani", _kani(replace(kani, device=device), cache_dir)))
        case "kani":
            return Engines((_kani(kani, cache_dir),))
        case "kokoro":
            return Engines((_kokoro(kokoro),))
        case "espeak":
            return Engines((_espeak(),))
        case "pocket":
            return Engines((_pocket(pocket, cache_dir),))
        case "elevenlabs":
            return Engines((_elevenlabs(elevenlabs, metrics, kokoro),))
    raise ValueError(f"unknown engine {name!r}: use one of {', '.join(ENGINE_NAMES)}")


def recognizer_for(
    name: str, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool
) -> Recognizer | None:
    """Build the recogniser of ``name``, one of ``RECOGNIZER_NAMES``; None for ``none``.

    It is not started; its libraries are imported by its start. models_dir, cache_dir, may_fetch: as
    ``weights.load`` takes them. Raises ValueError for an unknown name.
    """
    match name:
        case "auto" | "whisper":
            from engines.whisper.engine import WhisperRecognizer

            return WhisperRecognizer(models_dir=models_dir, cache_dir=cache_dir, may_fetch=may_fetch)
        case "none":
            return None
    raise ValueError(f"unknown recogniser {name!r}: use one of {', '.join(RECOGNIZER_NAMES)}")


def cuda_device_count() -> int:
    """Count the CUDA devices of this machine, as its driver reports them; 0 without a driver."""
    for name in _DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def _kani(settings: KaniSettings, cache_dir: Path) -> Engine:
    from engines.kani.engine import KaniEngine

    return KaniEngine(settings, cache_dir=cache_dir)


def _kokoro(settings: KokoroSettings) -> Engine:
    from engines.kokoro.engine import KokoroEngine

    return KokoroEngine(settings)


def _pocket(settings: PocketSettings, cache_dir: Path) -> Engine:
    from engines.pocket.engine import PocketEngine

    return PocketEngine(settings, cache_dir=cache_dir)


def _late_pocket(settings: PocketSettings, cache_dir: Path) -> Engine | None:
    """Build Pocket TTS for the languages that Kokoro lacks and whose files are here; None without any."""
    folder = Path(settings.model).expanduser() if settings.model else cache_dir / "pocket"
    # Most machines have none of its files, and then import nothing of it.
    if not folder.is_dir():
        return None
    from engines.pocket.published import languages_here

    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(folder, wanted, fetched=settings.model is None)
    return _pocket(replace(settings, languages=here, may_fetch=False), cache_dir) if here else None


def _espeak() -> Engine:
    from engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def _elevenlabs(settings: ElevenLabsUpstream, metrics: UpstreamMetrics, kokoro: KokoroSettings) -> Engine:
    from engines.elevenlabs.engine import ElevenLabsEngine

    fallback: Engine | None = None
    match settings.fallback:
        case "kokoro":
            fallback = _kokoro(kokoro)
        case "espeak":
            fallback = _espeak()
    return ElevenLabsEngine(settings, metrics, fallback)
