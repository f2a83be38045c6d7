"""The Kani protocol over real sockets, spoken by real engines."""

import base64
import io
import struct
import wave
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from kani.core.types import Span
from kani.protocols.kani.websocket import MAX_WAITING_BYTES
from tests.clients.kani import wire
from tests.clients.kani.wire import RATE, ask, pcm, receive, samples, stream
from tests.conftest import ServerProcess
from tests.core.timing.test_spans import assert_tiles
from tests.judges.judge import hear, word_error_rate
from tests.protocols.bad_input import shown
from tests.protocols.conftest import Serve
from tests.support.patience import happens
from tests.support.servers.app_server import AppServer
from tests.support.sound_measures import end_pitch
from tests.support.tables import raw_rows

HOLA = "¡Hola! ¿Cómo estás hoy?"
LONG = "Esta es una frase bastante larga que se repite muchas veces para que dure. " * 12


def request(text: str = HOLA, kind: str = "tts_request", **data: Any) -> str:
    return wire.request(text, kind, **data)


@pytest.fixture
async def socket(espeak_app: AppServer) -> AsyncIterator[ClientConnection]:
    async with connect(espeak_app.url, max_size=None) as connection:
        yield connection


async def assert_alive(socket: ClientConnection) -> None:
    assert (await ask(socket, request("Sigo aquí.")))["status"] == "success"


def spans(rows: list[list[float]]) -> list[Span]:
    return [Span(int(start), int(end), start_s, end_s) for start, end, start_s, end_s in rows]


async def test_request_gets_one_answer(socket: ClientConnection) -> None:
    config = {"language": "spanish", "emotion": "friendly", "speed": 1.0, "temperature": 0.6}
    data = await ask(socket, request(config=config | {"max_tokens": 1200}))
    assert list(data) == ["audio", "status", "message", "metadata"]
    assert (data["status"], data["message"]) == ("success", "Audio generated successfully")
    metadata = data["metadata"]
    heard = samples(data)
    assert metadata["duration"] == len(heard) / 22050
    assert 0.8 < metadata["duration"] < 3.0 and np.abs(heard).max() > 3000
    expected = {"sample_rate": 22050, "channels": 1, "engine": "espeak"} | config
    del expected["temperature"]
    assert expected.items() <= metadata.items()
    assert metadata["cloning"] == "none" and metadata["voice"].startswith("espeak:es")
    assert metadata["unused"] == ["temperature"] and metadata["passages"] == []
    assert_tiles(spans(metadata["spans"]), len(HOLA))
    await socket.send('{"type":"ping","data":{}}')
    assert await receive(socket) == ("pong", {"status": "alive", "tts_initialized": True})


async def test_prosody_fields_are_applied_and_echoed(socket: ClientConnection) -> None:
    text = "Kani cuenta hasta 21 y se va."
    plain = await ask(socket, request(text, config={"language": "spanish"}))
    natural_s = plain["metadata"]["duration"]
    config = {
        "language": "spanish",
        "emotion": "happy:0.5,calm:0.5",
        "emotion_strength": 0.7,
        "speed": 1.0,
        "duration": round(1.2 * natural_s, 2),
        "lexicon": {"Kani": "ka ni ka ni"},
        "normalize": False,
    }
    metadata = (await ask(socket, request(text, config=config)))["metadata"]
    assert metadata["duration"] == pytest.approx(config["duration"], rel=0.02)
    echoed = {key: config[key] for key in ("emotion", "emotion_strength", "speed")}
    echoed["requested_duration"] = config["duration"]
    assert echoed.items() <= metadata.items()
    assert metadata["unused"] == []
    assert_tiles(spans(metadata["spans"]), len(text))
    assert not {"emotion_strength", "requested_duration"} & plain["metadata"].keys()


