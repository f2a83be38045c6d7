"""What ElevenLabs' WebSockets answer to what cannot be: the service's own frames and close codes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient, WebSocketTestSession
from websockets.exceptions import InvalidStatus

from protocols.elevenlabs import ElevenLabsSettings
from protocols.elevenlabs.websocket.routes import routes
from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.voices.catalogue import VoiceStore
from tests.clients.elevenlabs.wire import BOS, EOS, Client, Message, connect_client, connect_multi
from tests.conftest import ServerProcess, StartServer
from tests.protocols.elevenlabs.test_websocket import HELLO, open_context
from tests.support.tone import ToneEngine

UNREADABLE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)
INVALID_KEY = {"code": 1008, "error": "invalid_api_key", "message": "Invalid API key"}
KEY = "geheim-1"


async def refused(client: Client, context_id: str | None = None) -> Message:
    """The error that a connection ends with, its close code and reason being those of the frame."""
    code, reason = await client.receive_until_closed()
    error = client.received(context_id).error
    assert error is not None and list(error) == ["code", "error", "message"]
    assert code == error["code"]
    assert reason == error["message"].encode()[:123].decode(errors="ignore")
    return error


@pytest.mark.parametrize(
    ("message", "error", "sentence"),
    [
        ("no json", "invalid_input_message", UNREADABLE),
        ("[1]", "invalid_input_message", UNREADABLE),
        ('{"text": "a', "invalid_input_message", UNREADABLE),
        ("[" * 100_000, "invalid_input_message", UNREADABLE),
        ({"text": 7}, "invalid_input_message", f"{UNREADABLE} (text: must be a string)"),
        ({}, "invalid_input_message", f"{UNREADABLE} (text: is required)"),
        ({"text": None}, "invalid_input_message", f"{UNREADABLE} (text: is required)"),
        (
            {"text": "a", "flush": "yes"},
            "invalid_input_message",
            f"{UNREADABLE} (flush: must be true or false)",
        ),
        (
            {"text": "a", "try_trigger_generation": 1},
            "invalid_input_message",
            f"{UNREADABLE} (try_trigger_generation: must be true or false)",
        ),
        (
            {"text": "a", "context_id": "x" * 201},
            "invalid_input_message",
            f"{UNREADABLE} (context_id: too long (at most 200 characters))",
        ),
        (
            {"text": "a", "generation_config": [50]},
            "invalid_input_message",
            f"{UNREADABLE} (generation_config: must be an object)",
        ),
        (
            {"text": "a", "generation_config": {"chunk_length_schedule": [50, 501]}},
            "invalid_request",
            "generation_config.chunk_length_schedule: must be between 50 and 500",
        ),
        (
            {"text": "a", "generator_config": {"chunk_length_schedule": ["50"]}},
            "invalid_request",
            "generator_config.chunk_length_schedule: must be a list of numbers",
        ),
        (
            {"text": "a", "generation_config": {"chunk_length_schedule": []}},
            "invalid_request",
            "generation_config.chunk_length_schedule: must be a list of 1 to 100 numbers",
        ),
        (
            {"text": "a", "voice_settings": {"speed": 1.3}},
            "invalid_voice_settings",
            "voice_settings.speed: must be between 0.7 and 1.2",
        ),
        (
            {"text": "a", "voice_settings": {"stability": "much"}},
            "invalid_voice_settings",
            "voice_settings.stability: must be a number",
        ),
        (
            {"text": "a", "voice_settings": 3},
            "invalid_voice_settings",
            "voice_settings: must be an object",
        ),
        (
            {"text": "a " * 500_000},
            "max_character_limit_exceeded",
            "text: too long (at most 40000 characters).",
        ),
    ],
)
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_a_bad_message_ends_the_connection_behind_what_was_said(
    espeak_server: ServerProcess, name: str, message: Message | str, error: str, sentence: str
) -> None:
    """By the field and its limit; all text before it is spoken and sent first."""
    async with connect_client(espeak_server.url, name) as client:
        await client.send({"text": HELLO}, message)
        assert await refused(client) == {"code": 1008, "error": error, "message": sentence}
        assert client.received().text == HELLO
        assert client.received().final == (name == "multi-stream-input")


async def test_binary_messages_are_refused(espeak_server: ServerProcess) -> None:
    """They are none of the protocol's."""
    async with connect_client(espeak_server.url) as client:
        await client.socket.send(b"{}")
        error = await refused(client)
        assert error["message"] == f"{UNREADABLE} (binary messages are not supported)"


