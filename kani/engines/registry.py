"""Builds engines and recognisers by their names, from the settings of a server."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from kani.core.engine import CloningEngine, Engine
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer, RecognizerInfo
from kani.engines.plugin import (
    ENGINE_NAMES,
    RECOGNIZER_NAMES,
    EnginePlugin,
    Found,
    PackageWorker,
    RecognizerPlugin,
    Resources,
    found_engines,
    found_recognizers,
)

if TYPE_CHECKING:
    # A worker's environment may lack what only the server's metrics and settings need.
    from prometheus_client import CollectorRegistry
    from pydantic import BaseModel

    from kani.engines.known_voices import KnownVoices
    from kani.engines.pool_metrics import Restarts

EMBEDDED = ("kokoro", "espeak")
"""Engines of ``auto``, in order of preference."""

P = TypeVar("P", EnginePlugin[Any], RecognizerPlugin[Any])
S = TypeVar("S", bound="BaseModel")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Engines(NamedTuple):
    required: tuple[Engine, ...]  # must start; in order of preference
    late: tuple[str, Engine] | None = None  # name and engine; preferred once it has started beside the others


@dataclass(frozen=True, slots=True)
class Registry:
    """Builds what the settings name; nothing of it is started. It is the ``Host`` of the engines.

    The libraries of an engine are imported only when it is built. Each method raises EngineUnavailable.
    """

    settings: Callable[[type[S]], S]  # return the settings that a plugin's model describes
    resources: Resources  # those of the server; ``cache_dir`` is the folder of the plugins' folders
    metrics: CollectorRegistry
    restarts: Restarts | None = None
    """Puts each local engine into a process of its own, and counts the times that it is started again."""

    workers: Mapping[str, Callable[[], Engine]] = field(default_factory=dict)
    """Engines, by name, that workers of this server have; none joins these later."""

    def engine(self, name: str) -> Engine:
        plugin = _here(name, found_engines())
        return self._engine(plugin, *self._given(plugin))

    def auto(self) -> Engines:
        """Build Kokoro for its languages and espeak-ng for all others, and the first engine that can join."""
        embedded = tuple(self.engine(name) for name in EMBEDDED)
        if self.workers:
            return Engines(embedded)
        for name, plugin in found_engines().plugins.items():
            try:
                if (joining := self._joining(plugin)) is not None:
                    return Engines(embedded, (name, joining))
            except EngineUnavailable as error:
                log.warning("%s does not join the engines of auto: %s", name, error)
        return Engines(embedded)

    def _joining(self, plugin: EnginePlugin[Any]) -> Engine | None:
        if (joins := plugin.joins) is None:
            return None
        given = _called(plugin.name, lambda: joins(*self._given(plugin)))
        return None if given is None else self._engine(plugin, *given)

    def recognizer(self, name: str) -> Recognizer:
        plugin = _here(name, found_recognizers())
        settings, resources = self._given(plugin)
        restarts = self.restarts if plugin.own_process else None
        if restarts is None or plugin.describes_itself:
            recognizer = _called(name, lambda: plugin.build(settings, resources))
            if restarts is None:
                return recognizer
            info = recognizer.info
        else:
            info = None
        return self.hearing_worker(_own_worker(name, settings), resources, info)

    def speech_worker(self, worker: PackageWorker, resources: Resources) -> CloningEngine:
        from kani.engines.remote.processes import engine_in_process

        return engine_in_process(worker, resources, self._count(worker.name))

    def hearing_worker(
        self, worker: PackageWorker, resources: Resources, info: RecognizerInfo | None = None
    ) -> Recognizer:
        from kani.engines.remote.processes import recognizer_in_process

        return recognizer_in_process(worker, resources, self._count(worker.name), info)

    def _count(self, name: str) -> Callable[[], None]:
        return self.restarts.of(name) if self.restarts is not None else lambda: None

    def prepare(self, plugin: EnginePlugin[Any] | RecognizerPlugin[Any] | None) -> bool:
        """Fetch and prepare the files of a plugin; return False if only its start does. Blocks."""
        if plugin is None or (prepare := plugin.prepare) is None:
            return False
        _called(plugin.name, lambda: prepare(*self._given(plugin)))
        return True

    def known_voices(self, name: str) -> KnownVoices | None:
        """Return what an engine, or ``auto``, offers; None if it has to load before it knows. Blocks."""
        if name == "auto":
            kokoro, espeak = (self.known_voices(each) for each in EMBEDDED)
            return kokoro | espeak if kokoro is not None and espeak is not None else None
        plugin = found_engines().plugins.get(name)
        if plugin is None or (known := plugin.known_voices) is None:
            return None
        return _called(name, lambda: known(self.settings(plugin.settings)))

    def _given(self, plugin: EnginePlugin[Any] | RecognizerPlugin[Any]) -> tuple[Any, Resources]:
        folder = self.resources.cache_dir / plugin.name
        return self.settings(plugin.settings), replace(self.resources, cache_dir=folder, host=self)

    def _engine(self, plugin: EnginePlugin[Any], settings: BaseModel, resources: Resources) -> Engine:
        if plugin.name in self.workers:
            return self.workers[plugin.name]()
        if self.restarts is None or not plugin.own_process:
            return _called(plugin.name, lambda: plugin.build(settings, resources))
        return self.speech_worker(_own_worker(plugin.name, settings), resources)


def launched(
    kind: Literal["engine", "recognizer"], name: str, settings: Mapping[str, Any], resources: Resources
) -> Any:
    """Build an engine or a recogniser from what its server sent. Raises EngineUnavailable."""
    plugin: Any = _here(name, found_engines()) if kind == "engine" else _here(name, found_recognizers())
    received = _received(plugin, settings)
    return _called(name, lambda: plugin.build(received, resources))


def _here(name: str, found: Found[P]) -> P:
    if name not in found.plugins:
        raise EngineUnavailable(found.broken.get(name, f"{name} is not installed here"))
    return found.plugins[name]


def _own_worker(name: str, settings: BaseModel) -> PackageWorker:
    """Return what a process of this server's own Python is started with."""
    from kani.engines.plugin_settings import plain

    return PackageWorker(name, sys.executable, "", _called(name, lambda: plain(settings)))


def _received(plugin: EnginePlugin[Any] | RecognizerPlugin[Any], settings: Mapping[str, Any]) -> BaseModel:
    try:
        validated: BaseModel = plugin.settings.model_validate(settings)
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
        if isinstance(error, ModuleNotFoundError) and name in (*ENGINE_NAMES, *RECOGNIZER_NAMES):
            # A package of this server's requirements is missing, which the start names with its remedy.
            raise
        raise EngineUnavailable(f"{name} cannot be used: {type(error).__name__}: {error}") from error
