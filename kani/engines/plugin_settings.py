"""Definition of a setting: for the server's own table, and for the models of engines that plug in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python


class PluginSettings(BaseModel):
    """Base of a plugin's settings, frozen; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def setting(
    default: Any,
    *variables: str,
    group: str,
    unit: str = "",
    about: str,
    accepts: str = "",
    option: bool = True,
    **limits: Any,
) -> Any:
    """Define a field that is read from the first of the environment ``variables`` that is set.

    default: the value, or a function that returns it; group: heading in ``--help`` and in docs/settings.md;
    unit: of a number, such as "seconds"; about: its description, in sentences; accepts: its values, where the
    type and the limits do not tell, such as "a list of de and nl, separated by commas"; option: False for
    none on the command line, which has one for each setting of a plugin; limits: as for
    ``pydantic.Field``, such as ``ge=0``.
    """
    source = {"default_factory": default} if callable(default) else {"default": default}
    extra: dict[str, Any] = {"variables": list(variables), "group": group, "unit": unit}
    extra |= {"accepts": accepts, "option": option}
    return Field(description=about, json_schema_extra=extra, **source, **limits)


def plain(settings: BaseModel) -> dict[str, Any]:
    """Return values that the settings' model accepts, of the types of JSON; secrets are readable in them."""
    plain: dict[str, Any] = to_jsonable_python(_revealed(settings.model_dump()))
    return plain


def _revealed(value: object) -> object:
    match value:
        case SecretStr() | SecretBytes():
            return value.get_secret_value()
        case dict():
            return {name: _revealed(each) for name, each in value.items()}
        case tuple() | list() | set() | frozenset():
            return [_revealed(each) for each in value]
    return value
