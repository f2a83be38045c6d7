"""Composition of the speech service: from the settings to engines, recogniser and core; no protocol."""

from __future__ import annotations

import functools
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from kani.core.chat_model import ChatModel
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.late_engine.loading import LateEngine
from kani.core.recognizer import Recognizer
from kani.core.request import Limits
from kani.core.service import SpeechService
from kani.core.types import Recording
from kani.core.voices.catalogue import VoiceStore
from kani.core.voices.recording_check import RecordingCheck
from kani.engines.chat.endpoint import ChatEndpoint, ChatSettings
from kani.engines.elevenlabs.metrics import UpstreamMetrics
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from kani.engines.known_voices import known_voices
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources, found_engines, found_recognizers
from kani.engines.pocket.settings import PocketSettings
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.registry import (
    Engines,
    engines_for,
    plugged_engine,
    plugged_recognizer,
    prepare_plugin,
    recognizer_for,
)
from kani.engines.restarts import Restarts
from kani.engines.settings import (
    KOKORO_THREADS,
    Discover,
    ElevenLabsUpstream,
    KaniSettings,
    KokoroSettings,
    KyutaiSettings,
    RemoteWorkers,
    VoxCPMSettings,
)
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.voice_detector import VoiceDetector
from kani.server.metrics import Metrics
from kani.server.settings import Settings
from kani.server.voices.place import voice_place
from kani.text.lexicon_file import LexiconFile
from kani.text.normalizer import TableError, check_tables

TRIAL_LANGUAGE = "es"
"""Language of the trial of an engine that joins later, unless the server has one."""


def build_service(
    settings: Settings,
    metrics: Metrics,
    *,
    discover: Discover | None = None,
    discover_recognizers: Discover | None = None,
) -> SpeechService:
    """Return the speech service of the settings, not started.

    discover: as for ``build_engines``; discover_recognizers: as for ``build_recognizer``. Raises
    EngineUnavailable, and InvalidRequest for a voice or a default language that no engine is known to have.
    """
    _check_voices(settings)
    try:
        check_tables()
    except TableError as error:
        raise EngineUnavailable(f"the text normalization tables are invalid: {error}") from error
    restarts = Restarts(metrics.registry) if settings.engine_process else None
    workers = WorkerMetrics(metrics.registry) if "remote" in (settings.engine, settings.recognizer) else None
    engines = build_engines(
        settings, metrics.registry, restarts=restarts, discover=discover, worker_metrics=workers
    )
    return SpeechService(
        engines.required,
        VoiceStore(voice_place(settings.voice_bucket, settings.data_dir), _check_recording),
        limits_of(settings),
        default_language=settings.language,
        default_voice=settings.voice,
        observer=metrics,
        late_engine=_late_engine(settings, engines),
        recognizer=build_recognizer(
            settings.recognizer,
            settings,
            restarts=restarts,
            discover=discover_recognizers,
            worker_metrics=workers,
        ),
        reference_voice=EspeakReferenceVoice(),
        lexicon=LexiconFile(settings.lexicon) if settings.lexicon is not None else None,
        announce_code=settings.code_blocks == "announce",
        chat_model=build_chat_model(settings),
    )


def build_chat_model(settings: Settings) -> ChatModel | None:
    """Return the language model of conversations; None without KANI_LLM_URL."""
    if settings.llm_url is None:
        return None
    key = settings.llm_api_key
    return ChatEndpoint(
        ChatSettings(
            settings.llm_url,
            settings.llm_model,
            key.get_secret_value() if key is not None else "",
            settings.llm_first_seconds,
            settings.llm_stall_seconds,
            settings.llm_max_answer,
        )
    )


def _check_voices(settings: Settings) -> None:
    """Raise InvalidRequest for what the settings name and no engine has, before one is loaded."""
    if settings.voice is None and not settings.elevenlabs_voices and settings.language is None:
        return  # without a process of espeak-ng's, where each engine has one of its own
    known = known_voices(settings.engine, settings.accented_languages)
    if known is None:
        return
    if settings.voice is not None:
        known.check_voice(settings.voice)
    for voice in settings.elevenlabs_voices.values():
        try:
            known.check_voice(voice)
        except InvalidRequest as error:
            raise InvalidRequest("elevenlabs_voices", error.reason) from error
    if settings.language is not None:
        known.check_language(settings.language)


@functools.cache
def _recording_check() -> RecordingCheck:
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())


def _check_recording(recording: Recording) -> tuple[str, ...]:
    """Return advice on a recording; the first call loads the networks that are needed. Blocks.

    Raises as ``RecordingCheck`` does, and EngineUnavailable where a network's file is missing.
    """
    return _recording_check()(recording)


def limits_of(settings: Settings) -> Limits:
    """Return the limits of the speech service."""
    return Limits(
        max_text=settings.max_text,
        max_sessions=settings.max_connections,
        max_waiting=settings.max_waiting,
        ahead_s=settings.ahead_seconds,
        rate_per_minute=settings.rate_per_minute if settings.rate_limit_enabled else 0,
        request_timeout_s=settings.request_timeout,
        max_concurrent=settings.max_concurrent,
    )


