"""Messages that ElevenLabs' WebSockets refuse, with the frames and close codes of the service's own."""

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest

from kani.protocols.elevenlabs.http.speech import DIALOGUE_PATH as DIALOGUE
from kani.protocols.elevenlabs.realtime.connection import PATH as REALTIME
from kani.protocols.elevenlabs.realtime.messages import MAX_CHUNK_BYTES
from kani.protocols.elevenlabs.voice_ids import MAX_ID_LENGTH
from tests.clients.elevenlabs.wire import (
    BOS,
    EOS,
    Client,
    Message,
    ReceivedSpeech,
    connect_client,
    connect_multi,
)
from tests.protocols.bad_input import denied, ended, names, shown
from tests.protocols.elevenlabs.test_websocket import HELLO, open_context
from tests.support.servers.app_server import AppServer
from tests.support.tables import raw_rows

PATH = "/v1/text-to-speech/espeak:es"

UNREADABLE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)
INVALID, TOO_LONG = "invalid_input_message", "max_character_limit_exceeded"
LONG_ID = "too long (at most 200 characters)"


async def refused(client: Client, context_id: str | None = None) -> Message:
    """Return the error that ends a connection; its close frame has the same code and sentence."""
    code, reason = await client.receive_until_closed()
    error = client.received(context_id).error
    assert error is not None and list(error) == ["code", "error", "message"]
    assert code == error["code"]
    assert reason == error["message"].encode()[:123].decode(errors="ignore")
    return error


SOCKETS = {
    "speech": f"{PATH}/stream-input?output_format=pcm_22050",
    "contexts": f"{PATH}/multi-stream-input?output_format=pcm_22050",
    "dialogue": f"{DIALOGUE}/stream-input?model_id=eleven_v3",
    "recognition": f"{REALTIME}?model_id=scribe_v2_realtime",
}
TABLE = raw_rows(__file__, "bad_messages.tsv")
"""A socket, messages or (where its name has a "?") a query, and the error and its sentence."""

MESSAGES: list[tuple[str, list[Any], str, str]] = [
    *(
        (each, json.loads(messages), error, sentence)
        for socket, messages, error, sentence in TABLE
        for each in (("speech", "contexts") if socket == "speech" else (socket,))
        if not socket.endswith("?")
    ),
    *(
        (socket, [message], error, sentence)
        for socket in ("speech", "contexts")
        for message, error, sentence in (
            *((raw, INVALID, UNREADABLE) for raw in ("no json", "[" * 100_000)),
            (b"{}", INVALID, f"{UNREADABLE} (binary messages are not supported)"),
            ({"text": "a", "context_id": "x" * 201}, INVALID, f"{UNREADABLE} (context_id: {LONG_ID})"),
            ({"text": "a: " * 2_500_000}, TOO_LONG, "text: too long (at most 40000 characters)."),
        )
    ),
    (
        *("dialogue", [{"voices": ["x" * (MAX_ID_LENGTH + 1)]}], "voice_id_does_not_exist"),
        f"A voice with voice_id {'x' * MAX_ID_LENGTH}… does not exist.",
    ),
    *(
        ("recognition", [message], error, sentence)
        for message, error, sentence in (
            (b"\0\0", "input_error", "binary messages are not supported"),
            (
                {"message_type": "input_audio_chunk", "audio_base_64": "", "previous_text": "x" * 4001},
                *("input_error", "previous_text: too long (at most 4000 characters)"),
            ),
            (
                {"message_type": "input_audio_chunk", "audio_base_64": "A" * (MAX_CHUNK_BYTES * 4 // 3 + 8)},
                *("chunk_size_exceeded", "audio_base_64: too large (at most 8 MiB in one message)"),
            ),
        )
    ),
]


@pytest.mark.parametrize(("socket", "sent", "error", "sentence"), MESSAGES, ids=shown)
async def test_bad_message_ends_the_connection_after_spoken_text(
    espeak_app: AppServer, socket: str, sent: list[Any], error: str, sentence: str
) -> None:
    before = [{"text": HELLO}] if socket in ("speech", "contexts") else []
    end = await ended(espeak_app.url + SOCKETS[socket], *before, *sent)
    *_, told = messages = [json.loads(message) for message in end.messages]
    if socket == "recognition":
        assert (told["message_type"], end.code) == (error, 1008)
        assert names(told["error"], sentence) if "…" in sentence else told["error"] == sentence
        return
    assert list(told.items()) == [("code", 1008), ("error", error), ("message", sentence)]
    assert (end.code, end.reason) == (1008, sentence.encode()[:123].decode(errors="ignore"))
    if before:
        heard = ReceivedSpeech()
        for message in messages:
            heard.add(message)
        assert heard.text == HELLO and heard.final == (socket == "contexts")


QUERIES = [row for row in TABLE if row[0].endswith("?")]


@pytest.mark.parametrize(("socket", "query", "code", "words"), QUERIES, ids=shown)
async def test_bad_query_is_rejected(
    espeak_app: AppServer, socket: str, query: str, code: str, words: str
) -> None:
    """Before the upgrade, but for recognition, which is told by a message."""
    ((param, value),) = json.loads(query).items()
    path = SOCKETS[socket.removesuffix("?")].partition("?")[0]
    url = f"{espeak_app.url}{path}?{urlencode({param: value}, doseq=True)}"
    if socket == "recognition?":
        end = await ended(url)
        (told,) = map(json.loads, end.messages)
        assert (told["message_type"], end.code) == (code, 1008) and told["error"].startswith(words)
        return
    status, body = await denied(url)
    assert status == 400
    detail = json.loads(body)["detail"]
    assert (detail["code"], detail["status"], detail["param"]) == (code, code, param)
    assert detail["type"] == "validation_error" and words in detail["message"] and detail["request_id"]


async def test_text_after_end_of_input_is_rejected(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send(BOS, {"text": HELLO * 20}, EOS, EOS, {"text": "más"})
        error = await refused(client)
        assert error["error"] == "invalid_input_message"
        assert error["message"] == f"{UNREADABLE} (text: came after the end of the input, the empty string)"
        assert client.received().text == HELLO * 20 and not client.received().final


@pytest.mark.parametrize("voice", ["nobody", "../../etc/passwd", "ñ" * 30, "custom:nobody"])
async def test_unknown_voice_is_rejected_at_first_text(espeak_app: AppServer, voice: str) -> None:
    async with connect_client(espeak_app.url, voice=voice.replace("/", "%2F")) as client:
        # The pong comes after all that the server has to say by then.
        await (await client.socket.ping())
        await client.send(BOS)
        error = await refused(client)
        assert error["error"] == "voice_id_does_not_exist" and error["code"] == 1008
        assert error["message"].endswith(" does not exist.")


@pytest.mark.alone
async def test_inactivity_closes_connection_after_spoken_text(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url, inactivity_timeout=1) as client:
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


async def test_sixth_context_closes_connection(espeak_app: AppServer) -> None:
    async with connect_multi(espeak_app.url) as client:
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
