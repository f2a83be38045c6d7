"""SSML by each protocol, and as a listener of a default server hears it."""

import asyncio
import io
import json
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from benchmarks.text.ssml_heard import SILENCE_S, compare
from kani.core.types import Samples
from tests.clients.elevenlabs.wire import assert_tiles, connect_multi, split_tokens
from tests.clients.kyutai.wire import KEY, pack
from tests.clients.openai_realtime import RATE, audio_of, realtime, text_item
from tests.conftest import ServerProcess
from tests.judges.judge import hear
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer
from tests.text.ssml.examples import AMAZON, AZURE, GOOGLE, W3C, Example

FAULTY = "<speak>uno\n<p>dos</s></speak>"
FAULT = "SSML, line 2, column 7: </s> comes before </p>, which has to come first"
GOOD = (
    '<speak>uno <mark name="m"/><say-as interpret-as="characters">BC</say-as> <break time="1s"/>dos'
    '<audio src="a.mp3"/></speak>'
)
VOICE = "espeak:es"
ELEVENLABS = f"/v1/text-to-speech/{VOICE}"
KYUTAI = "/api/tts_streaming?format=PcmMessagePack"

HTTP: list[tuple[str, str, dict[str, Any]]] = [
    ("/tts", "text", {}),
    ("/stream-tts", "text", {}),
    ("/v1/audio/speech", "input", {"voice": VOICE}),
    ("/v1/audio/speech", "input", {"voice": VOICE, "stream_format": "sse"}),
    ("/v1/audio/captions", "input", {"voice": VOICE}),
    ("/dev/captioned_speech", "input", {"voice": VOICE}),
    (ELEVENLABS, "text", {}),
    (f"{ELEVENLABS}/stream", "text", {}),
    (f"{ELEVENLABS}/with-timestamps", "text", {}),
]


@pytest.mark.parametrize(("path", "field", "rest"), HTTP)
def test_calls_speak_and_refuse(client: httpx2.Client, path: str, field: str, rest: dict[str, Any]) -> None:
    answer = client.post(path, json={field: FAULTY, **rest})
    assert answer.status_code == 400
    assert f"{field}: {FAULT}" in answer.text
    answer = client.post(path, json={field: GOOD, **rest})
    assert answer.status_code == 200 and len(answer.content) > 60


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("/", [{"type": "tts_request", "data": {"text": FAULTY}}]),
        ("/tts", [{"type": "tts_request", "request_id": "1", "params": {"text": FAULTY}}]),
        ("/stream_tts", [{"action": "start_tts", "text": FAULTY}]),
        (f"{ELEVENLABS}/stream-input", [{"text": " "}, {"text": f"{FAULTY} "}, {"text": ""}]),
        (f"{ELEVENLABS}/multi-stream-input", [{"text": FAULTY, "flush": True}, {"close_context": True}]),
        (KYUTAI, [{"type": "Text", "text": FAULTY}, {"type": "Eos"}]),
    ],
)
async def test_websockets_refuse_faults(espeak_app: AppServer, path: str, messages: list[Any]) -> None:
    """The fault is in a message, or in the reason of the end."""
    async with connect(espeak_app.url + path, additional_headers=KEY) as client:
        for message in messages:
            await client.send(pack(message) if path == KYUTAI else json.dumps(message))
        async with asyncio.timeout(WITHIN_S):
            try:
                while FAULT not in str(await client.recv()):
                    pass
            except ConnectionClosed as closed:
                assert closed.rcvd is not None and FAULT in closed.rcvd.reason
                assert closed.rcvd.code == (1007 if path == KYUTAI else 1008)


async def test_kani_reports_marks_and_places(espeak_app: AppServer) -> None:
    async with connect(espeak_app.url + "/") as client:
        config = {"language": "es", "ssml": True}
        await client.send(json.dumps({"type": "tts_request", "data": {"text": GOOD, "config": config}}))
        async with asyncio.timeout(WITHIN_S):
            metadata = json.loads(await client.recv())["data"]["metadata"]
    assert metadata["unused"] == ["ssml.audio"]
    [mark] = metadata["marks"]
    assert (mark["name"], mark["position"]) == ("m", GOOD.index("BC"))
    spans = metadata["spans"]
    assert (spans[0][0], spans[-1][1]) == (0, len(GOOD))
    starts_s = [start_s for start, end, start_s, _ in spans if start <= mark["position"] < end]
    assert starts_s == [mark["time"]]
    pauses = [end_s - start_s for start, end, start_s, end_s in spans if start == end]
    assert pauses == [pytest.approx(1.0, abs=0.001)]


