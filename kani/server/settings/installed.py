"""All settings of this installation: those of the table, and those of engines that describe themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kani.engines.plugin import found_engines, found_recognizers
from kani.server.settings.table import VOXCPM_MODEL, Settings, field_metadata


@cache
def _plugins() -> tuple[Mapping[str, type[BaseModel]], Mapping[tuple[str, str], str]]:
    """Return what ``plugin_models`` and ``unusable`` return."""
    models: dict[str, type[BaseModel]] = {}
    names = set(Settings.model_fields)
    taken = {variable for field in Settings.model_fields.values() for variable in _variables(field)}
    clashing: dict[tuple[str, str], str] = {}
    found = [("engine", name, plugin.settings) for name, plugin in found_engines().plugins.items()]
    found += [("recognizer", name, plugin.settings) for name, plugin in found_recognizers().plugins.items()]
    for kind, name, model in found:
        if models.get(name) is model:
            continue  # a package's engine and its recogniser may share their settings
        own = fields_of(name, model)
        used = {variable for field in own.values() for variable in _variables(field)}
        if name in models or own.keys() & names or used & taken:
            twice = min([*own.keys() & names, *used & taken], default=name)
            clashing[kind, name] = f"the {kind} {name} cannot be used: {twice} is taken already"
            continue
        models[name] = model
        names |= own.keys()
        taken |= used
    return models, clashing


def fields_of(name: str, model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of a plugin by the names of their settings, which begin with the plugin's."""
    return {f"{name}_{field}": info for field, info in model.model_fields.items()}


def plugin_models() -> Mapping[str, type[BaseModel]]:
    """Return the models of the plugins' settings, by the plugins' names."""
    return _plugins()[0]


def unusable() -> Mapping[tuple[str, str], str]:
    """Return a sentence for each plugin with a setting or a variable that is taken.

    Keys are the setting that chooses it, ``engine`` or ``recognizer``, and its name.
    """
    return _plugins()[1]


def plugin_fields() -> dict[str, FieldInfo]:
    """Return the plugins' settings by name."""
    return {name: field for each in plugin_models().items() for name, field in fields_of(*each).items()}


@cache
def fields() -> Mapping[str, FieldInfo]:
    """Return all settings by name, in the order of docs/settings.md: those of engines are together."""
    table = [*Settings.model_fields.items()]
    last = next(at for at, (_, field) in enumerate(table) if field_metadata(field)["group"] == VOXCPM_MODEL)
    return dict([*table[:last], *plugin_fields().items(), *table[last:]])


def variables(name: str) -> list[str]:
    """Return the environment variables of a setting, in order of precedence."""
    return list(_variables(fields()[name]))


def plugin_warnings() -> list[str]:
    """Return a sentence for each plugin that cannot be used."""
    return [*found_engines().broken.values(), *found_recognizers().broken.values(), *unusable().values()]


def _variables(field: FieldInfo) -> Iterator[str]:
    yield from field_metadata(field)["variables"]
