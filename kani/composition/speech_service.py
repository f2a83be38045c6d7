"""Composition of the speech service: from the settings to engines, recogniser and core."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry

from kani.composition.settings import Settings, SettingsError
from kani.composition.voices.place import voice_place, write_error
from kani.core.audio import synthetic_mark
from kani.core.chat_model import ChatModel
from kani.core.diarization.diarizer import Diarizer
from kani.core.engine import Engine, Unloadable
from kani.core.errors import EngineUnavailable, InvalidRequest
from kani.core.late_engine import LateEngine
from kani.core.observer import Observer
from kani.core.recognizer import Recognizer
from kani.core.service import Parts, SpeechService
from kani.core.session.admission import Limits
from kani.core.timing.reference_voice import ReferenceVoice
from kani.core.turns.pause_judge import TurnModel
from kani.core.voices.catalogue import VoiceStore
from kani.core.voices.recording_check import RecordingCheck
from kani.engines.espeak.engine import EspeakReferenceVoice
from kani.engines.plugin import Resources, found_engines, found_recognizers
from kani.engines.pool_metrics import Restarts, WorkerMetrics
from kani.engines.registry import Engines, Registry
from kani.runtime.host_names import is_private
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.turn_model.model import SmartTurn
from kani.runtime.voice_detector import VoiceDetector
from kani_text.languages import primary
from kani_text.lexicon_file import LexiconFile

if TYPE_CHECKING:
    from kani.engines.known_voices import KnownVoices
    from kani.engines.remote.pool import Discover
    from kani.engines.remote.processes import RemoteWorkers
    from kani.engines.worker.service import Worker

log = logging.getLogger("server")

RECOGNIZER = "recognizer:"
"""Name of the recogniser among the names of workers; no engine's."""

TRIAL_LANGUAGE = "es"
"""Language of the trial of an engine that joins later, unless the server has one."""


def build_service(
    settings: Settings,
    observer: Observer,
    registry: CollectorRegistry,
    *,
    discover: Discover | None = None,
    discover_recognizers: Discover | None = None,
    workers: Mapping[str, Discover] | None = None,
) -> SpeechService:
    """Return the speech service of the settings, not started.

    observer: is told what the service does; registry: holds the engines' metrics; discover: as for
    ``Builder.engines``; discover_recognizers: as for ``Builder.recognizer``; workers: of ``Builder``. Raises
    EngineUnavailable, and InvalidRequest for a voice or a default language that no engine is known to have.
    """
    synthetic_mark.set_marking(on=not settings.unmarked)
    _check_voices(settings)
    _check_folders(settings)
    builder = Builder(settings, registry, restarts=_restarts(settings, registry), workers=workers or {})
    engines = builder.engines(discover)
    parts = Parts(
        default_language=settings.language,
        one_language=settings.one_language,
        melody=settings.melody,
        default_voice=settings.voice,
        late_engine=builder.late_engine(engines),
        recognizer=builder.recognizer(discover_recognizers),
        starts_recognizer=settings.recognizer != "auto",
        turn_model=build_turn_model(settings.turn_model),
        diarizer=build_diarizer(),
        reference_voice=build_reference_voice(),
        lexicon=LexiconFile(settings.lexicon) if settings.lexicon is not None else None,
        chat_model=build_chat_model(settings),
        idle_unload_s=settings.idle_unload_seconds,
        detects_language=not _speaks_one_language(settings),
    )
    # The networks of the check are loaded for the first recording.
    place = voice_place(settings.voice_bucket, settings.data_dir)
    store = VoiceStore(place, lambda recording: _recording_check()(recording))
    return SpeechService(engines.required, store, limits_of(settings), observer, parts)


def _restarts(settings: Settings, registry: CollectorRegistry) -> Restarts | None:
    """Return the counter of restarts where engines have processes of their own, else None."""
    # A process gives all its memory back.
    processes = settings.engine_process or settings.idle_unload_seconds is not None
    return Restarts(registry) if processes else None


def build_reference_voice() -> ReferenceVoice:
    """Return what finds the words of texts in speech; it is started when it is first needed."""
    return EspeakReferenceVoice()


def build_turn_model(file: Path | None) -> TurnModel:
    """Return what hears whether a speaker has said all; the packaged one is loaded when it is first needed.

    file: another one, which is loaded now. Raises EngineUnavailable for a wrong one.
    """
    model = SmartTurn(file)
    if file is not None:
        model.load()
    return model


def build_diarizer() -> Diarizer:
    """Return what tells the speakers of recordings apart; its networks are loaded when it is first used."""
    return Diarizer(VoiceDetector, SpeakerEncoder)


