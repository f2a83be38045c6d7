"""Kani's protocol as the server mounts it."""

from __future__ import annotations

from starlette.routing import BaseRoute

from kani.core.request import MAX_TEXT
from kani.protocols.kani.calls import call_group
from kani.protocols.kani.http import http_routes
from kani.protocols.kani.plugin import Settings
from kani.protocols.kani.websocket import websocket_routes
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import CompatPort, Context, Protocol


def protocol(_: Settings, server: ServerSettings) -> Protocol:
    """Return the protocol, with the port of the original REST server."""
    max_text = server.max_text or MAX_TEXT
    return Protocol(
        _routes, ports=(CompatPort("rest_port", "http", "Kani REST"),), calls=lambda: call_group(max_text)
    )


def _routes(context: Context) -> list[BaseRoute]:
    return [*websocket_routes(context.service), *http_routes(context.service)]
