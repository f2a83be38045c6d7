"""The languages beyond the first five, three sentences each, through each protocol that speaks.

Each language is heard by Whisper once, through OpenAI's API. The engine's audio of such short sentences
depends on nothing but text, voice and speed, so the other protocols have to send the very same samples: to
the last of 16 bits at OpenAI's rate, and within a resampler's rounding at another one. A protocol with text
in pieces may begin before the sentence is complete, and intone it otherwise: if its samples differ, they are
heard by themselves. ``benchmarks/languages/heard.py`` measures on more sentences.
"""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import Awaitable, Callable, Iterator
from difflib import SequenceMatcher

import httpx
import numpy as np
import pytest
import soxr
from websockets.asyncio.client import connect

from benchmarks.languages.heard import units
from kani.core.types import Samples
from kani.engines.kokoro.voices import ACCENTED_VOICES
from tests.clients.kyutai.wire import KEY, pack, unpack
from tests.clients.openai_realtime import audio_of, text_item
from tests.clients.openai_realtime import realtime as realtime_session
from tests.clients.relay import wire as relay_wire
from tests.clients.voxcpm import wire as voxcpm_wire
from tests.conftest import ServerProcess
from tests.judges.judge import hear
from tests.protocols.wyoming.home_assistant import get_tts_audio

pytestmark = pytest.mark.heard

Speech = tuple[Samples, int]
Speak = Callable[[ServerProcess, str, str], Awaitable[Speech]]

RATE = 24_000
ALIKE = 0.75
"""Share of each sentence's letters that are heard in order; of Hindi its consonants, of Japanese its kana."""
ROUNDING = 1 / 32768
SIGNAL_TO_ROUNDING_DB = 40

SENTENCES = {
    "zh": ("早上好！", "这本书我已经读了两遍了。", "他每天早上6点起床跑步。"),
    "ja": ("おはようございます。", "この川の水はとてもきれいです。", "駅まで歩いて15分かかります。"),
    "hi": ("मुझे ठंडा पानी चाहिए।", "आज मौसम बहुत अच्छा है।", "बगीचे में 12 बच्चे खेल रहे हैं।"),
    "de": ("Guten Morgen!", "Der Schlüssel liegt unter der Fußmatte.", "Das kostet 20 Euro."),
    "nl": ("Goedemorgen!", "De sleutel ligt onder de deurmat.", "De trein vertrekt van spoor 14."),
    "pl": ("Dzień dobry!", "Klucz leży pod wycieraczką.", "Mamy 15 minut czasu."),
    "ru": ("Доброе утро!", "Не забудь позвонить бабушке.", "Этот билет стоит 20 рублей."),
    "tr": ("İyi akşamlar!", "Gelecek hafta trenle Ankara'ya gidiyoruz.", "Bu kitap 20 lira."),
}
"""A short one, an everyday one, one with a number."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that speaks all the languages by Kokoro, and Wyoming too."""
    accented = ",".join(ACCENTED_VOICES)
    running = ServerProcess(
        tmp_path_factory.mktemp("server"),
        "--wyoming",
        "--recognizer",
        "none",
        KANI_ACCENTED_LANGUAGES=accented,
    )
    running.wait_until_ready()
    running.wait_until_settled()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def references() -> dict[str, Samples]:
    """Samples at ``RATE`` by language, once they were heard."""
    return {}


def samples_of(pcm: bytes, rate: int = RATE) -> Speech:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, rate


def samples_of_wav(file: bytes) -> Speech:
    with wave.open(io.BytesIO(file)) as opened:
        return samples_of(opened.readframes(opened.getnframes()), opened.getframerate())


async def post(url: str, body: dict[str, str], headers: dict[str, str] | None = None) -> bytes:
    async with httpx.AsyncClient(timeout=120) as client:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


async def openai(server: ServerProcess, text: str, language: str) -> Speech:
    body = {"model": "tts-1", "voice": "nova", "input": text, "response_format": "pcm"}
    return samples_of(await post(f"{server.http_url}/v1/audio/speech", body))


async def realtime(server: ServerProcess, text: str, language: str) -> Speech:
    async with realtime_session(server.url, "model=gpt-realtime") as client:
        await client.send("response.create", response={"input": [text_item(text)]})
        return samples_of(audio_of(await client.until("response.done")))


async def elevenlabs(server: ServerProcess, text: str, language: str) -> Speech:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=pcm_24000"
    return samples_of(await post(f"{server.http_url}{path}", {"text": text, "language_code": language}))