def build_chat_model(settings: Settings) -> ChatModel | None:
    """Return the language model of conversations; None without KANI_LLM_URL."""
    if settings.llm_url is None:
        return None
    # Brings httpx2, which a server without a language model does without.
    from kani.engines.chat.endpoint import ChatEndpoint, ChatSettings

    url, key, early = settings.llm_url, settings.llm_api_key, settings.llm_early
    if early is None:
        # Early requests may be in vain; these are free of charge, as far as the address tells.
        early = key is None and is_private(urlsplit(url).hostname or "")
    secret = key.get_secret_value() if key is not None else ""
    return ChatEndpoint(ChatSettings(url, settings.llm_model, secret, early=early))


def _check_voices(settings: Settings) -> None:
    """Raise InvalidRequest for what the settings name and no engine has, before one is loaded."""
    named = list(settings.named_voices())
    if settings.voice is None and not named and settings.language is None:
        return  # without a process of espeak-ng's, where each engine has one of its own
    known = Builder(settings).known_voices()
    if known is None:
        return
    if settings.voice is not None:
        known.check_voice(settings.voice)
    for setting, voice in named:
        try:
            known.check_voice(voice)
        except InvalidRequest as error:
            raise InvalidRequest(setting, error.reason) from error
    if settings.language is not None:
        known.check_language(settings.language)


def _check_folders(settings: Settings) -> None:
    """Warn where no voice can be stored.

    Raises SettingsError for a file or folder that is named and not there, and for one that cannot be made.
    """
    for setting in ("lexicon", "models_dir", "turn_model"):
        path, kind = getattr(settings, setting), "folder " if setting == "models_dir" else ""
        # Below a folder that may not be entered, Path's methods raise.
        if path is not None and not (os.path.isdir(path) if kind else os.path.exists(path)):
            raise SettingsError(f"{setting} (KANI_{setting.upper()}): there is no {kind}{path}")
    if settings.voice_bucket is not None or not (error := write_error(settings.data_dir)):
        return
    sentence = f"data_dir (KANI_DATA_DIR): no voice can be stored in {settings.data_dir}: {error}"
    if "data_dir" in settings.model_fields_set and not os.path.isdir(settings.data_dir):
        raise SettingsError(sentence)
    log.warning("%s", sentence)


def _speaks_one_language(settings: Settings) -> bool:
    """Return True for an engine that is known to speak one language. Raises EngineUnavailable."""
    # espeak-ng, which speaks a hundred, starts a process to tell them.
    if settings.engine in ("auto", "remote", "espeak"):
        return False
    known = Builder(settings).known_voices()
    return known is not None and len(known.languages) == 1


@functools.cache
def _recording_check() -> RecordingCheck:
    """Return the check of recordings. Raises EngineUnavailable where a network's file is missing."""
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())


