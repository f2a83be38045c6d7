"""Requests of VoxCPM's protocol that do not end in speech: refused, cancelled, or left by their client."""

import asyncio
import base64
import json
import random
from collections.abc import Callable, Iterator

import numpy as np
import psutil
import pytest

from kani.core.audio.ogg_opus import OggOpusEncoder
from tests.clients.voxcpm.wire import Answer, Client, Frame, Message, opened
from tests.conftest import StartServer
from tests.protocols.conftest import Serve
from tests.support.patience import happens
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.servers.unread import never_reading, speech_settles
from tests.support.tables import raw_rows

HELLO = "Hola."
TONES = "uno dos tres cuatro."
MIB = 2**20
Row = tuple[str | bytes, Message]
"""A message, and the answer to it."""


def message(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields})


def request(request_id: object = "one", **params: object) -> str:
    return message("tts_request", request_id=request_id, params=params)


def refused(raw: str | bytes, request_id: str | None, code: str, sentence: str, **details: object) -> Row:
    error = {"code": code, "message": sentence, "details": details}
    return raw, {"type": "error", "request_id": request_id, "error": error}


def invalid(
    raw: str, name: str, reason: str, request_id: str | None = "one", code: str = "INVALID_PARAMS"
) -> Row:
    return refused(raw, request_id, code, f"Validation failed: {name}: {reason}", errors={name: reason})


def table() -> Iterator[Row]:
    for raw, request_id, code, name, sentence in raw_rows(__file__, "bad_messages.tsv"):
        told = request_id if request_id != "-" else None
        yield invalid(raw, name, sentence, told, code) if name != "-" else refused(raw, told, code, sentence)


FOUR = {
    "text": "is required",
    "mode": "must be 'streaming' or 'non_streaming'",
    "normalize": "must be a boolean",
    "cfg_value": "must be between 0.1 and 10.0",
}
# Those of the table without an id come first: later ones are told the id of the last request.
ROWS: list[Row] = [
    refused(b"\0\1", None, "UNSUPPORTED_FORMAT", "Binary messages from client are not supported"),
    *(refused(raw, None, "INVALID_JSON", "Invalid JSON format") for raw in ("", '{"a":' * 100_000)),
    refused("[" * 200_000, None, "INVALID_JSON", "too many values (at most 100000)"),
    refused(message("x" * 1000), None, "UNKNOWN_MESSAGE_TYPE", "Unknown message type: " + "x" * 40),
    *(
        invalid(message(kind, request_id="x" * 201), "request_id", "too long (max 200 characters)", None)
        for kind in ("tts_request", "cancel")
    ),
    *table(),
    invalid(request(text=HELLO, cfg_value=10**400), "cfg_value", FOUR["cfg_value"]),
    invalid(
        request(text=HELLO, inference_timesteps=10**400), "inference_timesteps", "must be between 1 and 50"
    ),
    *(
        invalid(request(**{"text": HELLO, name: "x" * 201}), name, "too long (max 200 characters)")
        for name in ("voice", "language")
    ),
    invalid(request(text="é" * 5001), "text", "too long (max 5000 characters)", code="TEXT_TOO_LONG"),
    refused(
        request(text=HELLO, voice_id="nobody"),
        *("one", "VOICE_NOT_FOUND", "Voice 'nobody' not found"),
        voice_id="nobody",
    ),
    refused(
        request(mode="fast", cfg_value=11, normalize=1),
        *("one", "INVALID_PARAMS"),
        "Validation failed: " + ", ".join(f"{name}: {reason}" for name, reason in FOUR.items()),
        errors=FOUR,
    ),
    refused("{", "one", "INVALID_JSON", "Invalid JSON format"),
]


async def test_each_fault_is_named_and_leaves_the_connection_open(talk: Client) -> None:
    for raw, expected in ROWS:
        await talk.socket.send(raw)
        assert await talk.receive() == expected, raw[:200]
    unknown = (await talk.speak(HELLO, language="gibberish")).last["error"]
    assert unknown["code"] == "INVALID_PARAMS" and unknown["details"]["errors"].keys() == {"language"}
    assert (await talk.speak(HELLO)).last["type"] == "complete"


async def failure(client: Client) -> Message:
    """The next error, after frames and progress of other requests."""
    while isinstance(told := await client.receive(), Frame) or told["type"] == "progress":
        pass
    assert told["type"] == "error", told
    return told


