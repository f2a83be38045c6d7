"""The relay's /stream_tts: content, times and order of utterances, exact messages, and bad input."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.relay_client import Alignment, Chunk, StreamHandler
from kani.core.session.voice_resolver import LanguageMemory
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.relay import messages
from kani.protocols.elevenlabs.relay import utterance as relay_utterance
from kani.protocols.elevenlabs.relay.utterance import RelayContext, Utterance
from tests.clients.relay.wire import RATE, Client, ReceivedUtterance, connect_client
from tests.support.event_loop import virtual_time
from tests.support.patience import happens
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50
ARABIC = "\u200fمَرْحَبًا بِالعَالَم! اليوم ٢١ يناير، والجو جميل 👋🏽."
TOO_LONG = "text: too long (at most 10000 characters)"


@pytest.fixture
async def stream(espeak_app: AppServer) -> AsyncIterator[Client]:
    async with connect_client(espeak_app.url) as client:
        yield client


def error(reason: str) -> dict[str, str]:
    return {"type": "error", "message": reason}


async def test_app_logic_collects_alignment(stream: Client) -> None:
    handler = StreamHandler()
    for text in (HELLO, ARABIC):
        await stream.connection.send(handler.start(text))
        pcm = b""
        while not isinstance(came := handler.handle(str(await stream.connection.recv())), Alignment):
            assert isinstance(came, Chunk)
            pcm += came.audio
        assert "".join(came.characters) == came.text == text
        assert came.duration_ms == pytest.approx(1000 * len(pcm) / 44_100, abs=20)
        for index, start in enumerate(came.starts_ms):
            if came.durations_ms[index]:
                assert came.character_at(start) == index


TEXTS = st.text(
    st.one_of(st.sampled_from("aáñ 21.,\n\u200f\u064e\u0301مرحبا👋🏽\ud83d\ude00"), st.characters()),
    min_size=1,
    max_size=60,
)


@settings(max_examples=50)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=8), st.booleans())
async def test_any_text_comes_back_with_tiled_times(
    espeak_app: AppServer, text: str, sizes: list[int], whole: bool
) -> None:
    ends = [0, *accumulate(sizes), max(len(text), sum(sizes))]
    async with connect_client(espeak_app.url) as client:
        if whole:
            await client.send("start_tts", text=text)
        else:
            await client.write(*(text[start:end] for start, end in pairwise(ends)))
        (await client.receive_utterance()).check_characters(text)


async def test_every_character_has_times(stream: Client) -> None:
    for text in (" ", "   \n ", "👋", "…", "\u200f", "Hola.   ", " \t Hola", "21,5 €", ARABIC):
        answer = await stream.speak(text)
        answer.check(text)
    said = {char: time for char, time in zip(ARABIC, answer.durations, strict=True) if char.isalpha()}
    assert all(time > 0 for time in said.values()), said


async def test_incremental_text_is_spoken_before_it_ends(stream: Client) -> None:
    pieces = ["Hola, ¿qué ", "tal estás? ", "Yo estoy muy ", "bien, gracias. ", "¿Y tu ", "familia?"]
    for piece in pieces[:-1]:
        await stream.send("append_tts", text=piece)
    first = await stream.receive()
    assert first["type"] == "chunk" and first["chunk_index"] == 0
    await stream.write(pieces[-1])
    assert (await stream.receive_after_chunks())["text"] == "".join(pieces)


async def test_texts_are_queued_in_order(stream: Client) -> None:
    await stream.send("start_tts", text=LONG[:400])
    await stream.send("append_tts", text="Se escribe ")
    await stream.send("start_tts", text="Y el tercero.")
    await stream.write("a trozos.")
    for text in (LONG[:400], "Se escribe a trozos.", "Y el tercero."):
        (await stream.receive_utterance()).check(text)


async def test_stop_discards_all_utterances(stream: Client) -> None:
    await stream.send("start_tts", text=LONG)
    assert (await stream.receive())["type"] == "chunk"
    await stream.send("ping")
    assert await stream.receive_after_chunks() == {"type": "pong"}
    await stream.send("start_tts", text=HELLO)
    await stream.send("append_tts", text="Se escribe ")
    await stream.send("stop")
    assert await stream.receive_after_chunks() == {"type": "stopped"}
    # Nothing is left to be finished, nor is an empty text.
    await stream.write()
    await stream.write("")
    await stream.ping()
    (await stream.speak(HELLO)).check(HELLO)
    await stream.write("Otra.")
    (await stream.receive_utterance()).check("Otra.")
    await stream.send("stop")
    assert await stream.receive() == {"type": "stopped"}


async def test_configured_voice_speaks(start_app: StartApp) -> None:
    lengths = set()
    for voice in ("espeak:de", "21m00Tcm4TlvDq8ikWAM"):
        async with connect_client(start_app(ELEVEN_VOICE_ID=voice).url) as client:
            lengths.add(len((await client.speak("2 + 2 = 4")).samples))
    assert len(lengths) == 2, "German, and the protocol's default language: the text tells none"


class Received(ReceivedUtterance):
    """Messages of an utterance over the tone engine."""

    def __init__(self, context: RelayContext) -> None:
        super().__init__()
        self.utterance = Utterance(context, "", (), LanguageMemory(), self.send)

    async def send(self, message: str, *, last: bool = False) -> None:
        assert not self.last
        if last:
            self.last = json.loads(message)
        else:
            self.chunks.append(json.loads(message))


@asynccontextmanager
async def received(folder: Path, engine: ToneEngine | None = None) -> AsyncIterator[Received]:
    async with serving(engine or ToneEngine(), folder) as service:
        yield Received(RelayContext(service, ElevenLabsSettings(relay_voice="tone_es"), None))


async def test_chunks_have_exact_times(tmp_path: Path) -> None:
    async with received(tmp_path) as heard:
        heard.utterance.feed("hola sol")
        heard.utterance.finish()
        await heard.utterance.synthesize()
    assert heard.utterance.closed
    assert heard.text == "hola sol"
    assert heard.starts == [0, 100, 200, 300, 400, 400, 500, 600]
    assert heard.durations == [100, 100, 100, 100, 0, 100, 100, 100]
    assert [chunk["chunk_index"] for chunk in heard.chunks] == list(range(len(heard.chunks)))
    counts = [len(piece) // 2 for piece in heard.pieces]
    assert sum(counts) == round(0.7 * RATE)
    assert max(counts) <= relay_utterance.MAX_CHUNK_SAMPLES
    total = sum(int(2 * count / (2 * RATE) * 1000) for count in counts)
    said = {"type": "complete", "total_chars": 8, "total_duration_ms": total, "text": "hola sol"}
    assert heard.last == said and {chunk["type"] for chunk in heard.chunks} == {"chunk"}


async def test_idle_text_is_spoken_and_then_ended(tmp_path: Path) -> None:
    """The time counts from the last text, also where that came before the session."""
    engine, loop = ToneEngine(), asyncio.get_running_loop()
    async with received(tmp_path, engine) as heard:
        with virtual_time():
            heard.utterance.feed("hola")
            await asyncio.sleep(relay_utterance.FLUSH_AFTER_S)
            began_s = loop.time()
            speaking = asyncio.create_task(heard.utterance.synthesize())
            await happens(lambda: engine.words)
            assert loop.time() - began_s < relay_utterance.FLUSH_AFTER_S and not heard.utterance.closed
            await speaking
    assert heard.utterance.closed and (heard.last["type"], heard.last["text"]) == ("complete", "hola")


def test_messages_match_original_bytes() -> None:
    assert messages.chunk(3, b"\x01\x02", "aم", [0, 5], [5, 7]) == (
        '{"type":"chunk","audio":"AQI=","char_times":[0,5],"char_durations":[5,7],'
        '"chars":["a","\\u0645"],"chunk_index":3}'
    )
    assert messages.complete("a", 5) == '{"type":"complete","total_chars":1,"total_duration_ms":5,"text":"a"}'
    assert messages.complete("\ud83d", 0).endswith('"text":"\\ud83d"}')
    assert (messages.STOPPED, messages.PONG) == ('{"type":"stopped"}', '{"type":"pong"}')
    assert messages.duration_ms(bytes(76_000)) == 1723


def start(text: object) -> str:
    return json.dumps({"action": "start_tts", "text": text})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        *((raw, "Invalid JSON") for raw in ("{", "", "[" * 90_000)),
        ('["start_tts"]', "a JSON object is expected, not a list"),
        ('{"action":"start_tts","text":NaN}', "Invalid JSON"),
        ("[" * 900_000, "too many values (at most 100000)"),
        *((raw, "Binary messages are not supported") for raw in (b"\0\1", b"")),
        ("{}", "Unknown action: None"),
        ('{"action":"speak"}', "Unknown action: speak"),
        ('{"action":["start_tts"]}', "Unknown action: ['start_tts']"),
        (json.dumps({"action": "x" * 500_000}), "Unknown action: " + "x" * 100),
        ('{"action":"\\ud83d"}', "Unknown action: \ud83d"),
        *((f'{{"action":"{name}_tts"}}', "No text provided") for name in ("start", "append")),
        *((start(text), "No text provided") for text in ("", None)),
        *((start(text), "text: must be a string") for text in (5, ["Hola"])),
        ('{"action":"append_tts","text":{}}', "text: must be a string"),
        *((start(text), TOO_LONG) for text in ("é" * 10_001, "a " * 500_000)),
    ],
)
async def test_bad_message_is_answered_by_one_error(stream: Client, raw: str | bytes, says: str) -> None:
    await stream.connection.send(raw)
    assert await stream.receive() == error(says)
    (await stream.speak(HELLO)).check(HELLO)


async def test_text_is_written_on_after_one_that_is_too_long(stream: Client) -> None:
    await stream.send("append_tts", text="Hola. ")
    await stream.send("append_tts", text="a" * 9_995)
    assert await stream.receive() == error(TOO_LONG)
    await stream.write("Adiós.")
    (await stream.receive_utterance()).check("Hola. Adiós.")


async def test_queue_is_limited_to_16_texts(stream: Client) -> None:
    await stream.send("append_tts", text="Espera: ")
    await stream.ping()
    for number in range(20):
        await stream.send("start_tts", text=f"Número {number}.")
    for _ in range(4):
        assert await stream.receive() == error("too many texts are waiting (at most 16)")
    await stream.write("ya.")
    for text in ("Espera: ya.", *(f"Número {number}." for number in range(16))):
        (await stream.receive_utterance()).check(text)


async def test_rate_limit_is_one_error(start_app: StartApp) -> None:
    server = start_app(KANI_RATE_PER_MINUTE="2")
    async with connect_client(server.url) as client:
        for _ in range(2):
            (await client.speak(HELLO)).check(HELLO)
        refused = await client.speak(HELLO)
        assert refused.chunks == [] and refused.last == error("too many requests (at most 2 a minute)")
        await client.ping()
