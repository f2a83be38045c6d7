"""Which engines a name stands for."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from pydantic import SecretStr

from engines.elevenlabs.meter import UpstreamMeter
from speech.engine import Engine

ENGINE_NAMES = ("auto", "kani", "kokoro", "espeak", "elevenlabs")

# CUDA's driver, by platform: whether there is a GPU is asked without torch, which takes seconds to import.
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


class EngineSettings(Protocol):
    """What engines need to know of the settings.

    models_dir: a folder with model files, or None; cache_dir: where fetched ones are kept; no_fetch:
    whether none may be fetched; threads: cores to compute with, or None for the engine's own choice;
    kokoro_decoding: "windows" or "whole"; kokoro_decoder: "auto", "onnx" or "fast"; model, codec, device,
    precision, slots: the Kani model's; elevenlabs_*: of ElevenLabs' service, elevenlabs_fallback: who speaks
    where it fails.
    """

    @property
    def model(self) -> str | None: ...  # noqa: D102

    @property
    def codec(self) -> str | None: ...  # noqa: D102

    @property
    def embedder(self) -> str | None: ...  # noqa: D102

    @property
    def device(self) -> str: ...  # noqa: D102

    @property
    def precision(self) -> str: ...  # noqa: D102

    @property
    def slots(self) -> int | None: ...  # noqa: D102

    @property
    def models_dir(self) -> Path | None: ...  # noqa: D102

    @property
    def cache_dir(self) -> Path: ...  # noqa: D102

    @property
    def no_fetch(self) -> bool: ...  # noqa: D102

    @property
    def threads(self) -> int | None: ...  # noqa: D102

    @property
    def kokoro_decoding(self) -> Literal["windows", "whole"]: ...  # noqa: D102

    @property
    def kokoro_decoder(self) -> Literal["auto", "onnx", "fast"]: ...  # noqa: D102

    @property
    def elevenlabs_api_key(self) -> SecretStr | None: ...  # noqa: D102

    @property
    def elevenlabs_voice_id(self) -> str | None: ...  # noqa: D102

    @property
    def elevenlabs_model(self) -> str: ...  # noqa: D102

    @property
    def elevenlabs_optimize_latency(self) -> int: ...  # noqa: D102

    @property
    def elevenlabs_url(self) -> str: ...  # noqa: D102

    @property
    def elevenlabs_fallback(self) -> Literal["none", "kokoro", "espeak"]: ...  # noqa: D102


class Engines(NamedTuple):
    """Engines that are not started.

    needed: in order of preference, which have to start; joining: by its name, one that starts while they
    speak and comes before them once it has shown that it speaks.
    """

    required: tuple[Engine, ...]
    late: tuple[str, Engine] | None = None


def engines_for(
    name: str, settings: EngineSettings, meter: UpstreamMeter | None = None, *, fetch_requested: bool = False
) -> Engines:
    """The engines of ``name``.

    ``auto``: Kokoro for the languages it speaks and espeak-ng for the others, and the Kani model joins them
    where there is a CUDA device. Else exactly the one that is named. meter: counts what ElevenLabs fails at,
    where it speaks; fetching: whether the user asked for nothing but the files. Missing files are fetched for
    that, for an engine that was named, and for the Kani model; unless ``settings.no_fetch``. An engine's
    libraries are imported only when it is asked for. Raises ValueError for a name not in ``NAMES``.
    """
    may_fetch = (fetch_requested or name != "auto") and not settings.no_fetch
    match name:
        case "auto":
            embedded = (_kokoro(settings, may_fetch=may_fetch), _espeak())
            if not cuda_device_count():
                return Engines(embedded)
            # Never on the processor: there it would be slower than the voice that it takes the place of.
            device = "cuda" if settings.device == "auto" else settings.device
            return Engines(embedded, ("kani", _kani(settings, device)))
        case "kani":
            return Engines((_kani(settings, settings.device),))
        case "kokoro":
            return Engines((_kokoro(settings, may_fetch=may_fetch),))
        case "espeak":
            return Engines((_espeak(),))
        case "elevenlabs":
            return Engines((_elevenlabs(settings, meter, may_fetch=may_fetch),))
    raise ValueError(f"no engine is called {name!r}")


def cuda_device_count() -> int:
    """How many CUDA devices this machine has, by its driver."""
    for name in _DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def _kani(settings: EngineSettings, device: str) -> Engine:
    from engines.kani.engine import KaniEngine, KaniSettings

    return KaniEngine(
        KaniSettings(
            model=settings.model,
            codec=settings.codec,
            embedder=settings.embedder,
            device=device,
            precision=settings.precision,
            slots=settings.slots,
            threads=settings.threads,
            may_fetch=not settings.no_fetch,
        ),
        cache_dir=settings.cache_dir,
    )


def _kokoro(settings: EngineSettings, *, may_fetch: bool) -> Engine:
    from engines.kokoro.engine import THREADS_PER_STEP, KokoroEngine, KokoroSettings

    return KokoroEngine(
        KokoroSettings(
            models_dir=settings.models_dir,
            cache_dir=settings.cache_dir,
            threads=settings.threads or THREADS_PER_STEP,
            decoding=settings.kokoro_decoding,
            decoder=settings.kokoro_decoder,
            may_fetch=may_fetch,
        )
    )


def _espeak() -> Engine:
    from engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def _elevenlabs(settings: EngineSettings, meter: UpstreamMeter | None, *, may_fetch: bool) -> Engine:
    from engines.elevenlabs.engine import ElevenLabsEngine, ElevenLabsUpstream

    key = settings.elevenlabs_api_key
    upstream = ElevenLabsUpstream(
        api_key=key.get_secret_value() if key is not None else "",
        voice_id=settings.elevenlabs_voice_id or "",
        model=settings.elevenlabs_model,
        optimize_latency=settings.elevenlabs_optimize_latency,
        base_url=settings.elevenlabs_url,
    )
    fallback: Engine | None = None
    match settings.elevenlabs_fallback:
        case "kokoro":
            fallback = _kokoro(settings, may_fetch=may_fetch)
        case "espeak":
            fallback = _espeak()
    return ElevenLabsEngine(upstream, fallback, meter)