def build_engines(
    settings: Settings,
    registry: CollectorRegistry,
    *,
    fetch_requested: bool = False,
    restarts: Restarts | None = None,
    discover: Discover | None = None,
    worker_metrics: WorkerMetrics | None = None,
) -> Engines:
    """Build the engines of the settings, not started.

    registry: holds the metrics of ElevenLabs' service; fetch_requested: ``--fetch``, which fetches the
    files of engines that ``auto`` chooses as well; restarts: counts restarts of the engines' processes, of
    which there are none without it; discover: asked for the addresses of ``remote``'s workers, which
    worker_metrics describes. Raises EngineUnavailable for a worker without address or key.
    """
    if (plugin := found_engines().plugins.get(settings.engine)) is not None:
        return Engines((plugged_engine(plugin, *_given(plugin, settings), restarts),))
    remote = RemoteWorkers(settings.engine_address, engine_key(settings), discover)
    key = settings.elevenlabs_api_key
    return engines_for(
        settings.engine,
        kani=KaniSettings(
            model=settings.model,
            codec=settings.codec,
            embedder=settings.embedder,
            device=settings.device,
            precision=settings.precision,
            slots=settings.slots,
            threads=settings.threads,
            may_fetch=not settings.no_fetch,
        ),
        kokoro=KokoroSettings(
            models_dir=settings.models_dir,
            cache_dir=settings.cache_dir,
            threads=settings.threads or KOKORO_THREADS,
            decoding=settings.kokoro_decoding,
            decoder=settings.kokoro_decoder,
            may_fetch=_may_fetch(settings.engine, settings, fetch_requested=fetch_requested),
            accented=settings.accented_languages,
        ),
        pocket=(settings.of_plugin(PocketSettings), _resources("pocket", settings)),
        voxcpm=VoxCPMSettings(
            python=settings.voxcpm_python or "",
            model=settings.voxcpm_model,
            device=settings.device,
            denoiser=settings.voxcpm_denoiser,
            may_fetch=not settings.no_fetch,
        ),
        elevenlabs=ElevenLabsUpstream(
            api_key=key.get_secret_value() if key is not None else "",
            voice_id=settings.elevenlabs_voice_id or "",
            model=settings.elevenlabs_model,
            optimize_latency=settings.elevenlabs_optimize_latency,
            base_url=settings.elevenlabs_url,
            fallback=settings.elevenlabs_fallback,
        ),
        metrics=UpstreamMetrics(registry),
        cache_dir=settings.cache_dir,
        restarts=restarts,
        workers=(remote, worker_metrics or WorkerMetrics(registry)) if settings.engine == "remote" else None,
    )


def engine_key(settings: Settings) -> str:
    """Return the key that engine workers and their servers share; empty if there is none."""
    return settings.engine_key.get_secret_value() if settings.engine_key is not None else ""


def build_recognizer(
    name: str,
    settings: Settings,
    *,
    fetch_requested: bool = False,
    restarts: Restarts | None = None,
    discover: Discover | None = None,
    worker_metrics: WorkerMetrics | None = None,
) -> Recognizer | None:
    """Build the recogniser of ``name``, not started; None for ``none``.

    fetch_requested: ``--fetch``; the others: as for ``build_engines``. Raises EngineUnavailable for a worker
    without address or key.
    """
    if (plugin := found_recognizers().plugins.get(name)) is not None:
        return plugged_recognizer(plugin, *_given(plugin, settings), restarts)
    remote = RemoteWorkers(settings.recognizer_address, engine_key(settings), discover)
    return recognizer_for(
        name,
        kyutai=KyutaiSettings(
            model=settings.recognizer_model,
            device=settings.device,
            precision=settings.precision,
            slots=settings.recognizer_slots,
            may_fetch=_may_fetch(name, settings, fetch_requested=fetch_requested),
        ),
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir,
        may_fetch=_may_fetch(name, settings, fetch_requested=fetch_requested),
        restarts=restarts,
        workers=(remote, worker_metrics or WorkerMetrics(CollectorRegistry())) if name == "remote" else None,
    )


def prepare_engine(settings: Settings) -> bool:
    """Fetch the files of an engine that needs no start for it; return False for any other. Blocks.

    Raises EngineUnavailable.
    """
    plugin = found_engines().plugins.get(settings.engine)
    return plugin is not None and prepare_plugin(plugin, *_given(plugin, settings))


def prepare_recognizer(settings: Settings) -> bool:
    """Fetch the files of the recogniser, as ``prepare_engine`` does those of an engine."""
    plugin = found_recognizers().plugins.get(settings.recognizer)
    return plugin is not None and prepare_plugin(plugin, *_given(plugin, settings))


def _given(
    plugin: EnginePlugin[Any] | RecognizerPlugin[Any], settings: Settings
) -> tuple[BaseModel, Resources]:
    """Return what a plugin is built from: its own settings, and those for every engine."""
    return settings.of_plugin(plugin.settings), _resources(plugin.name, settings)


def _resources(name: str, settings: Settings) -> Resources:
    return Resources(
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir / name,
        may_fetch=not settings.no_fetch,
        threads=settings.threads,
        device=settings.device,
    )


def _may_fetch(name: str, settings: Settings, *, fetch_requested: bool) -> bool:
    """Return True if missing files of ``name`` may be fetched: the user named it, or asked for files."""
    return (fetch_requested or name != "auto") and not settings.no_fetch


def _late_engine(settings: Settings, engines: Engines) -> LateEngine | None:
    """Return the late engine with a recogniser of its own, which its trial needs."""
    recognizer = build_recognizer("auto", settings)
    if engines.late is None or recognizer is None:
        return None
    name, engine = engines.late
    return LateEngine(name, engine, recognizer, settings.language or TRIAL_LANGUAGE)
