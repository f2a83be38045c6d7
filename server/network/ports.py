"""The ports of a server, and what stands behind each: everything, or one protocol's, or metrics alone."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server.network.listeners import listen
from server.settings import Settings, variables

METRICS_PATH = "/metrics"


class CompatPort(NamedTuple):
    """A port that a protocol's clients look for.

    setting: its setting's name; scheme: "ws" or "http"; protocol: what it is called; root: the path that
    a WebSocket on `/` has on every other port, where that is this protocol's here.
    """

    setting: str
    scheme: str
    protocol: str
    root_path: str = ""


METRICS_PORT = CompatPort("metrics_port", "http", "metrics")


@dataclass(frozen=True, slots=True)
class Listeners:
    """Sockets that listen. port: the one that is always open; compat: those opened besides."""

    sockets: Sequence[socket.socket]
    port: int
    compat: Mapping[CompatPort, int] = field(default_factory=dict)

    @property
    def root_paths(self) -> dict[int, str]:
        """What a WebSocket on `/` means, by the port, where it is not Kani's."""
        return {port: door.root_path for door, port in self.compat.items() if door.root_path}


def open_listeners(settings: Settings, ports: Sequence[CompatPort]) -> Listeners:
    """Listen on every port that the settings ask for, of those that protocols have. Raises CannotListen."""
    sockets = listen(settings.host, settings.port)
    port = _port(sockets)
    wanted = [*ports] if settings.compat else []
    if settings.metrics_enabled:
        wanted.append(METRICS_PORT)
    compat = {}
    for door in wanted:
        opened = listen(settings.host, getattr(settings, door.setting), variables(door.setting)[0])
        compat[door] = _port(opened)
        sockets += opened
    return Listeners(sockets, port, compat)


def _port(sockets: Sequence[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


class MetricsOnlyMiddleware:
    """On ``port`` nothing is served but the metrics, on their path and on `/`."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or WebSocket handshake."""
        here = scope["type"] in ("http", "websocket") and scope["server"][1] == self._port
        if here and (scope["type"] == "websocket" or scope["path"] not in ("/", METRICS_PATH)):
            answer = JSONResponse({"error": {"message": f"there is only {METRICS_PATH} on this port"}}, 404)
            await answer(scope, receive, send)
            return
        await self._app({**scope, "path": METRICS_PATH} if here else scope, receive, send)
