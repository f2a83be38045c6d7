"""Types of the settings' values, with the parsers of their text form."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr

from kani.core.errors import UnsupportedLanguage
from kani.engines.plugin import Found, engine_names, found_engines, found_recognizers, recognizer_names
from kani.text.languages import resolve

LANGUAGES = "a known language, such as es, pt-BR or spanish"
ACCENTED = ("de", "nl", "pl", "ru", "tr")
ACCENTED_CHOICES = f"none, or a list of {', '.join(ACCENTED)}, separated by commas"


_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|\Z))[A-Za-z0-9._-]+)*/?")


def _listed(value: Any) -> Any:
    """Split a comma list, as the environment and the command line give it."""
    if isinstance(value, str):
        return tuple(part for part in (piece.strip() for piece in value.split(",")) if part)
    return value


def _accented(value: Any) -> Any:
    listed = tuple(_lower(part) for part in _listed(value))
    if listed == ("none",):
        return ()
    if not set(listed) <= set(ACCENTED):
        raise ValueError(f"has to be {ACCENTED_CHOICES}")
    return listed


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _decoder(value: Any) -> Any:
    # "fast" was the name of the decoder that LiteRT's replaced.
    return "litert" if _lower(value) == "fast" else _lower(value)


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


def _networks(value: Any) -> Any:
    networks = _listed(value)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"{network!r} is no network (192.168.1.0/24) and no IP address") from None
    return networks


def _paired(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in _listed(value)]
    if not all(name.strip() and named.strip() for name, _, named in pairs):
        raise ValueError("has to be a list of NAME=VALUE, separated by commas")
    return {name.strip(): named.strip() for name, _, named in pairs}


def _web_address(value: Any) -> Any:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("has to be an address like https://api.example or http://localhost:9000")
    return value.rstrip("/")


def _base_address(value: Any) -> Any:
    parts = urlsplit(value)
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(
            "has to be an address like http://localhost:11434/v1, without a key in it (KANI_LLM_API_KEY)"
        )
    return value.rstrip("/").removesuffix("/chat/completions")


def _bucket(value: Any) -> Any:
    if isinstance(value, str) and not _BUCKET.fullmatch(value):
        raise ValueError("has to be s3://BUCKET or s3://BUCKET/FOLDER, the folder without parts . and ..")
    return value.rstrip("/") if isinstance(value, str) else value


def _worker_addresses(value: Any) -> Any:
    addresses = _listed(value)
    for address in addresses:
        parts = urlsplit(address)
        tcp = (
            parts.scheme == "tcp" and parts.hostname and parts.port is not None and not parts.path.strip("/")
        )
        if not tcp and not (parts.scheme == "unix" and parts.path.startswith("/")):
            raise ValueError("has to be an address like unix:/run/kani/kokoro.sock or tcp://10.0.0.7:9500")
    return addresses


def one_of(names: tuple[str, ...]) -> str:
    """Describe a choice."""
    return "one of " + ", ".join(names)


def _engine(value: Any) -> Any:
    return _plugged(value, engine_names(), found_engines())


def _recognizer(value: Any) -> Any:
    return _plugged(value, recognizer_names(), found_recognizers())


def _plugged(value: Any, names: tuple[str, ...], found: Found[Any]) -> Any:
    name = _lower(value)
    if name not in names:
        raise ValueError(found.broken.get(name, f"has to be {one_of(names)}"))
    return name


AccentedLanguages = Annotated[tuple[str, ...], BeforeValidator(_accented)]
CommaList = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(_listed)]
Networks = Annotated[tuple[str, ...], BeforeValidator(_networks)]
Pairs = Annotated[Mapping[str, str], BeforeValidator(_paired)]
Bucket = Annotated[str, BeforeValidator(_bucket)]
WorkerAddresses = Annotated[tuple[str, ...], BeforeValidator(_worker_addresses)]
WebAddress = Annotated[str, BeforeValidator(_web_address)]
BaseAddress = Annotated[str, BeforeValidator(_base_address)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
Language = Annotated[str, BeforeValidator(_language)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Engine = Annotated[str, BeforeValidator(_engine)]
Recognizer = Annotated[str, BeforeValidator(_recognizer)]
Decoding = Annotated[Literal["windows", "whole"], BeforeValidator(_lower)]
Decoder = Annotated[Literal["auto", "onnx", "litert"], BeforeValidator(_decoder)]
CodeBlocks = Annotated[Literal["announce", "skip"], BeforeValidator(_lower)]
Precision = Annotated[Literal["auto", "float32", "bfloat16", "int8"], BeforeValidator(_lower)]
Times = Annotated[Literal["auto", "absolute", "relative"], BeforeValidator(_lower)]
Fallback = Annotated[Literal["none", "kokoro", "espeak"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["text", "json"], BeforeValidator(_lower)]
