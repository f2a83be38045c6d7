"""The processes of a server with several fronts: these, and a worker for each engine and the recogniser."""

import gc
import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, values

from kani.composition.settings import Settings
from kani.composition.speech_service import RECOGNIZER, build_service
from kani.core import shared_numbers
from kani.core.service import text_loads
from kani.core.shared_numbers import Number
from kani.engines.pool_metrics import Restarts
from kani.engines.registry import EMBEDDED
from kani.server.app import BuildService, listeners_of, owned_by_one, protocols_for
from kani.server.fronts.parent import WATCHED, Parent, Process
from kani.server.lifecycle import CLOSE_SECONDS, STOP_SECONDS
from kani.server.logs import follow_file
from kani.server.network.handover import Handover
from kani.server.network.listeners import Listeners
from kani.server.watchdog import beat_of_systemd

ServeFront = Callable[[Listeners, BuildService, Callable[[], bool]], int]
"""Serves clients; the last argument is to be called when it can, and tells whether to announce the server."""

ServeWorker = Callable[[Settings, str, bool, Callable[[], None]], int]
"""Serves the engine of the settings, or if True the recogniser, at an address; the last argument is to be
called when it does. Returns the exit code, as ``ServeFront``."""

log = logging.getLogger("server")


def run(
    settings: Settings, listening: Sequence[socket.socket], serve_front: ServeFront, serve_worker: ServeWorker
) -> int | Callable[[], int]:
    """Run the processes of a server: return the exit code in their parent, and in each what it has to do.

    settings: its ``fronts`` is a number; listening: the sockets of its port. Raises CannotListen, and
    EngineUnavailable for a protocol that cannot be used.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)  # none may end it before the folder is removed
    pid, folder = os.getpid(), Path(tempfile.mkdtemp(prefix="kani-fronts-"))
    try:
        protocols = protocols_for(settings)
        listeners = listeners_of(settings, protocols, listening)
        owned = owned_by_one(protocols)
        if settings.tls_cert is None:
            listeners = replace(listeners, handover=Handover(owned))
        else:
            # A TLS connection cannot be handed over.
            log.warning("not served by several fronts with TLS, only by one: %s", ", ".join(owned))
        for load in text_loads(detects_language=True):
            # In memory once for all fronts.
            load()
        gc.freeze()
        names: tuple[str, ...] = {"remote": (), "auto": EMBEDDED}.get(settings.engine, (settings.engine,))
        if settings.recognizer not in ("none", "remote"):
            names = (*names, RECOGNIZER)
        sockets = {name: folder / f"{number}.sock" for number, name in enumerate(names)}
        processes: list[Process] = []
        stop_s = settings.shutdown_seconds + CLOSE_SECONDS + STOP_SECONDS
        fronts = int(settings.fronts)
        shared_numbers.share(fronts + len(names) + 1, fronts + len(names), folder)
        # The metrics of a process are files in the folder: one that is started again goes on with them.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        row_of = partial(attrgetter("shared.row"), shared_numbers)
        values.ValueClass = values.MultiProcessValue(row_of)  # type: ignore[no-untyped-call]
        unseen = CollectorRegistry()
        about = "Times that a front was started again."
        front_restarts = Counter("kani_front_restarts", about, registry=unseen)
        engine_restarts = Restarts(unseen)
        parent = Parent(processes, stop_s, beat_of_systemd(os.environ))

        def front() -> int:
            follow_file()
            ready = Number("ready")

            def announces() -> bool:
                ready.own = 1
                return not parent.served

            workers = {name: partial(_found, path) for name, path in sockets.items()}
            return serve_front(listeners, partial(build_service, workers=workers), announces)

        def worker(name: str) -> int:
            follow_file()
            listeners.close()
            ready, hears = Number("ready"), name == RECOGNIZER
            own = settings if hears else settings.model_copy(update={"engine": name})
            return serve_worker(own, f"unix:{sockets[name]}", hears, lambda: setattr(ready, "own", 1))

        for row in range(fronts):
            processes.append(Process(f"front {row}", row, front, front_restarts.inc, is_front=True))
        for row, name in enumerate(names, fronts):
            heard = settings.recognizer.replace("auto", "whisper")
            called = heard if name == RECOGNIZER else name
            process = Process(f"worker {called}", row, partial(worker, name), engine_restarts.of(called))
            own = name, settings.recognizer, settings.recognizer_model
            process.is_required = own != (RECOGNIZER, "auto", None)
            processes.append(process)
        role = parent.run(listeners.close)
        return role if isinstance(role, int) else role.work
    finally:
        if os.getpid() == pid:
            shutil.rmtree(folder, ignore_errors=True)


async def _found(path: Path, _: bool) -> Collection[str]:
    return [f"unix:{path}"] if os.path.exists(path) else []  # noqa: ASYNC240 - no more than a look
