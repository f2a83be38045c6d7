"""Invalid input in Kyutai's protocol: an error sentence that names the field, and a close code."""

import asyncio
import json
import time
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
from websockets.asyncio.client import connect

from tests.clients.kyutai.speaking import Heard, hear_until, rest_of
from tests.clients.kyutai.wire import EOS, KEY, audio_message, pack, text_message
from tests.conftest import ServerProcess
from tests.core.audio.test_pcm import encoded
from tests.protocols.bad_input import denied, shown
from tests.protocols.conftest import Serve
from tests.protocols.health import counters, wait_for_idle
from tests.support.loudness import LoudnessRecognizer, PausingRecognizer
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.servers.unread import never_reading
from tests.support.tables import raw_rows

SPEAK, LISTEN = "/api/tts_streaming", "/api/asr-streaming"
FORMATS = ["PcmMessagePack", "OggOpusMessagePack", "Pcm", "OggOpus"]
LARGEST = 64 * 2**20
HELLO = "Good morning to you."
MIB = 2**20


def voice(count: int, shape: list[Any], value: float = 0.5) -> bytes:
    return pack({"type": "Voice", "embeddings": [value] * count, "shape": shape})


def marker(number: int) -> bytes:
    return pack({"type": "Marker", "id": number})


def door(server: AppServer, path: str, query: str = "") -> connect:
    return connect(f"{server.url}{path}?{query}", additional_headers=KEY, max_size=None)


async def exchange(server: AppServer, path: str, query: str, *messages: bytes | str) -> Heard:
    """Send messages in one piece: the server has the last one before its answer to the first has ended."""
    async with door(server, path, query) as socket:
        for message in messages:
            if isinstance(message, str):
                socket.protocol.send_text(message.encode())
            else:
                socket.protocol.send_binary(message)
        socket.send_data()
        return await rest_of(socket)


async def say(server: AppServer, *messages: bytes | str, query: str = "format=PcmMessagePack") -> Heard:
    return await exchange(server, SPEAK, query, *messages)


async def tell(server: AppServer, *messages: bytes | str) -> Heard:
    return await exchange(server, LISTEN, "", *messages)


async def assert_speaks(server: AppServer) -> None:
    answer = await say(server, text_message("Next."), EOS)
    assert answer.code == 1000 and answer.frames


async def assert_serves(server: AppServer) -> None:
    await wait_for_idle(server)
    await assert_speaks(server)


@pytest.fixture(scope="session")
def spoken() -> dict[str, list[bytes]]:
    """The server's answer to just ``HELLO``, by format; filled on first use."""
    return {}


async def hello(server: AppServer, spoken: dict[str, list[bytes]], form: str) -> list[bytes]:
    if form not in spoken:
        answer = await say(server, text_message(HELLO), EOS, query=f"format={form}")
        assert answer.code == 1000 and not answer.reason
        spoken[form] = answer.messages
    return spoken[form]


