"""Events on one connection: their answers, their order, the errors that end it."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from kani.core.audio.pcm import pcm16
from kani.core.recognizer import STEP_S
from kani.protocols.wyoming.framing import (
    BASE_DATA_BYTES,
    BYTES_PER_CHARACTER,
    MAX_LINE_BYTES,
    MAX_PAYLOAD_BYTES,
)
from kani.protocols.wyoming.speaking import IDLE_FLUSH_S, may_go_on
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import (
    STOP,
    answer_to,
    ask,
    chunk,
    client,
    read_all,
    read_until,
    send,
    steps,
    types,
)
from tests.protocols.wyoming.home_assistant import HOST, RATE
from tests.runtime.recognition.slow_recognizer import SlowRecognizer, words
from tests.support.event_loop import Idleness, virtual_time
from tests.support.loudness import STEP, PausingRecognizer
from tests.support.patience import happens
from tests.support.servers.serving import serving

SPEECH = ["audio-start", "audio-chunk", "audio-stop"]
START, END = Event("synthesize-start"), Event("synthesize-stop")


def say(text: str, **data: object) -> Event:
    return Event("synthesize", {"text": text, **data})


def piece(text: str) -> Event:
    return Event("synthesize-chunk", {"text": text})


LOUD = chunk(steps(True)[0])
LOUD_AND_QUIET = [chunk(pcm) for pcm in steps(True, False)]
PING, PONG = Event("ping", {"text": "x"}), "pong"
TRANSCRIPT = ["transcript-start", "transcript-chunk", "transcript", "transcript-stop"]

ANSWERS = {
    "ping": ((PING,), [PONG]),
    "ping_without_text": ((Event("ping"),), [PONG]),
    "program": ((Event("select-program", {"name": "Kani"}), PING), [PONG]),
    "unknown": ((Event("future", {"a": [1]}, b"payload"), PING), [PONG]),
    "speech": ((say("uno"),), SPEECH),
    "ssml": ((say("<speak>uno</speak>", text_format="ssml"),), SPEECH),
    "ssml_without_root": ((say("uno <break/> dos", text_format="ssml"),), SPEECH),
    "two_texts_at_once": ((say("uno"), say("dos")), SPEECH * 2),
    "by_language": ((say("one", voice={"language": "en"}),), SPEECH),
    "by_language_of_piper": ((say("one", voice={"language": "en_US"}),), SPEECH),
    "null_values": ((say("uno", voice={"name": None, "speaker": None}, context=None),), SPEECH),
    "empty_stream": ((START, END), ["audio-start", "audio-stop", "synthesize-stopped"]),
    "stream": ((START, piece("uno "), say("uno"), END), [*SPEECH, "synthesize-stopped"]),
    "recognition": ((Event("transcribe"), Event("audio-start"), LOUD, STOP), TRANSCRIPT),
    "recognition_without_start": ((LOUD, STOP), TRANSCRIPT),
    "no_audio": ((Event("transcribe"), STOP), ["transcript", "transcript-stop"]),
    "speech_then_recognition": ((say("uno"), LOUD, STOP), SPEECH + TRANSCRIPT),
}


@pytest.mark.parametrize(("sent", "answers"), ANSWERS.values(), ids=ANSWERS)
async def test_events_are_answered_in_order(port: int, sent: tuple[Event, ...], answers: list[str]) -> None:
    async with client(port) as connected:
        await send(connected, *sent)
        found: list[Event] = []
        while len(types(found)) < len(answers):
            event = await connected.read_event()
            assert event is not None
            found.append(event)
        assert types(found) == answers


async def test_flood_of_events_leaves_the_loop_idle_in_between(port: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b'{"type":"ping"}\n')
    await reader.readline()
    idleness = Idleness()
    writer.write(b'{"type":"future"}\n' * 5000 + b'{"type":"ping"}\n')
    await reader.readline()
    assert idleness.stop() >= 10
    writer.close()


ERRORS = {
    "chunk_before_start": ((piece("uno"),), "no synthesize-start"),
    "stop_before_start": ((END,), "no synthesize-start"),
    "two_starts": ((START, START), "has not ended"),
    "audio_in_a_stream": ((START, LOUD), "has no end"),
    "text_in_audio": ((LOUD, say("uno")), "has no end"),
    "stream_in_audio": ((LOUD, START), "has no end"),
    "no_text": ((Event("synthesize"),), "synthesize: text: is needed"),
    "text_is_number": ((say(1),), "text"),  # type: ignore[arg-type]
    "long_text": ((say("x" * 10_001),), "at most 10000"),
    "long_stream": ((START, piece("x" * 9000), piece("x" * 9000)), "at most 10000"),
    "language": ((say("uno", voice={"language": "xx"}),), "xx"),
    "faulty_ssml": ((say("uno </p>", text_format="ssml"),), "SSML, line 1, column 5"),
    "rate": ((chunk(b"", rate=1),), "rate"),
    "odd_rate": ((chunk(b"", rate=16_001),), "rate"),
    "rates": (tuple(chunk(b"ab" * 800, 8000 * (1 + at % 2)) for at in range(18)), "rate changes too often"),
    "width": ((chunk(b"", width=5),), "width"),
    "channels": ((chunk(b"", channels=9),), "channels"),
    "half_a_sample": ((chunk(b"abc"),), "whole frames of 2 bytes"),
    "engine": ((say("kaputt"),), "tone"),
    "long_ping": ((Event("ping", {"text": "x" * 2000}),), "text"),
}


@pytest.mark.parametrize(("sent", "reason"), ERRORS.values(), ids=ERRORS)
async def test_error_is_sent_and_closes(port: int, sent: tuple[Event, ...], reason: str) -> None:
    async with client(port) as connected:
        await send(connected, *sent)
        *_, last = await read_all(connected)
    assert last.type == "error" and reason in last.data["text"] and last.data["code"]


MOST_DATA = BASE_DATA_BYTES + 10_000 * BYTES_PER_CHARACTER
LINES = {
    "text": (b"GET / HTTP/1.1\r\n", "the line"),
    "list": (b"[]\n", "the line"),
    "not_utf8": (b'{"type": "\xff"}\n', "the line"),
    "deep": (b"[" * 20_000 + b"\n", "the line"),
    "long_line": (b" " * (MAX_LINE_BYTES + 1), f"at most {MAX_LINE_BYTES} bytes"),
    "no_type": (b"{}\n", "type"),
    "data_list": (b'{"type": "ping", "data": []}\n', "data"),
    "data_bytes": (b'{"type": "ping", "data_length": 2}\n[]', "data"),
    "huge_data": (b'{"type": "ping", "data_length": %d}\n' % (MOST_DATA + 1), "data_length: too large"),
    "huge_payload": (
        b'{"type": "ping", "payload_length": %d}\n' % (MAX_PAYLOAD_BYTES + 1),
        "payload_length: too large",
    ),
    "negative": (b'{"type": "ping", "payload_length": -1}\n', "payload_length"),
    "length_text": (b'{"type": "ping", "data_length": "1"}\n', "data_length"),
    "length_true": (b'{"type": "ping", "data_length": true}\n', "data_length"),
}


@pytest.mark.parametrize(("line", "reason"), LINES.values(), ids=LINES)
async def test_invalid_framing_is_an_error(port: int, line: bytes, reason: str) -> None:
    header, data = (await answer_to(port, line)).split(b"\n", 1)
    assert json.loads(header)["type"] == "error" and reason in data.decode()


async def test_older_forms_of_the_line_are_read(port: int) -> None:
    text = b'{"text": "a"}'
    for line in (
        b'{"type": "ping", "data": %b}\n' % text,
        b'{"type": "ping", "data": null, "data_length": 13, "payload_length": null}\n' + text,
        # Data in a piece of its own come before those in the line.
        b'{"type": "ping", "data": {"text": "b"}, "data_length": 13, "payload_length": 2}\n%bxx' % text,
    ):
        header, data = (await answer_to(port, line, ends=True)).split(b"\n", 1)
        assert json.loads(header)["type"] == "pong" and json.loads(data) == {"text": "a"}, line


async def test_ends_within_events_and_errors_while_sending(port: int) -> None:
    for part in (b"", b'{"type"', b'{"type": "ping", "payload_length": 9}\nabc'):
        assert await answer_to(port, part, ends=True) == b""
    async with client(port) as connected:
        await send(connected, Event("transcribe", {"language": "xx"}), *[LOUD] * 100)
        (error,) = await read_all(connected)
    assert error.type == "error" and error.data["code"] == "invalid-request"


async def test_written_text_is_spoken_when_its_writer_pauses(serve: Serve) -> None:
    """A word with an open end is not: more letters may follow."""
    server = await serve()
    async with client(server.streams["Wyoming"]) as connected:
        await send(connected, START, piece("Uno dos"))
        with virtual_time():
            await asyncio.sleep(2 * IDLE_FLUSH_S)
        assert server.engine.words == []
        await connected.write_event(piece("cientos tres "))
        await read_until(connected, "audio-chunk")
        await connected.write_event(END)
        await read_until(connected, "synthesize-stopped")
    assert server.engine.words == ["Uno", "doscientos", "tres"]


async def test_pipelined_requests_end_with_their_client(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 0
    async with client(server.streams["Wyoming"]) as connected:
        await send(connected, say("uno"), say("dos"))
        await happens(lambda: server.engine.under_way)
    await happens(lambda: not server.engine.under_way)
    assert server.engine.words == []


FORMATS = [(16_000, 2, 1), (8000, 2, 1), (44_100, 2, 2), (48_000, 4, 1), (22_050, 3, 2), (16_000, 1, 1)]
RATES = (16_000, 48_000, 8000, 16_000)


async def test_audio_of_any_format_is_recognized(port: int) -> None:
    for rate, width, channels in FORMATS:
        level = 2 ** (8 * width - 2)
        loud = (level + 128 if width == 1 else level).to_bytes(width, "little") * channels
        quiet = (128 if width == 1 else 0).to_bytes(width, "little") * channels
        pcm = quiet * (rate * 8 // 100) + loud * (rate * 8 // 100) + quiet * (rate * 16 // 100)
        heard = await ask(port, chunk(pcm, rate, width, channels), STOP, last="transcript")
        assert heard[-1].data["text"].startswith("w0"), (rate, width, channels)
    # The rate may change between chunks.
    pieces = [chunk((20_000).to_bytes(2, "little") * (rate * 16 // 100), rate) for rate in RATES]
    heard = await ask(port, *pieces, STOP, last="transcript")
    assert heard[-1].data["text"].count("w") in (7, 8)


async def test_names_and_terms_reach_the_recogniser(tmp_path: Path) -> None:
    recognizer = PausingRecognizer()
    words = {"transcript_names": ["Zandrell"], "transcript_terms": ["heat pump", "dimmer"]}
    async with serving(tmp_path, recognizer, KANI_WYOMING="true") as server:
        port = server.streams["Wyoming"]
        await ask(port, Event("transcribe", words), LOUD, STOP, last="transcript-stop")
        # Of too many words the first are left out: terms have to come first.
        assert recognizer.prompts == ["heat pump, dimmer, Zandrell."]
        for field, wrong in (("names", ["x"] * 1_001), ("terms", ["x" * 101]), ("terms", "dimmer")):
            (error,) = await ask(port, Event("transcribe", {f"transcript_{field}": wrong}), last="error")
            assert f"transcribe: transcript_{field}" in error.data["text"]


async def test_words_come_while_audio_is_sent(port: int) -> None:
    async with client(port) as connected:
        await send(connected, Event("transcribe", {"language": "es"}), *LOUD_AND_QUIET)
        words = await read_until(connected, "transcript-chunk")
        await send(connected, *LOUD_AND_QUIET)
        words += await read_until(connected, "transcript-chunk")
        await connected.write_event(STOP)
        words += await read_until(connected, "transcript-stop")
    texts = [event.data["text"] for event in words if event.type == "transcript-chunk"]
    whole = next(event.data for event in words if event.type == "transcript")
    assert texts == ["w0", " w1"] and whole == {"text": "w0 w1", "language": "es"}


async def talk(connected: AsyncTcpClient, sensitivity: str, *loud: bool) -> None:
    """Send steps as they are spoken."""
    await connected.write_event(Event("transcribe", {"vad_sensitivity": sensitivity}))
    for pcm in steps(*loud):
        await connected.write_event(chunk(pcm))
        await asyncio.sleep(STEP_S)


@pytest.mark.parametrize(
    ("sensitivity", "quiet", "text"), [("aggressive", 5, "w0"), ("default", 5, "w0 w1"), ("other", 8, "w0")]
)
async def test_client_may_ask_to_end_its_command(port: int, sensitivity: str, quiet: int, text: str) -> None:
    async with client(port) as connected:
        await talk(connected, sensitivity, True, *[False] * quiet, True, False)
        await connected.write_event(STOP)
        assert (await read_until(connected, "transcript"))[-1].data["text"] == text


async def test_words_of_a_slow_recogniser_end_a_command_without_more_audio(tmp_path: Path) -> None:
    recognizer = SlowRecognizer()
    async with serving(tmp_path, recognizer, KANI_WYOMING="true") as server:
        async with client(server.streams["Wyoming"]) as connected:
            await connected.write_event(Event("transcribe", {"vad_sensitivity": "default"}))
            spoken = np.concatenate([words(1, 3), np.zeros(RATE // 2 + STEP, np.float32)])
            await connected.write_event(chunk(pcm16(spoken)))
            await recognizer.hears(len(spoken) / RATE)
            recognizer.decide.set()
            assert (await read_until(connected, "transcript"))[-1].data["text"] == "w1 w2 w3"


async def test_next_command_may_follow_without_audio_stop(port: int) -> None:
    async with client(port) as connected:
        for _ in range(2):
            await talk(connected, "aggressive", True, *[False] * 10)
            heard = await read_until(connected, "transcript-stop")
            assert [event.data["text"] for event in heard if event.type == "transcript"] == ["w0"]


async def test_recording_is_heard_to_its_end(serve: Serve) -> None:
    """Audio that comes faster than it is spoken is no command, even where the server ends them."""
    server = await serve(KANI_WYOMING_END_OF_SPEECH="true")
    pcm = b"".join(steps(True, *[False] * 40, True))
    heard = await ask(server.streams["Wyoming"], chunk(pcm), STOP, last="transcript")
    assert heard[-1].data["text"] == "w0 w1"


def test_word_is_not_spoken_before_its_end() -> None:
    open_ends = {"Wohn": True, "3": True, "uno ": False, "uno.": False, "今天": False, "": False}
    assert {text: may_go_on(text) for text in open_ends} == open_ends
