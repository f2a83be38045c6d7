"""What a setting is made of, the kinds of value it can have, and how each is written in a variable."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from speech.errors import UnsupportedLanguage
from speech.languages import resolve

LANGUAGES = "a known language, such as es, pt-BR or spanish"


def _listed(value: Any) -> Any:
    """Split a comma list, as the environment and the command line give it."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _language(value: Any) -> Any:
    try:
        return resolve(value) if isinstance(value, str) else value
    except UnsupportedLanguage:
        raise ValueError(f"has to be {LANGUAGES}") from None


def _origins(value: Any) -> Any:
    origins = _listed(value)
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "null" and not (parts.scheme and parts.netloc and not parts.path.strip("/")):
            raise ValueError(f"{origin!r} is no origin (https://host, https://host:port or null)")
    return tuple(origin.rstrip("/").lower() for origin in origins)


def setting(default: Any, *variables: str, group: str, unit: str = "", about: str, **limits: Any) -> Any:
    """A field that is read from the first of the environment ``variables`` that is set."""
    source = {"default_factory": default} if callable(default) else {"default": default}
    extra: dict[str, Any] = {"variables": list(variables), "group": group, "unit": unit}
    return Field(description=about, json_schema_extra=extra, **source, **limits)


CommaList = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
Language = Annotated[str, BeforeValidator(_language)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Engine = Annotated[Literal["auto", "kani", "kokoro", "espeak", "elevenlabs"], BeforeValidator(_lower)]
Recognizer = Annotated[Literal["auto", "whisper", "none"], BeforeValidator(_lower)]
Decoding = Annotated[Literal["windows", "whole"], BeforeValidator(_lower)]
Precision = Annotated[Literal["auto", "float32", "bfloat16", "int8"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower)]