async def test_question_rises_unless_the_client_turns_it_off(
    server: ServerProcess, socket: ClientConnection
) -> None:
    async with connect(server.url, max_size=None) as connection:
        ends = []
        for text, melody in (("Hay leche.", None), ("¿Hay leche?", None), ("¿Hay leche?", 0)):
            config = {"language": "es", "voice_id": "ef_dora", "melody": melody}
            data = await ask(connection, request(text, config=config))
            assert data["metadata"]["unused"] == []
            ends.append(end_pitch(samples(data).astype(np.float32)))
        assert ends[1] - ends[0] >= 2 and ends[2] - ends[0] < 2
    data = await ask(socket, request(config={"language": "es", "melody": 0.5}))
    assert data["metadata"]["unused"] == ["melody"]


async def test_foreign_passage_is_reported(server: ServerProcess) -> None:
    async with connect(server.url, max_size=None) as connection:
        text = "Dijo καλή μέρα y se fue."
        config = {"language": "es", "voice_id": "ef_dora"}
        whole = (await ask(connection, request(text, config=config)))["metadata"]
        _, kind, last = await stream(connection, request(text, "tts_stream_request", config=config))
    expected = [{"start": 5, "end": 14, "language": "el", "voice": "espeak:el", "engine": "espeak"}]
    assert whole["passages"] == expected and whole["voice"] == "ef_dora"
    assert (kind, last["metadata"]["passages"]) == ("tts_stream_complete", expected)


async def test_quotation_is_heard_in_its_language(server: ServerProcess) -> None:
    said = "the file could not be found on this computer"
    text = f"El programa responde: «{said}», y no hace nada más."
    async with connect(server.url, max_size=None) as connection:
        answer = await ask(connection, request(text, config={"language": "es"}))
    metadata = answer["metadata"]
    (passage,) = metadata["passages"]
    assert text[passage["start"] : passage["end"]] == f"«{said}»,"
    assert (passage["language"], passage["voice"]) == ("en", metadata["voice"])
    inside = [span for span in spans(metadata["spans"]) if passage["start"] <= span.start < passage["end"]]
    first, last = (round(RATE * at) for at in (inside[0].start_s, inside[-1].end_s))
    heard = hear(samples(answer)[first:last] / np.float32(1 << 15), RATE, "en")
    assert word_error_rate(said, heard, "en") <= 0.12, heard


async def test_stream_equals_whole_answer(socket: ClientConnection) -> None:
    whole = await ask(socket, request(LONG))
    chunks, kind, last = await stream(socket, request(LONG, "tts_stream_request", config={"chunk_size": 10}))
    assert kind == "tts_stream_complete"
    assert (last["status"], last["message"]) == ("completed", "Audio streaming completed")
    assert np.array_equal(pcm(chunks), samples(whole))
    both, kind, flagged = await stream(socket, request(LONG, stream=True))
    assert kind == "tts_response"
    assert np.array_equal(pcm(both), samples(whole)) and np.array_equal(samples(flagged), samples(whole))
    for chunk in chunks:
        metadata = chunk["metadata"]
        size = len(base64.b64decode(chunk["audio"]))
        assert chunk["status"] == "streaming" and metadata["chunk_size"] == size <= 10 * 0.08 * 22050 * 2
        assert metadata["duration"] == size / 2 / 22050
        assert (metadata["sample_rate"], metadata["channels"]) == (22050, 1)
    rows = [row for chunk in chunks for row in chunk["metadata"]["spans"]]
    assert rows == whole["metadata"]["spans"]
    assert last["metadata"]["duration"] == whole["metadata"]["duration"]


async def test_requests_are_answered_in_order(socket: ClientConnection) -> None:
    texts = ["Uno.", "", "Dos dos.", "Tres tres tres."]
    for text in texts:
        await socket.send(request(text))
    await socket.send('{"type":"ping"}')
    answers = [await receive(socket) for _ in range(5)]
    assert ("pong", {"status": "alive", "tts_initialized": True}) in answers
    answers = [data for kind, data in answers if kind != "pong"]
    assert [data["status"] for data in answers] == ["success", "error", "success", "success"]
    durations = [data["metadata"]["duration"] for data in answers if data["status"] == "success"]
    assert durations == sorted(durations)


