"""Engines and the recogniser in processes of their own, and engines of workers that run already."""

from __future__ import annotations

import logging
from dataclasses import replace

from kani.core.engine import Engine
from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Recognizer, RecognizerInfo
from kani.engines.plugin import PluginValues
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote.address import Address
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.handshake import check_key
from kani.engines.remote.link import Link
from kani.engines.remote.messages import Launch
from kani.engines.remote.pool import Pool
from kani.engines.remote.recognizer import UNKNOWN, RemoteRecognizer
from kani.engines.restarts import Restarts
from kani.engines.settings import LocalEngines, LocalRecognizers, RemoteWorkers


def engine_in_process(name: str, settings: LocalEngines, restarts: Restarts) -> Engine:
    """Return the local engine ``name`` in a process of its own, which ``start`` starts."""
    engine = RemoteEngine(name)
    launch = Launch(name, _log_level(), engines=settings)
    engine.use(Link(ChildWorker(launch, engine.changed, restarts.of(name))))
    return engine


def recognizer_in_process(info: RecognizerInfo, settings: LocalRecognizers, restarts: Restarts) -> Recognizer:
    """Return the recogniser that ``info`` describes, in a process of its own."""
    recognizer = RemoteRecognizer(info)
    launch = Launch(info.name, _log_level(), recognizers=settings)
    recognizer.use(Link(ChildWorker(launch, recognizer.changed, restarts.of(info.name))))
    return recognizer


def plugged_engine_in_process(name: str, values: PluginValues, restarts: Restarts) -> Engine:
    """Return an engine of another package in a process of its own."""
    engine = RemoteEngine(name)
    launch = Launch(name, _log_level(), engine_plugin=values)
    engine.use(Link(ChildWorker(launch, engine.changed, restarts.of(name))))
    return engine


def plugged_recognizer_in_process(name: str, values: PluginValues, restarts: Restarts) -> Recognizer:
    """Return a recogniser of another package in a process of its own."""
    recognizer = RemoteRecognizer(replace(UNKNOWN, name=name))
    launch = Launch(name, _log_level(), recognizer_plugin=values)
    recognizer.use(Link(ChildWorker(launch, recognizer.changed, restarts.of(name))))
    return recognizer


def engine_at(workers: RemoteWorkers, metrics: WorkerMetrics) -> Engine:
    """Return the engine of workers that listen. Raises EngineUnavailable without their addresses or key."""
    _check(workers, "--engine remote needs the address of a worker: set KANI_ENGINE_ADDRESS")
    engine = RemoteEngine("remote")
    pool = Pool(workers.key, engine.changed, metrics.watch_engines, workers.discover)
    pool.update(workers.addresses)
    engine.use(pool)
    return engine


def recognizer_at(workers: RemoteWorkers, metrics: WorkerMetrics) -> Recognizer:
    """Return the recogniser of workers that listen. Raises EngineUnavailable without their addresses or
    key.
    """
    _check(workers, "KANI_RECOGNIZER=remote needs the address of a worker: set KANI_RECOGNIZER_ADDRESS")
    recognizer = RemoteRecognizer(UNKNOWN)
    watch, discover = metrics.watch_recognizers, workers.discover
    pool = Pool(workers.key, recognizer.changed, watch, discover, recognizers=True)
    pool.update(workers.addresses)
    recognizer.use(pool)
    return recognizer


def _check(workers: RemoteWorkers, without_address: str) -> None:
    if not workers.addresses and workers.discover is None:
        raise EngineUnavailable(without_address)
    for address in workers.addresses:
        check_key(Address.parse(address), workers.key)


def _log_level() -> int:
    return logging.getLogger().getEffectiveLevel()
