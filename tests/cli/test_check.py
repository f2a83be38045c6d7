"""test_websocket.py, the diagnostics program, against the real server and against ones that misbehave."""

import asyncio
import base64
import json
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from kani.cli import check as diagnostics
from kani.cli.voices import VoicesClient
from kani.core.audio.pcm import wav
from tests.cli.conftest import Run
from tests.conftest import ServerProcess
from tests.support.programs import python
from tests.support.servers.app_server import app_server
from websocket_client import KaniTTSClient

RATE = 22050


def noise(seconds: float) -> bytes:
    """Something that is not silence."""
    samples = np.random.default_rng(0).uniform(-8000, 8000, round(seconds * RATE))
    return samples.astype("<i2").tobytes()


def test_a_healthy_server_passes_everything(run: Run, espeak_server: ServerProcess, tmp_path: Path) -> None:
    """With espeak-ng; `.ci/run` asks the default engine the same."""
    done = run("--server", espeak_server.url, "--keep", tmp_path / "kept", main=diagnostics.main)
    assert done.code == 0, done.out + done.err
    assert "FAIL" not in done.out and "All checks passed." in done.out
    checks = "connectivity spanish streaming errors configurations speech_parameters voices".split()
    assert {f"ok    {name}" for name in checks} <= {line[:32].rstrip() for line in done.out.splitlines()}
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"stream.wav", "spanish_1_friendly.wav", "emotion_calm.wav", "german.wav"} <= kept
    assert "voice_spoken_with.wav" in kept
    voices = [voice["id"] for voice in VoicesClient(espeak_server.url).list()]
    assert not [voice for voice in voices if voice.startswith("custom:diagnostics-")]
    with wave.open(str(tmp_path / "kept" / "stream.wav")) as file:
        assert file.getnframes() / RATE > 5


@pytest.mark.server
def test_missing_server_has_its_own_exit_code(run: Run, closed_port: int) -> None:
    done = run("--server", f"localhost:{closed_port}", main=diagnostics.main)
    assert (done.code, done.out) == (2, "")
    assert "python start_websocket_server.py" in done.err


@pytest.mark.server
async def test_a_server_that_lies_fails() -> None:
    async def lie(connection: ServerConnection) -> None:
        async for message in connection:
            kind = json.loads(message)["type"] if message != "{" else "tts_request"
            if kind == "ping":
                await connection.send(json.dumps({"type": "pong", "data": {}}))
            elif kind != "tts_cancel":
                audio = base64.b64encode(wav(noise(2.0), RATE)).decode()
                metadata = {"duration": 4.0, "sample_rate": RATE, "channels": 1}
                data = {"status": "success", "message": "", "audio": audio, "metadata": metadata}
                await connection.send(json.dumps({"type": "tts_response", "data": data}))

    async with serve(lie, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        command = ("test_websocket.py", "--server", f"ws://127.0.0.1:{port}")
        done = await asyncio.to_thread(python, *command, code=1)
    report = {line[6:32].strip(): line for line in done.stdout.splitlines()}
    assert report["ping"].startswith("ok")
    for name, reason in {
        "spanish 1 friendly": "metadata says 4.000 s, the audio is 2.000 s long",
        "stream": "tts_stream_request",
        "error: speed": "",
        **dict.fromkeys(("errors", "speech_parameters"), "0 of 8"),
        "voice added": "cannot reach",
    }.items():
        assert report[name].startswith("FAIL") and reason in report[name]


def test_fault_of_speech_is_found() -> None:
    for pcm, rate, stated, speed, fault in (
        (noise(3.0), RATE, 3.0, 1.0, ""),
        (noise(1.5), RATE, 1.5, 2.0, ""),
        (noise(3.0), RATE, 3.1, 1.0, "metadata says"),
        (noise(1.0), RATE, 1.0, 1.0, "45 characters"),
        (noise(15.0), RATE, 15.0, 1.0, "45 characters"),
        (bytes(6 * RATE), RATE, 3.0, 1.0, "silence"),
        (noise(3.0), 16000, 3.0, 1.0, "16000"),
    ):
        found = diagnostics.find_fault(pcm, rate, stated, "a" * 45, speed)
        assert fault in found and bool(fault) == bool(found), (fault, found)


async def test_server_without_voices_or_other_rules(tmp_path: Path, espeak_server: ServerProcess) -> None:
    taken = tmp_path / "taken"
    with app_server(tmp_path, KANI_DATA_DIR=str(taken)) as server:
        shutil.rmtree(taken, ignore_errors=True)
        taken.write_bytes(b"")  # after the start, which would refuse it
        async with KaniTTSClient(url=server.url) as client:
            check = diagnostics.stored_voices(client, None, VoicesClient(server.url))
            results = [result async for result in check]
    (result,) = results
    assert (result.name, result.failure) == ("voice added", "") and "written" in result.skipped

    class Unwilling(VoicesClient):
        def add(self, name: str, recording: bytes, consent: str, language: str | None = None) -> Any:
            return super().add(f"{name}/", recording, consent, language)

    async with KaniTTSClient(url=espeak_server.url) as client:
        check = diagnostics.stored_voices(client, None, Unwilling(espeak_server.url))
        (result,) = [result async for result in check]
    assert result.failure.startswith("name: ")


@pytest.mark.parametrize("answered", [False, True])
async def test_interrupted_check_leaves_no_voice(espeak_server: ServerProcess, answered: bool) -> None:
    """Stopped while the voice is being added, and once it is there."""
    loop, reached = asyncio.get_running_loop(), asyncio.Event()

    class Noted(VoicesClient):
        def add(self, name: str, recording: bytes, consent: str, language: str | None = None) -> Any:
            if not answered:
                loop.call_soon_threadsafe(reached.set)
            added = super().add(name, recording, consent, language)
            loop.call_soon_threadsafe(reached.set)
            return added

    async def check(client: KaniTTSClient) -> None:
        async for _ in diagnostics.stored_voices(client, None, Noted(espeak_server.url)):
            pass

    async with KaniTTSClient(url=espeak_server.url) as client:
        checking = asyncio.create_task(check(client))
        await reached.wait()
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
    voices = await asyncio.to_thread(VoicesClient(espeak_server.url).list)
    assert not [voice["id"] for voice in voices if voice["id"].startswith("custom:diagnostics-")]