FRAMES_125 = 512 * 125
NESTED = b"\x91" * 100_000
GREETING = text_message("Hello there.")
NO_MESSAGE, TOO_LARGE = "message: is not MessagePack", "message: too large (at most 1048576 bytes"
TOO_LONG, MORE = "text: too long (at most 10000 characters)", "pcm: more than 1048576 bytes"
TOO_MANY = "too many breaks (at most 1000, and 600 s in all)"
PCM = b"\x82\xa4type\xa5Audio\xa3pcm"
# FFmpeg's own encoder, which it does not trust, and which speaks stereo only.
VORBIS = encoded("ogg", "vorbis", np.zeros(24_000, np.float32), 24_000, "stereo", strict="experimental")
TO_SPEAK: list[tuple[bytes | str, str]] = [
    *(
        (message, NO_MESSAGE)
        for message in (
            *(b"", b"\xc1", b"\x83" + GREETING[1:] + b"\xa4more" + NESTED, GREETING[:-3], GREETING + b"more"),
            b"\x82\xa4type\xa4Text\xa4text\xa2\xff\xfe",
        )
    ),
    (pack({"type": "Text", "text": b"Hello"}), "text: must be a string"),
    *((message, f"{TOO_LARGE})") for message in (text_message("x" * 2 * MIB), "a " * 4 * MIB)),
    *((message, TOO_LONG) for message in ("a " * 400_000, text_message("x" * 100_000))),
    (text_message("Hi. " + '<break time="0.08s"/>' * 2000), f"text: {TOO_MANY}"),
    (pack({"type": "Voice", "embeddings": [0.5] * 512}), "shape: is needed"),
    (
        pack({"type": "Voice", "embeddings": bytes(2048), "shape": [1, 512, 1]}),
        "embeddings: has to be an array",
    ),
    (voice(512, [1, 512, 2]), "embeddings: 512 numbers, and the shape says 1024"),
    (voice(512, [1, 512, 1.5]), "shape: must be a list of whole numbers"),
    *(
        (voice(512, shape), "shape: must be [1, 512, 1 to 400]")
        for shape in ([512, 1], [1, 256, 2], *([1, 512, n] for n in (0, -1, 2**63, 10**15)))
    ),
    *(
        (voice(512, [1, 512, 1], value), "embeddings: has to be finite numbers")
        for value in (float("nan"), float("inf"), 1e300)
    ),
]
TO_HEAR: list[tuple[bytes | str, str]] = [
    *(
        (message, NO_MESSAGE)
        for message in (
            *(b"", b"\xc1", PCM + NESTED, audio_message(np.zeros(1920, np.float32))[:-3]),
            PCM + b"\xdd\xff\xff\xff\xff",
        )
    ),
    (pack({"type": "OggOpus", "data": bytes(MIB + 1)}), f"{TOO_LARGE} for all but Audio)"),
    (pack({"type": "Marker", "id": 0, "more": bytes(2 * MIB)}), TOO_LARGE),
    (PCM + b"\xdd" + (MIB + 1).to_bytes(4) + bytes(MIB + 1), MORE),
    (PCM + b"\xdd\xff\xff\xff\xff" + b"\xca" * (MIB + 1), MORE),
    (pack({"type": "Audio", "pcm": [0] * 2 * MIB}), f"{MORE} have to be floats of"),
    *(
        (audio_message(np.array([0.0, value], np.float32)), "pcm: has to be finite numbers")
        for value in (np.nan, np.inf)
    ),
    (pack({"type": "Audio", "pcm": [0, float("nan")]}), "pcm: has to be finite numbers"),
    (pack({"type": "OggOpus", "data": b"no sound in here" * 60_000}), "data: is not an Ogg stream"),
    (pack({"type": "OggOpus", "data": VORBIS}), "data: holds no Opus audio"),
]
for socket, written, sentence in raw_rows(__file__, "bad_messages.tsv"):
    (TO_SPEAK if socket == "speech" else TO_HEAR).append((pack(json.loads(written)), sentence))


@pytest.mark.parametrize(("message", "reason"), TO_SPEAK, ids=[reason for _, reason in TO_SPEAK])
async def test_invalid_speech_message_is_answered_by_error(
    espeak_app: AppServer, spoken: dict[str, list[bytes]], message: bytes, reason: str
) -> None:
    answer = await say(espeak_app, text_message(HELLO), message, text_message("And what comes after it?"))
    *before, told, end = answer.told
    assert told["type"] == "Error" and told["message"].startswith(reason)
    assert (end["type"], end["text"]) == ("Text", "")
    assert answer.code == (1009 if "too long" in reason else 1007)
    assert answer.reason == told["message"].encode()[:123].decode()
    if "breaks" in reason:
        words = [word["text"] for word in before if word["type"] == "Text"]
        assert words == [*HELLO.split(), "Hi.", *['<break time="0.08s">'] * 1000]
    else:
        solo = await hello(espeak_app, spoken, "PcmMessagePack")
        assert answer.messages[:-2] == solo[:-1]


