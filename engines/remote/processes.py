"""Engines and the recogniser in processes of their own, and engines of workers that run already."""

from __future__ import annotations

import logging

from engines.remote.address import Address
from engines.remote.engine import RemoteEngine
from engines.remote.handshake import check_key
from engines.remote.link import Link
from engines.remote.messages import Launch
from engines.remote.recognizer import RemoteRecognizer
from engines.remote.ways import ChildWorker, ListeningWorker
from engines.restarts import Restarts
from engines.settings import LocalEngines, LocalRecognizers, RemoteWorker
from speech.engine import Engine
from speech.errors import EngineUnavailable
from speech.recognizer import Recognizer, RecognizerInfo


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


def engine_at(worker: RemoteWorker) -> Engine:
    """Return the engine of a worker that listens. Raises EngineUnavailable without its address or key."""
    if not worker.address:
        raise EngineUnavailable("--engine remote needs the address of a worker: set KANI_ENGINE_ADDRESS")
    address = Address.parse(worker.address)
    check_key(address, worker.key)
    engine = RemoteEngine("remote")
    engine.use(Link(ListeningWorker(address, worker.key, engine.changed)))
    return engine


def _log_level() -> int:
    return logging.getLogger().getEffectiveLevel()
