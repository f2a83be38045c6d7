"""Reads the settings of ``kani.composition.settings.table``.

A value comes from the command line, else from the environment, else from the file ``.env`` in the
working folder, else from ``websocket_config``. Where several variables mean the same setting, the first of
them that is set counts, wherever it is set, so that ours (KANI_*) always wins. pydantic-settings would let an
alias in the environment win over our name in the file.
"""

import difflib
import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

import annotated_types
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from kani.composition.settings.installed import fields, plugin_models, unusable, variables
from kani.composition.settings.table import Settings, field_metadata
from kani.composition.settings.types import LANGUAGES, one_of
from kani.engines.plugin import engine_names, found_engines, recognizer_names
from kani.engines.plugin_settings import PluginSettings, setting_name
from kani_text.foreign.files import read_regular

ENV_FILE = Path(".env")
"""File of settings, in the folder where the server is started."""

MAX_ENV_BYTES = 1 << 20

CLIENT_KEY = "KANI_API_KEY"
# "10.000" is ten thousand in much of Europe, and ten for pydantic.
_LENIENT = re.compile(r"\s*[+-]?\d+(?:\.0+|(?:_\d+)+)\s*")
PREFIX = "KANI_"
_REFERENCE = re.compile(r"\$\{([^}:]*)\}")  # as python-dotenv reads it
_LIKE_OURS = re.compile(r"(?:ENV_)?KANI(_?)(?:TTS_)?")


M = TypeVar("M", bound=BaseModel)


class SettingsError(ValueError):
    """Invalid settings; ``str()`` has a line for each: its name, its value and the values it accepts."""


