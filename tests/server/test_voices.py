"""Stored voices of a server in a bucket, which may hang or be away."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.clients.kani.wire import request, stream
from tests.core.voices.local_bucket import App, answer, local_bucket
from tests.core.voices.stored import recording
from tests.support.patience import WITHIN_S
from tests.support.servers.serving import InProcessServer, serving

VOICES = "/v1/audio/voices"
FORM = {"language": "es", "consent": "I am Ana. I agree."}


async def speak(server: InProcessServer, voice: str) -> tuple[str, dict[str, Any]]:
    """Speak by Kani's protocol; returns the type and the data of the last message."""
    config = {"language": "spanish", "voice_id": voice}
    async with connect(f"{server.url}/", max_size=None) as client:
        return (await stream(client, request("uno dos", "tts_stream_request", config=config)))[1:]


async def test_bucket_that_fails_leaves_other_speech(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(environ: dict[str, Any], start: Callable[..., Any], app: App) -> Iterable[bytes]:
        release.wait(WITHIN_S)
        return app(environ, start)

    with local_bucket(monkeypatch) as bucket:
        setting = {"KANI_VOICE_BUCKET": bucket.environment["KANI_VOICE_BUCKET"]}
        async with serving(tmp_path, **setting) as server:
            files = {"audio": ("ana.wav", recording(3.0))}
            assert (await server.post(VOICES, data=FORM | {"name": "ana"}, files=files)).status_code == 201
            bucket.fault = hang
            async with asyncio.TaskGroup() as group:
                deletions = [
                    group.create_task(server.request("DELETE", f"{VOICES}/ana{number}"))
                    for number in range(8)
                ]
                for _ in range(3):
                    assert (await speak(server, "tone_es"))[0] == "tts_stream_complete"
                assert (await speak(server, "custom:ana"))[0] == "tts_stream_complete"
                assert not all(task.done() for task in deletions)
                release.set()
            assert {task.result().status_code for task in deletions} <= {404, 503}
            bucket.fault = lambda environ, start, app: answer("503 Slow Down", "SlowDown", start)
            monkeypatch.setattr("kani.core.voices.storage.shared_index.STALE_S", -1.0)
            refused = await server.request("DELETE", f"{VOICES}/ana")
            assert refused.status_code == 503
            assert refused.json()["error"]["message"].startswith("the stored voices cannot be reached")
            # Each list goes on with the built-in voices.
            for path in (VOICES, "/v1/voices", "/v2/voices", "/api/voices"):
                listed = (await server.get(path)).raise_for_status().text
                assert "tone_es" in listed and "custom:ana" not in listed, path
            assert (await server.get("/v1/voices/tone_es")).status_code == 200
            assert (await server.get("/v1/voices/ana")).status_code == 503
            kind, data = await speak(server, "custom:ana")
            assert kind == "tts_response" and "cannot be reached" in data["message"]
            assert (await speak(server, "tone_es"))[0] == "tts_stream_complete"


async def test_server_starts_without_its_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_bucket(monkeypatch) as bucket:
        bucket.fault = lambda environ, start, app: answer("503 Slow Down", "SlowDown", start)
        setting = {"KANI_VOICE_BUCKET": bucket.environment["KANI_VOICE_BUCKET"]}
        async with serving(tmp_path, **setting) as server:
            assert "voices   2" in server.banner
            for path in (VOICES, "/v1/user/subscription"):
                assert (await server.get(path)).status_code == 200
            assert (await speak(server, "tone_es"))[0] == "tts_stream_complete"
