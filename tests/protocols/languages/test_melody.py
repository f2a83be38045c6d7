"""The melody of questions, asked for by a field of each protocol that has fields of ours."""

from dataclasses import replace
from pathlib import Path

import httpx2
from websockets.asyncio.client import connect

from tests.clients.voxcpm.wire import opened
from tests.protocols.languages.speakers import RACHEL, request
from tests.support.servers.serving import serving
from tests.support.tone import ToneEngine

TEXT = "¿Hay leche en la nevera?"


async def test_melody_reaches_the_engine_and_has_a_range(tmp_path: Path) -> None:
    engine = ToneEngine()
    engine.info = replace(engine.info, native_prosody=frozenset({"melody"}))
    calls = {
        "/v1/audio/speech": {"input": TEXT, "voice": "nova", "response_format": "pcm"},
        f"/v1/text-to-speech/{RACHEL}": {"text": TEXT},
        "/tts": {"text": TEXT},
    }
    async with (
        serving(tmp_path, engine=engine) as server,
        httpx2.AsyncClient(base_url=server.http_url) as client,
    ):
        for path, body in calls.items():
            for given in (0.0, 0.25, None):
                answer = await client.post(path, json=body | {"melody": given})
                assert answer.status_code == 200, answer.text
            refused = await client.post(path, json=body | {"melody": 1.5})
            assert refused.status_code in (400, 422) and "melody" in refused.text
        async with opened(server.url) as voxcpm, connect(server.url, max_size=None) as kani:
            for number, given in enumerate((0.0, 0.25, None)):
                await voxcpm.speak(TEXT, f"{number}", melody=given)
            for given in (0.0, 0.25, None):
                await request(kani, TEXT, melody=given)
    assert [segment.prosody.melody for segment in engine.segments] == [0.0, 0.25, 1.0] * 5
