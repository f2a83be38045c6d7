"""Protocols that plug in: how a package describes one.

A package offers a protocol by an entry point in the group ``kani.protocols`` that names a ``ProtocolPlugin``.
The module of a description is imported at each start, even for ``--help``: it imports the protocol itself
only in ``build``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kani.protocols.shared.protocol import Protocol

S = TypeVar("S", bound="BaseModel")


@dataclass(frozen=True, slots=True)
class ProtocolPlugin(Generic[S]):
    """Description of a protocol."""

    name: str
    """Name of its entry point: small letters, digits and _."""
    settings: type[S]
    """Model of its settings, each field made by ``kani.engines.plugin_settings.setting``."""
    build: Callable[[S], Protocol]
    """Return the protocol; the settings that its ports name are those of the model."""
