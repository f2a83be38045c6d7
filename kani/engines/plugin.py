"""Engines and recognisers that plug in: how they describe themselves, and how they are found.

A package offers an engine by an entry point in the group ``kani.engines`` that names an ``EnginePlugin``, and
a recogniser by one in ``kani.recognizers`` that names a ``RecognizerPlugin``. The module of a description is
imported at each start, even for ``--help``: it imports the engine itself only in ``build``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from pydantic import BaseModel

    from kani.core.engine import CloningEngine, Engine
    from kani.core.recognizer import Recognizer
    from kani.engines.known_voices import KnownVoices

ENGINES, RECOGNIZERS, PROTOCOLS = "kani.engines", "kani.recognizers", "kani.protocols"
"""Groups of the entry points."""

_OWN_ENGINES = tuple(
    EntryPoint(name, f"kani.engines.{name}.plugin:ENGINE", ENGINES)
    for name in ("kani", "kokoro", "espeak", "pocket", "voxcpm", "kyutai", "elevenlabs", "openai")
)
_OWN_RECOGNIZERS = tuple(
    EntryPoint(name, f"kani.engines.{name}.plugin:RECOGNIZER", RECOGNIZERS)
    for name in ("whisper", "transcribe", "kyutai", "openai")
)
# Listed here and not in pyproject.toml: a checkout, which is not installed, has no entry points.

ENGINE_NAMES = ("auto", *(entry.name for entry in _OWN_ENGINES), "remote")
RECOGNIZER_NAMES = ("auto", *(entry.name for entry in _OWN_RECOGNIZERS), "remote", "none")
"""Names that no other package can take."""

MODEL, RECOGNIZER_MODEL, VOICES = "KANI_MODEL", "KANI_RECOGNIZER_MODEL", "KANI_ENGINE_VOICES"
"""Settings of ``Resources``, for sentences about them."""

CURE = "cure"
"""Setting of every adapter of a maker's package: what to do about a model that cannot be loaded."""

RECORDING_RATE = "recording_rate"
"""Setting of one for speech that its package may find: hertz of the recordings that ``embed`` gets."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

S = TypeVar("S", bound="BaseModel")


class Host(Protocol):
    """The server, for an engine that is built in its process."""

    @property
    def metrics(self) -> CollectorRegistry:
        """Holds the metrics of an engine."""

    def engine(self, name: str) -> Engine:
        """Build another engine, with its settings. Raises EngineUnavailable."""

    def speech_worker(self, worker: PackageWorker, resources: Resources) -> CloningEngine:
        """Return an engine that a maker's package is in a process of another Python."""

    def hearing_worker(self, worker: PackageWorker, resources: Resources) -> Recognizer:
        """Return a recogniser that a maker's package is in a process of another Python."""


@dataclass(frozen=True, slots=True)
class PackageWorker:
    """The start of a process: of a maker's package (``kani.engines.packages``), or of a plugin."""

    name: str  # of the plugin
    python: str  # interpreter of the package's environment
    adapter: str  # the package's class, "module:Class"; empty for a plugin of the server's own Python
    settings: Mapping[str, Any]  # the adapter's or the plugin's, of the types of JSON


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings of the server that are for every engine, and for every recogniser."""

    cache_dir: Path  # the plugin's own folder for what it fetches and builds; may not exist yet
    models_dir: Path | None = None  # the user's folder with model files, KANI_MODELS_DIR
    model: str | None = None  # of the engine or recogniser that is chosen, KANI_MODEL, KANI_RECOGNIZER_MODEL
    voices: str | None = None  # folder with voices of the engine that is chosen, KANI_ENGINE_VOICES
    pythons: Mapping[str, str] = field(default_factory=dict)  # of makers' packages by plugins, KANI_PYTHONS
    may_fetch: bool = False  # whether missing files may be fetched
    threads: int | None = None  # of one segment, KANI_THREADS; None: the engine's own measure
    device: str = "auto"  # auto, cpu, cuda or cuda:N, KANI_DEVICE
    precision: str = "auto"  # auto, float32, bfloat16 or int8, KANI_PRECISION
    max_concurrent: int | None = None  # segments at once, KANI_MAX_CONCURRENT; None: the engine's own number
    fallback: str = "none"  # engine that speaks what another server fails to, KANI_FALLBACK
    language: str | None = None  # primary subtag of the server's language, KANI_LANGUAGE
    host: Host | None = None  # None in a process of the engine's own


@dataclass(frozen=True, slots=True)
class EnginePlugin(Generic[S]):
    name: str
    """Name for ``--engine``: small letters, digits and _."""
    settings: type[S]
    """Model of its settings, each field made by ``kani.engines.plugin_settings.setting``."""
    build: Callable[[S, Resources], Engine]
    """Return the engine, not started; with ``--engine-process`` it is called in the engine's own process.
    Raises EngineUnavailable."""
    prepare: Callable[[S, Resources], None] | None = None
    """Fetch and prepare its files for ``--fetch``; blocks. Raises EngineUnavailable. Without it ``--fetch``
    starts the engine once."""
    known_voices: Callable[[S], KnownVoices | None] | None = None
    """Return its voices and languages where it knows them before it starts, else None; blocks. Raises
    EngineUnavailable."""
    joins: Callable[[S, Resources], tuple[S, Resources] | None] | None = None
    """Return what it is built from beside the engines of ``auto``, which it joins once it has started; None
    if it cannot run here. At most one engine joins."""
    own_process: bool = True
    """False if ``--engine-process`` leaves it in the server, as it computes elsewhere."""
    takes_model: bool = True
    """False if KANI_MODEL has no effect on it."""


@dataclass(frozen=True, slots=True)
class RecognizerPlugin(Generic[S]):
    """Description of a recogniser; fields without a text of their own are as those of ``EnginePlugin``."""

    name: str
    """Name for ``--recognizer``, as that of an engine."""
    settings: type[S]
    build: Callable[[S, Resources], Recognizer]
    prepare: Callable[[S, Resources], None] | None = None
    own_process: bool = True
    describes_itself: bool = False
    """True if its ``info`` is complete before it starts: with ``--engine-process`` it is then built in the
    server, too."""


class Description(Protocol):
    """Description of an engine, a recogniser or a protocol."""

    @property
    def name(self) -> str:
        """Name of its entry point."""

    @property
    def settings(self) -> type[BaseModel]:
        """Model of its settings."""


P = TypeVar("P", bound=Description)


class Found(NamedTuple, Generic[P]):
    """Plugins of one group."""

    plugins: Mapping[str, P]
    broken: Mapping[str, str]
    """A sentence with the reason for each that cannot be used, by the name of its entry point."""


class PluginError(ValueError):
    """A description that cannot be used, and why."""


@cache
def found_engines() -> Found[EnginePlugin[Any]]:
    """Find the engines: this package's own, and those of the other packages."""
    return _found(_OWN_ENGINES, ENGINES, "engine", EnginePlugin)