def limits_of(settings: Settings) -> Limits:
    """Return the limits of the speech service: of each that a setting gives, the default is replaced."""
    given = {limit.name: getattr(settings, limit.name, None) for limit in fields(Limits)}
    return Limits(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Builder:
    """Builds the engines and the recogniser of the settings, not started.

    metrics: registry that holds the engines' metrics; restarts: counts restarts of the engines' processes,
    None if they have none; workers: ask for the addresses of this server's own ones, by their engines' names
    and ``RECOGNIZER``.
    """

    settings: Settings
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)
    _: KW_ONLY
    restarts: Restarts | None = None
    workers: Mapping[str, Discover] = field(default_factory=dict)

    def engines(self, discover: Discover | None = None) -> Engines:
        """Build the engines; discover: asked for the addresses of ``remote``'s workers.

        Raises EngineUnavailable for a worker without address or key.
        """
        settings = self.settings
        if settings.engine == "remote":
            from kani.engines.remote.processes import engine_at

            workers = self._workers(settings.engine_address, discover)
            return Engines((engine_at(workers, self._worker_metrics),))
        known = self._registry(settings.model, self.metrics)
        if settings.engine == "auto":
            return known.auto()
        return Engines((known.engine(settings.engine),))

    def recognizer(self, discover: Discover | None = None) -> Recognizer | None:
        """Build the recogniser; None for ``none``. Arguments and errors as of ``engines``."""
        name, model = self.settings.recognizer, self.settings.recognizer_model
        if name == "none":
            return None
        if name == "remote":
            from kani.engines.remote.processes import recognizer_at

            workers = self._workers(self.settings.recognizer_address, discover)
            return recognizer_at(workers, self._worker_metrics)
        own = self._registry(model).recognizer("whisper" if name == "auto" else name)
        if (asked := self.workers.get(RECOGNIZER)) is None or own.info.unavailable_reason:
            return own
        from kani.engines.remote.processes import RemoteWorkers, recognizer_at

        unseen = WorkerMetrics(CollectorRegistry())
        workers = RemoteWorkers((), "", asked, patient=name != "auto" or model is not None)
        return recognizer_at(workers, unseen, own.info)

    def late_engine(self, engines: Engines) -> LateEngine | None:
        """Return the late engine with a recogniser of its own, which its trial needs."""
        if engines.late is None:
            return None
        # The embedded model, whatever clients listen with: a large one would be in memory twice.
        recognizer = self._registry(None).recognizer("whisper")
        name, engine = engines.late
        return LateEngine(name, engine, recognizer, self.settings.language or TRIAL_LANGUAGE)

    def known_voices(self) -> KnownVoices | None:
        """Return the voices that the engine is known to have, before it is loaded."""
        return self._registry(self.settings.model).known_voices(self.settings.engine)

    def prepare_engine(self) -> bool:
        """Fetch the files of an engine that needs no start for it; return False for any other. Blocks.

        Raises EngineUnavailable.
        """
        plugin = found_engines().plugins.get(self.settings.engine)
        return self._registry(self.settings.model).prepare(plugin)

    def prepare_recognizer(self) -> bool:
        """Fetch the files of the recogniser, as ``prepare_engine`` does those of an engine."""
        plugin = found_recognizers().plugins.get(self.settings.recognizer)
        return self._registry(self.settings.recognizer_model).prepare(plugin)

    def _registry(self, model: str | None, metrics: CollectorRegistry | None = None) -> Registry:
        """Return the registry for an engine or a recogniser with a model of its own."""
        settings = self.settings
        resources = Resources(
            settings.cache_dir,
            settings.models_dir,
            model,
            settings.engine_voices,
            settings.pythons,
            may_fetch=not settings.no_fetch,
            threads=settings.threads,
            device=settings.device,
            precision=settings.precision,
            max_concurrent=settings.max_concurrent,
            fallback=settings.fallback,
            language=None if settings.language is None else primary(settings.language),
        )
        workers = {name: functools.partial(self._own_worker, asked) for name, asked in self.workers.items()}
        return Registry(settings.of_plugin, resources, metrics or CollectorRegistry(), self.restarts, workers)

    def _own_worker(self, discover: Discover) -> Engine:
        from kani.engines.remote.processes import RemoteWorkers, engine_at

        # Not shown by worker: its slots are the engine's.
        return engine_at(RemoteWorkers((), "", discover, patient=True), WorkerMetrics(CollectorRegistry()))

    def _workers(self, addresses: tuple[str, ...], discover: Discover | None) -> RemoteWorkers:
        from kani.engines.remote.processes import RemoteWorkers

        return RemoteWorkers(addresses, engine_key(self.settings), discover)

    @functools.cached_property
    def _worker_metrics(self) -> WorkerMetrics:
        """Metrics of the engine's workers and of the recogniser's."""
        return WorkerMetrics(self.metrics)


def engine_key(settings: Settings) -> str:
    """Return the key that engine workers and their servers share; empty if there is none."""
    return settings.engine_key.get_secret_value() if settings.engine_key is not None else ""


def engine_worker(settings: Settings) -> tuple[Engine, Callable[[str], Worker]]:
    """Return the engine that a worker serves, not started, and what makes the worker, by name, once it is.

    Raises EngineUnavailable.
    """
    from kani.engines.worker.service import Worker

    engines = Builder(settings).engines().required
    if len(engines) != 1 or settings.engine == "remote":
        raise EngineUnavailable("a worker or replica serves one engine: name it, as in --engine kokoro")
    return engines[0], functools.partial(Worker, engines[0], None)


def recognizer_worker(settings: Settings) -> tuple[Recognizer, Callable[[str], Worker]]:
    """Return the recogniser that a worker serves, and the worker's maker, as ``engine_worker`` does."""
    from kani.engines.worker.service import Worker

    recognizer = Builder(settings).recognizer() if settings.recognizer != "remote" else None
    if recognizer is None:
        raise EngineUnavailable("a worker or replica serves its own recogniser: set KANI_RECOGNIZER=whisper")
    return recognizer, functools.partial(Worker, None, recognizer)


def build_own_recognizer(settings: Settings) -> Recognizer | None:
    """Build the recogniser of a program without a server; as on one it is unloaded while it is idle."""
    restarts = _restarts(settings, CollectorRegistry())
    recognizer = Builder(settings, restarts=restarts).recognizer()
    if settings.idle_unload_seconds is not None and isinstance(recognizer, Unloadable):
        recognizer.unload_after(settings.idle_unload_seconds)
    return recognizer