async def test_text_behind_the_end_is_refused(espeak_server: ServerProcess) -> None:
    """What came before is spoken; a keep-alive there is none."""
    async with connect_client(espeak_server.url) as client:
        await client.send(BOS, {"text": HELLO * 20}, EOS, EOS, {"text": "más"})
        error = await refused(client)
        assert error["error"] == "invalid_input_message"
        assert error["message"] == f"{UNREADABLE} (text: came after the end of the input, the empty string)"
        assert client.received().text == HELLO * 20 and not client.received().final


@pytest.mark.parametrize("voice", ["nobody", "../../etc/passwd", "ñ" * 30, "custom:nobody"])
async def test_an_unknown_voice_is_told_after_the_first_text(
    espeak_server: ServerProcess, voice: str
) -> None:
    """As the service does, in its words."""
    async with connect_client(espeak_server.url, voice=voice.replace("/", "%2F")) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.receive(), 0.1)
        await client.send(BOS)
        error = await refused(client)
        assert error["error"] == "voice_id_does_not_exist" and error["code"] == 1008
        assert error["message"].endswith(" does not exist.")


@pytest.mark.parametrize(
    ("query", "code", "param", "said"),
    [
        ({"model_id": "eleven_telepathic_v9"}, "unsupported_model", "model_id", "eleven_flash_v2_5"),
        ({"output_format": "wav_44100"}, "invalid_output_format", "output_format", "pcm_22050"),
        ({"language_code": "nonsense"}, "unsupported_language", "language_code", "nonsense"),
        ({"language_code": "xx"}, "unsupported_language", "language_code", "xx"),
        ({"inactivity_timeout": "soon"}, "invalid_request", "inactivity_timeout", "must be a number"),
        ({"inactivity_timeout": "0"}, "invalid_request", "inactivity_timeout", "must be at least 1"),
        ({"inactivity_timeout": "nan"}, "invalid_request", "inactivity_timeout", "must be a number"),
        ({"seed": "1.5"}, "invalid_request", "seed", "must be a whole number"),
        ({"seed": "4294967296"}, "invalid_request", "seed", "must be between 0 and 4"),
        (
            {"apply_text_normalization": "maybe"},
            "invalid_request",
            "apply_text_normalization",
            "must be one of auto, on, off",
        ),
        ({"auto_mode": "perhaps"}, "invalid_request", "auto_mode", "must be true or false"),
    ],
)
async def test_a_bad_query_is_refused_before_the_upgrade(
    espeak_server: ServerProcess, query: dict[str, str], code: str, param: str, said: str
) -> None:
    """With HTTP's 400 and the service's detail; what nobody knows is passed over."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect_client(espeak_server.url, **query):
            pass
    response = caught.value.response
    assert response.status_code == 400 and response.body is not None
    detail = json.loads(response.body)["detail"]
    assert (detail["code"], detail["status"], detail["param"]) == (code, code, param)
    assert detail["type"] == "validation_error" and said in detail["message"] and detail["request_id"]


async def test_unknown_fields_and_parameters_are_passed_over(espeak_server: ServerProcess) -> None:
    """As the service does; so is a time-out beyond the longest."""
    async with connect_client(
        espeak_server.url, foo="bar", inactivity_timeout=300, enable_logging="x"
    ) as client:
        await client.send({"text": HELLO, "foo": {"bar": []}, "voice_settings": {"baz": 7}}, EOS)
        assert (await client.receive_until_closed())[0] == 1000


@pytest.mark.alone
async def test_silence_ends_a_connection_behind_what_was_said(espeak_server: ServerProcess) -> None:
    """In the service's words, with the seconds that the client asked for."""
    async with connect_client(espeak_server.url, inactivity_timeout=1) as client:
        await client.send(BOS, {"text": "Hola, esto"})
        began = time.monotonic()
        assert await refused(client) == {
            "code": 1008,
            "error": "input_timeout_exceeded",
            "message": "Have not received a new text input within the timeout of 1.0 seconds. Streaming "
            "input terminated. Please make sure to either feed the input in the timely manner, or to send "
            'the end of input text (empty string "") when done.',
        }
        assert time.monotonic() - began > 0.9
        assert client.received().text == "Hola, esto "


