"""A disk that takes no more: voices are refused with a clear error, and speech goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.core.voices.test_store import files_below, recording
from tests.support.patience import WITHIN_S
from tests.support.serving import serving

VOICES = "/v1/audio/voices"
FORM = {"language": "es", "consent": "I am Ana. I agree."}


@contextmanager
def full_disk(bytes_left: int) -> Iterator[None]:
    """Have the kernel refuse every file of this process beyond these bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(sys.platform == "win32", reason="the limit is POSIX's")
async def test_full_disk_refuses_voices_and_disturbs_no_speech(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as server,
        httpx.AsyncClient(base_url=server.http_url, timeout=WITHIN_S) as client,
        connect(f"{server.url}/") as speaking,
    ):

        async def store(name: str, seconds: float) -> httpx.Response:
            files = {"audio": ("a.wav", recording(seconds))}
            return await client.post(VOICES, data=FORM | {"name": name}, files=files)

        assert (await store("ana", 3.0)).status_code == 201
        before = {path: path.read_bytes() for path in files_below(tmp_path)}
        engine = server.engine
        engine.allow = 1
        data = {"text": "uno dos tres", "config": {"language": "spanish"}}
        await speaking.send(json.dumps({"type": "tts_stream_request", "data": data}))
        with full_disk(16 << 10):
            refused = await store("eva", 3.0)
            assert refused.status_code == 507
            message = refused.json()["error"]["message"]
            assert message == "the voices could not be read or written on this server"
            # Requests that take no room still succeed.
            assert (await client.get(f"{VOICES}/ana")).status_code == 200
            await engine.permit(None)
            while (last := json.loads(await speaking.recv()))["type"] == "tts_stream_chunk":
                pass
            assert last["type"] == "tts_stream_complete"
        assert {path: path.read_bytes() for path in files_below(tmp_path)} == before
        assert (await store("eva", 3.0)).status_code == 201
        assert {voice["id"] for voice in (await client.get(VOICES)).json()["voices"]} >= {
            *("custom:ana", "custom:eva")
        }
