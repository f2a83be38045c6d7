"""The relay's /stream_tts: content, times and order of utterances."""

from __future__ import annotations

import asyncio
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.relay_client import Alignment, Chunk, StreamHandler
from tests.clients.relay.wire import connect_client
from tests.conftest import ServerProcess
from tests.support.app_server import AppServer, StartApp

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50
ARABIC = "\u200fمَرْحَبًا بِالعَالَم! اليوم ٢١ يناير، والجو جميل 👋🏽."


async def test_texts_are_spoken_on_one_socket(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        for text in (HELLO, "Y otra vez.", HELLO):
            answer = await client.speak(text)
            answer.check(text)
            assert len(answer.samples) > 8_000 and abs(answer.samples).max() > 0.1


async def test_app_logic_collects_alignment(espeak_app: AppServer) -> None:
    handler = StreamHandler()
    async with connect_client(espeak_app.url) as client:
        for text in (HELLO, ARABIC):
            await client.connection.send(handler.start(text))
            pcm = b""
            while not isinstance(came := handler.handle(str(await client.connection.recv())), Alignment):
                assert isinstance(came, Chunk)
                pcm += came.audio
            assert "".join(came.characters) == came.text == text
            assert came.duration_ms == pytest.approx(1000 * len(pcm) / 44_100, abs=20)
            for index, start in enumerate(came.starts_ms):
                if came.durations_ms[index]:
                    assert came.character_at(start) == index


TEXTS = st.text(
    st.one_of(st.sampled_from("aáñ 21.,\n\u200f\u064e\u0301مرحبا👋🏽\ud83d\ude00"), st.characters()),
    max_size=60,
)


@settings(deadline=None, max_examples=50)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=8), st.booleans())
async def test_any_text_comes_back_with_tiled_times(
    espeak_app: AppServer, text: str, sizes: list[int], whole: bool
) -> None:
    if not text:
        return
    async with connect_client(espeak_app.url) as client:
        if whole:
            await client.send("start_tts", text=text)
        else:
            for start, end in pairwise([0, *accumulate(sizes), max(len(text), sum(sizes))]):
                await client.send("append_tts", text=text[start:end])
            await client.send("finish_tts")
        (await client.receive_utterance()).check_characters(text)


@pytest.mark.parametrize("text", [" ", "   \n ", "👋", "…", "\u200f", "Hola.   ", " \t Hola", "21,5 €"])
async def test_unspeakable_characters_have_times(espeak_app: AppServer, text: str) -> None:
    async with connect_client(espeak_app.url) as client:
        (await client.speak(text)).check(text)


async def test_arabic_letters_have_durations(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        answer = await client.speak(ARABIC)
    answer.check(ARABIC)
    said = {char: time for char, time in zip(ARABIC, answer.durations, strict=True) if char.isalpha()}
    assert all(time > 0 for time in said.values()), said


async def test_incremental_text_is_spoken_before_it_ends(espeak_app: AppServer) -> None:
    pieces = ["Hola, ¿qué ", "tal estás? ", "Yo estoy muy ", "bien, gracias. ", "¿Y tu ", "familia?"]
    async with connect_client(espeak_app.url) as client:
        for piece in pieces[:-1]:
            await client.send("append_tts", text=piece)
        first = await client.receive()
        assert first["type"] == "chunk" and first["chunk_index"] == 0
        await client.send("append_tts", text=pieces[-1])
        await client.send("finish_tts")
        answer_rest = [first]
        while (message := await client.receive())["type"] == "chunk":
            answer_rest.append(message)
        assert [chunk["chunk_index"] for chunk in answer_rest] == list(range(len(answer_rest)))
        assert "".join(char for chunk in answer_rest for char in chunk["chars"]) == "".join(pieces)
        assert message["text"] == "".join(pieces)


async def test_idle_text_is_spoken_to_last_word(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("append_tts", text="Déjame ver")
        text = ""
        async with asyncio.timeout(300):
            while not text.endswith("ver"):
                text += "".join((await client.receive())["chars"])
        await client.send("append_tts", text=". Ya está.")
        await client.send("finish_tts")
        while (message := await client.receive())["type"] == "chunk":
            text += "".join(message["chars"])
        assert text == message["text"] == "Déjame ver. Ya está."


async def test_texts_are_queued_in_order(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("start_tts", text=LONG[:400])
        await client.send("append_tts", text="Se escribe ")
        await client.send("start_tts", text="Y el tercero.")
        await client.send("append_tts", text="a trozos.")
        await client.send("finish_tts")
        for text in (LONG[:400], "Se escribe a trozos.", "Y el tercero."):
            (await client.receive_utterance()).check(text)


async def test_stop_discards_all_utterances(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("start_tts", text=LONG)
        assert (await client.receive())["type"] == "chunk"
        await client.send("start_tts", text=HELLO)
        await client.send("append_tts", text="Se escribe ")
        await client.send("stop")
        assert await client.receive_after_chunks() == {"type": "stopped"}
        await client.send("finish_tts")
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}
        (await client.speak(HELLO)).check(HELLO)
        await client.send("append_tts", text="Otra.")
        await client.send("finish_tts")
        (await client.receive_utterance()).check("Otra.")
        await client.send("stop")
        assert await client.receive() == {"type": "stopped"}


async def test_ping_is_answered_between_chunks(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("start_tts", text=LONG)
        assert (await client.receive())["type"] == "chunk"
        await client.send("ping")
        assert await client.receive_after_chunks() == {"type": "pong"}
        await client.send("stop")


async def test_configured_voice_speaks(start_app: StartApp) -> None:
    lengths = set()
    for voice in ("espeak:de", "21m00Tcm4TlvDq8ikWAM"):
        async with connect_client(start_app(ELEVEN_VOICE_ID=voice).url) as client:
            lengths.add(len((await client.speak("2 + 2 = 4")).samples))
    assert len(lengths) == 2, "German, and the protocol's default language: the text tells none"


async def test_relay_has_own_port(compat_server: ServerProcess) -> None:
    heard = []
    for url in (compat_server.url, f"ws://localhost:{compat_server.compat['relay']}"):
        async with connect_client(url) as client:
            heard.append(await client.speak("Buenos dias"))
            heard[-1].check("Buenos dias")
    assert (heard[0].samples == heard[1].samples).all()