async def test_a_sixth_context_ends_the_connection(espeak_server: ServerProcess) -> None:
    """In the service's words, once the five have said what they were given; a closed one does not count."""
    async with connect_multi(espeak_server.url) as client:
        for number in range(6):
            await client.send(*open_context(f"c{number}", HELLO))
            if number == 0:
                await client.send({"context_id": "c0", "close_context": True})
        await client.send({"text": HELLO, "context_id": "c6"})
        assert (await refused(client))["error"] == "max_active_conversations"
        error = client.received().error
        assert error is not None and error["message"] == (
            "Maximum simultaneous contexts per WebSocket connection exceeded (5). Please close an existing "
            "context before opening a new one."
        )
        assert all(client.received(f"c{number}").text == HELLO for number in range(6))
        assert all(client.received(f"c{number}").final for number in range(6))


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that asks for a key, whoever comes."""
    running = ServerProcess(
        tmp_path_factory.mktemp("keyed"),
        *("--engine", "espeak", "--host", "0.0.0.0"),
        KANI_API_KEYS=KEY,
        KANI_RECOGNIZER="none",
    )
    running.wait_until_ready()
    running.host = "127.0.0.1"
    yield running
    running.stop()
    assert KEY not in running.log + running.terminal


@pytest.mark.parametrize("field", ["xi_api_key", "xi-api-key", "authorization"])
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_the_key_may_come_with_the_first_message(
    keyed_server: ServerProcess, name: str, field: str
) -> None:
    """By each of its names, and behind the word Bearer."""
    key = f"Bearer {KEY}" if field == "authorization" else KEY
    async with connect_client(keyed_server.url, name) as client:
        await client.send({"text": HELLO, "flush": True, field: key})
        while not client.received().text.endswith("prueba"):
            assert "error" not in await client.receive_speech()


@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"xi-api-key": KEY}},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"authorization": KEY},
        {"single_use_token": KEY},
    ],
)
async def test_the_key_may_come_with_the_handshake(
    keyed_server: ServerProcess, shown: dict[str, Any]
) -> None:
    """In a header or the query."""
    async with connect_client(keyed_server.url, **shown) as client:
        await client.send({"text": HELLO}, EOS)
        assert (await client.receive_until_closed())[0] == 1000


@pytest.mark.parametrize("message", [{"text": " "}, {"text": " ", "xi_api_key": "other"}, {"text": "a" * 99}])
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_nobody_speaks_without_a_key(keyed_server: ServerProcess, name: str, message: Message) -> None:
    """A first message without a good one ends it; the voice, whose name may be a secret, is not looked at."""
    async with connect_client(keyed_server.url, name, voice="nobody") as client:
        await client.send(message, {"text": HELLO, "xi_api_key": KEY}, EOS)
        assert await refused(client) == INVALID_KEY
        assert client.received().parts == []


@pytest.mark.parametrize(
    "shown",
    [
        {"headers": {"xi-api-key": "wrong"}},
        {"headers": {"Authorization": "Bearer x"}},
        {"authorization": "x"},
    ],
)
async def test_a_wrong_key_is_told_before_any_text(
    keyed_server: ServerProcess, shown: dict[str, Any]
) -> None:
    """It was looked for in the handshake already."""
    async with connect_client(keyed_server.url, **shown) as client:
        assert await refused(client) == INVALID_KEY


@asynccontextmanager
async def spoken_to(tmp_path: Path, **limits: Any) -> AsyncIterator[tuple[ToneEngine, Starlette]]:
    """The WebSockets over an engine that breaks at the word "kaputt"; nothing of them is left at the end."""
    engine = ToneEngine()
    service = SpeechService(
        [engine],
        VoiceStore(tmp_path),
        Limits(**limits),
        default_language="es",
        default_voice=None,
        observer=Observer(),
    )
    await service.start()
    yield engine, Starlette(routes=routes(service, ElevenLabsSettings()))
    assert service.state().sessions == 0 and not engine.under_way
    await service.stop()


def told(socket: WebSocketTestSession) -> Iterator[Message]:
    """What the server says until it closes."""
    while (message := socket.receive())["type"] == "websocket.send":
        parsed: Message = json.loads(message["text"])
        yield parsed
    yield {"closed": message["code"]}


async def test_an_engine_that_breaks_loses_nothing_of_what_was_said(tmp_path: Path) -> None:
    """On stream-input it ends the connection, on the other its context alone."""
    path = "/v1/text-to-speech/tone_es/"
    async with spoken_to(tmp_path) as (_, app):

        def talk() -> tuple[list[Message], list[Message]]:
            with TestClient(app) as client:
                with client.websocket_connect(path + "stream-input?output_format=pcm_8000") as socket:
                    socket.send_json({"text": "uno dos. kaputt. tres. "})
                    socket.send_json(EOS)
                    single = list(told(socket))
                with client.websocket_connect(path + "multi-stream-input?output_format=pcm_8000") as socket:
                    for name, text in (("a", "uno dos. kaputt. "), ("b", "tres. ")):
                        socket.send_json({"text": text, "context_id": name, "flush": True})
                        socket.send_json({"close_context": True, "context_id": name})
                    several = []
                    while sum(bool(message.get("isFinal")) for message in several) < 2:
                        several.append(json.loads(socket.receive()["text"]))
                    socket.send_json({"close_socket": True})
                    several += told(socket)
            return single, several

        single, several = await asyncio.to_thread(talk)
    characters = [
        char for message in single[:-2] for char in (message["alignment"] or {"chars": []})["chars"]
    ]
    assert "".join(characters).startswith("uno dos")
    error = {"code": 1011, "error": "internal_server_error", "message": "the tone broke"}
    assert single[-2:] == [error, {"closed": 1011}]
    (broken,) = (message for message in several if "error" in message)
    assert broken == error | {"contextId": "a", "context_id": "a"}
    assert {message["contextId"] for message in several if message.get("isFinal")} == {"a", "b"}
    assert several[-1] == {"closed": 1000}


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"max_sessions": 1}, "system_busy"),
        ({"rate_per_minute": 1}, "too_many_concurrent_requests"),
    ],
)
async def test_one_too_many_is_told_so(tmp_path: Path, limits: dict[str, int], error: str) -> None:
    """The context alone ends by it; it can be tried again."""
    async with spoken_to(tmp_path, **limits) as (engine, app):
        engine.allow = 0

        def talk() -> list[Message]:
            with TestClient(app) as client:
                with client.websocket_connect("/v1/text-to-speech/tone_es/multi-stream-input") as socket:
                    for name in "ab":
                        socket.send_json({"text": "uno dos. ", "context_id": name, "flush": True})
                    return [json.loads(socket.receive()["text"]) for _ in range(2)]

        first, last = await asyncio.to_thread(talk)
        assert (first["error"], first["contextId"], first["code"]) == (error, "b", 1008)
        assert last["isFinal"] and last["contextId"] == "b"


async def test_who_leaves_frees_its_place(start_server: StartServer) -> None:
    """However many contexts were speaking; and the log has nothing to tell."""
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        for name in ("stream-input", "multi-stream-input") * 5:
            async with connect_client(server.url, name) as client:
                for number in range(5):
                    await client.send({"text": HELLO * 500, "context_id": f"c{number}", "flush": True})
                await client.receive_speech()
                client.socket.transport.abort()
        async with asyncio.timeout(300):
            while (await http.get("/health")).json()["active_sessions"]:
                await asyncio.sleep(0.05)
    server.stop()
    assert " ERROR " not in server.log and "Traceback" not in server.log


@pytest.mark.alone
async def test_a_long_text_holds_up_nobody(espeak_server: ServerProcess) -> None:
    """Others are answered while it is read and refused."""
    slowest = 0.0
    async with (
        httpx.AsyncClient(base_url=espeak_server.http_url) as http,
        connect_client(espeak_server.url) as client,
    ):
        refusing = asyncio.create_task(refused(client))
        await client.send({"text": "a:" * 4_000_000})
        while not refusing.done():
            began = time.monotonic()
            await http.get("/health")
            slowest = max(slowest, time.monotonic() - began)
        assert (await refusing)["error"] == "max_character_limit_exceeded"
    assert slowest < 10.0
