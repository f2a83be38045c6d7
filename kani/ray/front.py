"""A Ray Serve replica that is this server: its own ports, protocols, pacing and queue.

Serve's own proxy is not used: it has no backpressure towards a WebSocket's client.
"""

import asyncio
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from kani.composition import settings
from kani.composition.speech_service import build_service
from kani.core.errors import EngineUnavailable
from kani.server import logs
from kani.server.app import serve as serve_clients
from kani.server.lifecycle import RunningServer
from kani.server.network.listeners import CannotListen

log = logging.getLogger(__name__)

LISTEN_AGAIN_S = 0.5
"""Seconds between two attempts to listen where another front has each port still."""

ANSWER_S = 5.0
"""Seconds for the replicas to return their addresses."""


class Front:
    """Runs the server in its actor's event loop; Serve starts, checks and drains it."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self,
        engines: DeploymentHandle,
        recognizers: DeploymentHandle | None,
        environment: Mapping[str, str],
        key: str,
        fronts: int,
    ) -> None:
        """Start the server. Raises SpeechError, and CannotListen unless each port is only taken.

        engines: the deployment of ``EngineReplica``; recognizers: that of ``RecognizerReplica``, None where
        the front itself recognises; environment: variables of the settings; key: the one that the replicas
        have; fronts: their number; all may be on this node.
        """
        os.environ.update(environment)
        os.environ["KANI_ENGINE_KEY"] = key
        self._chosen = {"engine": "remote"} | ({"recognizer": "remote"} if recognizers is not None else {})
        chosen = settings.load(self._chosen)
        logs.configure(chosen.log_level, chosen.log_format, None, log_texts=chosen.log_text)
        self._stop = asyncio.Event()
        self._engines, self._recognizers = engines, recognizers
        self._refused: set[DeploymentHandle] = set()
        # Fronts on one node listen side by side; one that is being stopped keeps its port to its end.
        ports = [chosen.port + number if chosen.port else 0 for number in range(fronts)]
        while not await self._serves_on_one(ports):  # noqa: ASYNC110 - another process frees it
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def _serves_on_one(self, ports: Sequence[int]) -> bool:
        for port in ports:
            try:
                await self._serve_on(port)
            except CannotListen as error:
                if not error.taken:
                    raise
                log.warning("%s", error)
            else:
                return True
        return False

    async def _serve_on(self, port: int) -> None:
        chosen = settings.load({**self._chosen, "port": port})
        ready: asyncio.Future[RunningServer] = asyncio.get_running_loop().create_future()
        recognizers = self._recognizers
        build = partial(
            build_service,
            discover=partial(self._addresses, self._engines),
            discover_recognizers=partial(self._addresses, recognizers) if recognizers is not None else None,
        )
        self._serving = asyncio.create_task(
            serve_clients(chosen, ready.set_result, stop=self._stop, build=build), name="server"
        )
        begun: tuple[asyncio.Future[Any], ...] = (self._serving, ready)
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._failed()
        running = ready.result()
        self._address = f"ws{'s' if running.tls else ''}://{running.host}:{running.listeners.port}"

    async def _failed(self) -> None:
        await self._serving
        raise EngineUnavailable("the server has ended")

    async def address(self) -> str:
        """Return the address on which the server listens."""
        return self._address

    async def check_health(self) -> None:
        """Raise if the server has ended, or was left without a replica of its engine or recogniser; called by
        Serve, which replaces it.
        """
        if self._serving.done():
            await self._failed()
        if self._refused:
            raise EngineUnavailable(
                "every replica has another engine or recogniser than this front began with"
            )

    async def __del__(self) -> None:
        """Refuse further sessions, finish those under way, and end the server; called by Serve, once."""
        self._stop.set()
        await self._serving

    async def _addresses(self, replicas: DeploymentHandle, all_refused: bool) -> Collection[str]:
        """Return the addresses of the replicas; see ``kani.engines.remote.pool.Discover``. Raises OSError."""
        (self._refused.add if all_refused else self._refused.discard)(replicas)
        try:
            replies = replicas.broadcast("address")
            found = await replies.results_async(timeout_s=ANSWER_S, return_exceptions=True)
        except (RayError, RayServeException, TimeoutError) as error:
            raise OSError(str(error)) from error
        return [address for address in found if isinstance(address, str) and address]
