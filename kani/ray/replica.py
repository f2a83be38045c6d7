"""Ray Serve replicas that serve an engine, or the recogniser, to the fronts, as any listening worker does."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve

from kani.composition import settings
from kani.composition.speech_service import Builder
from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer
from kani.engines.remote.address import Address
from kani.engines.worker.server import serve_worker
from kani.engines.worker.service import Worker
from kani.ray.scaling import SLOTS, UTTERANCES
from kani.server import logs


class Replica:
    """Listens on its node's address; Serve starts, checks, scales and drains it, and carries no speech."""

    async def __init__(  # type: ignore[misc] # Serve awaits it
        self, environment: Mapping[str, str], key: str, drain_s: float
    ) -> None:
        """Start what is served. Raises EngineUnavailable.

        environment: variables of the settings; key: the one that the fronts have; drain_s: most seconds for
        the exchanges that are under way when the replica is stopped.
        """
        os.environ.update(environment)
        chosen = settings.load({})
        logs.configure(chosen.log_level, chosen.log_format, None, log_texts=chosen.log_text)
        self._served = self._build(chosen)
        await self._served.start()
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._worker = self._new_worker(serve.get_replica_context().replica_tag)
        listening: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(
            serve_worker(self._worker, _node_address(), key, self._stop, listening.set_result)
        )
        begun: tuple[asyncio.Future[Any], ...] = (self._serving, listening)
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await self._failed()
        self._key, self._address = key, str(listening.result())

    def _build(self, chosen: settings.Settings) -> Engine | Recognizer:
        """Return what is served, not started. Raises EngineUnavailable."""
        raise NotImplementedError

    def _new_worker(self, name: str) -> Worker:
        raise NotImplementedError

    async def _failed(self) -> None:
        await self._serving
        raise EngineUnavailable("the replica does not listen")

    async def address(self) -> str:
        """Return the address for the fronts; empty while the replica drains."""
        return "" if self._worker.draining else self._address

    async def key(self) -> str:
        """Return the key, for a further deployment beside this one."""
        return self._key

    async def check_health(self) -> None:
        """Raise EngineUnavailable if the replica serves no more; called by Serve."""
        if self._serving.done():
            await self._failed()

    async def __del__(self) -> None:
        """Refuse further exchanges, finish those under way, and free everything; called by Serve, once."""
        await self._worker.drain(self._drain_s)
        self._stop.set()
        await self._serving
        await self._served.stop()


class EngineReplica(Replica):
    """Serves the engine."""

    def _build(self, chosen: settings.Settings) -> Engine:
        engines = Builder(chosen).engines().required
        if len(engines) != 1:
            raise EngineUnavailable("a replica serves one engine: name it, as in --engine kokoro")
        (self._engine,) = engines
        return self._engine

    def _new_worker(self, name: str) -> Worker:
        return Worker(self._engine, name=name)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return the load; called by Serve."""
        return {UTTERANCES: self._worker.exchanges, SLOTS: self._engine.info.max_concurrency}


class RecognizerReplica(Replica):
    """Serves the recogniser."""

    def _build(self, chosen: settings.Settings) -> Recognizer:
        recognizer = Builder(chosen).recognizer()
        if recognizer is None:
            raise EngineUnavailable("a replica serves a recogniser: name it, as in KANI_RECOGNIZER=whisper")
        self._recognizer = recognizer
        return recognizer

    def _new_worker(self, name: str) -> Worker:
        return Worker(None, self._recognizer, name)


def _node_address() -> Address:
    """Return this node's address in the cluster, with a free port.

    ``ray.util.get_node_ip_address`` would return the machine's own one also where Ray keeps to the loopback.
    """
    own = ray.get_runtime_context().get_node_id()
    return Address(host=next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == own))