async def elevenlabs_websocket(server: ServerProcess, text: str, language: str) -> Speech:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/stream-input?output_format=pcm_24000"
    async with connect(f"{server.url}{path}&language_code={language}", max_size=None) as socket:
        for piece in (" ", f"{text} ", ""):
            await socket.send(json.dumps({"text": piece}))
        answers = [json.loads(message) async for message in socket]
    return samples_of(b"".join(base64.b64decode(answer.get("audio") or "") for answer in answers))


async def kyutai(server: ServerProcess, text: str, language: str) -> Speech:
    url = f"{server.url}/api/tts_streaming?format=PcmMessagePack"
    async with connect(url, additional_headers=KEY, max_size=None) as socket:
        for word in text.split():
            await socket.send(pack({"type": "Text", "text": word}))
        await socket.send(pack({"type": "Eos"}))
        messages = [unpack(message) async for message in socket]
    pcm = [message["pcm"] for message in messages if message["type"] == "Audio"]
    return np.concatenate([np.asarray(piece, np.float32) for piece in pcm]), RATE


async def voxcpm(server: ServerProcess, text: str, language: str) -> Speech:
    async with voxcpm_wire.opened(server.url) as client:
        answer = await client.speak(text, language=language)
    return answer.samples, answer.last["result"]["sample_rate"]


async def wyoming(server: ServerProcess, text: str, language: str) -> Speech:
    return samples_of_wav(await get_tts_audio(server.wyoming_port, text) or b"")


async def kani(server: ServerProcess, text: str, language: str) -> Speech:
    async with connect(server.url, max_size=None) as socket:
        data = {"text": text, "config": {"language": language}}
        await socket.send(json.dumps({"type": "tts_request", "data": data}))
        answer = json.loads(await socket.recv())["data"]
    return samples_of_wav(base64.b64decode(answer["audio"]))


async def kani_rest(server: ServerProcess, text: str, language: str) -> Speech:
    return samples_of_wav(await post(f"{server.http_url}/tts", {"text": text, "language": language}))


async def relay(server: ServerProcess, text: str, language: str) -> Speech:
    async with relay_wire.connect_client(server.url) as client:
        answer = await client.speak(text)
    return answer.samples, relay_wire.RATE


PROTOCOLS = (realtime, elevenlabs, voxcpm, wyoming, kani, kani_rest, relay, elevenlabs_websocket, kyutai)
IN_PIECES = (elevenlabs_websocket, kyutai)


def letters(text: str, language: str) -> str:
    return "".join(units(text, language))


def assert_heard(speech: Speech, language: str) -> None:
    """Assert that each of the language's sentences is heard, and not much else."""
    heard = hear(*speech, language)
    sentences = [letters(sentence, language) for sentence in SENTENCES[language]]
    matcher = SequenceMatcher(None, "".join(sentences), letters(heard, language), autojunk=False)
    assert matcher.ratio() >= ALIKE, heard
    matched = {at for start, _, size in matcher.get_matching_blocks() for at in range(start, start + size)}
    start = 0
    for sentence in sentences:
        own = range(start, start := start + len(sentence))
        assert len(matched.intersection(own)) >= ALIKE * len(sentence), (sentence, heard)


def are_same(speech: Speech, reference: Samples) -> bool:
    """True if speech is the reference, but for its rate and silence after it."""
    samples, rate = speech
    expected = reference if rate == RATE else soxr.resample(reference, RATE, rate)
    longest = max(len(samples), len(expected))
    samples, expected = (np.pad(one, (0, longest - len(one))) for one in (samples, expected))
    wrong = samples - expected
    if rate == RATE:
        return bool(np.abs(wrong).max() <= ROUNDING)
    return bool(np.sum(expected**2) >= 10 ** (SIGNAL_TO_ROUNDING_DB / 10) * np.sum(wrong**2))


@pytest.mark.parametrize("speak", PROTOCOLS)
@pytest.mark.parametrize("language", SENTENCES)
async def test_sentences_are_heard_through_protocol(
    server: ServerProcess, references: dict[str, Samples], language: str, speak: Speak
) -> None:
    text = " ".join(SENTENCES[language])
    if language not in references:
        samples, rate = await openai(server, text, language)
        assert_heard((samples, rate), language)
        references[language] = samples
    speech = await speak(server, text, language)
    if not are_same(speech, references[language]):
        assert speak in IN_PIECES
        assert_heard(speech, language)
