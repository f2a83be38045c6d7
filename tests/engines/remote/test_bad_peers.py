"""Bad peers of workers: crowds without the key, machines between, workers that keep to no contract."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import msgspec
import numpy as np
import pytest

from kani.core.engine import Cloning
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recognizer import RecognizedWord
from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani.core.types import Embedding, Similarity, Span, SpeechChunk
from kani.engines.remote import messages
from kani.engines.remote.address import Address
from kani.engines.remote.channel import MAX_HANDSHAKE_BYTES, TAG_BYTES, Channel, ProtocolError, Tags
from kani.engines.remote.checks import check, log_text
from kani.engines.remote.connection import MAX_UNREAD_BYTES, Connection, WorkerLost
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.engine import AHEAD_S
from kani.engines.remote.handshake import MAGIC, Challenge
from kani.engines.remote.messages import Embedded, FromWorker, Logged, Ready, Recognized, Waiting
from kani.engines.worker import exchanges, server
from kani.engines.worker.service import Worker
from kani.protocols.openai.speech.formats import FORMATS
from tests.conftest import StartServer
from tests.engines.faulty import FAULTS, SOUND, FaultyEngine
from tests.engines.packages.life import started
from tests.engines.remote.test_remote import KEY, engine_of, rogue, segment, whole, working
from tests.support.patience import WITHIN_S, happens
from tests.support.sessions import SPANISH, audio, speak
from tests.support.sessions import started as serving
from tests.support.tone import RATE, ToneEngine

PLACES = 16


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", PLACES)


async def test_silent_crowd_keeps_no_server_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with working(Worker(ToneEngine()), tmp_path, tcp=True) as address:
        silent = [await asyncio.open_connection(address.host, address.port) for _ in range(2 * PLACES)]
        async with started(engine_of(address)) as engine:
            # The oldest are closed, as many as are too many.
            for reader, _ in silent[: PLACES + 1]:
                with suppress(ConnectionResetError):
                    assert await reader.read() == b""
            silent += [await asyncio.open_connection(address.host, address.port) for _ in range(2 * PLACES)]
            assert len(await whole(engine)) == 2
        for _, writer in silent:
            writer.close()
    assert caplog.text.count("the oldest are closed") == 1


async def test_connected_server_is_not_closed_for_another(tmp_path: Path) -> None:
    async with working(Worker(ToneEngine()), tmp_path, tcp=True) as address, AsyncExitStack() as stack:
        workers = [RemoteWorker(address, KEY, lambda _: None) for _ in range(PLACES + 1)]
        connections = []
        for worker in workers[:-1]:
            connections.append(await worker.connect())
            stack.push_async_callback(worker.disconnect, connections[-1])
        with pytest.raises(WorkerLost):
            await workers[-1].connect()
        assert not any(connection.channel.lost.is_set() for connection in connections)


TEXT = "uno dos tres cuatro"
CHANGED = "a message that the peer has not sent in this place"
LENGTH_BYTES = 4

UNCHANGED = {"server": 2, "worker": 4}
"""Frames that pass: the handshake, and of a worker its description and the first audio."""

Change = Callable[[list[bytes]], list[bytes]]
"""Makes frames of some; an empty list while more of them are needed."""


def flip(frame: bytes) -> bytes:
    message, tag = bytearray(frame[:-TAG_BYTES]), frame[-TAG_BYTES:]
    message[-1] ^= 1
    return bytes(message) + tag


CHANGES: dict[str, Change] = {
    "changed": lambda frames: [flip(frames[0])],
    "repeated": lambda frames: [frames[0], frames[0]],
    "dropped": lambda frames: frames[1:2],
    "moved": lambda frames: frames[1::-1] if len(frames) > 1 else [],
    "added": lambda frames: [msgspec.msgpack.encode(messages.Ended(1)) + bytes(TAG_BYTES), *frames],
    "without a tag": lambda frames: [frames[0][:-TAG_BYTES]],
    "shorter than a tag": lambda frames: [b""],
}


@asynccontextmanager
async def between(worker: Address, side: str, change: Change) -> AsyncIterator[Address]:
    """A machine between a server and a worker, which changes frames of the first connection once."""
    changed, pumps = list[bytes](), []

    async def pump(whence: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passed, held = 0, list[bytes]()
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                frames = [await reader.readexactly(length)]
                passed += 1
                if not changed and whence == side and passed > UNCHANGED[side]:
                    held += frames
                    changed[:] = frames = change(held)
                for frame in frames:
                    writer.write(len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, on = await asyncio.open_connection(worker.host, worker.port)
        pumps.append(asyncio.create_task(pump("server", reader, on)))
        pumps.append(asyncio.create_task(pump("worker", back, writer)))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as listening:
        yield Address(host="127.0.0.1", port=listening.sockets[0].getsockname()[1])


@pytest.mark.parametrize("side", UNCHANGED)
@pytest.mark.parametrize("change", CHANGES)
async def test_change_on_the_way_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, side: str, change: str
) -> None:
    async with (
        working(Worker(ToneEngine(places=2)), tmp_path, tcp=True) as address,
        between(address, side, CHANGES[change]) as changed_way,
        started(engine_of(changed_way)) as engine,
    ):
        outcomes = await asyncio.gather(whole(engine, TEXT), whole(engine, TEXT), return_exceptions=True)
        await happens(lambda: CHANGED in caplog.text)
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(failure, EngineFailed) for failure in failures)
    # Segments without a sound so far are begun again by another connection.
    assert bool(failures) == (side == "worker")
    assert all(len(outcome) == 4 for outcome in outcomes if isinstance(outcome, list))


def test_tags_differ_by_key_place_and_message() -> None:
    """Before the handshake little is received into."""
    assert len(Channel().get_buffer(1 << 20)) <= 2 * MAX_HANDSHAKE_BYTES
    first, same, other = Tags(b"a" * 32), Tags(b"a" * 32), Tags(b"b" * 32)
    tags = [first.next(b"x"), first.next(b"x"), first.next(b"y"), other.next(b"x")]
    assert len(set(tags)) == len(tags) and {len(tag) for tag in tags} == {TAG_BYTES}
    assert same.accepts(memoryview(b"x"), memoryview(tags[0]))
    assert not same.accepts(memoryview(b"x"), memoryview(tags[0]))


INFO = ToneEngine().info
SECOND = messages.pack_samples(np.zeros(RATE, np.float32))
NAN, INF = math.nan, math.inf
SEGMENT = TranscribedSegment("uno", 0.0, 1.0, language="es")


def chunk(sample_rate: int = RATE, start_s: float = 0.0, *spans: Span) -> messages.Chunk:
    return messages.Chunk(1, SECOND, sample_rate, start_s, spans)


def embedded(value: float, similarity: float) -> Embedded:
    values = np.array([value], np.float32)
    return Embedded(1, Embedding("tone", "tone 1", values, {"es": Similarity(0.0, similarity, False)}))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([chunk(RATE, 0.0, Span(0, 1, 0.0, INF))], "a time of a span is no finite number"),
        ([chunk(2 * RATE)], "a chunk of 2000 Hz of an engine of 1000 Hz"),
        ([chunk(RATE, 0.0, Span(0, 4, 0.0, 1.0))], "a span beyond the 3 characters of its text"),
        ([chunk()] * 4, f"more speech than the {AHEAD_S:g} s that were granted"),
        ([messages.Chunk(1, SECOND[:0], RATE, 0.0, ())] * 6000, "more chunks than 1,000 for each second"),
        ([chunk(RATE, 0.0, *[Span(0, 1, 0.0, 1.0)] * 10_001)], "a message that cannot be read"),
        ([messages.Failed(1, "failed", "a" * (2 << 20))], "(at most 2097152 but for speech)"),
        ([Waiting(1, -1, None)], "the characters known to a segment is -1"),
        ([messages.Grant(1, NAN)], "a grant is nan"),
        ([Ready(replace(INFO, max_concurrency=0))], "the slots of an engine is 0 (at least 1"),
        ([Logged(logging.ERROR, "server", "forged", "")], "Logged, which only a child of this process sends"),
        ([messages.Unavailable("forged")], "Unavailable, which only a child of this process sends"),
    ],
)
async def test_wrong_value_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: Sequence[FromWorker], reason: str
) -> None:
    async with rogue(tmp_path, Ready(INFO), *answers) as address, started(engine_of(address)) as engine:
        speech = engine.synthesize(segment("uno"))
        # One chunk is taken at most, so that nothing more is granted.
        taken = asyncio.create_task(anext(speech))
        await happens(lambda: reason in caplog.text)
        with pytest.raises(EngineFailed, match="the tone engine was lost"):
            await taken
            async for _ in speech:
                pass


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Ready(replace(INFO, max_concurrency=0)), "the slots of an engine is 0"),
        (Ready(INFO, name="a\n2026-01-01 ERROR forged"), "a description with line breaks"),
        (Challenge(MAGIC, 99, ""), r"the worker has version 99.*install the same release"),
    ],
)
async def test_wrong_description_is_refused(tmp_path: Path, first: Ready | Challenge, reason: str) -> None:
    async with rogue(tmp_path, first) as address:
        with pytest.raises(EngineUnavailable, match=reason):
            await engine_of(address).start()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (chunk(0), r"the sample rate of a chunk is 0 \(at least 1, at most 192000\)"),
        (chunk(192_001), "the sample rate of a chunk is 192001"),
        (chunk(RATE, NAN), "the start of a chunk is no finite number"),
        (chunk(RATE, 0.0, Span(0, 1, 0.0, 1.0, (NAN,))), "a time of a span is no finite number"),
        (chunk(RATE, 0.0, Span(2, 1, 0.0, 1.0)), "a span of the characters 2 to 1"),
        (chunk(RATE, 0.0, Span(-1, 1, 0.0, 1.0)), "a span of the characters -1 to 1"),
        (Waiting(1, 1, NAN), "the time that a segment waits is no finite number"),
        (Ready(replace(INFO, sample_rate=0)), "the sample rate of an engine is 0"),
        (Ready(replace(INFO, speed_range=(NAN, 1.0))), "the speeds of an engine is no finite number"),
        (embedded(NAN, 0.5), "no finite number"),
        (embedded(0.5, INF), "no finite number"),
        (Embedded(1, Embedding("tone", "tone 1", np.zeros(200_001, np.float32))), "at least"),
        (Recognized(1, word=RecognizedWord("uno", 0.0, NAN)), "no finite number"),
        (Recognized(1, step=(-1, (0.0, 0.0, 0.0, 0.0), (), True)), "at least"),
        (Recognized(1, step=(0, (0.0, 0.0, 0.0, NAN), (), True)), "no finite number"),
        (Recognized(1), "without content"),
        (messages.Transcribed(1, replace(SEGMENT, end_s=INF)), "no finite number"),
        (messages.Transcribed(1, replace(SEGMENT, words=(TranscribedWord("a", 0.0, 0.0, 1e3),))), "above 1"),
        (Logged(-1, "server", "", ""), "at least"),
    ],
)
def test_wrong_value_is_refused(message: FromWorker, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        check(message)


async def test_unasked_answers_are_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    large = Embedded(1, Embedding("tone", "tone 1", np.zeros(200_000, np.float32)))
    answers = [large] * (MAX_UNREAD_BYTES // 800_000 + 1)
    async with (
        rogue(tmp_path, Ready(replace(INFO, cloning=Cloning("embedding"))), *answers) as address,
        started(engine_of(address)) as engine,
    ):
        connection = (await engine._workers.connections())[0]
        async with connection.exchange(lambda number: Waiting(number, 0, None)):
            await happens(lambda: "more than 64 MiB that nothing has asked for" in caplog.text)


async def test_errors_and_log_records_stay_in_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        rogue(tmp_path, Ready(INFO), messages.Failed(1, "failed", "broken\nERROR forged")) as address,
        started(engine_of(address)) as engine,
    ):
        with pytest.raises(EngineFailed) as failed:
            await anext(engine.synthesize(segment("uno")))
        assert str(failed.value) == "broken ERROR forged"
    caplog.clear()
    assert log_text("a\r\x1b[31m\nb\u2028c") == "a  [31m\n    b c"
    connection = Connection(Channel(), lambda _: None, "the process of tone")
    connection._log(Logged(logging.ERROR, "engines\ntone", "Traceback\nERROR forged", "id\n"))
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("engines tone", "Traceback\n    ERROR forged")


BY_THE_SERVER = ("nan", "infinite", "minus", "loud", "louder", "deep", "unscaled", "many", "nothing")
"""Faults that only the session finds; others a message hides, or they end the connection."""


async def unchecked(speech: AsyncGenerator[SpeechChunk, None], *_: object) -> AsyncIterator[SpeechChunk]:
    async with aclosing(speech) as chunks:
        async for each in chunks:
            yield each
            await asyncio.sleep(0)


@pytest.mark.parametrize("checks", [True, False], ids=["of an own worker", "of another"])
async def test_faulty_speech_fails_in_words_and_leaves_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, checks: bool
) -> None:
    if not checks:
        monkeypatch.setattr(exchanges, "checked_speech", unchecked)
    async with (
        asyncio.timeout(WITHIN_S),
        working(Worker(FaultyEngine()), tmp_path) as address,
        serving(tmp_path / "voices", engine_of(address)) as service,
    ):
        for name in FAULTS if checks else BY_THE_SERVER:
            with pytest.raises(EngineFailed, match=FAULTS[name][1]):
                await speak(service, name)
        for name in SOUND if checks else ("faint", "over", "gaps"):
            assert len(audio(await speak(service, name, replace(SPANISH, max_tokens=100))))
        assert "was lost" not in caplog.text


async def test_faulty_speech_ends_no_server_in_any_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_server: StartServer
) -> None:
    """FFmpeg's MP3 encoder aborts its process for such samples."""
    monkeypatch.setattr(exchanges, "checked_speech", unchecked)
    async with working(Worker(FaultyEngine()), tmp_path) as address:
        given = {"KANI_ENGINE_ADDRESS": f"unix:{address.path}", "KANI_ENGINE_KEY": KEY}
        server = await asyncio.to_thread(start_server, "--engine", "remote", settled=False, **given)
        async with httpx2.AsyncClient(base_url=server.http_url) as client:

            async def answer(text: str, audio_format: str) -> tuple[int, str]:
                """Return the status, and what is said where speech breaks off after its first sound."""
                body = {"model": "tts-1", "input": text, "language": "es", "response_format": audio_format}
                try:
                    answered = await client.post("/v1/audio/speech", json=body)
                except httpx2.RemoteProtocolError as error:
                    return 200, str(error)
                return answered.status_code, "" if answered.status_code == 200 else answered.text

            for audio_format in FORMATS:
                for name in BY_THE_SERVER:
                    good, (status, reason) = await asyncio.gather(
                        answer("uno dos", audio_format), answer(name, audio_format)
                    )
                    assert good == (200, "")
                    assert FAULTS[name][1] in reason if status == 500 else reason, (name, audio_format)
                assert await answer("over", audio_format) == (200, "")
            assert server.process.poll() is None
            assert (await client.get("/livez")).status_code == 200
    # Its log has the tracebacks of what it refused.
    server.kill()
