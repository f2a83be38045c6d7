"""Engines and recognisers in processes of their own, and those of workers that run already."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer, RecognizerInfo
from kani.engines.plugin import PackageWorker, Resources
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote.address import Address
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.handshake import check_key
from kani.engines.remote.link import Link
from kani.engines.remote.messages import Launch, Ready
from kani.engines.remote.pool import Discover, Pool
from kani.engines.remote.recognizer import UNKNOWN, RemoteRecognizer
from kani.engines.remote.unloading import UnloadingLink


@dataclass(frozen=True, slots=True)
class RemoteWorkers:
    """Engine workers that listen, and the key that they share with their servers."""

    addresses: tuple[str, ...] = ()  # unix:/path or tcp://host:port
    key: str = field(default="", repr=False)
    discover: Discover | None = None  # asked for the addresses again and again
    patient: bool = False  # True to wait for the first one for any time


def engine_in_process(worker: PackageWorker, resources: Resources, count: Callable[[], None]) -> RemoteEngine:
    """Return an engine in a process of its own, which ``start`` starts.

    count: called each time that it is started again.
    """
    engine = RemoteEngine(worker.name)
    engine.use(_link("engine", worker, resources, engine.changed, count))
    return engine


def recognizer_in_process(
    worker: PackageWorker, resources: Resources, count: Callable[[], None], info: RecognizerInfo | None = None
) -> Recognizer:
    """Return a recogniser in a process of its own; info: its description, if it is known already."""
    recognizer = RemoteRecognizer(info or replace(UNKNOWN, name=worker.name))
    recognizer.use(_link("recognizer", worker, resources, recognizer.changed, count))
    return recognizer


def _link(
    kind: Literal["engine", "recognizer"],
    worker: PackageWorker,
    resources: Resources,
    changed: Callable[[Ready], None],
    count: Callable[[], None],
) -> UnloadingLink:
    launch = Launch(
        worker.name,
        logging.getLogger().getEffectiveLevel(),
        kind,
        dict(worker.settings),
        replace(resources, host=None),
        worker.adapter,
    )
    child = ChildWorker(launch, changed, python=worker.python)
    return UnloadingLink(worker.name, Link(child, restarted=count))


def engine_at(workers: RemoteWorkers, metrics: WorkerMetrics) -> Engine:
    """Return the engine of workers that listen. Raises EngineUnavailable without their addresses or key."""
    _check(workers, "--engine remote needs the address of a worker: set KANI_ENGINE_ADDRESS")
    engine = RemoteEngine("remote")
    pool = Pool(workers.key, engine.changed, workers.discover, workers.patient)
    metrics.engines = pool.states
    pool.update(workers.addresses)
    engine.use(pool)
    return engine


def recognizer_at(
    workers: RemoteWorkers, metrics: WorkerMetrics, info: RecognizerInfo = UNKNOWN
) -> Recognizer:
    """Return the recogniser of workers that listen; info: its description, if it is known already.

    Raises EngineUnavailable without their addresses or key.
    """
    _check(workers, "KANI_RECOGNIZER=remote needs the address of a worker: set KANI_RECOGNIZER_ADDRESS")
    recognizer = RemoteRecognizer(info)
    pool = Pool(workers.key, recognizer.changed, workers.discover, workers.patient, recognizers=True)
    metrics.recognizers = pool.states
    pool.update(workers.addresses)
    recognizer.use(pool)
    return recognizer


def _check(workers: RemoteWorkers, without_address: str) -> None:
    if not workers.addresses and workers.discover is None:
        raise EngineUnavailable(without_address)
    for address in workers.addresses:
        check_key(Address.parse(address), workers.key)
