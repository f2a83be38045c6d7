"""Protocols that plug in: how a package describes one.

A package offers a protocol by an entry point in the group ``kani.protocols`` that names a ``ProtocolPlugin``.
The module of a description is imported at each start, even for ``--help``: it imports the protocol itself
only in ``build``, as ``built_by`` does. The protocols of this package are described in the same way.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kani.engines.plugin_settings import setting

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kani.protocols.shared.protocol import Protocol

ADDRESS = "Address"
"""Heading of ports in docs/settings.md."""

S = TypeVar("S", bound="BaseModel")


def built_by(name: str) -> Callable[[Any, ServerSettings], Protocol]:
    """Return the function of a name, "package.module:function"; its module is imported when it is called."""
    return lambda settings, server: pkgutil.resolve_name(name)(settings, server)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of the server that are for every protocol."""

    version: str  # of the server
    max_upload: int  # bytes of a recording to be transcribed, KANI_MAX_UPLOAD
    max_text: int | None = None  # characters of one request, KANI_MAX_TEXT; None: the protocol's own limit
    setting: Callable[[str], Any] = lambda name: None
    """Return any other setting, of a plugin too, by its name in docs/settings.md."""


@dataclass(frozen=True, slots=True)
class ProtocolPlugin(Generic[S]):
    """Description of a protocol."""

    name: str
    """Name of its entry point: small letters, digits and _."""
    settings: type[S]
    """Model of its settings, each field made by ``kani.engines.plugin_settings.setting``."""
    build: Callable[[S, ServerSettings], Protocol]
    """Return the protocol; the settings that its ports name are those of the model."""


def compat_port(number: int, *variables: str, after: str, about: str) -> Any:
    """Define the setting of a ``CompatPort``, as ``setting`` does; it has no option of its own."""
    return setting(
        number,
        *variables,
        group=ADDRESS,
        option=False,
        after=after,
        about=about,
        needs=("KANI_COMPAT",),
        ge=0,
        le=65535,
    )
