"""Bad input as the rows of tables: what is sent, and what the answer names.

A table of plain values is a .tsv file beside its test, with JSON where a column is what is sent.
"""

import asyncio
import json
from typing import Any, NamedTuple

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.patience import WITHIN_S

Given = dict[str, Any]
"""Options of a request of httpx2: its body as ``json`` or ``content``, a form's ``data`` and ``files`` …"""


def shown(value: object) -> str:
    """The beginning of a value, as the name of a row."""
    return ascii(value)[:40]


def asked(client: httpx2.Client, call: str, given: Given) -> httpx2.Response:
    """The answer to a call: its method and path, or a path to which is posted."""
    method, path = call.split(" ", 1) if " " in call else ("POST", call)
    return client.request(method, path, **given)


def names(sentence: str, words: str) -> bool:
    """Whether a sentence has all of the words, which are parted by "…"."""
    return all(part in sentence for part in words.split("…"))


class Ended(NamedTuple):
    """A WebSocket that the server has closed: its messages, and what its close frame says."""

    messages: list[Any]
    code: int
    reason: str


async def denied(url: str, **options: Any) -> tuple[int, str]:
    """The status and the body with which the server refuses a WebSocket before the upgrade."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(url, **options):
            pass
    response = caught.value.response
    return response.status_code, (response.body or b"").decode()


async def ended(url: str, *sent: str | bytes | Given, **options: Any) -> Ended:
    """Send messages, objects as JSON, and read until the server closes the connection."""
    async with connect(url, max_size=None, **options) as socket:
        messages: list[Any] = []
        for each in sent:
            await socket.send(json.dumps(each) if isinstance(each, dict) else each)
        try:
            while True:
                messages.append(await asyncio.wait_for(socket.recv(), WITHIN_S))
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, "the connection was dropped, not closed"
            return Ended(messages, closed.rcvd.code, closed.rcvd.reason)
