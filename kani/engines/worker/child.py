"""Program of a worker that is a server's child; ``kani.engines.remote.connectors`` starts it.

It ends with its connection: after the engine has stopped, or after ``STOP_TIMEOUT_S`` all the same.
"""

import asyncio
import gc
import importlib.util
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from typing import Any

from kani.core import request_ids
from kani.core.errors import EngineUnavailable
from kani.engines.packages.hearing import HeardPackage
from kani.engines.packages.speaking import SpokenPackage
from kani.engines.registry import launched
from kani.engines.remote.channel import HEARTBEAT_S, Channel, ProtocolError
from kani.engines.remote.handshake import welcome
from kani.engines.remote.messages import Launch, Logged, Pong, Unavailable, decode_to_worker
from kani.engines.worker.service import Worker
from kani.runtime.cancelling import end_tasks
from kani_text.foreign import Unreadable

MAX_CHARACTERS = 16_384
"""Longest message of one record."""


class LogForwarder(logging.Handler):
    """Sends records over a channel, from any thread; once the channel has ended, to standard error."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)[:MAX_CHARACTERS]
        if self._channel.lost.is_set() or self._loop.is_closed():
            print(f"{record.levelname} {record.name}: {text}", file=sys.stderr)
            return
        message = Logged(record.levelno, record.name, text, request_ids.current())
        self._loop.call_soon_threadsafe(self._channel.send, message)


STOP_TIMEOUT_S = 4.0
"""Seconds for the engine to stop once the server has gone."""


def main(socket_number: int) -> None:
    """Serve the server at the other end of a socket that this process has inherited."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    uvloop = importlib.import_module("uvloop") if importlib.util.find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
        runner.run(_serve(socket.socket(fileno=socket_number)))
    _exit(0)


def _exit(code: int) -> None:
    """End at once, with the processes of the package: no thread of a library that still runs holds it up."""
    for process in multiprocessing.active_children():
        # They have inherited that SIGTERM is ignored, and ``os._exit`` leaves them running.
        process.kill()
    os._exit(code)


async def _serve(connected: socket.socket) -> None:
    connected.setblocking(False)
    _, channel = await asyncio.get_running_loop().create_unix_connection(Channel, sock=connected)
    try:
        await welcome(channel, "")
        launch = decode_to_worker(await channel.read())
    except (ProtocolError, Unreadable) as error:
        channel.abort(str(error))
        return
    if not isinstance(launch, Launch):
        channel.abort("the first message is no launch")
        return
    logging.basicConfig(level=launch.log_level, handlers=[LogForwarder(channel)], force=True)
    starting = asyncio.create_task(_run(launch, channel))
    lost = asyncio.create_task(channel.lost.wait())
    await asyncio.wait((starting, lost), return_when=asyncio.FIRST_COMPLETED)
    if channel.lost.is_set():
        # Whatever the engine does, in whichever thread: without its server this process has no purpose.
        watchdog = threading.Timer(STOP_TIMEOUT_S, _exit, (1,))
        watchdog.daemon = True
        watchdog.start()
        await end_tasks(starting)


def _served(launch: Launch) -> Any:
    """Return the engine or recogniser that is to be served, not started. Raises EngineUnavailable."""
    if not launch.adapter:
        return launched(launch.kind, launch.name, launch.settings, launch.resources)
    package = SpokenPackage if launch.kind == "engine" else HeardPackage
    return package(launch.adapter, launch.settings, launch.resources)


async def _run(launch: Launch, channel: Channel) -> None:
    """Start what is to be served, and serve it until the connection ends."""
    beating = asyncio.create_task(_beat(channel))
    try:
        served = _served(launch)
        await served.start()
    except EngineUnavailable as error:
        channel.send(Unavailable(str(error), error.passing))
        channel.close("the engine cannot start")
        return
    finally:
        beating.cancel()
    gc.freeze()
    try:
        worker = Worker(served) if launch.kind == "engine" else Worker(None, served)
        await worker.serve(channel)
    finally:
        await served.stop()


async def _beat(channel: Channel) -> None:
    """Give signs of life while the engine starts, which the server does not ask for before it is ready."""
    while True:
        channel.send(Pong())
        await asyncio.sleep(HEARTBEAT_S)


if __name__ == "__main__":
    main(int(sys.argv[1]))
