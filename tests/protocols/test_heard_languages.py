"""The languages beyond the first five, heard by Whisper through each protocol.

Each sentence comes through one protocol here; ``test_languages.py`` shows that the engine gets the same from
all, ``benchmarks/languages/heard.py`` measures on more sentences.
"""

from __future__ import annotations

import base64
import io
import json
import unicodedata
import wave
from collections.abc import Awaitable, Callable
from difflib import SequenceMatcher

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from engines.kokoro.text.unspaced.chinese_readings import ChineseReadings
from speech.types import Samples
from tests.clients.kyutai.wire import KEY, pack, unpack
from tests.clients.relay import wire as relay_wire
from tests.conftest import ServerProcess
from tests.judges.judge import hear, hindi_consonants

pytestmark = pytest.mark.heard

Heard = tuple[Samples, int]
Speak = Callable[[ServerProcess, str, str], Awaitable[Heard]]

RATE = 24_000
ALIKE = 0.75
"""Share of a sentence's letters that are heard in order; of Hindi its consonants."""

SENTENCES = {
    "zh": ("今天天气很好，我们去公园散步吧。", "这本书我已经读了两遍了。", "他每天早上六点起床跑步。"),
    "ja": (
        "部屋が暑いので、窓を開けてください。",
        "この川の水はとてもきれいです。",
        "駅まで歩いて、電車に乗りました。",
    ),
    "hi": ("मुझे ठंडा पानी चाहिए।", "आज मौसम बहुत अच्छा है।", "बच्चे बगीचे में खेल रहे हैं।"),
    "de": (
        "Der Schlüssel liegt unter der Fußmatte.",
        "Mein Großvater repariert alte Uhren in seiner Werkstatt.",
        "Am Abend gehen wir gemeinsam in die Stadt.",
    ),
}


def samples_of(pcm: bytes, rate: int = RATE) -> Heard:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, rate


def samples_of_wav(file: bytes) -> Heard:
    with wave.open(io.BytesIO(file)) as opened:
        return samples_of(opened.readframes(opened.getnframes()), opened.getframerate())


async def post(url: str, body: dict[str, str], headers: dict[str, str] | None = None) -> bytes:
    async with httpx.AsyncClient(timeout=120) as client:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


async def kani(server: ServerProcess, text: str, language: str) -> Heard:
    async with connect(server.url, max_size=None) as socket:
        data = {"text": text, "config": {"language": language}}
        await socket.send(json.dumps({"type": "tts_request", "data": data}))
        answer = json.loads(await socket.recv())["data"]
    return samples_of_wav(base64.b64decode(answer["audio"]))


async def kani_rest(server: ServerProcess, text: str, language: str) -> Heard:
    return samples_of_wav(await post(f"{server.http_url}/tts", {"text": text, "language": language}))


async def openai(server: ServerProcess, text: str, language: str) -> Heard:
    body = {"model": "tts-1", "voice": "nova", "input": text, "response_format": "pcm"}
    return samples_of(await post(f"{server.http_url}/v1/audio/speech", body))


async def elevenlabs(server: ServerProcess, text: str, language: str) -> Heard:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=pcm_24000"
    return samples_of(await post(f"{server.http_url}{path}", {"text": text, "language_code": language}))


async def elevenlabs_websocket(server: ServerProcess, text: str, language: str) -> Heard:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream-input?output_format=pcm_24000"
    async with connect(f"{server.url}{path}&language_code={language}", max_size=None) as socket:
        for piece in (" ", f"{text} ", ""):
            await socket.send(json.dumps({"text": piece}))
        answers = [json.loads(message) async for message in socket]
    return samples_of(b"".join(base64.b64decode(answer.get("audio") or "") for answer in answers))


async def kyutai(server: ServerProcess, text: str, language: str) -> Heard:
    url = f"{server.url}/api/tts_streaming?format=PcmMessagePack"
    async with connect(url, additional_headers=KEY, max_size=None) as socket:
        for word in text.split():
            await socket.send(pack({"type": "Text", "text": word}))
        await socket.send(pack({"type": "Eos"}))
        messages = [unpack(message) async for message in socket]
    pcm = [message["pcm"] for message in messages if message["type"] == "Audio"]
    return np.concatenate([np.asarray(piece, np.float32) for piece in pcm]), RATE


async def relay(server: ServerProcess, text: str, language: str) -> Heard:
    async with relay_wire.connect_client(server.url) as client:
        answer = await client.speak(text)
    return answer.samples, relay_wire.RATE


BY_PROTOCOL = {
    "zh": (openai, kani, relay),
    "ja": (elevenlabs, kyutai, openai),
    "hi": (kani_rest, elevenlabs, kani),
    "de": (elevenlabs_websocket, kani_rest, openai),
}
"""The protocol that each sentence is heard through."""


def letters(text: str, language: str) -> str:
    """Letters for comparison; of Hindi its consonants, from Devanagari and from Urdu's script. Whisper writes
    Chinese in traditional characters at times.
    """
    if language == "zh":
        text = ChineseReadings().simplified(text)
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).lower())
    if language == "hi":
        return hindi_consonants(plain)
    return "".join(one for one in plain if one.isalpha())


@pytest.mark.parametrize(
    ("language", "text", "speak"),
    [
        (language, text, speak)
        for language, by_protocol in BY_PROTOCOL.items()
        for text, speak in zip(SENTENCES[language], by_protocol, strict=True)
    ],
)
async def test_language_is_heard_through_protocol(
    server: ServerProcess, language: str, text: str, speak: Speak
) -> None:
    samples, rate = await speak(server, text, language)
    heard = hear(samples, rate, language)
    alike = SequenceMatcher(None, letters(text, language), letters(heard, language), autojunk=False).ratio()
    assert alike >= ALIKE, heard
