"""Speech by Kyutai's socket, and its HTTP endpoints: whole texts, voices from recordings, server info."""

import asyncio
import base64
import io
import time
import wave
from itertools import pairwise

import httpx2
import numpy as np
import pytest
from websockets.asyncio.client import connect

from kani.core.audio.ogg_opus import OggOpusDecoder
from kani.core.types import Samples
from tests.clients.kyutai.speaking import Heard, hear_all, opened, rest_of, say
from tests.clients.kyutai.wire import EOS, FRAME, KEY, RATE, text_message, unpack
from tests.conftest import ServerProcess
from tests.protocols.conftest import Serve
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer

SENTENCE = "Mañana por la mañana, a las nueve, tienes una reunión con el equipo de la oficina."


async def test_words_return_with_their_times(server: ServerProcess) -> None:
    heard = await say(server, SENTENCE)
    assert heard.others == [{"type": "Ready"}]
    assert heard.said == SENTENCE.split()
    assert heard.words[-1] == ("", 0.0, 0.0)
    assert {len(frame) for frame in heard.frames} == {FRAME}
    assert np.abs(heard.samples).max() <= np.float32(0.99)
    times = [(start, stop) for word, start, stop in heard.words if word]
    assert all(start <= stop for start, stop in times)
    assert all(one[1] <= other[0] + 1e-6 for one, other in pairwise(times))
    assert times[-1][1] <= len(heard.samples) / RATE
    # Each word is sent before its audio, or soon after.
    sent_s = 0.0
    for told in heard.told:
        sent_s += FRAME / RATE * (told["type"] == "Audio")
        assert told["type"] != "Text" or not told["text"] or sent_s < told["stop_s"] + 1, told
    for word, start, stop in heard.words[:-1]:
        loudest = np.abs(heard.samples[round(start * RATE) : round(stop * RATE)]).max()
        assert loudest > 0.02, word


@pytest.mark.alone
@pytest.mark.parametrize("engine", [pytest.param("server", marks=pytest.mark.server), "espeak_app"])
async def test_idle_words_are_flushed_without_eos(engine: str, request: pytest.FixtureRequest) -> None:
    server: AppServer = request.getfixturevalue(engine)
    heard = Heard()
    async with opened(server, voice="ef_dora" if engine == "server" else "espeak:es") as websocket:
        await websocket.recv()
        sent = time.monotonic()
        await websocket.send(text_message("Hoy es lunes y"))
        # The last word's times come with what is said after it: the pause that ends the phrase.
        while heard.said != ["Hoy", "es", "lunes", "y"]:
            await heard.take(websocket)
        assert time.monotonic() - sent > 0.5
        await websocket.send(text_message("mañana es martes."))
        await websocket.send(EOS)
        await hear_all(websocket, heard)
    assert heard.said == "Hoy es lunes y mañana es martes.".split()
    assert await server.figure("py_missing_words_steps", handler="all") >= 1


async def test_breaks_are_silent_and_echoed(espeak_app: AppServer) -> None:
    heard = await say(
        espeak_app,
        '<break time="1s"/> Uno <break time="1.0s"/> dos<break time="0.5s"/>tres '
        '<break time="0.4s"/><break time="0.4s"/> adiós',
    )
    rests = [f'<break time="{seconds}">' for seconds in ("1.00s", "1.00s", "0.50s", "0.40s", "0.40s")]
    assert heard.said == [rests[0], "Uno", rests[1], "dos", rests[2], "tres", *rests[3:], "adiós"]
    before = 0.0
    for word, start, stop in heard.words[:-1]:
        samples = heard.samples[round(start * RATE) : round(stop * RATE)]
        assert start >= before - 0.02
        before = stop
        if word in rests:
            assert stop - start == pytest.approx(0.96 if "1.00" in word else float(word[13:17]), abs=0.0801)
            assert np.abs(samples[1000:-1000]).max() < 0.01
        else:
            assert np.abs(samples).max() > 0.05
    assert heard.words[0][2] == pytest.approx(0.96)


async def test_formats_carry_same_speech(espeak_app: AppServer) -> None:
    expected = (await say(espeak_app, SENTENCE)).samples
    for form in ("Pcm", "OggOpus", "OggOpusMessagePack", None):
        query = {} if form is None else {"format": form}
        url = httpx2.URL(f"{espeak_app.url}/api/tts_streaming", params=query)
        async with connect(str(url), additional_headers=KEY, max_size=None) as websocket:
            for word in SENTENCE.split():
                await websocket.send(word)
            await websocket.send(b"\0")
            messages = [message async for message in websocket]
            assert websocket.close_code == 1000
        if form == "Pcm":
            assert {len(message) for message in messages} == {4 * FRAME}
            samples = np.frombuffer(b"".join(messages), "<f4")
        else:
            if form == "OggOpusMessagePack":
                decoded = [unpack(message) for message in messages]
                assert [message["type"] for message in decoded[:2]] == ["Ready", "OggOpus"]
                messages = [bytes(one["data"]) for one in decoded if one["type"] == "OggOpus"]
                said = [one["text"] for one in decoded if one["type"] == "Text"]
                assert said == [*SENTENCE.split(), ""]
            assert b"OpusHead" in messages[0] and b"OpusTags" in messages[0]
            samples = OggOpusDecoder(RATE).feed(b"".join(messages))
        # The text was written meanwhile, so that another pause may be a little longer.
        assert len(samples) == pytest.approx(len(expected), rel=0.1)
        # Until there, the first two seconds are the same to the sample, as pauses come later.
        start = slice(2 * FRAME, 10 * FRAME)
        assert np.corrcoef(samples[start], expected[start])[0, 1] > 0.95


