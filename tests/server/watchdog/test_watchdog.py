"""A server is ended when its event loop stands still, by a program of its own or by systemd."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from kani.server.watchdog import beat_of_systemd, process
from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S
from tests.support.servers.socket_folder import socket_folder

SERVER = """
import asyncio, ctypes, sys, uvicorn
from kani.server.lifecycle import stop_on_signal
from kani.server import watchdog

STOP_S = 2.0
watchdog.HANG_S = float(sys.argv[2])

def hang_with_the_interpreters_lock():
    # A lock that is taken twice, as by fork's handler of OpenBLAS.
    libc, lock = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)

def hang_in_native_code():
    libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(128)
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)

def hang_in_python():
    while True:
        pass

async def serve():
    with stop_on_signal(600) as stop:
        async with watchdog.watch_event_loop(STOP_S):
            print("ready", flush=True)
            if sys.argv[1] == "serve":
                await stop.wait()
            else:
                globals()[sys.argv[1]]()

with asyncio.Runner(loop_factory=uvicorn.Config(app="", log_config=None).get_loop_factory()) as runner:
    runner.run(serve())
"""
HANGS = ("hang_with_the_interpreters_lock", "hang_in_native_code", "hang_in_python")

pytestmark = pytest.mark.server


@contextmanager
def server(what: str, hang_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """A process that watches its loop, and does ``what`` in it."""
    command = [sys.executable, "-c", SERVER, what, str(hang_s)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None and running.stdout.readline() == b"ready\n"
        try:
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(
    ("what", "hang_s", "number", "after_s"),
    [
        *((what, 3.0, None, 3) for what in HANGS),
        # Python's handler never runs there.
        *((what, 600.0, number, 4) for what in HANGS[:2] for number in (signal.SIGTERM, signal.SIGINT)),
        # The signal gives no more time.
        (HANGS[0], 3.0, signal.SIGTERM, 3),
    ],
)
def test_loop_that_stands_still_ends_the_process_with_its_stacks(
    what: str, hang_s: float, number: signal.Signals | None, after_s: int
) -> None:
    with server(what, hang_s) as running:
        if number is not None:
            running.send_signal(number)
        _, told = running.communicate(timeout=WITHIN_S)
    assert running.returncode == -signal.SIGABRT
    assert f"has not run for {after_s} s".encode() in told
    assert b"most recent call first" in told and what.encode() in told


def test_server_that_was_stopped_for_longer_goes_on() -> None:
    with server("serve", 5.0) as running:
        running.send_signal(signal.SIGSTOP)
        # Longer than what counts as a hang, and nothing else is due.
        time.sleep(7)
        running.send_signal(signal.SIGCONT)
        running.send_signal(signal.SIGTERM)
        _, told = running.communicate(timeout=WITHIN_S)
    assert (running.returncode, told) == (0, b"")


def test_program_ends_with_a_server_that_is_killed() -> None:
    with server("serve", 60.0) as running:
        (watching,) = psutil.Process(running.pid).children()
        running.kill()
        running.wait(WITHIN_S)
        watching.wait(WITHIN_S)


def test_stopped_process_is_told_from_a_running_one() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        assert not process.is_stopped(running.pid)
        running.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, running.pid, os.WSTOPPED | os.WNOWAIT)
        assert process.is_stopped(running.pid)
        running.kill()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_gets_a_beat_where_it_watches(abstract: bool) -> None:
    with socket_folder() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = f"{folder}/notify"
        systemd.bind("\0" + path if abstract else path)
        systemd.settimeout(WITHIN_S)
        unit = {"NOTIFY_SOCKET": ("@" if abstract else "") + path, "WATCHDOG_USEC": "60000000"}
        beat = beat_of_systemd(unit)
        assert beat is not None
        beat()
        assert systemd.recv(64) == b"WATCHDOG=1"
        systemd.close()
        beat()  # systemd may be away for a moment: no error, and the next beat counts
    assert beat_of_systemd(unit | {"WATCHDOG_PID": "1"}) is None
    assert beat_of_systemd({"NOTIFY_SOCKET": path}) is None
    assert beat_of_systemd({}) is None
