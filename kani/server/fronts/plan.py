"""The processes of a server with several fronts: these, and a worker for each engine and the recogniser."""

from __future__ import annotations

import gc
import os
import shutil
import socket
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

from kani.composition.settings import Settings
from kani.composition.speech_service import RECOGNIZER, build_service
from kani.composition.voices.place import is_there
from kani.core import shared_numbers
from kani.core.service import text_loads
from kani.core.shared_numbers import Number, number_of
from kani.engines.pool_metrics import Restarts
from kani.engines.registry import EMBEDDED
from kani.server.app import BuildService, listeners_of, protocols_for
from kani.server.fronts.parent import READY, Parent, Process
from kani.server.lifecycle import CLOSE_SECONDS, STOP_SECONDS
from kani.server.network.listeners import Listeners
from kani.server.watchdog import beat_of_systemd

WANTED = "recogniser wanted"
"""Number of a front that needs the recogniser: 1. It is loaded when the first one does."""

ServeFront = Callable[[Listeners, BuildService, Callable[[], bool]], int]
"""Serves clients; the last argument is to be called when it can, and tells whether every front can."""

ServeWorker = Callable[[Settings, str, bool, Callable[[], None]], int]
"""Serves the engine of the settings, or if True the recogniser, at an address; the last argument is to be
called when it does."""


def run(
    settings: Settings, listening: Sequence[socket.socket], serve_front: ServeFront, serve_worker: ServeWorker
) -> int | Callable[[], int]:
    """Run the processes of a server: return the exit code in their parent, and in each what it has to do.

    listening: the sockets of the server's port. PROMETHEUS_MULTIPROC_DIR has to be a new folder. Raises
    CannotListen, and EngineUnavailable for a protocol that cannot be used.
    """
    parent, folder = os.getpid(), Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    listeners = Listeners((), 0)
    try:
        listeners = listeners_of(settings, protocols_for(settings), listening)
        for load in text_loads(detects_language=True):
            # In memory once for all fronts.
            load()
        gc.freeze()
        processes = _processes(settings, listeners, folder, serve_front, serve_worker)
        shared_numbers.share(len(processes) + 1, folder)
        shared_numbers.take(len(processes))
        stop_s = settings.shutdown_seconds + CLOSE_SECONDS + STOP_SECONDS
        role = Parent(processes, stop_s, beat_of_systemd(os.environ)).run()
        return role if isinstance(role, int) else role.work
    finally:
        if os.getpid() == parent:
            for sock in listeners.all_sockets:
                sock.close()
            shutil.rmtree(folder, ignore_errors=True)


def _processes(
    settings: Settings,
    listeners: Listeners,
    folder: Path,
    serve_front: ServeFront,
    serve_worker: ServeWorker,
) -> list[Process]:
    fronts = settings.fronts
    unseen = CollectorRegistry()
    front_restarts = Counter("kani_front_restarts", "Times that a front was started again.", registry=unseen)
    engine_restarts = Restarts(unseen)
    names: tuple[str, ...] = {"remote": (), "auto": EMBEDDED}.get(settings.engine, (settings.engine,))
    if settings.recognizer not in ("none", "remote"):
        names = (*names, RECOGNIZER)
    sockets = {name: folder / f"{number}.sock" for number, name in enumerate(names)}

    def worker(name: str) -> int:
        for sock in listeners.all_sockets:
            sock.close()
        hears = name == RECOGNIZER
        own = settings if hears else settings.model_copy(update={"engine": name})
        ready = Number(READY)
        shared_numbers.leave()
        return serve_worker(own, f"unix:{sockets[name]}", hears, partial(setattr, ready, "own", 1))

    def front() -> int:
        workers = {name: partial(_found, path) for name, path in sockets.items()}
        if RECOGNIZER in workers:
            wanted = Number(WANTED)

            async def found_recognizer(refused: bool) -> Collection[str]:
                wanted.own = 1
                return await _found(sockets[RECOGNIZER], refused)

            workers[RECOGNIZER] = found_recognizer
        ready = Number(READY)

        def all_ready() -> bool:
            ready.own = 1
            return (
                _is_first(folder / "announced")
                if sum(number_of(row, READY) for row in range(fronts)) == fronts
                else False
            )

        return serve_front(listeners, partial(build_service, workers=workers), all_ready)

    def is_recognizer_wanted() -> bool:
        return any(number_of(row, WANTED) for row in range(fronts))

    def is_front_wanted(row: int) -> bool:
        # What keeps the first from serving would keep all: it is said once.
        return row == 0 or any(number_of(each, READY) for each in range(fronts))

    processes = [
        Process(
            *(f"front {row}", row, front),
            is_front=True,
            is_wanted=partial(is_front_wanted, row),
            again=front_restarts.inc,
        )
        for row in range(fronts)
    ]
    for row, name in enumerate(names, fronts):
        called = settings.recognizer if name == RECOGNIZER else name
        process = Process(
            *(f"worker of {called}", row, partial(worker, name)),
            is_front=False,
            is_required=name != RECOGNIZER or settings.recognizer != "auto",
            again=engine_restarts.of(called),
        )
        if name == RECOGNIZER:
            process.is_wanted = is_recognizer_wanted
        processes.append(process)
    return processes


async def _found(path: Path, _: bool) -> Collection[str]:
    return [f"unix:{path}"] if is_there(path) else []


def _is_first(mark: Path) -> bool:
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