async def test_max_seq_len_limits_frames(espeak_app: AppServer) -> None:
    numbers = {"temperature": "0.8", "top_k": "250", "seed": "42", "cfg_alpha": "1.5"}
    heard = await say(espeak_app, SENTENCE, max_seq_len="5", **numbers)
    assert len(heard.frames) == 5
    assert len((await say(espeak_app, SENTENCE, **dict.fromkeys(numbers, "null"))).frames) > 5


LEGACY = {"seed": 1, "temperature": 0.8, "top_k": 250}


def streamed(body: bytes) -> Samples:
    assert body[:4] == b"RIFF" and body[4:8] == b"\xff" * 4 and body[36:44] == b"data" + b"\xff" * 4
    assert (int.from_bytes(body[22:24], "little"), int.from_bytes(body[24:28], "little")) == (1, RATE)
    return np.frombuffer(body[44:], "<i2").astype(np.float32) / 32768


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tts_streaming", {"text": SENTENCE, "voice": "espeak:es", "temperature": 0.8}),
        ("/api/tts", {"text": [SENTENCE], "voice": "espeak:es", **LEGACY}),
        (
            "/api/tts",
            {"text": SENTENCE.split(), "voices": ["espeak:es"], "return_timestamps": None, **LEGACY},
        ),
    ],
)
async def test_whole_text_is_streamed_as_wav(
    espeak_app: AppServer, client: httpx2.Client, path: str, body: object
) -> None:
    expected = await say(espeak_app, SENTENCE, voice="espeak:es")
    answer = await asyncio.to_thread(client.post, path, json=body, headers=KEY)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
    assert len(streamed(answer.content)) == pytest.approx(len(expected.samples), rel=0.1)


def test_legacy_endpoint_returns_word_times(client: httpx2.Client) -> None:
    body = {"text": ["Uno dos,", "tres."], "voice": "espeak:es", "return_timestamps": True, **LEGACY}
    answer = client.post("/api/tts", json=body, headers=KEY).json()
    cut = client.post("/api/tts", json=body | {"max_seq_len": 4}, headers=KEY).json()
    with wave.open(io.BytesIO(base64.b64decode(answer["wav"]))) as file:
        duration_s = file.getnframes() / file.getframerate()
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
    assert [word["text"] for word in answer["transcript"]] == ["Uno", "dos,", "tres."]
    assert all(0 <= word["start_s"] <= word["stop_s"] <= duration_s for word in answer["transcript"])
    with wave.open(io.BytesIO(base64.b64decode(cut["wav"]))) as file:
        assert file.getnframes() == 4 * 1920


async def test_server_info_needs_no_key(espeak_app: AppServer, client: httpx2.Client) -> None:
    async with opened(espeak_app) as websocket:
        await websocket.recv()
        build, modules = [
            (await asyncio.to_thread(client.get, f"/api/{name}_info")).json() for name in ("build", "modules")
        ]
    assert set(build) >= {"build_timestamp", "git_hash", "rustc_version"}
    assert [(one["type"], one["path"], one["used_slots"]) for one in modules] == [
        ("py", "/api/tts_streaming", "1"),
        ("batched_asr", "/api/asr-streaming", "0"),
    ]
    assert all(isinstance(fact, str) for one in (build, *modules) for fact in one.values())


async def test_idle_clients_do_not_delay_shutdown(serve: Serve) -> None:
    server = await serve(KANI_SHUTDOWN_SECONDS=str(2 * WITHIN_S))
    async with opened(server) as silent, opened(server) as heard_one:
        for websocket in (silent, heard_one):
            assert unpack(await websocket.recv()) == {"type": "Ready"}
        await heard_one.send(text_message("Hola."))
        first = Heard()
        # Flushed, spoken and sent: the session has nothing left.
        while first.said != ["Hola."]:
            await first.take(heard_one)
        server.stop.set()
        for websocket in (silent, heard_one):
            assert (await rest_of(websocket)).code in (1000, 1001)


@pytest.mark.alone
async def test_empty_text_does_not_delay_flush(espeak_app: AppServer) -> None:
    async with opened(espeak_app, voice="espeak:es") as websocket:
        await websocket.recv()
        began = time.monotonic()
        await websocket.send(text_message("uno dos tres"))

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.3)
                await websocket.send(text_message(""))

        dripping = asyncio.create_task(drip())
        assert unpack(await asyncio.wait_for(websocket.recv(), 300))["type"] in ("Text", "Audio")
        assert time.monotonic() - began > 0.8
        dripping.cancel()
        await asyncio.wait([dripping])
