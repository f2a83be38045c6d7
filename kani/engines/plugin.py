"""Engines and recognisers that plug in: how they describe themselves, and how they are found.

A package offers an engine by an entry point in the group ``kani.engines`` that names an ``EnginePlugin``, and
a recogniser by one in ``kani.recognizers`` that names a ``RecognizerPlugin``. The module of a description is
imported at each start, even for ``--help``: it imports the engine itself only in ``build``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kani.core.engine import Engine
    from kani.core.recognizer import Recognizer

ENGINE_NAMES = ("auto", "kani", "kokoro", "espeak", "pocket", "voxcpm", "elevenlabs", "remote")
RECOGNIZER_NAMES = ("auto", "whisper", "kyutai", "remote", "none")
"""Names that no other package can take."""

ENGINES, RECOGNIZERS = "kani.engines", "kani.recognizers"
"""Groups of the entry points."""

_OWN_ENGINES = (EntryPoint("pocket", "kani.engines.pocket.plugin:ENGINE", ENGINES),)
"""Engines of this package that have a description; a checkout has no entry points."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")

S = TypeVar("S", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class Resources:
    """Settings of the server that are for every engine."""

    models_dir: Path | None  # the user's folder with model files, KANI_MODELS_DIR
    cache_dir: Path  # the plugin's own folder for what it fetches and builds; may not exist yet
    may_fetch: bool  # whether missing files may be fetched
    threads: int | None  # threads that one segment is computed with, KANI_THREADS; None: its own measure
    device: str  # auto, cpu, cuda or cuda:N, KANI_DEVICE


@dataclass(frozen=True, slots=True)
class EnginePlugin(Generic[S]):
    """Description of an engine."""

    name: str
    """Name for ``--engine``: small letters, digits and _. It begins the names of its settings."""
    settings: type[S]
    """Model of its settings, each field made by ``kani.engines.plugin_settings.setting``."""
    build: Callable[[S, Resources], Engine]
    """Return the engine, not started; with ``--engine-process`` it is called in the engine's own process.
    Raises EngineUnavailable."""
    prepare: Callable[[S, Resources], None] | None = None
    """Fetch and prepare its files for ``--fetch``; blocks. Raises EngineUnavailable. Without it ``--fetch``
    starts the engine once."""


@dataclass(frozen=True, slots=True)
class RecognizerPlugin(Generic[S]):
    """Description of a recogniser."""

    name: str
    """Name for ``--recognizer``, as that of an engine."""
    settings: type[S]
    """As for an engine."""
    build: Callable[[S, Resources], Recognizer]
    """As for an engine."""
    prepare: Callable[[S, Resources], None] | None = None
    """As for an engine."""


@dataclass(frozen=True, slots=True)
class PluginValues:
    """Settings and resources of a plugin that is built in another process."""

    settings: dict[str, Any]
    """Values that its model validates again."""
    resources: Resources


P = TypeVar("P", EnginePlugin[Any], RecognizerPlugin[Any])


class Found(NamedTuple, Generic[P]):
    """Plugins of one group."""

    plugins: Mapping[str, P]
    broken: Mapping[str, str]
    """A sentence with the reason for each that cannot be used, by the name of its entry point."""


class PluginError(ValueError):
    """A description that cannot be used, and why."""


@cache
def found_engines() -> Found[EnginePlugin[Any]]:
    """Find the engines that have a description: this package's own, and those of the other packages."""
    own = find(_OWN_ENGINES, "engine", EnginePlugin, ())
    others = find(entry_points(group=ENGINES), "engine", EnginePlugin, ENGINE_NAMES)
    return Found({**own.plugins, **others.plugins}, {**own.broken, **others.broken})


@cache
def found_recognizers() -> Found[RecognizerPlugin[Any]]:
    """Find the recognisers of the installed packages."""
    return find(entry_points(group=RECOGNIZERS), "recogniser", RecognizerPlugin, RECOGNIZER_NAMES)


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
    for field, info in plugin.settings.model_fields.items():
        if not isinstance(info.json_schema_extra, dict) or not info.json_schema_extra.get("variables"):
            raise PluginError(f"its setting {field} is not made by kani.engines.plugin_settings.setting")
    plugin.settings()  # each setting needs a valid default
    return plugin


def engine_names() -> tuple[str, ...]:
    """Return the names that ``--engine`` accepts."""
    return tuple(dict.fromkeys((*ENGINE_NAMES, *found_engines().plugins)))


def recognizer_names() -> tuple[str, ...]:
    """Return the names that ``--recognizer`` accepts."""
    return (*RECOGNIZER_NAMES, *found_recognizers().plugins)