def test_calls_report_marks_and_the_whole_text(client: httpx2.Client) -> None:
    body = {"input": GOOD, "voice": VOICE, "format": "json", "ssml": True}
    answer = client.post("/v1/audio/captions", json=body)
    assert answer.headers["x-unused"] == "ssml.audio"
    content = answer.json()
    [mark] = content["marks"]
    assert (mark["name"], mark["position"]) == ("m", GOOD.index("BC"))
    words = {word["word"]: word["start"] for word in content["words"]}
    assert list(words) == ["uno", "BC", "dos"]
    assert words["BC"] == pytest.approx(mark["time"], abs=0.002)
    answer = client.post(f"{ELEVENLABS}/with-timestamps", json={"text": GOOD})
    assert "".join(answer.json()["alignment"]["characters"]) == GOOD
    # Text without a root is SSML where the request says so.
    body = {"input": "uno </p>", "voice": VOICE}
    assert client.post("/v1/audio/speech", json=body).status_code == 200
    answer = client.post("/v1/audio/speech", json=body | {"ssml": True})
    assert answer.status_code == 400 and "line 1, column 5: </p> closes nothing" in answer.text


def longest_silence_s(samples: Samples, rate: int) -> float:
    loud = np.flatnonzero(np.abs(samples) > 0.01)
    return float(np.diff(loud).max()) / rate


@pytest.mark.parametrize("flushes_inside", [False, True])
async def test_elevenlabs_contexts_speak_documents(espeak_app: AppServer, flushes_inside: bool) -> None:
    texts = {"a": GOOD, "b": GOOD.replace("dos", "tres")}
    async with connect_multi(espeak_app.url) as client:
        for name, text in texts.items():
            tokens = [{"text": token, "context_id": name} for token in split_tokens(text)]
            if flushes_inside:
                tokens[0]["flush"] = True
                tokens[1]["text"] = tokens[1]["text"].lstrip()
            await client.send({"text": " ", "context_id": name}, *tokens)
            await client.send({"text": "", "context_id": name, "flush": True})
            await client.send({"text": "", "context_id": name, "close_context": True})
        for heard, text in zip(await client.receive_until_final(*texts), texts.values(), strict=True):
            assert heard.text == f"{text} "
            assert_tiles(heard.summed())
            assert 1.0 < longest_silence_s(heard.samples, 22_050) < 1.2


async def test_faults_in_realtime_are_named(espeak_app: AppServer) -> None:
    async with realtime(espeak_app.url, "model=gpt-realtime") as client:
        await client.send("response.create", response={"input": [text_item(FAULTY)]})
        done = (await client.until("response.done"))[-1]["response"]
    assert done["status"] == "failed" and FAULT in done["status_details"]["error"]["message"]


@pytest.mark.parametrize("in_item", [False, True])
async def test_realtime_speaks_documents(espeak_app: AppServer, in_item: bool) -> None:
    async with realtime(espeak_app.url, "model=gpt-realtime") as client:
        await client.configure("realtime", audio={"output": {"voice": VOICE}})
        if in_item:
            await client.send("conversation.item.create", item=text_item(GOOD))
            await client.send("response.create", response={"conversation": "none"})
        else:
            await client.send("response.create", response={"input": [text_item(GOOD)]})
        events = await client.until("response.done")
    assert events[-1]["response"]["status"] == "completed"
    assert events[-1]["response"]["output"][0]["content"][0]["transcript"] == GOOD
    samples = np.frombuffer(audio_of(events), "<i2").astype(np.float32) / 32768
    assert 1.0 < longest_silence_s(samples, RATE) < 1.2


def spoken(server: ServerProcess, text: str) -> httpx2.Response:
    body = {"input": text, "voice": "af_heart", "response_format": "wav"}
    return httpx2.post(f"{server.http_url}/v1/audio/speech", json=body).raise_for_status()


@pytest.mark.heard
@pytest.mark.parametrize("example", [W3C[-4], W3C[-3], AZURE[-3], AZURE[5], GOOGLE[4], AMAZON[-4]])
def test_documented_structures_are_heard(server: ServerProcess, example: Example) -> None:
    answer = spoken(server, example.text)
    assert answer.headers.get("x-unused", "") == ", ".join(example.unused)
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    heard = hear(np.pad(samples, round(SILENCE_S * rate)), rate, "en")
    said = " ".join(each for each in example.spoken if isinstance(each, str))
    assert compare(said, heard, "en")[0] == 0, heard
