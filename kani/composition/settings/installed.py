"""All settings of this installation: those of the table, and those of the plugins.

Plugins are engines, recognisers and protocols, of this package and of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kani.composition.settings.network import NetworkSettings
from kani.composition.settings.table import Settings, field_metadata
from kani.engines.plugin import PROTOCOLS, Found, find, found_engines, found_recognizers
from kani.engines.plugin_settings import setting_name

_OWN_PROTOCOLS = tuple(
    EntryPoint(name.rpartition(".")[2], f"kani.protocols.{name}.plugin:PROTOCOL", PROTOCOLS)
    for name in (
        *("kani", "voices_api", "books_api", "kyutai", "voxcpm", "openai", "elevenlabs", "livekit_tokens"),
        *("wyoming", "openai.whisper_servers"),
    )
)
"""The protocols of this package. Where prefixes of their paths overlap, the more special one comes first."""

if TYPE_CHECKING:
    from kani.protocols.shared.plugin import ProtocolPlugin

FIRST_LIMIT = "max_connections"
"""The setting that those of other packages precede."""


@cache
def _plugins() -> tuple[Mapping[type[BaseModel], str], Mapping[tuple[str, str], str]]:
    """Return what ``plugin_models`` and ``unusable`` return."""
    models: dict[type[BaseModel], str] = {}
    names = set(Settings.model_fields)
    taken = {variable for field in Settings.model_fields.values() for variable in _variables(field)}
    clashing: dict[tuple[str, str], str] = {}
    found = [("engine", name, plugin.settings) for name, plugin in found_engines().plugins.items()]
    found += [("recognizer", name, plugin.settings) for name, plugin in found_recognizers().plugins.items()]
    found += [("protocol", name, plugin.settings) for name, plugin in _found_protocols().plugins.items()]
    for kind, name, model in found:
        if model in models:
            continue  # a package's engine and its recogniser may share their settings
        own = fields_of(model)
        used = {variable for field in own.values() for variable in _variables(field)}
        if twice := [*own.keys() & names, *used & taken]:
            clashing[kind, name] = f"the {kind} {name} cannot be used: {min(twice)} is taken already"
            continue
        models[model] = name
        names |= own.keys()
        taken |= used
    return models, clashing


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a plugin's model by the names of their settings."""
    return {setting_name(info): info for info in model.model_fields.values()}


def plugin_models() -> Mapping[type[BaseModel], str]:
    """Return the models of the plugins' settings, each with its plugin's name."""
    return _plugins()[0]


def unusable() -> Mapping[tuple[str, str], str]:
    """Return a sentence for each plugin with a setting or a variable that is taken.

    Keys are its kind, ``engine``, ``recognizer`` or ``protocol``, and its name.
    """
    return _plugins()[1]


def plugin_fields() -> dict[str, FieldInfo]:
    """Return the plugins' settings by name."""
    return {name: field for model in plugin_models() for name, field in fields_of(model).items()}


@cache
def fields() -> Mapping[str, FieldInfo]:
    """Return all settings by name, in the order of docs/settings.md."""
    every = {**Settings.model_fields, **plugin_fields()}
    order = [*Settings.model_fields]
    for model in plugin_models():
        before = ""
        for name, field in fields_of(model).items():
            before = field_metadata(field)["after"] or before
            order.insert(order.index(before) + 1 if before in order else order.index(FIRST_LIMIT), name)
            before = name
    return {name: every[name] for name in order}


def variables(name: str) -> list[str]:
    """Return the environment variables of a setting, in order of precedence."""
    return list(_variables(fields()[name]))


def option_variables(*, network: bool = True) -> dict[str, str]:
    """Return the first variable of each setting, by what its option is or would be called.

    network: also the settings of ports and access.
    """
    left_out = () if network else NetworkSettings.model_fields
    return {
        "--" + name.replace("_", "-"): variables(name)[0]
        for name in fields()
        if variables(name) and name not in left_out
    }


def plugin_warnings() -> list[str]:
    """Return a sentence for each plugin that cannot be used."""
    broken = (found_engines().broken, found_recognizers().broken, _found_protocols().broken)
    return [sentence for each in (*broken, unusable()) for sentence in each.values()]


@cache
def _found_protocols() -> Found[ProtocolPlugin[Any]]:
    # Only where settings are read: a program that imports the library may use none.
    from kani.protocols.shared.plugin import ProtocolPlugin

    names = [entry.name for entry in _OWN_PROTOCOLS]
    ours = find(_OWN_PROTOCOLS, "protocol", ProtocolPlugin, ())
    others = find(entry_points(group=PROTOCOLS), "protocol", ProtocolPlugin, names)
    in_order = {name: ours.plugins[name] for name in names if name in ours.plugins}
    return Found({**in_order, **others.plugins}, {**ours.broken, **others.broken})


def own_protocols() -> frozenset[str]:
    """Return the names of this package's protocols."""
    return frozenset(entry.name for entry in _OWN_PROTOCOLS)


def plugin_protocols() -> list[ProtocolPlugin[Any]]:
    """List the protocols: this package's own in the order in which paths are matched, then the others."""
    found = _found_protocols().plugins.items()
    return [plugin for name, plugin in found if ("protocol", name) not in unusable()]


def _variables(field: FieldInfo) -> Iterator[str]:
    yield from field_metadata(field)["variables"]
