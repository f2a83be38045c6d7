"""Beats for systemd's watchdog (https://www.freedesktop.org/software/systemd/man/sd_notify.html)."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping


def beat_of_systemd(environment: Mapping[str, str]) -> Callable[[], None] | None:
    """Return a function that sends one beat; None where systemd does not watch this process.

    The function raises OSError. systemd's variables are those of a unit with ``WatchdogSec``.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    watched = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not (address and watched and environment.get("WATCHDOG_USEC")):
        return None
    # "@" is an address without a file.
    peer = "\0" + address[1:] if address.startswith("@") else address

    def beat() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(b"WATCHDOG=1", peer)
            except BlockingIOError:
                # systemd has not read the beats before: they count.
                return

    return beat
