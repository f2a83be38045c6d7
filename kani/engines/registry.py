"""Selects engines and the recogniser by the names that the settings give them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer
from kani.engines.plugin import (
    ENGINE_NAMES,
    RECOGNIZER_NAMES,
    EnginePlugin,
    Found,
    PluginValues,
    RecognizerPlugin,
    Resources,
    found_engines,
    found_recognizers,
)
from kani.engines.settings import (
    ElevenLabsUpstream,
    KaniSettings,
    KokoroSettings,
    KyutaiSettings,
    LocalEngines,
    LocalRecognizers,
    ModelFiles,
    RemoteWorkers,
    VoxCPMSettings,
)

if TYPE_CHECKING:
    # A worker's environment may lack what only the server's metrics and settings need.
    from pydantic import BaseModel

    from kani.engines.elevenlabs.metrics import UpstreamMetrics
    from kani.engines.pocket.settings import PocketSettings
    from kani.engines.pool_metrics import WorkerMetrics
    from kani.engines.restarts import Restarts

# Languages of Pocket TTS that Kokoro was not trained on.
_BEYOND_KOKORO = ("de", "nl")

# CUDA's driver, by platform: it counts devices without torch, which takes seconds to import.
_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


P = TypeVar("P", EnginePlugin[Any], RecognizerPlugin[Any])
T = TypeVar("T")


class Engines(NamedTuple):
    """Engines that are not started."""

    required: tuple[Engine, ...]  # must start; in order of preference
    late: tuple[str, Engine] | None = None  # name and engine; preferred once it has started beside the others


def engines_for(
    name: str,
    *,
    kani: KaniSettings,
    kokoro: KokoroSettings,
    pocket: tuple[PocketSettings, Resources],
    voxcpm: VoxCPMSettings,
    elevenlabs: ElevenLabsUpstream,
    metrics: UpstreamMetrics,
    cache_dir: Path,
    restarts: Restarts | None = None,
    workers: tuple[RemoteWorkers, WorkerMetrics] | None = None,
) -> Engines:
    """Build the engines of ``name``, one of ``ENGINE_NAMES`` that has no ``EnginePlugin``.

    ``auto``: Kokoro for its languages and espeak-ng for all others; the Kani model joins late where there
    is a CUDA device, else Pocket TTS where its files of a language that Kokoro lacks are here. Any other
    name stands for only that engine. pocket: what Pocket TTS is built from there; metrics: counts failures
    of ElevenLabs; cache_dir: folder of fetched and built files; restarts: puts each local engine into a
    process of its own, and counts the times that it is started again; workers: of ``remote``. The libraries
    of an engine are imported only when it is built. Raises ValueError for an unknown name.
    """

    settings = LocalEngines(kani, kokoro, voxcpm, cache_dir)

    def local(engine: str, settings: LocalEngines = settings) -> Engine:
        if restarts is None:
            return local_engine(engine, settings)
        from kani.engines.remote.processes import engine_in_process

        return engine_in_process(engine, settings, restarts)

    match name:
        case "auto":
            embedded = (local("kokoro"), local("espeak"))
            if not cuda_device_count():
                late_pocket = _pocket_beside_kokoro(*pocket)
                if late_pocket is None:
                    return Engines(embedded)
                plugin = found_engines().plugins["pocket"]
                return Engines(embedded, ("pocket", plugged_engine(plugin, *late_pocket, restarts)))
            # Never on the CPU: there Kani would be slower than the voice that it replaces.
            device = "cuda" if kani.device == "auto" else kani.device
            late_kani = replace(settings, kani=replace(kani, device=device))
            return Engines(embedded, ("kani", local("kani", late_kani)))
        case "kani" | "kokoro" | "espeak":
            return Engines((local(name),))
        case "voxcpm":
            return Engines((_voxcpm(settings, restarts),))
        case "elevenlabs":
            fallback = None if elevenlabs.fallback == "none" else local(elevenlabs.fallback)
            return Engines((_elevenlabs(elevenlabs, metrics, fallback),))
        case "remote":
            from kani.engines.remote.processes import engine_at

            if workers is None:
                raise ValueError("the engine remote needs workers")
            return Engines((engine_at(*workers),))
    raise ValueError(f"unknown engine {name!r}: use one of {', '.join(ENGINE_NAMES)}")


def local_engine(name: str, settings: LocalEngines) -> Engine:
    """Build a local engine in this process: ``kani``, ``kokoro`` or ``espeak``; ``voxcpm`` in a worker only,
    which runs in the environment of its package.
    """
    match name:
        case "kani":
            return _kani(settings.kani, settings.cache_dir)
        case "kokoro":
            return _kokoro(settings.kokoro)
        case "espeak":
            return _espeak()
        case "voxcpm":
            from kani.engines.voxcpm.package_engine import PackageEngine

            return PackageEngine(settings.voxcpm)
    raise ValueError(f"no local engine {name!r}")


def recognizer_for(
    name: str,
    *,
    kyutai: KyutaiSettings,
    models_dir: Path | None,
    cache_dir: Path,
    may_fetch: bool,
    restarts: Restarts | None = None,
    workers: tuple[RemoteWorkers, WorkerMetrics] | None = None,
) -> Recognizer | None:
    """Build the recogniser of ``name``, one of ``RECOGNIZER_NAMES``; None for ``none``.

    ``auto`` is Whisper. It is not started; its libraries are imported by its start. models_dir, cache_dir,
    may_fetch: as ``weights.load`` takes them; restarts, workers: as for ``engines_for``. Raises ValueError
    for an unknown name.
    """
    if name == "none":
        return None
    if name == "remote":
        from kani.engines.remote.processes import recognizer_at

        if workers is None:
            raise ValueError("the recogniser remote needs workers")
        return recognizer_at(*workers)
    settings = LocalRecognizers(kyutai, ModelFiles(models_dir, cache_dir, may_fetch))
    recognizer = local_recognizer(name, settings)
    if restarts is None:
        return recognizer
    from kani.engines.remote.processes import recognizer_in_process

    return recognizer_in_process(recognizer.info, settings, restarts)


def local_recognizer(name: str, settings: LocalRecognizers) -> Recognizer:
    """Build a recogniser in this process: ``auto``, ``whisper`` or ``kyutai``. Raises ValueError."""
    files = settings.files
    match name:
        case "auto" | "whisper":
            from kani.engines.whisper.engine import WhisperRecognizer

            return WhisperRecognizer(
                models_dir=files.models_dir, cache_dir=files.cache_dir, may_fetch=files.may_fetch
            )
        case "kyutai":
            from kani.engines.kyutai.engine import KyutaiRecognizer

            return KyutaiRecognizer(settings.kyutai, models_dir=files.models_dir, cache_dir=files.cache_dir)
    raise ValueError(f"unknown recogniser {name!r}: use one of {', '.join(RECOGNIZER_NAMES)}")


def plugged_engine(
    plugin: EnginePlugin[Any], settings: BaseModel, resources: Resources, restarts: Restarts | None = None
) -> Engine:
    """Build an engine of another package, not started; restarts: as for ``engines_for``.

    Raises EngineUnavailable.
    """
    if restarts is None:
        return _called(plugin.name, lambda: plugin.build(settings, resources))
    from kani.engines.plugin_settings import plain
    from kani.engines.remote.processes import plugged_engine_in_process

    values = PluginValues(_called(plugin.name, lambda: plain(settings)), resources)
    return plugged_engine_in_process(plugin.name, values, restarts)


def plugged_recognizer(
    plugin: RecognizerPlugin[Any], settings: BaseModel, resources: Resources, restarts: Restarts | None = None
) -> Recognizer:
    """Build a recogniser of another package, as ``plugged_engine`` builds an engine."""
    if restarts is None:
        return _called(plugin.name, lambda: plugin.build(settings, resources))
    from kani.engines.plugin_settings import plain
    from kani.engines.remote.processes import plugged_recognizer_in_process

    values = PluginValues(_called(plugin.name, lambda: plain(settings)), resources)
    return plugged_recognizer_in_process(plugin.name, values, restarts)


def launched_engine(name: str, values: PluginValues) -> Engine:
    """Build an engine of another package from what its server sent. Raises EngineUnavailable."""
    plugin = _here(name, found_engines())
    return plugged_engine(plugin, _received(plugin, values), values.resources)


def launched_recognizer(name: str, values: PluginValues) -> Recognizer:
    """Build a recogniser of another package from what its server sent. Raises EngineUnavailable."""
    plugin = _here(name, found_recognizers())
    return plugged_recognizer(plugin, _received(plugin, values), values.resources)


def prepare_plugin(
    plugin: EnginePlugin[Any] | RecognizerPlugin[Any], settings: BaseModel, resources: Resources
) -> bool:
    """Fetch and prepare the files of a plugin; return False if only its start does. Blocks.

    Raises EngineUnavailable.
    """
    if (prepare := plugin.prepare) is None:
        return False
    _called(plugin.name, lambda: prepare(settings, resources))
    return True


def _here(name: str, found: Found[P]) -> P:
    if name not in found.plugins:
        raise EngineUnavailable(found.broken.get(name, f"{name} is not installed here"))
    return found.plugins[name]


def _received(plugin: EnginePlugin[Any] | RecognizerPlugin[Any], values: PluginValues) -> BaseModel:
    try:
        validated: BaseModel = plugin.settings.model_validate(values.settings)
    except Exception:  # its sentence would show values, and some are secret
        raise EngineUnavailable(
            f"{plugin.name} cannot run in a process of its own: its model refuses settings that it accepted"
        ) from None
    return validated


def _called(name: str, step: Callable[[], T]) -> T:
    try:
        return step()
    except EngineUnavailable:
        raise
    except Exception as error:  # whatever the code of another package raises
        raise EngineUnavailable(f"{name} cannot be used: {type(error).__name__}: {error}") from error


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
    from kani.engines.kani.engine import KaniEngine

    return KaniEngine(settings, cache_dir=cache_dir)


def _kokoro(settings: KokoroSettings) -> Engine:
    from kani.engines.kokoro.engine import KokoroEngine

    return KokoroEngine(settings)


def _voxcpm(settings: LocalEngines, restarts: Restarts | None) -> Engine:
    from kani.engines.voxcpm.engine import VoxCPMEngine

    # A process of its own in any case; its restarts are counted where those of all engines are.
    return VoxCPMEngine(settings, restarts.of("voxcpm") if restarts is not None else lambda: None)


def _pocket_beside_kokoro(
    settings: PocketSettings, resources: Resources
) -> tuple[PocketSettings, Resources] | None:
    """Limit Pocket TTS to the languages that Kokoro lacks and that files are here for; None without any."""
    folder = Path(settings.model).expanduser() if settings.model else resources.cache_dir
    # Most machines have none of its files, and then import nothing of it.
    if not folder.is_dir():
        return None
    from kani.engines.pocket.published import languages_here

    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(folder, wanted, fetched=settings.model is None)
    if not here:
        return None
    return settings.model_copy(update={"languages": here}), replace(resources, may_fetch=False)


def _espeak() -> Engine:
    from kani.engines.espeak.engine import EspeakEngine

    return EspeakEngine()


def _elevenlabs(settings: ElevenLabsUpstream, metrics: UpstreamMetrics, fallback: Engine | None) -> Engine:
    from kani.engines.elevenlabs.engine import ElevenLabsEngine

    return ElevenLabsEngine(settings, metrics, fallback)