async def test_waiting_requests_are_limited(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 0
    async with connect(server.url, max_size=None) as socket:
        await socket.send(request("Un momento."))
        await happens(lambda: server.engine.under_way)
        for _ in range(20):
            await socket.send(request("Un momento."))
        await socket.send('{"type":"ping"}')
        limit = "too many requests are waiting (at most 16, and 32 MiB in all)"
        for _ in range(4):
            kind, data = await receive(socket)
            assert (kind, data.get("message")) == ("tts_response", limit)
        assert (await receive(socket))[0] == "pong"
        await server.engine.permit(None)
        assert {(await receive(socket))[1]["status"] for _ in range(17)} == {"success"}
        # Two fill the room of all that wait.
        server.engine.allow = server.engine.steps
        await socket.send(request("Un momento."))
        await happens(lambda: server.engine.under_way)
        rest = MAX_WAITING_BYTES // 2 - len(request("Un momento.", more=""))
        for message in (*[request("Un momento.", more="x" * rest)] * 2, '{"type":"ping"}'):
            await socket.send(message)
        assert (await receive(socket))[0] == "pong"
        await socket.send(request("Un momento."))
        assert (await receive(socket))[1]["message"] == limit


async def test_waiting_requests_of_all_clients_are_limited(serve: Serve) -> None:
    """Those that are answered are counted as well; a client that sends little has room."""
    server = await serve()
    server.engine.allow = 0
    budget = server.service.budgets.requests
    budget.limit, budget.small = 100_000, 1000
    long = request("Un momento.", more="x" * 45_000)
    async with connect(server.url) as one, connect(server.url) as other:
        for _ in range(2):
            await one.send(long)
        await happens(lambda: budget.used == 2 * len(long))
        await other.send(long)
        refused = ("tts_response", "too many long requests are waiting: try again later")
        kind, data = await receive(other)
        assert (kind, data["message"]) == refused
        await other.send(request("Un momento."))
        await happens(lambda: budget.used > 2 * len(long))
        await server.engine.permit(None)
        for socket in (one, one, other):
            assert (await receive(socket))[1]["status"] == "success"
        await happens(lambda: not budget.used)


async def test_cancel_ends_current_request_alone(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 20
    async with connect(server.url, max_size=None) as socket:
        await socket.send('{"type":"tts_cancel"}')
        await socket.send(request(LONG, "tts_stream_request", config={"chunk_size": 1}))
        await socket.send(request("Sigo."))
        kind, _ = await receive(socket)
        assert kind == "tts_stream_chunk"
        await socket.send('{"type":"tts_cancel","data":{}}')
        while kind == "tts_stream_chunk":
            kind, data = await receive(socket)
        assert (kind, data) == ("tts_response", {"audio": "", "status": "error", "message": "cancelled"})
        await server.engine.permit(None)
        kind, data = await receive(socket)
        assert kind == "tts_response" and data["status"] == "success"
        await socket.send('{"type":"tts_cancel"}')
        await assert_alive(socket)


ROWS: list[tuple[str | bytes, str]] = [
    *((raw, "Invalid JSON format") for raw in ("", "[" * 100_000, b"\xff\xfe\x00")),
    (request("x" * 10_001), "text: too long (at most 10000 characters)…"),
    (request(config={"emotion": "happy:0.5," * 30}), "emotion: too long (at most 200 characters)…"),
    (request(config={"seed": 10**400}), "seed: must be between 0 and…"),
    (request(config={"language": "x" * 1_000_000}), "language: too long (at most 200 characters)…"),
    (request(config={str(n): n for n in range(200_000)}), "too many values (at most 100000)…"),
]
ROWS += [
    (sent if kind == "message" else f'{{"type": "tts_request", "data": {sent}}}', reason)
    for kind, sent, reason in raw_rows(__file__, "bad_messages.tsv")
]


@pytest.mark.parametrize(("message", "reason"), ROWS, ids=shown)
async def test_fault_is_named_and_survived(
    socket: ClientConnection, message: str | bytes, reason: str
) -> None:
    """The sentences of the table that end with "…" go on."""
    data = await ask(socket, message)
    assert data["status"] == "error" and data["audio"] == ""
    assert data["message"] == reason or (reason[-1] == "…" and data["message"].startswith(reason[:-1]))
    await assert_alive(socket)


async def test_unusual_text_is_spoken(socket: ClientConnection) -> None:
    for text in (
        *("a\x00b", "مرحبا \u200f بالعالم", "Hola \ud83d mundo"),
        *("x" * 3_000, "7" * 300, "\u0301" * 5_000 + "a"),
        *("<speak>Hola <break time='1s'/></speak>", "{{7*7}} ${x} %s %n", "(" * 3_000 + "hola"),
        "你好，世界。नमस्ते दुनिया। Привет, мир!",
    ):
        data = await ask(socket, request(text))
        assert data["status"] == "success", (text[:20], data["message"])
        assert len(samples(data)) > 2000
        rows = data["metadata"]["spans"]
        assert_tiles([Span(s, e, 0, 0) for s, e, _, _ in rows], len(text), text.count("<break"))
        times = [time for _, _, start_s, end_s in rows for time in (start_s, end_s)]
        assert times == sorted(times) and times[-1] <= data["metadata"]["duration"] + 1e-3, text[:20]


async def test_silent_and_truncated_speech_is_told(socket: ClientConnection) -> None:
    for text in ("…", "🎉", "\u200b"):
        data = await ask(socket, request(text))
        assert data["status"] == "success" and "nothing to say" in data["message"]
        assert not samples(data).any() and 0 < data["metadata"]["duration"] < 0.5, text
    text = "Una frase que dura bastante más de un segundo."
    data = await ask(socket, request(text, config={"max_tokens": 50}))
    assert data["metadata"]["duration"] == 1.0 and data["metadata"]["truncated"]
    assert "max_tokens" in data["message"]


@pytest.mark.heard
@pytest.mark.full
async def test_too_long_whole_answer_is_refused(socket: ClientConnection) -> None:
    text = "天气很好。" * 800
    config = {"language": "zh", "speed": 0.5}
    data = await ask(socket, request(text, config=config))
    assert data["message"].startswith("text: its speech is too long for one answer (at most 1200 s, use")
    chunks, kind, last = await stream(socket, request(text, "tts_stream_request", config=config))
    assert kind == "tts_stream_complete" and last["metadata"]["duration"] > 1200
    assert len(pcm(chunks)) == round(last["metadata"]["duration"] * 22050)


def test_calls_return_a_file_and_a_length_prefixed_stream(client: httpx2.Client) -> None:
    fields = {"temperature": 0.6, "max_tokens": 1200, "top_p": 0.95, "chunk_size": 25}
    answer = client.post("/tts", json={"text": HOLA, **fields})
    assert answer.status_code == 200 and answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.getframerate() == 22050 and file.getnframes() > 10_000
    too_fast = {"text": "a", "speed": 9}
    for bad, reason in (({}, "No text provided"), (too_fast, "speed: must be between 0.25 and 4")):
        answer = client.post("/tts", json=bad)
        assert (answer.status_code, answer.json()) == (400, {"detail": reason})
    answer = client.post("/stream-tts", json={"text": LONG, "chunk_size": 5})
    whole = client.post("/tts", json={"text": LONG})
    assert answer.headers["content-type"] == "application/octet-stream"
    form = [answer.headers[f"x-{name}"] for name in ("sample-rate", "channels", "bit-depth")]
    assert form == ["22050", "1", "16"]
    body, at, heard = answer.content, 0, b""
    while size := struct.unpack_from("<I", body, at)[0]:
        assert size <= 5 * 0.08 * 22050 * 2
        heard += body[at + 4 : at + 4 + size]
        at += 4 + size
    assert at + 4 == len(body)
    assert heard == whole.content[44:]
