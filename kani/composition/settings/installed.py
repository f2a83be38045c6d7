"""All settings of this installation: those of the table, and those of engines and recognisers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kani.composition.settings.table import Settings, field_metadata
from kani.engines.plugin import PROTOCOLS, Found, find, found_engines, found_recognizers
from kani.engines.plugin_settings import setting_name

if TYPE_CHECKING:
    from kani.protocols.shared.plugin import ProtocolPlugin

FIRST_LIMIT = "max_connections"
"""The setting that those of other packages precede."""


@cache
def _plugins() -> tuple[Mapping[str, type[BaseModel]], Mapping[tuple[str, str], str]]:
    """Return what ``plugin_models`` and ``unusable`` return."""
    models: dict[str, type[BaseModel]] = {}
    names = set(Settings.model_fields)
    taken = {variable for field in Settings.model_fields.values() for variable in _variables(field)}
    clashing: dict[tuple[str, str], str] = {}
    found = [("engine", name, plugin.settings) for name, plugin in found_engines().plugins.items()]
    found += [("recognizer", name, plugin.settings) for name, plugin in found_recognizers().plugins.items()]
    found += [("protocol", name, plugin.settings) for name, plugin in _found_protocols().plugins.items()]
    for kind, name, model in found:
        if models.get(name) is model:
            continue  # a package's engine and its recogniser may share their settings
        own = fields_of(model)
        used = {variable for field in own.values() for variable in _variables(field)}
        if name in models or own.keys() & names or used & taken:
            twice = min([*own.keys() & names, *used & taken], default=name)
            clashing[kind, name] = f"the {kind} {name} cannot be used: {twice} is taken already"
            continue
        models[name] = model
        names |= own.keys()
        taken |= used
    return models, clashing


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a plugin's model by the names of their settings."""
    return {setting_name(info): info for info in model.model_fields.values()}


def plugin_models() -> Mapping[str, type[BaseModel]]:
    """Return the models of the plugins' settings, by the plugins' names."""
    return _plugins()[0]


def unusable() -> Mapping[tuple[str, str], str]:
    """Return a sentence for each plugin with a setting or a variable that is taken.

    Keys are its kind, ``engine``, ``recognizer`` or ``protocol``, and its name.
    """
    return _plugins()[1]


def plugin_fields() -> dict[str, FieldInfo]:
    """Return the plugins' settings by name."""
    return {name: field for model in plugin_models().values() for name, field in fields_of(model).items()}


@cache
def fields() -> Mapping[str, FieldInfo]:
    """Return all settings by name, in the order of docs/settings.md."""
    every = {**Settings.model_fields, **plugin_fields()}
    order = [*Settings.model_fields]
    for model in plugin_models().values():
        before = ""
        for name, field in fields_of(model).items():
            before = field_metadata(field)["after"] or before
            order.insert(order.index(before) + 1 if before in order else order.index(FIRST_LIMIT), name)
            before = name
    return {name: every[name] for name in order}


def variables(name: str) -> list[str]:
    """Return the environment variables of a setting, in order of precedence."""
    return list(_variables(fields()[name]))


def plugin_warnings() -> list[str]:
    """Return a sentence for each plugin that cannot be used."""
    broken = (found_engines().broken, found_recognizers().broken, _found_protocols().broken)
    return [sentence for each in (*broken, unusable()) for sentence in each.values()]


@cache
def _found_protocols() -> Found[ProtocolPlugin[Any]]:
    # Without such a package nothing of the protocols is imported: the library needs none.
    if not (entries := entry_points(group=PROTOCOLS)):
        return Found({}, {})
    from kani.protocols.shared.plugin import ProtocolPlugin

    return find(entries, "protocol", ProtocolPlugin, ())


def plugin_protocols() -> list[ProtocolPlugin[Any]]:
    """List the protocols of other packages."""
    found = _found_protocols().plugins.items()
    return [plugin for name, plugin in found if ("protocol", name) not in unusable()]


def _variables(field: FieldInfo) -> Iterator[str]:
    yield from field_metadata(field)["variables"]