@pytest.mark.parametrize(("message", "reason"), TO_HEAR, ids=[reason for _, reason in TO_HEAR])
async def test_invalid_recognition_message_gets_an_error_and_closes_connection(
    espeak_app: AppServer, message: bytes, reason: str
) -> None:
    answer = await tell(espeak_app, audio_message(np.zeros(1920 * 3, np.float32)), message, marker(1))
    assert answer.code == 1007 and answer.reason.startswith(reason[:120])
    ready, *steps, error = answer.told
    assert ready == {"type": "Ready"} and {told["type"] for told in steps} <= {"Step"}
    assert error["type"] == "Error" and error["message"].startswith(reason) and len(error) == 2


@pytest.mark.parametrize("form", FORMATS)
async def test_formats_have_errors(espeak_app: AppServer, spoken: dict[str, list[bytes]], form: str) -> None:
    answer = await say(espeak_app, text_message(HELLO), pack({"type": "Sing"}), query=f"format={form}")
    assert answer.code == 1007 and answer.reason.startswith("type: must be one of Text, Voice, Eos")
    solo = await hello(espeak_app, spoken, form)
    if form.endswith("MessagePack"):
        errors = [message for message in answer.messages if b"Error" in message]
        assert [msgspec.msgpack.decode(error)["message"] for error in errors] == [answer.reason]
        assert [message for message in answer.messages if message not in errors] == solo
    else:
        assert answer.messages == solo


ENDINGS: list[tuple[list[bytes | str], str]] = [
    *((messages, "") for messages in ([EOS], [b"\0"], ["", " ", EOS])),
    *(([text_message(text), EOS], "") for text in ("", " \n\t ", '<break time="1s"/>')),
    ([EOS, EOS, text_message(""), text_message(" "), b"\0"], ""),
    *(([EOS, text_message(text)], "text: came after Eos") for text in ("Too late.", '<break time="1s"/>')),
    ([voice(FRAMES_125, [1, 512, 125]), EOS], ""),
]


@pytest.mark.parametrize(("messages", "reason"), ENDINGS)
async def test_wordless_text_ends_at_once(
    espeak_app: AppServer, messages: list[bytes | str], reason: str
) -> None:
    answer = await say(espeak_app, *messages)
    errors = [told["message"] for told in answer.told if told["type"] == "Error"]
    # Text after Eos may find the connection closed already: there was nothing to wait for.
    assert (answer.code, errors) in [(1000, []), *([(1007, [reason])] if reason else [])]
    assert [told["type"] for told in answer.told if told["type"] != "Error"] == ["Ready", "Text"]


@pytest.mark.parametrize("later", [text_message("Too late."), "Too late.", text_message(" "), EOS])
async def test_text_after_eos_is_error(
    espeak_app: AppServer, spoken: dict[str, list[bytes]], later: bytes | str
) -> None:
    answer = await say(espeak_app, text_message(HELLO), EOS, later)
    solo = await hello(espeak_app, spoken, "PcmMessagePack")
    late = "late" in str(later)
    assert answer.reason == ("text: came after Eos" if late else "")
    assert answer.messages[:-2] == solo[:-1] if late else answer.messages == solo


async def test_audio_is_taken_as_24_khz_and_text_frames_are_ignored(espeak_app: AppServer) -> None:
    solo = await say(espeak_app, text_message(HELLO), EOS, query="format=Pcm")
    samples = np.frombuffer(b"".join(solo.messages), "<f4").repeat(2)
    silence = np.zeros(24_000, np.float32)
    async with door(espeak_app, LISTEN) as socket:
        for message in (
            "Hello?",
            "",
            *map(audio_message, (samples, silence[:0], silence)),
            marker(2**63 - 1),
        ):
            await socket.send(message)
        told = await hear_until(socket, "Marker")
    assert {message["type"] for message in told} <= {"Ready", "Step", "Word", "EndWord", "Marker"}
    assert len([step for step in told if step["type"] == "Step"]) == len(samples) // 1920 + 12
    await assert_serves(espeak_app)


