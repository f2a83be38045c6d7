"""ElevenLabs' WebSockets: messages as recorded from the service, and contexts beside each other."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kani.core.audio.pcm import decode_recording
from kani.protocols.elevenlabs.websocket.connection import PrioritySender
from kani.protocols.elevenlabs.websocket.messages import Alignments, MessageWriter
from tests.clients.elevenlabs.wire import (
    BOS,
    EOS,
    Client,
    Message,
    ReceivedSpeech,
    assert_tiles,
    connect_client,
    connect_multi,
)
from tests.protocols.bad_input import ended
from tests.protocols.conftest import Serve
from tests.protocols.elevenlabs.conftest import tone_app
from tests.support.event_loop import virtual_time
from tests.support.patience import happens
from tests.support.servers import held_socket
from tests.support.servers.app_server import AppServer, StartApp, application
from tests.support.servers.held_socket import HeldSocket
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

HELLO = "Hola, esto es una prueba. "
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 8


def close(name: str) -> dict[str, object]:
    return {"context_id": name, "close_context": True}


async def spoken(server: AppServer, *texts: str, **query: object) -> ReceivedSpeech:
    """Speech of texts on a connection of their own."""
    async with connect_client(server.url, **query) as client:  # type: ignore[arg-type]
        return await client.speak(*texts)


def open_context(name: str, text: str = "", **more: object) -> list[dict[str, object]]:
    return [
        {"text": " ", "voice_settings": {}, "context_id": name},
        {"text": text, "context_id": name, "flush": True, **more},
    ]


async def test_frames_match_recorded_service(espeak_app: AppServer) -> None:
    url = f"{espeak_app.url}/v1/text-to-speech/espeak:es/stream-input?output_format=pcm_24000"
    tokens = [{"text": token} for token in ("Hol", "a", " mundo", ".")]
    raw, *closed = await ended(url, BOS, *tokens, EOS)
    assert closed == [1000, ""]
    first, last = raw[0], raw[-1]
    untimed = MessageWriter().audio(b"audio", Alignments(None, None))
    assert last == '{"alignment":null,"audio":null,"isFinal":true,"normalizedAlignment":null}'
    assert untimed.startswith('{"alignment":null,"audio":"')
    assert untimed.endswith('","isFinal":null,"normalizedAlignment":null}')
    alignment = json.loads(first)["alignment"]
    told = json.dumps(alignment, separators=(",", ":"))
    assert first.startswith(f'{{"alignment":{told},"audio":"')
    assert first.endswith(f'","isFinal":null,"normalizedAlignment":{told}}}')
    assert alignment["chars"][0] == "H"
    received = ReceivedSpeech()
    for message in map(json.loads, raw):
        received.add(message)
    assert received.text == "Hola mundo. "


@pytest.mark.parametrize("output_format", ["pcm_24000", "ulaw_8000"])
async def test_message_lasts_as_long_as_its_characters(espeak_app: AppServer, output_format: str) -> None:
    """vocode counts so how much of a text was said when it is interrupted."""
    text = "Hola, me llamo Kani. Hay 42 motivos, me preguntaba, por los que vienes a preguntar. "
    heard = await spoken(espeak_app, text, output_format=output_format)
    bytes_a_second = {"pcm_24000": 48_000, "ulaw_8000": 8_000}[output_format]
    counted = [
        (len(data) / bytes_a_second, len(characters)) for data, characters in heard.parts if characters
    ]
    assert sum(seconds for seconds, _ in counted) > 0.97 * len(heard.audio) / bytes_a_second
    characters = heard.summed()
    said, passed_s = 0, 0.0
    for seconds, count in counted:
        said, passed_s = said + count, passed_s + seconds
        last = characters[said - 1]
        assert passed_s == pytest.approx((last.start + last.duration) / 1000, abs=0.15)


async def test_speech_that_waits_is_sent_in_few_messages(tmp_path: Path) -> None:
    words = 20  # of 0.4 s, made at once; at another rate a piece of 0.4 s is a little longer or shorter
    async with tone_app(tmp_path) as server:
        how = {"voice": "tone_es", "output_format": "pcm_24000", "sync_alignment": "true"}
        heard = await spoken(server, "hola " * words, **how)
    lengths = [len(data) / 48_000 for data, _ in heard.parts]
    assert sum(lengths) == pytest.approx(0.4 * words) and max(lengths) <= 0.5
    assert len(lengths) < 1.5 * words


@pytest.mark.parametrize("sync", ["false", "true"])
async def test_normalized_alignment_has_spoken_form(espeak_app: AppServer, sync: str) -> None:
    said = {}
    for normalization in ("auto", "off"):
        query = {"sync_alignment": sync, "apply_text_normalization": normalization, "language_code": "es"}
        heard = await spoken(espeak_app, "Hay 21 casas.", **query)
        assert heard.text == "Hay 21 casas. "
        said[normalization] = "".join(each.text for each in heard.normalized)
        if sync == "true":
            assert_tiles(heard.normalized)
    assert said["auto"].rstrip() == "Hay veintiuna casas."
    assert said["off"].rstrip() == "Hay 21 casas."


@pytest.mark.parametrize(("times", "sync"), [("absolute", "false"), ("relative", "true")])
async def test_operator_sets_origin_of_times(start_app: StartApp, times: str, sync: str) -> None:
    server = start_app(KANI_ELEVENLABS_TIMES=times)
    heard = await spoken(server, HELLO, "¿Qué tal estás?", sync_alignment=sync)
    characters = heard.absolute() if times == "absolute" else heard.audio_relative(22_050)
    starts = [each.start for each in characters]
    assert starts == sorted(starts) and starts[-1] > 1500


async def test_first_message_contains_text_and_settings_and_unknown_ones(espeak_app: AppServer) -> None:
    first = {
        "text": "Hola mundo ",
        "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 1.2, "baz": 7},
        "generation_config": {"chunk_length_schedule": [120, 160, 250, 290]},
        "xi_api_key": "k",
        "try_trigger_generation": True,
        "foo": {"bar": []},
    }
    query = {"optimize_streaming_latency": 4, "inactivity_timeout": 300, "enable_logging": "x", "foo": "bar"}
    async with connect_client(espeak_app.url, **query) as client:
        await client.send(first, EOS)
        assert (await client.receive_until_closed())[0] == 1000
        fast = client.received()
    usual = await spoken(espeak_app, "Hola mundo ")
    assert fast.text == usual.text == "Hola mundo "
    assert len(fast.samples) / len(usual.samples) == pytest.approx(1 / 1.2, abs=0.03)


async def test_text_is_spoken_before_input_ends(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url, sync_alignment="true") as client:
        await client.send(BOS, {"text": "Primero una frase entera. Y luego"})
        await client.receive_text(begin="Primero una frase entera")
        await client.send({"text": "", "flush": True})
        await client.receive_text(end="luego")
        await client.send({"text": " una frase que nadie termina aunque ya sea bastante larga, "})
        await client.send({"text": "tanto como quiere ", "generator_config": {"chunk_length_schedule": [50]}})
        await client.receive_text(end="quiere")
        await client.send({"text": "y sigue.", "flush": True}, EOS)
        assert (await client.receive_until_closed())[0] == 1000
        text = "una frase que nadie termina aunque ya sea bastante larga, tanto como quiere y sigue. "
        assert client.received().text == "Primero una frase entera. Y luego  " + text


async def test_space_keeps_connection_alive_without_joining_words(serve: Serve) -> None:
    server = await serve()
    async with connect_client(server.url, voice="tone_es", inactivity_timeout=2) as client:
        await client.send(BOS, {"text": "uno"})
        with virtual_time():
            for _ in range(4):
                await client.send({"text": " "})
                await asyncio.sleep(1)
        await client.send({"text": "dos"}, EOS)
        assert (await client.receive_until_closed())[0] == 1000
        assert client.received().text == "uno dos "


async def test_streams_may_be_empty_and_characters_come_back(espeak_app: AppServer) -> None:
    assert (await spoken(espeak_app)).parts == []
    heard = await spoken(espeak_app, "…")
    assert heard.text == "… " and not heard.samples.any() and len(heard.samples)
    for text in ("Sí 🙂 ñandú. ", "\u200fمرحبا\u200f، كيف الحال؟ ", "medio \ud83d emoji. ", "21 €, 3.5 %. "):
        assert (await spoken(espeak_app, text)).text == text


@pytest.mark.parametrize(
    ("name", "bytes_a_second"),
    [
        ("mp3_44100_128", None),
        ("mp3_22050_32", None),
        ("opus_48000_64", None),
        ("ulaw_8000", 8_000),
        ("alaw_8000", 8_000),
        ("pcm_8000", 16_000),
        ("pcm_48000", 96_000),
    ],
)
async def test_formats_have_same_times(espeak_app: AppServer, name: str, bytes_a_second: int | None) -> None:
    heard = await spoken(espeak_app, HELLO, LONG[:200], output_format=name)
    plain = await spoken(espeak_app, HELLO, LONG[:200], sync_alignment="true")
    if bytes_a_second is None:
        heard_s = decode_recording(heard.audio).duration_s
    else:
        heard_s = len(heard.audio) / bytes_a_second
    assert heard_s == pytest.approx(len(plain.samples) / 22_050, abs=0.06)
    for one, other in zip(heard.summed(), plain.absolute(), strict=True):
        assert one.text == other.text and abs(one.start - other.start) <= 1


async def test_default_format_is_mp3_and_premade_voice_follows_language(espeak_app: AppServer) -> None:
    rachel, text = "21m00Tcm4TlvDq8ikWAM", "This is quite an ordinary English sentence, is it not?"
    assert (await spoken(espeak_app, text, voice=rachel, output_format="")).audio[:2] == b"\xff\xfb"
    await spoken(espeak_app, "Bonjour tout le monde.", voice=rachel, language_code="fr")


async def test_five_contexts_speak_independently(espeak_app: AppServer) -> None:
    texts = {f"c{number}": f"Número {number}. {HELLO}" for number in range(5)}
    async with connect_multi(espeak_app.url, sync_alignment="true", auto_mode="true") as client:
        alone = {}
        for name, text in texts.items():
            await client.send(*open_context(name, text), close(name))
            (alone[name],) = await client.receive_until_final(name)
        for name, text in texts.items():
            await client.send(*open_context(name, text))
        for name in texts:
            await client.send({"text": "", "context_id": name, "flush": True})
            await client.send(close(name))
        together = await client.receive_until_final(*texts)
        for (name, text), heard in zip(texts.items(), together, strict=True):
            assert heard.text == text and heard.parts == alone[name].parts
        await client.send({"close_socket": True})
        assert await client.receive_until_closed() == (1000, "")


async def test_context_id_has_two_spellings(espeak_app: AppServer) -> None:
    """``ReceivedSpeech`` wants both in every message."""
    async with connect_multi(espeak_app.url) as client:
        await client.send({"text": "Hola. ", "contextId": "ñ 1", "flush": True})
        message = await client.receive_speech()
        assert (message["contextId"], message["context_id"]) == ("ñ 1", "ñ 1")
        await client.send({"close_context": True, "contextId": "ñ 1"})
        while not client.received("ñ 1").final:
            message = await client.receive_speech()
        assert (message["contextId"], message["context_id"]) == ("ñ 1", "ñ 1")


async def test_empty_texts_open_no_context(espeak_app: AppServer) -> None:
    async with connect_multi(espeak_app.url, auto_mode="true") as client:
        for number in range(10):
            await client.send({"text": ""}, {"text": "", "context_id": f"gone{number}"})
        for number in range(5):
            await client.send({"text": " ", "context_id": f"c{number}"})
            await client.send({"text": ""}, {"text": "", "context_id": f"c{number}"})
        await client.send({"text": HELLO, "context_id": "c4"}, close("c4"))
        (heard,) = await client.receive_until_final("c4")
        assert heard.text == HELLO


@pytest.mark.parametrize(
    ("messages", "name", "text"),
    [
        # A context needs no id, and a flush without text opens one.
        ([{"text": HELLO, "flush": True}, {"close_context": True}], None, HELLO),
        ([{"context_id": "c", "flush": True}, close("c")], "c", ""),
    ],
)
async def test_context_without_id_or_text_is_closed(
    espeak_app: AppServer, messages: list[dict[str, object]], name: str | None, text: str
) -> None:
    async with connect_multi(espeak_app.url) as client:
        await client.send(*messages)
        while not client.received(name).final:
            await client.receive_speech()
        assert client.received(name).text == text


async def test_close_socket_speaks_flushed_text(espeak_app: AppServer) -> None:
    async with connect_multi(espeak_app.url) as client:
        await client.send(
            *open_context("a", LONG), {"text": "nunca", "context_id": "b"}, {"close_socket": True}
        )
        assert await client.receive_until_closed() == (1000, "")
        assert client.received("a").text == LONG and client.received("a").final
        assert client.received("b").text == "" and client.received("b").final


OLD = "alfa beta gama delta zeta iota kapa lambda sigma omega tau fi. "
NEW = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce. "


class HeldClient(Client):
    """A client over a socket whose messages are taken by hand."""

    def __init__(self, held: HeldSocket) -> None:
        self.held = held
        self.contexts = {}

    async def send(self, *messages: Message | str) -> None:
        await self.held.send(*messages)  # type: ignore[arg-type]

    async def receive(self) -> Message:
        return await self.held.take()


@asynccontextmanager
async def connected(folder: Path, engine: ToneEngine, **limits: float) -> AsyncIterator[HeldClient]:
    async with serving(engine, folder, **limits) as service:
        path, query = "/v1/text-to-speech/tone_es/multi-stream-input", "output_format=pcm_8000&auto_mode=true"
        async with held_socket.connected(application(folder, service), path, query) as socket:
            yield HeldClient(socket)


def context(name: str, text: str) -> list[dict[str, object]]:
    return [{"text": " ", "context_id": name}, {"text": text, "context_id": name}]


async def test_new_context_is_synthesized_before_closed_one(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True, places=2, allow=0)
    async with connected(tmp_path, engine) as socket:
        await socket.send(*context("old", OLD))
        await engine.permit(2)
        await socket.send({"context_id": "old", "flush": True}, close("old"), *context("new", NEW))
        await happens(lambda: engine.under_way >= 2)
        for _ in range(4):
            await engine.permit(1)
        assert {"uno", "dos", "tres"} <= set(engine.words[2:6])
        await engine.permit(None)
        await socket.send(close("new"))
        old, new = await socket.receive_until_final("old", "new")
    assert (old.text, new.text) == (OLD, NEW)
    assert old.error is new.error is None


async def test_context_that_is_closed_before_it_was_heard_is_spoken(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with connected(tmp_path, engine) as socket:
        for name in ("one", "two", "three"):
            await socket.send(*context(name, OLD), close(name))
        heard = await socket.receive_until_final("one", "two", "three")
        assert [one.text for one in heard] == [OLD] * 3


async def test_context_that_is_closed_while_it_is_heard_is_spoken_if_nothing_else_is(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True, allow=0)
    async with connected(tmp_path, engine) as socket:
        await socket.send(*context("a", OLD))
        await engine.permit(3)
        await socket.receive_speech()
        # An open context without text is no answer yet.
        await socket.send(close("a"), {"text": " ", "context_id": "b"})
        await engine.permit(None)
        (heard,) = await socket.receive_until_final("a")
        assert heard.text == OLD


async def test_reused_id_waits_for_closed_context(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True, allow=0)
    async with connected(tmp_path, engine) as socket:
        await socket.send(*context("a", OLD))
        await engine.permit(1)
        await socket.send(close("a"), *context("a", NEW))
        await engine.permit(None)
        (old,) = await socket.receive_until_final("a")
        await socket.send(close("a"))
        (new,) = await socket.receive_until_final("a")
        assert (old.text, new.text) == (OLD, NEW)
        # Its times begin anew.
        assert new.summed() == new.audio_relative(8000) and new.summed()[0].start == 0


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"max_connections": 1}, "system_busy"), ({"rate_per_minute": 1}, "too_many_concurrent_requests")],
)
async def test_limit_ends_context_alone(tmp_path: Path, limits: dict[str, int], error: str) -> None:
    async with connected(tmp_path, ToneEngine(allow=0), **limits) as socket:
        await socket.send(*context("a", OLD), *context("b", NEW))
        (b,) = await socket.receive_until_final("b")
        assert b.error is not None and (b.error["error"], b.error["code"]) == (error, 1008)
        assert not socket.contexts


async def test_engine_failure_ends_context_alone(tmp_path: Path) -> None:
    async with connected(tmp_path, ToneEngine()) as socket:
        for name, text in (("a", "uno dos. kaputt. "), ("b", "tres. ")):
            await socket.send(*context(name, text), close(name))
        broken, good = await socket.receive_until_final("a", "b")
        error = {"code": 1011, "error": "internal_server_error", "message": "the tone broke"}
        assert broken.error == error | {"contextId": "a", "context_id": "a"}
        assert broken.text.startswith("uno dos")
        assert (good.text, good.error) == ("tres. ", None)


async def test_sender_sends_low_priority_messages_last() -> None:
    sent: list[str] = []
    reads = asyncio.Semaphore(0)

    async def send(message: str) -> None:
        await reads.acquire()
        sent.append(message)

    outgoing = PrioritySender(send)
    under_way = asyncio.create_task(outgoing.send("old 1", low_priority=lambda: True))
    await asyncio.sleep(0)
    others = [asyncio.create_task(outgoing.send(f"new {number}")) for number in range(2)]
    late = asyncio.create_task(outgoing.send("old 2", low_priority=lambda: True))
    others.append(asyncio.create_task(outgoing.send("new 2")))
    # All of them have begun before the first message is read.
    await asyncio.sleep(0)
    for _ in range(5):
        reads.release()
    await asyncio.gather(under_way, late, *others)
    assert sent == ["old 1", "new 0", "new 1", "new 2", "old 2"]
