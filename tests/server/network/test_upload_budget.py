"""Memory of unfinished requests, together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from kani.server.network.upload_budget import FREE_BYTES, UploadBudget, UploadBudgetFull
from tests.support.app_server import KEY
from tests.support.patience import WITHIN_S
from tests.support.serving import serving


def test_free_bytes_are_not_counted() -> None:
    intake = UploadBudget(100)
    with intake.share() as share:
        share.resize(FREE_BYTES)
        assert (share.size, intake.used) == (0, 0)


def test_more_than_there_is_room_for_is_refused() -> None:
    intake = UploadBudget(100)
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES + 60)
        other.resize(FREE_BYTES + 40)
        with pytest.raises(UploadBudgetFull):
            other.resize(FREE_BYTES + 41)
        assert (other.size, intake.used) == (40, 100)
        one.resize(0)
        other.resize(FREE_BYTES + 100)
        assert intake.used == 100
    assert intake.used == 0


def test_one_alone_may_be_longer() -> None:
    intake = UploadBudget(100)
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES + 1000)
        with pytest.raises(UploadBudgetFull):
            other.resize(FREE_BYTES + 1)
        one.resize(FREE_BYTES + 500)
        assert intake.used == 500


async def test_message_before_a_key_has_no_share(tmp_path: Path) -> None:
    """A client that has yet to send its key cannot use up the room of others."""
    async with serving(tmp_path, KANI_API_KEYS=KEY) as server, asyncio.timeout(WITHIN_S):
        url = f"{server.url}/v1/text-to-speech/tone_es/stream-input"
        # As through a proxy: clients of this machine need no key.
        remote = {"X-Forwarded-For": "192.0.2.1"}
        async with connect(url, additional_headers=remote) as client:
            client.transport.write(b"\x81\xff" + (2**20).to_bytes(8) + b"mask" + bytes(2 * FREE_BYTES))
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        assert closed.value.rcvd.reason == "more than 65536 bytes of a message before a key"
        async with connect(url, additional_headers=remote) as client:
            await client.send(json.dumps({"text": " ", "xi_api_key": KEY}))
            await client.send(json.dumps({"text": "uno ", "unknown": "x" * 2**20}))
            await client.send(json.dumps({"text": ""}))
            answers = [json.loads(message) async for message in client]
        assert answers[-1]["isFinal"]
