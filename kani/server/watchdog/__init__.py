"""Ends a server when its event loop stands still, so that its supervisor can start it again.

No thread of the process can do that: native code that hangs may hold the interpreter's lock, and then neither
other threads nor Python's signal handlers run. So another process listens to the beats of the loop: systemd,
where the unit sets ``WatchdogSec``, else ``process.py``.
"""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from kani.runtime.child_process import start_process


def beat_of_systemd(environment: Mapping[str, str]) -> Callable[[], None] | None:
    """Return a function that sends one beat; None where systemd does not watch this process.

    environment: has systemd's variables in a unit with ``WatchdogSec``.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not (address and watched and environment.get("WATCHDOG_USEC")):
        return None
    # "@" is an address without a file.
    peer = "\0" + address[1:] if address.startswith("@") else address

    def beat() -> None:
        # One that is lost, while systemd is busy or starts itself anew, is followed by the next.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(b"WATCHDOG=1", peer)

    return beat


HANG_S = 60.0
"""Seconds without a beat after which the process is ended."""

BEAT_S = 1.0

MARGIN_S = 2.0
"""Seconds more than a stop may take: ``stop_on_signal``, which sees every kind of hang, ends it before."""

PROGRAM = Path(__file__).with_name("process.py")

STOPS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("server")


@asynccontextmanager
async def watch_event_loop(stop_s: float) -> AsyncIterator[None]:
    """While the body runs, end this process when its event loop has stood still for ``HANG_S`` seconds.

    stop_s: the time that a stop by one of ``STOPS`` may take; their handlers have to be installed before. The
    process ends by SIGABRT and writes the stack of each thread to standard error. On Windows nothing is
    watched.
    """
    if sys.platform == "win32":
        yield
        return
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    if (beat := beat_of_systemd(os.environ)) is not None:
        with _beating(beat):
            yield
        return
    arguments = (os.getpid(), HANG_S, stop_s + MARGIN_S)
    command = [sys.executable, "-I", "-S", str(PROGRAM), *map(str, arguments)]
    try:
        process = await start_process(command, stdin=subprocess.PIPE)
    except OSError as error:
        log.warning("nothing watches the event loop: its program cannot be started (%s)", error)
        yield
        return
    assert process.stdin is not None
    pipe = process.stdin.fileno()
    os.set_blocking(pipe, False)
    for number in STOPS:
        # Writes to the pipe in the signal itself, without the interpreter's lock, and goes on to the handler.
        faulthandler.register(number, pipe, all_threads=False, chain=True)
    try:
        with _beating(lambda: _write_beat(pipe)):
            yield
    finally:
        for number in STOPS:
            faulthandler.unregister(number)
        process.stdin.close()
        process.kill()
        await asyncio.to_thread(process.wait)


def _write_beat(pipe: int) -> None:
    """Write a beat. Raises BrokenPipeError if the program has ended."""
    try:
        os.write(pipe, b"\0")
    except BlockingIOError:
        # The program was stopped and has not read yet: it finds enough beats.
        return


@contextmanager
def _beating(beat: Callable[[], None]) -> Iterator[None]:
    """Call ``beat`` now and every ``BEAT_S`` seconds while the body runs, until it raises BrokenPipeError."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def next_beat() -> None:
        nonlocal timer
        try:
            beat()
        except BrokenPipeError:
            log.warning("nothing watches the event loop any more: the program that did has ended")
            return
        timer = loop.call_later(BEAT_S, next_beat)

    next_beat()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