@cache
def found_recognizers() -> Found[RecognizerPlugin[Any]]:
    """Find the recognisers, as ``found_engines`` does the engines."""
    return _found(_OWN_RECOGNIZERS, RECOGNIZERS, "recogniser", RecognizerPlugin)


def _found(own: Iterable[EntryPoint], group: str, kind: str, description: type[P]) -> Found[P]:
    ours = find(own, kind, description, ())
    # Engines and recognisers share names, as those of one name share their settings.
    others = find(entry_points(group=group), kind, description, (*ENGINE_NAMES, *RECOGNIZER_NAMES))
    return Found({**ours.plugins, **others.plugins}, {**ours.broken, **others.broken})


def find(entries: Iterable[EntryPoint], kind: str, description: type[P], taken: Iterable[str]) -> Found[P]:
    """Load entry points; one that fails takes no other with it."""
    plugins: dict[str, P] = {}
    broken: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: (entry.name, entry.value)):
        package = f" of the package {entry.dist.name}" if entry.dist is not None else ""
        try:
            if entry.name in (*taken, *plugins):
                raise PluginError("another one has this name")
            plugins[entry.name] = _checked(entry.load(), entry.name, description)
        except Exception as error:  # whatever the code of another package raises
            reason = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            reason = " ".join(reason.split())
            broken[entry.name] = f"the {kind} {entry.name}{package} cannot be used: {reason}"
    return Found(plugins, broken)


def _checked(plugin: Any, name: str, description: type[P]) -> P:
    if not isinstance(plugin, description):
        raise PluginError(f"its entry point names no {description.__name__}")
    if plugin.name != name or not _NAME.fullmatch(name):
        raise PluginError(
            f"its name {plugin.name!r} has to be that of its entry point, of small letters, digits and _"
        )
    for name_of_field, info in plugin.settings.model_fields.items():
        if not isinstance(info.json_schema_extra, dict) or not info.json_schema_extra.get("variables"):
            raise PluginError(
                f"its setting {name_of_field} is not made by kani.engines.plugin_settings.setting"
            )
    plugin.settings()  # each setting needs a valid default
    return plugin


def engine_names() -> tuple[str, ...]:
    """Return the names that ``--engine`` accepts."""
    return tuple(dict.fromkeys((*ENGINE_NAMES, *found_engines().plugins)))


def recognizer_names() -> tuple[str, ...]:
    """Return the names that ``--recognizer`` accepts."""
    return tuple(dict.fromkeys((*RECOGNIZER_NAMES, *found_recognizers().plugins)))


def later(path: str) -> Callable[..., Any]:
    """Return a function that calls another, ``module:function``, and imports its module only then.

    Descriptions of engines are imported at each start, and import nothing large.
    """
    module, _, name = path.partition(":")
    return lambda *arguments: getattr(importlib.import_module(module), name)(*arguments)