def _text_of(env_file: Path) -> str:
    """Return the text of the file; "" where there is none. Raises SettingsError."""
    try:
        # Without a writer, a pipe would be waited for.
        leads_nowhere = env_file.is_symlink() and not env_file.exists()
        is_there = env_file.is_file() or env_file.is_fifo() or leads_nowhere
        text = read_regular(env_file, MAX_ENV_BYTES).decode("utf-8-sig") if is_there else ""
    except OSError as error:
        raise SettingsError(f"{env_file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # UTF-16 may decode, with NULs
        raise SettingsError(f"{env_file} cannot be read: it has to be a text in UTF-8")
    return text


def _written(env_file: Path, environment: Mapping[str, str]) -> Mapping[str, str | None]:
    """Return the variables of the environment, and the file's that it has not. Raises SettingsError."""
    text = _text_of(env_file)
    known, seen = set[str | None](environment), dict[str | None, str | None]()
    read = {variable for name in fields() for variable in variables(name)} - {*environment}
    own = {variable for variable in read if variable.startswith(PREFIX)}  # other programs may repeat theirs
    for line in parse_stream(io.StringIO(text)):
        ours = line.key in read
        # A line may add to one before it.
        changed = seen.get(line.key, line.value) != line.value and f"${{{line.key}" not in f"{line.value}"
        if changed and line.key in own:
            raise SettingsError(f"{env_file}: {line.key} is written twice, leave one of them out")
        seen[line.key] = line.value
        unset = [named for named in _REFERENCE.findall(line.value or "") if named not in known]
        if unset and ours:
            raise SettingsError(f"{env_file}: {line.key} refers to {unset[0]}, which is not set")
        (known.discard if unset else known.add)(line.key)
        if line.error or (ours and line.value is None):
            written = line.original.string.lstrip()
            # The rest may be a key.
            name = re.findall(r"^(?:export\s+)?(\w+)", written) or ["it"]
            number = line.original.line + line.original.string[: -len(written)].count("\n")
            raise SettingsError(
                f"{env_file}, line {number}: {name[0]} has to be written NAME=VALUE, any quotes closed"
            )
    return {**dotenv_values(stream=io.StringIO(text)), **environment}


def load(
    command_line: Mapping[str, object],
    environment: Mapping[str, str] = os.environ,
    env_file: Path = ENV_FILE,
    *,
    names: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings; ``command_line`` holds its options by the setting's name. Raises SettingsError.

    names: of these options, for people; their settings' own if None.
    """
    written = _written(env_file, environment)
    unknown = [(name, _nearest(name, fields(), 0.7)) for name in command_line if name not in fields()]
    # Only people write the file. Other programs may set variables of such names, as Kubernetes does.
    unknown += [each for each in _misspelt({*written} - {*environment, CLIENT_KEY}) if each[1]]
    if unknown:
        raise SettingsError("\n".join(_no_setting(*each) for each in unknown))
    values, called = dict(command_line), {name: (names or {}).get(name, name) for name in command_line}
    for name in fields():
        for variable in variables(name):
            if name not in values and written.get(variable):
                values[name], called[name] = written[variable], variable
    for name, value in _implied(written).items():
        values.setdefault(name, value)
        called.setdefault(name, name)
    complaints = [
        f"{called[name]}={value!r}: has to be {accepted_values(name)}"
        for name, value in values.items()
        if _LENIENT.fullmatch(str(value)) and accepted_values(name).startswith("a whole number")
    ]
    plugins: dict[type[BaseModel], BaseModel] = {}
    for model, plugin in plugin_models().items():
        names = {field: setting_name(info) for field, info in model.model_fields.items()}
        own = {field: values.pop(name) for field, name in names.items() if name in values}
        validated, faults = _validated(model, own, called, names, plugin)
        complaints += faults
        if validated is not None:
            plugins[model] = validated
    chosen, faults = _validated(Settings, values, called, {name: name for name in values})
    if chosen is None:
        raise SettingsError("\n".join([*faults, *complaints]))
    selected = (("engine", chosen.engine), ("recognizer", chosen.recognizer))
    complaints += [unusable()[each] for each in selected if each in unusable()]
    chosen = chosen.with_plugins(plugins)
    if complaints := complaints or _ineffective(called, chosen, written, environment):
        raise SettingsError("\n".join(complaints))
    return chosen


def _implied(written: Mapping[str, str | None]) -> dict[str, object]:
    """Return the values of settings that variables other than their own imply."""
    environment = {variable: value for variable, value in written.items() if value}
    models: tuple[type[BaseModel], ...] = (Settings, *plugin_models())
    implied: dict[str, object] = {}
    for model in models:
        if issubclass(model, PluginSettings):
            implied |= model.implied(environment)
    return implied


def _validated(
    model: type[M],
    values: Mapping[str, object],
    called: Mapping[str, str],
    names: Mapping[str, str],
    plugin: str = "",
) -> tuple[M | None, list[str]]:
    """Return the model with its values, or None and a line for each invalid one.

    called: option or variable of each, by the setting's name; names: of the settings, by the model's fields;
    plugin: of the model; a complaint of its own about several settings names the plugin.
    """
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        found = error.errors()
    # An invalid setting also invalidates a default that is computed from it; only the former is named.
    wrong = {str(line["loc"][0]): line for line in found if line["loc"] and line["loc"][0] in values}
    lines = []
    for field, line in wrong.items():
        name = names[field]
        own = str(line["ctx"]["error"]) if line["type"] == "value_error" else ""
        fault = own or f"has to be {accepted_values(name)}"
        lines.append(f"{called[name]}={_shown(name, values[field])}: {fault}")
    return None, lines or [f"settings of {plugin or 'the server'}: {line['msg']}" for line in found]


def variable_warnings(environment: Mapping[str, str] = os.environ, env_file: Path = ENV_FILE) -> list[str]:
    """Return a sentence for each variable, or file of them, that is not read and most likely should be."""
    written = _written(env_file, environment)
    # A variable of the clients, who may read the same file: without the server's it is a slip.
    clients = CLIENT_KEY if written.get("KANI_API_KEYS") else ""
    sentences = [_no_setting(name, meant) for name, meant in _misspelt(written) if name != clients]
    # Editors of Windows add an ending, and hide it.
    hidden = env_file.with_name(f"{env_file.name}.txt")
    if not env_file.exists() and hidden.is_file():
        sentences.append(f"{hidden} is not read: its name has to be {env_file.name}")
    if model := written.get("TTS_MODEL_NAME"):
        sentences.append(
            f"TTS_MODEL_NAME={model} is not read: this server speaks VoxCPM's protocol by any engine; "
            "KANI_ENGINE=voxcpm with KANI_MODEL runs VoxCPM's model"
        )
    return sentences


def _misspelt(written: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each variable that looks like a setting and is none, and the one that is meant, or ""."""
    known = [variable for name in fields() for variable in variables(name)]
    ours = [variable for variable in known if variable.startswith(PREFIX)]
    # All begin alike, which makes none of them near.
    rests = [variable.removeprefix(PREFIX) for variable in ours]
    for name in sorted({*written} - {*known}):
        spelt = re.sub(r"\W+", "_", name.upper()).strip("_")
        if like := _LIKE_OURS.match(spelt):
            meant = _nearest(spelt[like.end() :], rests, 0.7 if like[1] else 0.85)
            if meant or like[1]:
                yield name, meant and PREFIX + meant
        elif spelt.startswith("K") and (meant := _nearest(spelt, ours, 0.85)):
            yield name, meant


def _nearest(name: str, names: Iterable[str], likeness: float) -> str:
    return next(iter(difflib.get_close_matches(name, names, 1, likeness)), "")


def _no_setting(name: str, meant: str) -> str:
    hint = f"did you mean {meant}?" if meant else "docs/settings.md lists them"
    return f"{name} is no setting of this server; {hint}"


def _ineffective(
    called: Mapping[str, str],
    chosen: Settings,
    written: Mapping[str, str | None],
    environment: Mapping[str, str],
) -> list[str]:
    """Return a line for each setting that is given without one that gives it an effect.

    called: as of ``_validated``. Aliases are not checked: they may be set for another program; nor is what is
    off (0, false). A variable that is written but empty turns off what needs it.
    """
    lines = []
    plugin = found_engines().plugins.get(chosen.engine)
    if chosen.model is not None and plugin is not None and not plugin.takes_model:
        # The engine of a model may be replaced: by a command line first, then by the environment.
        model_rank, engine_rank = (
            (not source.startswith(PREFIX), source in environment)
            for source in (called["model"], called.get("engine", PREFIX))
        )
        if engine_rank <= model_rank:
            lines.append(f"{called['model']} has no effect on the engine {chosen.engine}: leave it out")
    given = called.keys() | {name for name in fields() if not written.keys().isdisjoint(variables(name))}
    for name, variable in called.items():
        needs = field_metadata(fields()[name])["needs"] if variable.startswith((PREFIX, "--", name)) else ()
        others = [need.partition("=")[0].removeprefix(PREFIX).lower() for need in needs]
        if others and chosen.value(name) and given.isdisjoint(others):
            lines.append(f"{variable} has no effect without {' or '.join(needs)}: set that, or leave it out")
    return lines


def accepted_values(name: str) -> str:
    """Describe the values of a setting, such as "a whole number from 0 to 65535"."""
    if name in ("engine", "recognizer"):
        return one_of(engine_names() if name == "engine" else recognizer_names())
    field = fields()[name]
    if accepts := field_metadata(field)["accepts"]:
        return str(accepts)
    origin = get_origin(field.annotation)
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    if origin is Literal:
        return "one of " + ", ".join(map(str, kinds))
    if name.endswith("_url"):
        return "an address (https://host, wss://host)"
    if name.endswith("_dir"):
        return "a folder"
    if name == "language":
        return LANGUAGES
    return (_KINDS.get(origin) or _KINDS.get(kinds[0], "a text")) + _range(field)


_KINDS: Mapping[Any, str] = {
    Mapping: "a list of NAME=VALUE, separated by commas",
    tuple: "a list, separated by commas",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a file",
}


def _range(field: FieldInfo) -> str:
    low = high = ""
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            low = f" from {limit.ge}"
        elif isinstance(limit, annotated_types.Gt):
            low = f" above {limit.gt}"
        elif isinstance(limit, annotated_types.Le):
            high = f" to {limit.le}" if low.startswith(" from") else f", at most {limit.le}"
    return low + high


def _shown(name: str, value: object) -> str:
    secret = "SecretStr" in str(fields()[name].annotation)
    return "(not shown)" if secret else repr(value)