@pytest.mark.alone
@pytest.mark.heard
async def test_largest_message_blocks_no_other_client(espeak_server: ServerProcess) -> None:
    process = psutil.Process(espeak_server.process.pid)
    noise = np.random.default_rng(1).normal(0, 0.1, (LARGEST - 21) // 5).astype(np.float32)
    message = audio_message(noise)
    assert LARGEST - 5 < len(message) <= LARGEST
    memory: list[int] = []
    for _ in range(6):
        async with door(espeak_server, LISTEN) as socket:
            sending = asyncio.create_task(socket.send(message))
            hearing = asyncio.create_task(hear_until(socket, "Step", 100))
            spoken = 0
            while not hearing.done():
                await assert_speaks(espeak_server)
                spoken += not hearing.done()
            await hearing
            assert spoken
            await sending
            # A client that drops the line leaves nothing over either.
            socket.transport.abort()
        await wait_for_idle(espeak_server)
        memory.append(process.memory_info().rss)
    # The first two load the recogniser and fill the allocator's arenas. Were messages kept, the last four
    # would add 256 MiB; what the allocator keeps for a while differs by up to 90 MiB from one to the next.
    assert min(memory[4:]) < memory[1] + 96 * MIB


async def test_speech_client_that_never_reads_costs_bounded_memory(espeak_server: ServerProcess) -> None:
    process = psutil.Process(espeak_server.process.pid)
    text = text_message("A sentence that nobody ever hears. " * 280)
    # The first long text makes the process larger for good.
    assert (await say(espeak_server, text, EOS, query="format=Pcm")).code == 1000
    await wait_for_idle(espeak_server)
    before = process.memory_info().rss
    path = f"{SPEAK}?format=PcmMessagePack"
    async with never_reading(espeak_server, path, additional_headers=KEY) as socket:
        await socket.send(text)
        await socket.send(EOS)
        async with asyncio.timeout(WITHIN_S):
            rested = 0
            # Between two of its segments an engine's place is free for a moment too.
            while rested < 10:
                now = await counters(espeak_server)
                rested = rested + 1 if now["sessions"] and not now["speaking"] else 0
                await asyncio.sleep(0.02)
        await assert_speaks(espeak_server)
        # Ten minutes of speech are 70 MB in messages.
        assert (await counters(espeak_server))["sessions"] == 1
        assert process.memory_info().rss < before + 40 * MIB
    await assert_serves(espeak_server)


@pytest.mark.heard
async def test_recognition_client_that_never_reads_costs_bounded_memory(espeak_server: ServerProcess) -> None:
    process = psutil.Process(espeak_server.process.pid)
    await tell(espeak_server, b"\0")
    before = process.memory_info().rss
    async with never_reading(espeak_server, LISTEN, additional_headers=KEY) as socket:
        with pytest.raises(TimeoutError):
            for number in range(10**7):
                async with asyncio.timeout(1.0):
                    await socket.send(marker(number))
        await assert_speaks(espeak_server)
        assert process.memory_info().rss < before + 60 * MIB
    await assert_serves(espeak_server)


SEEDS = ((400, "must be between 0 and"), (5000, "has to be a whole number"))
BIG, LONG = b" " * (17 * MIB), "text: too long (at most 10000 characters)"
REQUESTS: list[tuple[str, object, str]] = [
    *((f"WS {SPEAK}?seed={'9' * count}", None, f"seed: {why}") for count, why in SEEDS),
    *(
        (f"{call}{LISTEN}?prompt={'x' * 4_001}", b"", "prompt: is too long (at most 4000 characters)")
        for call in ("WS ", "")
    ),
    *(
        (SPEAK, body, "body: ")
        for body in (
            *(b"", b'{"text": "Hello.', b'{"text": "\xff", "voice": ""}'),
            b'{"text": "a", "voice": "", "more": ' + b"[" * 100_000,
        )
    ),
    *((SPEAK, {"text": text, "voice": ""}, LONG) for text in ("a" * 10_001, "a:" * 4_000_000)),
    ("/api/tts", {"text": ["a:" * 4_000_000], "seed": 1, "temperature": 0.8, "top_k": 250}, LONG),
    *(
        (path, body, "body: ")
        for path in (LISTEN, "/api/voice")
        for body in (b"", b"no sound in here", b"RIFF\xff\xff\xff\xffWAVEfmt ")
    ),
    (f"{LISTEN}?language=klingonese", b"", "language: unsupported language 'klingonese'"),
    *((path, BIG, "the body is too large (at most 16777216 bytes)") for path in (SPEAK, "/api/voice")),
    *(
        (call, json.loads(body) if body != "-" else None, sentence)
        for call, body, sentence in raw_rows(__file__, "bad_requests.tsv")
    ),
]


@pytest.mark.parametrize(("call", "body", "reason"), REQUESTS, ids=shown)
async def test_invalid_request_is_refused(
    espeak_app: AppServer, call: str, body: object, reason: str
) -> None:
    if call.startswith("WS "):
        status, told = await denied(espeak_app.url + call.removeprefix("WS "), additional_headers=KEY)
    else:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await espeak_app.post(call, content=content, headers=KEY)
        status, told = answer.status_code, answer.json()["error"]["message"]
    assert status == (413 if body == BIG else 400) and told.startswith(reason)


@pytest.mark.alone
async def test_limits_end_text_and_connection(start_app: StartApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.protocols.kyutai.speech_out.IDLE_S", 1.0)
    server = start_app(KANI_MAX_TEXT="50")
    answer = await say(server, *[text_message("wonderful")] * 6)
    words = [told["text"] for told in answer.told if told["type"] == "Text"]
    assert words == [*["wonderful"] * 5, ""]
    assert (answer.code, answer.reason) == (1009, "text: too long (at most 50 characters)")
    began = time.monotonic()
    for answer in await asyncio.gather(*(say(server, query=f"format={form}") for form in FORMATS)):
        assert (answer.code, answer.reason) == (1000, "no text came for 1 s")
    assert time.monotonic() - began > 0.9
    await wait_for_idle(server)


async def test_very_long_word_is_spoken(start_app: StartApp) -> None:
    server = start_app(KANI_MAX_TEXT="30001")
    for letters in ("x" * 30_000, "\u0301" * 30_000 + "a", "(" * 30_000):
        answer = await say(server, text_message(letters), EOS, query="format=PcmMessagePack&max_seq_len=20")
        assert answer.code == 1000 and not answer.reason
    await wait_for_idle(server)


async def test_full_server_refuses_in_each_format_and_says_that_it_hears_nothing(start_app: StartApp) -> None:
    server = start_app(KANI_RATE_PER_MINUTE="1")
    answer = await tell(server)
    assert answer.code == 1011 and "KANI_RECOGNIZER" in answer.told[-1]["message"]
    server.service.recognition.recognizer = LoudnessRecognizer()
    busy = {"type": "Error", "message": "no free channels"}
    assert (await say(server, text_message("Hello."), EOS)).code == 1000
    for form in FORMATS:
        answer = await say(server, query=f"format={form}")
        assert (answer.code, answer.reason) == (1013, "no free channels")
        if form.endswith("MessagePack"):
            assert answer.told == [busy]
        else:
            assert not answer.messages
    answer = await tell(server)
    assert (answer.code, answer.told) == (1013, [busy])
    posted = await server.post(SPEAK, json={"text": "Hello.", "voice": ""}, headers=KEY)
    assert posted.status_code == 503
    assert posted.json() == {"error": {"message": "too many requests (at most 1 a minute)"}}
    await wait_for_idle(server)


async def test_failure_of_the_recogniser_or_silence_closes_the_connection(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(PausingRecognizer(breaks_above=0.5))
    loud = np.repeat(np.array([0.0, 0.9], np.float32), 24_000)
    answer = await tell(server, audio_message(loud))
    assert answer.code == 1011 and "the recogniser failed" in answer.reason
    # What was heard before comes first.
    assert [told["step_idx"] for told in answer.told if told["type"] == "Step"][:12] == [*range(12)]
    monkeypatch.setattr("kani.protocols.kyutai.speech_in.IDLE_TIMEOUT_S", 0.5)
    async with connect(f"{server.url}{LISTEN}", additional_headers=KEY, ping_interval=0.1) as socket:
        answer = await rest_of(socket)
    assert answer.told == [{"type": "Ready"}]
    assert (answer.code, answer.reason) == (1000, "nothing came for 0.5 s")
