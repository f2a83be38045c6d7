"""The server with ``--engine elevenlabs``, as a user starts it, against the recorded service."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.clients.kani.wire import pcm, request, stream
from tests.conftest import ServerProcess
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import KEY, OTHER_VOICE, VOICE

pytestmark = pytest.mark.server

HELLO = "Hello there, my old friend."


async def test_server_speaks_by_elevenlabs(tmp_path: Path) -> None:
    async with fake.running() as service:
        options = ("--engine", "elevenlabs", "--recognizer", "none")
        account = {"ELEVEN_API_KEY": KEY, "ELEVEN_VOICE_ID": VOICE, "KANI_ELEVENLABS_URL": service.url}
        server = ServerProcess(tmp_path, *options, **account, KANI_LOG_LEVEL="DEBUG")
        await asyncio.to_thread(server.wait_until_ready)
        async with connect(server.url) as socket:
            asked = request(HELLO, "tts_stream_request", config={"speed": 1.2})
            chunks, kind, last = await stream(socket, asked)
            assert kind == "tts_stream_complete" and last["metadata"]["engine"] == "elevenlabs"
            assert len(pcm(chunks)) == round(len(HELLO + " ") * fake.LETTER_S * 22_050)
            spans = [span for data in [*chunks, last] for span in data["metadata"].get("spans", [])]
            words = {HELLO[start:end]: begins_s for start, end, begins_s, _ in spans}
            assert words["friend."] == pytest.approx(HELLO.index("friend") * fake.LETTER_S, abs=1e-4)
            assert service.exchanges[0].received[0]["voice_settings"] == {"speed": 1.2}
            assert service.exchanges[0].headers["xi-api-key"] == KEY
            asked = request(HELLO, "tts_stream_request", config={"voice_id": f"elevenlabs:{OTHER_VOICE}"})
            await stream(socket, asked)
            assert OTHER_VOICE in service.exchanges[1].path
        base = "/v1/text-to-speech"
        voices = (await server.get("/v1/audio/voices")).text
        assert f"elevenlabs:{VOICE}" in voices and "Rachel" in voices
        # ElevenLabs' clients name the account's voices by their bare ids.
        for voice in (VOICE, OTHER_VOICE):
            answer = await server.post(f"{base}/{voice}/stream?output_format=pcm_24000", json={"text": HELLO})
            assert answer.status_code == 200 and len(answer.content) > 1000
            assert f"/{voice}/" in service.exchanges[-1].path
        assert (await server.post(f"{base}/nobody", json={"text": HELLO})).status_code == 404
        await asyncio.to_thread(server.stop)
    assert KEY not in server.banner + server.log + server.terminal
