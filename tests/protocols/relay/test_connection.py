"""The relay's /stream_tts: what is said, when, and in which order."""

from __future__ import annotations

import asyncio
from itertools import accumulate, pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.relay_client import Alignment, Chunk, StreamHandler
from tests.clients.relay.wire import Client, connect_client
from tests.conftest import ServerProcess, StartServer

HELLO = "Hola, esto es una prueba."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50
ARABIC = "\u200fمَرْحَبًا بِالعَالَم! اليوم ٢١ يناير، والجو جميل 👋🏽."


async def test_a_text_is_said_and_the_socket_stays(espeak_server: ServerProcess) -> None:
    """Chunks with characters and their times, and complete; the next utterance begins anew."""
    async with connect_client(espeak_server.url) as client:
        for text in (HELLO, "Y otra vez.", HELLO):
            answer = await client.speak(text)
            answer.check(text)
            assert len(answer.samples) > 8_000 and abs(answer.samples).max() > 0.1


async def test_the_apps_own_logic_gets_it_whole(espeak_server: ServerProcess) -> None:
    """Chunks are collected, told once at complete, and forgotten: two utterances do not mix."""
    handler = StreamHandler()
    async with connect_client(espeak_server.url) as client:
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


@settings(deadline=None, max_examples=40)
@given(TEXTS, st.lists(st.integers(1, 9), max_size=8), st.booleans())
def test_characters_are_those_of_the_client(
    espeak_server: ServerProcess, text: str, sizes: list[int], whole: bool
) -> None:
    """Whatever the text and however it was cut: the same code points, in order, with times that tile."""
    if not text:
        return

    async def check() -> None:
        async with connect_client(espeak_server.url) as client:
            if whole:
                await client.send("start_tts", text=text)
            else:
                for start, end in pairwise([0, *accumulate(sizes), max(len(text), sum(sizes))]):
                    await client.send("append_tts", text=text[start:end])
                await client.send("finish_tts")
            (await client.receive_utterance()).check_characters(text)

    asyncio.run(check())


@pytest.mark.parametrize("text", [" ", "   \n ", "👋", "…", "\u200f", "Hola.   ", " \t Hola", "21,5 €"])
async def test_what_cannot_be_said_has_times_too(espeak_server: ServerProcess, text: str) -> None:
    """Spaces, emoji, marks and digits, alone and at the ends."""
    async with connect_client(espeak_server.url) as client:
        (await client.speak(text)).check(text)


async def test_arabic_as_it_is_written(espeak_server: ServerProcess) -> None:
    """Marks, vowels, digits and an emoji of two code points; letters are said in order, all in some time."""
    async with connect_client(espeak_server.url) as client:
        answer = await client.speak(ARABIC)
    answer.check(ARABIC)
    said = {char: time for char, time in zip(ARABIC, answer.durations, strict=True) if char.isalpha()}
    assert all(time > 0 for time in said.values()), said


async def test_text_is_said_while_it_is_written(espeak_server: ServerProcess) -> None:
    """The first sound is there before the text's end; it is one utterance."""
    pieces = ["Hola, ¿qué ", "tal estás? ", "Yo estoy muy ", "bien, gracias. ", "¿Y tu ", "familia?"]
    async with connect_client(espeak_server.url) as client:
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


async def test_what_is_there_is_said_though_nobody_finishes(espeak_server: ServerProcess) -> None:
    """A writer that pauses is heard to its last word."""
    async with connect_client(espeak_server.url) as client:
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


async def test_texts_wait_for_each_other(espeak_server: ServerProcess) -> None:
    """What comes while another speaks is said behind it, and nothing is lost or mixed."""
    async with connect_client(espeak_server.url) as client:
        await client.send("start_tts", text=LONG[:400])
        await client.send("append_tts", text="Se escribe ")
        await client.send("start_tts", text="Y el tercero.")
        await client.send("append_tts", text="a trozos.")
        await client.send("finish_tts")
        for text in (LONG[:400], "Se escribe a trozos.", "Y el tercero."):
            (await client.receive_utterance()).check(text)


async def test_stop_ends_all(espeak_server: ServerProcess) -> None:
    """What speaks, what waits and what is being written; nothing of it comes behind ``stopped``."""
    async with connect_client(espeak_server.url) as client:
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


async def test_ping_is_answered_while_it_speaks(server: ServerProcess) -> None:
    """At once, between two chunks."""
    async with connect_client(server.url) as client:
        await client.send("start_tts", text=LONG[:600])
        assert (await client.receive())["type"] == "chunk"
        await client.send("ping")
        assert await client.receive_after_chunks() == {"type": "pong"}
        await client.send("stop")


async def until_nobody_speaks(server: ServerProcess, client: Client) -> None:
    """Wait until the server has no session left."""
    async with httpx.AsyncClient() as http, asyncio.timeout(300):
        while (await http.get(f"{server.http_url}/health")).json()["active_sessions"]:
            await client.send("ping")
            await client.receive()


async def test_whoever_goes_leaves_nothing(espeak_server: ServerProcess) -> None:
    """A client that goes while it is spoken to, and one that never finished, free their places."""
    async with connect_client(espeak_server.url) as client:
        await client.send("start_tts", text=LONG)
        await client.receive()
        await client.send("start_tts", text=LONG)
    async with connect_client(espeak_server.url) as client:
        await client.send("append_tts", text="Nunca ")
    async with connect_client(espeak_server.url) as client:
        await until_nobody_speaks(espeak_server, client)


async def test_the_port_and_the_voice_of_the_relay(start_server: StartServer) -> None:
    """With --compat it has its own port; ELEVEN_VOICE_ID speaks if it is a voice of this server."""
    server = start_server("--engine", "espeak", "--compat", ELEVEN_VOICE_ID="espeak:de")
    heard = []
    for url in (server.url, f"ws://localhost:{server.compat['relay']}"):
        async with connect_client(url) as client:
            heard.append(await client.speak("Buenos dias"))
            heard[-1].check("Buenos dias")
    assert (heard[0].samples == heard[1].samples).all()
    other = start_server("--engine", "espeak", ELEVEN_VOICE_ID="21m00Tcm4TlvDq8ikWAM")
    async with connect_client(other.url) as client:
        spanish = await client.speak("Buenos dias")
    assert len(spanish.samples) != len(heard[0].samples)
