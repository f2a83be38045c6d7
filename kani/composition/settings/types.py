"""Types of the settings' values, with the parsers of their text form."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from kani.core.errors import UnsupportedLanguage
from kani.engines import plugin
from kani.engines.plugin_settings import LOWER, hosts, listed, lower, paired, web_address
from kani.runtime.host_names import host_name, is_ip_address
from kani_text.languages import resolve

LANGUAGES = "a known language, such as es, pt-BR or spanish"

MOST_FRONTS = 64

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|\Z))[A-Za-z0-9._-]+)*/?")


def _language(value: Any) -> Any:
    try:
        return resolve(value) if isinstance(value, str) else value
    except UnsupportedLanguage:
        raise ValueError(f"has to be {LANGUAGES}") from None


def _host(value: Any) -> Any:
    """Return a host as sockets take it: an IPv6 address without its brackets. No name is resolved."""
    host = value.strip() if isinstance(value, str) else value
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_name = re.fullmatch(r"[\w-]+(\.[\w-]+)*\.?", host) and not re.fullmatch(r"[\d.]+", host)
    if not is_name and not is_ip_address(host):
        raise ValueError(
            "has to be an address of this machine without a port (that has its own option), such as "
            "localhost, ::1, or 0.0.0.0 for all"
        )
    return host


def _hosts(value: Any) -> Any:
    """Return hosts as Host headers are compared: without a port, an IPv6 address without its brackets."""
    return tuple(
        host.lower() if is_ip_address(host) else host_name(host) or host.lower() for host in hosts(value)
    )


def _origins(value: Any) -> Any:
    origins = listed(value)
    for origin in origins:
        parts = urlsplit(origin)
        unlike = parts.path.strip("/") or not {*origin}.isdisjoint(" *")
        if origin != "null" and (unlike or not (parts.scheme and parts.netloc)):
            raise ValueError(f"{origin!r} is no origin (https://host, https://host:port or null)")
    return tuple(origin.rstrip("/").lower() for origin in origins)


def _base_address(value: Any) -> Any:
    return web_address(value, path=True).removesuffix("/chat/completions")


def _header_key(value: Any) -> Any:
    key = value.strip() if isinstance(value, str) else value
    if isinstance(key, str) and not re.fullmatch(r"(?!([\"']).*\1\Z)[!-~]*", key):
        raise ValueError("has to consist of ASCII letters, digits and marks, without quotes around them")
    return key


def _bucket(value: Any) -> Any:
    if isinstance(value, str) and not _BUCKET.fullmatch(value):
        raise ValueError("has to be s3://BUCKET or s3://BUCKET/FOLDER, the folder without parts . and ..")
    return value.rstrip("/") if isinstance(value, str) else value


def _pythons(value: Any) -> Any:
    pythons = paired(value)
    names = {*plugin.found_engines().plugins, *plugin.found_recognizers().plugins}
    if unknown := pythons.keys() - names:
        raise ValueError(f"there is no engine and no recogniser {min(unknown)}")
    return pythons


def _worker_addresses(value: Any) -> Any:
    addresses = listed(value)
    for address in addresses:
        parts = urlsplit(address)
        try:
            port = parts.port
        except ValueError:
            port = None
        tcp = parts.scheme == "tcp" and parts.hostname and port is not None and not parts.path.strip("/")
        if not tcp and not (parts.scheme == "unix" and parts.path.startswith("/")):
            raise ValueError("has to be an address like unix:/run/kani/kokoro.sock or tcp://10.0.0.7:9500")
    return addresses


def one_of(names: tuple[str, ...]) -> str:
    """Describe a choice."""
    return "one of " + ", ".join(names)


def _engine(value: Any) -> Any:
    return _plugged(value, plugin.engine_names(), plugin.found_engines())


def _recognizer(value: Any) -> Any:
    return _plugged(value, plugin.recognizer_names(), plugin.found_recognizers())


def _plugged(value: Any, names: tuple[str, ...], found: plugin.Found[Any]) -> Any:
    name = lower(value)
    if name not in names:
        raise ValueError(found.broken.get(name, f"has to be {one_of(names)}"))
    return name


Host = Annotated[str, BeforeValidator(_host)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_hosts)]
HeaderKey = Annotated[SecretStr, BeforeValidator(_header_key)]
Keys = Annotated[tuple[HeaderKey, ...], BeforeValidator(listed)]
Bucket = Annotated[str, BeforeValidator(_bucket)]
Pythons = Annotated[Mapping[str, str], BeforeValidator(_pythons)]
WorkerAddresses = Annotated[tuple[str, ...], BeforeValidator(_worker_addresses)]
BaseAddress = Annotated[str, BeforeValidator(_base_address)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]
Language = Annotated[str, BeforeValidator(_language)]
_UPPER = BeforeValidator(lambda value: str(value).upper())
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], _UPPER]
Engine = Annotated[str, BeforeValidator(_engine)]
Recognizer = Annotated[str, BeforeValidator(_recognizer)]
Precision = Annotated[Literal["auto", "float32", "bfloat16", "int8"], LOWER]
LogFormat = Annotated[Literal["text", "json"], LOWER]
Fronts = Annotated[int, Field(ge=1, le=MOST_FRONTS)] | Annotated[Literal["auto"], LOWER]
