"""Sends a child's log to the server, which writes it into its own."""

from __future__ import annotations

import asyncio
import logging
import sys

from kani.core import request_ids
from kani.engines.remote.channel import Channel
from kani.engines.remote.messages import Logged

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