async def test_duplicate_id_does_not_disturb_request(serve: Serve) -> None:
    server = await serve()
    async with opened(server.url) as client:
        alone = await client.speak(TONES, "same")
        server.engine.allow = server.engine.steps
        await client.request("same", TONES)
        await client.request("same", HELLO)
        told = (await failure(client))["error"]
        assert (told["code"], list(told["details"]["errors"])) == ("INVALID_PARAMS", ["request_id"])
        await server.engine.permit(None)
        together = await client.answer("same")
    assert together.last["type"] == "complete" and together.pcm == alone.pcm


async def test_requests_of_connection_are_limited(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 0
    async with opened(server.url) as client:

        async def refused(name: str) -> str:
            # The pong comes after all answers to what was sent before.
            await client.send("ping")
            message = await failure(client)
            assert (message["request_id"], message["error"]["code"]) == (name, "QUEUE_FULL")
            while (await client.receive())["type"] != "pong":
                pass
            return str(message["error"]["message"])

        for number in range(257):
            await client.request(f"r{number}", HELLO, mode="non_streaming")
        assert "at most 256, and 16 MiB in all" in await refused("r256")
        for number in range(256):
            await client.send("cancel", request_id=f"r{number}")
        answers = await client.answers(*(f"r{number}" for number in range(256)))
        for answer in answers.values():
            assert_cancelled(answer)
        for number in range(17):
            await client.request(f"b{number}", HELLO, mode="non_streaming", x="x" * (MIB - 1000))
        assert await refused("b16")
        # All clients together have a limit, too.
        budget = server.service.budgets.requests
        budget.limit, budget.small = budget.used, 1000
        async with opened(server.url) as other:
            await other.request("long", HELLO, mode="non_streaming", x="x" * 10_000)
            assert (await failure(other))["error"]["code"] == "QUEUE_FULL"
    await happens(lambda: not budget.used)


async def test_configured_limits_are_applied(start_app: StartApp) -> None:
    server = start_app(TTS_MAX_TEXT_LENGTH="10", TTS_RATE_LIMIT_ENABLED="true", TTS_RATE_LIMIT_PER_MINUTE="3")
    async with opened(server.url) as client:
        assert (await client.speak("x" * 11)).last["error"] == {
            "code": "TEXT_TOO_LONG",
            "message": "Validation failed: text: too long (max 10 characters)",
            "details": {"errors": {"text": "too long (max 10 characters)"}},
        }
        for _ in range(3):
            assert (await client.speak("x" * 10)).last["type"] == "complete"
        refused = await client.speak(HELLO)
        assert refused.last["error"]["code"] == "RATE_LIMITED"
        assert refused.last["error"]["details"] == {"limit": 3, "window": "60s"}
        assert len(refused.messages) == 1


async def test_full_queue_is_reported(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1", TTS_MAX_QUEUE_SIZE="2")
    server.engine.allow = 0
    async with opened(server.url) as client:
        await client.request("first", HELLO)
        await happens(lambda: server.engine.under_way)
        for name in ("second", "third", "fourth"):
            await client.request(name, HELLO)
        message = await failure(client)
        assert (message["request_id"], message["error"]["code"]) == ("fourth", "QUEUE_FULL")
        assert "at most 2" in message["error"]["message"]
        await client.send("cancel", request_id="first")
        await happens(lambda: len(server.engine.segments) >= 2)
        await server.engine.permit(None)
        answers = await client.answers("first", "second", "third")
    assert answers.pop("first").last["result"] == {"cancelled": True}
    assert all(answer.last["result"]["samples"] for answer in answers.values())


@pytest.mark.heard
async def test_recordings_in_memory_are_limited(start_server: StartServer) -> None:
    encoder = OggOpusEncoder()
    silence = encoder.header + encoder.feed(np.zeros(59 * 24_000, np.float32)) + encoder.finish()
    recording = "data:audio/ogg;base64," + base64.b64encode(silence).decode()
    server = start_server("--engine", "espeak")
    async with opened(server.url) as client:
        memory = psutil.Process(server.process.pid)
        before = 0
        for count in (8, 32):
            names = [f"r{number}" for number in range(count)]
            for name in names:
                await client.request(name, HELLO, prompt_wav_url=recording)
            answers = await client.answers(*names)
            assert {answer.last["type"] for answer in answers.values()} == {"complete"}
            assert {answer.last["result"]["cloning"] for answer in answers.values()} == {"none"}
            assert not before or memory.memory_info().rss < before + 100 * MIB
            before = memory.memory_info().rss


LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


async def cancel(client: Client, *request_ids: str) -> None:
    for request_id in request_ids:
        await client.send("cancel", request_id=request_id)


def assert_cancelled(answer: Answer) -> None:
    assert answer.last["type"] == "complete" and answer.last["result"] == {"cancelled": True}


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_cancel_is_answered_once_at_any_time(serve: Serve, mode: str) -> None:
    dice = random.Random(1)
    server = await serve()
    async with opened(server.url) as client:
        for number in range(40):
            name = f"r{number}"
            server.engine.allow = server.engine.steps + dice.randint(0, 5)
            await client.request(name, LONG, mode=mode)
            await asyncio.sleep(dice.choice([0, 0, dice.uniform(0, 0.02)]))
            for _ in range(dice.randint(1, 3)):
                await cancel(client, name)
            assert_cancelled(await client.answer(name))
            await cancel(client, name)
            await client.alive()


async def test_cancel_ends_named_request_alone(talk: Client) -> None:
    alone = await talk.speak(HELLO, "b")
    for name in "abc":
        await talk.request(name, HELLO if name == "b" else LONG)
    await cancel(talk, "a", "c")
    answers = await talk.answers("a", "b", "c")
    await talk.alive()
    assert_cancelled(answers["a"])
    assert_cancelled(answers["c"])
    assert answers["b"].pcm == alone.pcm


async def test_unknown_id_is_not_found(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client, opened(espeak_app.url) as other:
        await other.request("theirs", LONG)
        await client.request("mine", HELLO)
        await client.answer("mine")
        await client.request("wrong", "")
        assert (await client.answer("wrong")).last["type"] == "error"
        await cancel(client, "mine", "wrong")
        await client.alive()
        for unknown in ("theirs", "nobody's", "x" * 200, "half \ud83d"):
            cancelling = message("cancel", request_id=unknown)
            _, expected = refused(cancelling, unknown, "REQUEST_NOT_FOUND", "Request not found")
            await client.socket.send(cancelling)
            assert await client.receive() == expected
        # Theirs goes on.
        while not isinstance(await other.receive(), Frame):
            pass
        await cancel(other, "theirs")
        await other.answer("theirs")
        # Ids of requests that have ended are remembered, as many as may wait.
        for number in range(255):
            await client.request(f"r{number}", "")
            await client.answer(f"r{number}")
        await cancel(client, "wrong")
        await client.alive()
        await cancel(client, "mine")
        assert (await failure(client))["error"]["code"] == "REQUEST_NOT_FOUND"


@pytest.mark.heard
@pytest.mark.parametrize("kind", ["recordings", "cancels"])
async def test_client_that_does_not_read_is_not_read_from(start_server: StartServer, kind: str) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    memory = psutil.Process(server.process.pid)
    async with never_reading(server, "/tts") as client:
        await client.send(request("fills the line", text=LONG))
        await speech_settles(server)
        before = memory.memory_info().rss
        with pytest.raises(TimeoutError):
            for number in range(5000):
                async with asyncio.timeout(3.0):
                    if kind == "recordings":
                        url = "data:," + "A" * 1_000_000
                        await client.send(request(f"r{number}", text=HELLO, prompt_wav_url=url))
                    else:
                        await client.send(request(f"r{number}", text=LONG[:4000]))
                        await client.send(message("cancel", request_id=f"r{number}"))
                await asyncio.sleep(0.005)
        assert memory.memory_info().rss < before + 80 * 2**20


@pytest.mark.heard
async def test_unsent_whole_answers_are_freed(start_server: StartServer) -> None:
    # So that glibc gives what is freed back at once, and what the process has is what it needs.
    plain = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none", **plain)
    memory = psutil.Process(server.process.pid)

    async def held(enough: Callable[[int], bool]) -> None:
        await happens(lambda: enough(memory.memory_info().rss))

    before = memory.memory_info().rss
    for _ in range(2):
        async with never_reading(server, "/tts") as client:
            for number in range(4):
                await client.send(request(f"r{number}", text=LONG, mode="non_streaming", speed=0.5))
            await held(lambda size: size > before + 80 * 2**20)
        await held(lambda size: size < before + 40 * 2**20)
