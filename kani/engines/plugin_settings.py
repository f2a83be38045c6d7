"""Definition of a setting: for the server's own table, and for the models of engines that plug in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python


class PluginSettings(BaseModel):
    """Base of a plugin's settings, frozen; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Give each setting without a group the group of the one before it."""
        group = ""
        for field in cls.model_fields.values():
            if isinstance(extra := field.json_schema_extra, dict):
                group = extra["group"] = str(extra.get("group") or group)

    @classmethod
    def implied(cls, environment: Mapping[str, str]) -> dict[str, object]:
        """Return values of settings that are not given, by their names, as other variables imply them."""
        return {}


def setting(
    default: Any,
    *variables: str,
    group: str = "",
    unit: str = "",
    about: str,
    accepts: str = "",
    option: bool = True,
    after: str = "",
    names_voices: bool = False,
    needs: Sequence[str] = (),
    **limits: Any,
) -> Any:
    """Define a field that is read from the first of the environment ``variables`` that is set.

    The first variable, without KANI_, is the setting's name, and its option's. default: the value, or a
    function that returns it; group: heading in ``--help`` and in docs/settings.md, if that is not the one of
    the setting before it; unit: of a number, such as "seconds"; about: its description, in sentences;
    accepts: its values, where the type and the limits do not tell, such as "a list of de and nl, separated by
    commas"; option: False for none on the command line, which has one for each setting of a plugin; after:
    name of the setting that it follows in docs/settings.md, if that is not the one before it; names_voices:
    True for a mapping to ids of this server's voices, which are checked at the start; needs: settings, as
    "KANI_LLM_URL" or "KANI_ENGINE=remote": it has an effect only if one of them is given; limits:
    as for ``pydantic.Field``, such as ``ge=0``.
    """
    source = {"default_factory": default} if callable(default) else {"default": default}
    extra: dict[str, Any] = {"variables": list(variables), "group": group, "unit": unit, "accepts": accepts}
    extra |= {"option": option, "after": after, "names_voices": names_voices, "needs": list(needs)}
    return Field(description=about, json_schema_extra=extra, **source, **limits)


def setting_name(field: FieldInfo) -> str:
    """Return the name of a plugin's setting: its first variable's, without KANI_."""
    assert isinstance(field.json_schema_extra, dict)
    variables: Any = field.json_schema_extra["variables"]
    return str(variables[0]).removeprefix("KANI_").lower()


def listed(value: Any) -> Any:
    """Split a comma list, as the environment and the command line give it. Raises ValueError."""
    if not isinstance(value, str):
        return value
    parts = tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    if value and not parts:
        raise ValueError("has no entry: leave it empty for none")
    return parts


def hosts(value: Any) -> Any:
    """Split a comma list of hosts. Raises ValueError for one with a scheme, a path, a space or "*"."""
    for host in listed(value):
        if not {*str(host)}.isdisjoint("/ *"):
            raise ValueError(f"{host!r} is no host: a name such as example.org is expected, without http://")
    return listed(value)


def web_address(value: Any, *, path: bool = False) -> Any:
    """Return an address without a slash at its end; path: whether it may have a path. Raises ValueError."""
    try:
        parts = urlsplit(value)
        extra = parts.query or parts.fragment or (parts.path.strip("/") and not path)
        extra = extra or "@" in parts.netloc or " " in value or parts.port == 0
        usable = parts.scheme in ("http", "https") and parts.hostname and not extra
    except ValueError:  # as of a port that is no number
        usable = False
    if not usable:
        version = "/v1" if path else ""
        raise ValueError(
            f"has to be an address like https://api.example{version} or http://localhost:11434{version}, "
            "without a key in it (a key has a setting of its own)"
        )
    return value.rstrip("/")


def paired(value: Any) -> Any:
    """Split a comma list of NAME=VALUE into a mapping. Raises ValueError."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in listed(value)]
    if not all(name.strip() and named.strip() for name, _, named in pairs):
        raise ValueError("has to be a list of NAME=VALUE, separated by commas")
    return {name.strip(): named.strip() for name, _, named in pairs}


def lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


LOWER = BeforeValidator(lower)


def is_true(value: str) -> bool:
    """Return True for what a variable of the environment says for true."""
    return value.lower() in ("true", "1", "yes", "on", "t", "y")


def choices(names: Iterable[str]) -> str:
    """Describe a list of some of the names."""
    return f"a list of {', '.join(names)}, separated by commas"


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
