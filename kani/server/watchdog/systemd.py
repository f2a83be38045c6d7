"""Beats for systemd's watchdog (https://www.freedesktop.org/software/systemd/man/sd_notify.html)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress


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
