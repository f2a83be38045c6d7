"""Every protocol that speaks: a function each, which says texts one after the other on one connection.

It returns the last one's audio. Protocols without a field for the language leave it out, and those in which
a connection is a text, or a request, make one for each.
"""

import base64
import io
import wave
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx2
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from wyoming.event import Event
from wyoming.tts import Synthesize, SynthesizeVoice

from kani.core.types import Samples
from tests.clients.elevenlabs.wire import connect_client, connect_multi
from tests.clients.kani import wire as kani_wire
from tests.clients.kyutai.speaking import hear_all
from tests.clients.kyutai.wire import EOS, KEY, text_message
from tests.clients.openai_realtime import audio_of, text_item
from tests.clients.openai_realtime import realtime as realtime_session
from tests.clients.relay import wire as relay_wire
from tests.clients.voxcpm import wire as voxcpm_wire
from tests.protocols.wyoming.exchange import audio as audio_of_events
from tests.protocols.wyoming.exchange import client as wyoming_client
from tests.protocols.wyoming.exchange import read_until
from tests.support.patience import WITHIN_S

RATE = 24_000
RACHEL = "21m00Tcm4TlvDq8ikWAM"
NONE: Mapping[str, str] = {}


class Speech(NamedTuple):
    samples: Samples
    rate: int = RATE


class Place(NamedTuple):
    """Addresses of a server, and what requests to it say beside the text."""

    url: str
    http_url: str
    wyoming_port: int
    language: str = ""
    headers: Mapping[str, str] = NONE
    wyoming_voice: str = ""
    quotations: bool = True

    def named(self, field: str = "language") -> dict[str, Any]:
        unwanted = {} if self.quotations else {"quotations": False}
        return ({field: self.language} if self.language else {}) | unwanted

    @property
    def query(self) -> dict[str, str]:
        """The same as parameters of a query of Kyutai's."""
        return {name: f"{value}" for name, value in self.named().items()}


Speak = Callable[[Place, Sequence[str]], Awaitable[Speech]]


def of_pcm(pcm: bytes, rate: int = RATE) -> Speech:
    return Speech(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, rate)


def of_wav(file: bytes) -> Speech:
    with wave.open(io.BytesIO(file)) as opened:
        return of_pcm(opened.readframes(opened.getnframes()), opened.getframerate())


async def post(url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    async with httpx2.AsyncClient(timeout=WITHIN_S) as client:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


async def openai(to: Place, texts: Sequence[str]) -> Speech:
    body = {"model": "tts-1", "voice": "nova", "response_format": "pcm", **to.named()}
    for text in texts:
        audio = await post(f"{to.http_url}/v1/audio/speech", {**body, "input": text}, to.headers)
    return of_pcm(audio)


async def realtime(to: Place, texts: Sequence[str]) -> Speech:
    async with realtime_session(to.url, "model=gpt-realtime", additional_headers=to.headers) as client:
        for text in texts:
            await client.send("response.create", response={"input": [text_item(text)]})
            events = await client.until("response.done")
    return of_pcm(audio_of(events))


async def elevenlabs(to: Place, texts: Sequence[str]) -> Speech:
    for text in texts:
        url = f"{to.http_url}/v1/text-to-speech/{RACHEL}?output_format=pcm_24000"
        audio = await post(url, {"text": text, **to.named("language_code")}, to.headers)
    return of_pcm(audio)


async def elevenlabs_websocket(to: Place, texts: Sequence[str]) -> Speech:
    query = {"output_format": "pcm_24000", **to.named("language_code")}
    for text in texts:
        async with connect_client(to.url, voice=RACHEL, headers=to.headers, **query) as client:
            heard = await client.speak(f"{text} ")
    return Speech(heard.samples)


async def elevenlabs_contexts(to: Place, texts: Sequence[str]) -> Speech:
    query = {"output_format": "pcm_24000", **to.named("language_code")}
    async with connect_multi(to.url, RACHEL, headers=to.headers, **query) as client:
        for number, text in enumerate(texts):
            context = {"context_id": f"{number}"}
            await client.send(
                {"text": f"{text} ", "flush": True, **context}, {"close_context": True, **context}
            )
            (heard,) = await client.receive_until_final(f"{number}")
    return Speech(heard.samples)


async def kyutai(to: Place, texts: Sequence[str]) -> Speech:
    url = f"{to.url}/api/tts_streaming?{urlencode({'format': 'PcmMessagePack', **to.query})}"
    for text in texts:
        async with connect(url, additional_headers={**KEY, **to.headers}, max_size=None) as socket:
            for word in text.split():
                await socket.send(text_message(word))
            await socket.send(EOS)
            heard = await hear_all(socket)
    return Speech(heard.samples)


async def kyutai_http(to: Place, texts: Sequence[str]) -> Speech:
    for text in texts:
        body = {"text": text, "voice": ""}
        file = await post(f"{to.http_url}/api/tts_streaming", body, {**KEY, **to.headers})
    return of_wav(file)


async def voxcpm(to: Place, texts: Sequence[str]) -> Speech:
    async with voxcpm_wire.opened(to.url, additional_headers=to.headers) as client:
        for number, text in enumerate(texts):
            answer = await client.speak(text, f"{number}", **to.named())
            assert answer.last["type"] == "complete"
    return Speech(answer.samples, answer.last["result"]["sample_rate"])


async def wyoming(to: Place, texts: Sequence[str]) -> Speech:
    voice = SynthesizeVoice(to.wyoming_voice or None, to.language or None)
    async with wyoming_client(to.wyoming_port) as client:
        for text in texts:
            event = Synthesize(text, voice).event()
            await client.write_event(Event(event.type, event.data | to.named()))
            events = await read_until(client, "audio-stop")
    return of_pcm(audio_of_events(events), events[0].data["rate"])


async def request(socket: ClientConnection, text: str, **config: object) -> dict[str, Any]:
    return await kani_wire.ask(socket, kani_wire.request(text, config=config))


async def kani(to: Place, texts: Sequence[str]) -> Speech:
    async with connect(to.url, additional_headers=to.headers, max_size=None) as socket:
        for text in texts:
            answer = await request(socket, text, **to.named())
            assert answer["status"] == "success"
    return of_wav(base64.b64decode(answer["audio"]))


async def kani_rest(to: Place, texts: Sequence[str]) -> Speech:
    for text in texts:
        file = await post(f"{to.http_url}/tts", {"text": text, **to.named()}, to.headers)
    return of_wav(file)


async def relay(to: Place, texts: Sequence[str]) -> Speech:
    async with connect(f"{to.url}/stream_tts", additional_headers=to.headers, max_size=None) as socket:
        for text in texts:
            answer = await relay_wire.Client(socket).speak(text)
            assert answer.last["type"] == "complete"
    return Speech(answer.samples, relay_wire.RATE)


ONE_CONNECTION = (kani, voxcpm, relay, elevenlabs_contexts, realtime, wyoming)
"""Those that say several texts on one connection, which remembers the language."""
WITH_HEADERS = (kani, kani_rest, voxcpm, elevenlabs, elevenlabs_websocket, kyutai, kyutai_http, relay)
"""Those that read the languages of their client."""
ALL = (*WITH_HEADERS, openai, realtime, wyoming)
WITH_LANGUAGE = (
    *(kani, kani_rest, voxcpm, openai, elevenlabs, elevenlabs_websocket, elevenlabs_contexts),
    *(kyutai, wyoming),
)
"""Those with a field for the language, and one that leaves quotations in it."""
IN_PIECES = (elevenlabs_websocket, kyutai)

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
