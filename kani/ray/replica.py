"""Ray Serve replicas that serve an engine, or the recogniser, to the fronts, as any listening worker does."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import serve

from kani.composition import settings
from kani.composition.speech_service import engine_worker, recognizer_worker
from kani.core.errors import EngineUnavailable
from kani.engines.remote.address import Address
from kani.engines.worker.server import serve_worker
from kani.engines.worker.service import Worker
from kani.ray.scaling import SLOTS, UTTERANCES
from kani.server import logs


class Replica:
    """Listens on its node's address; Serve starts, checks, scales and drains it, and carries no speech."""

    describe: Callable[[settings.Settings], tuple[Any, Callable[[str], Worker]]]
    """Returns what is served, not started, and what makes its worker once it is. Raises EngineUnavailable."""

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
        self._served, new_worker = type(self).describe(chosen)
        await self._served.start()
        self._drain_s = drain_s
        self._stop = asyncio.Event()
        self._worker = new_worker(serve.get_replica_context().replica_tag)
        listening: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self._serving = asyncio.create_task(
            serve_worker(self._worker, _node_address(), key, self._stop, listening.set_result)
        )
        begun: tuple[asyncio.Future[Any], ...] = (self._serving, listening)
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if not listening.done():
            await self._failed()
        self._key, self._address = key, str(listening.result())

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

    describe = staticmethod(engine_worker)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return the load; called by Serve."""
        return {UTTERANCES: self._worker.exchanges, SLOTS: self._served.info.max_concurrency}


class RecognizerReplica(Replica):
    """Serves the recogniser."""

    describe = staticmethod(recognizer_worker)


def _node_address() -> Address:
    """Return this node's address in the cluster, with a free port.

    ``ray.util.get_node_ip_address`` would return the machine's own one also where Ray keeps to the loopback.
    """
    own = ray.get_runtime_context().get_node_id()
    return Address(host=next(node["NodeManagerAddress"] for node in ray.nodes() if node["NodeID"] == own))
