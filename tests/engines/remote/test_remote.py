"""Engines and recognisers in a worker: what they yield, how far they run, and bad peers."""

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from kani.core.engine import Engine
from kani.core.errors import EngineFailed, InvalidRequest, Reason
from kani.core.recognizer import Mark, RecognitionEvent
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Recording, Samples, Segment, Span, SpeechChunk, Voice
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote.address import Address, connect
from kani.engines.remote.channel import LEASE_S, Channel
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.engine import AHEAD_S, RemoteEngine
from kani.engines.remote.handshake import MAGIC, Challenge, Greeting, greet, welcome
from kani.engines.remote.link import Link
from kani.engines.remote.messages import AUDIO_AHEAD_S, PROTOCOL_VERSION, FromWorker, Ready, Speak
from kani.engines.remote.processes import RemoteWorkers, engine_at
from kani.engines.remote.recognizer import MAX_UNREAD, RemoteRecognizer
from kani.engines.worker.server import serve_worker
from kani.engines.worker.service import Worker
from tests.engines.packages.life import chunks_of, started
from tests.support.event_loop import settle, virtual_time
from tests.support.loudness import RATE as HEARD_RATE
from tests.support.loudness import LoudnessRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.sessions import SPANISH, audio, collect, spans_of
from tests.support.sessions import started as serving
from tests.support.tone import LETTER_S, ToneEngine

KEY = "one-key-for-both-sides"
WORD = "cuatro"
WORD_S = len(WORD) * LETTER_S
LONG = " ".join([WORD] * 40)
AHEAD_WORDS = AHEAD_S / WORD_S + 1


def segment(text: str) -> Segment:
    return Segment(text, "tone_es", "es")


class Site:
    """A worker that listens, and can be ended."""

    def __init__(self, worker: Worker, address: Address) -> None:
        self.worker, self.address = worker, address
        self._stop = asyncio.Event()

    async def start(self) -> None:
        at = asyncio.get_running_loop().create_future()
        serving = serve_worker(self.worker, self.address, KEY, self._stop, at.set_result)
        self._task = asyncio.create_task(serving)
        await asyncio.wait((at, self._task), return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            # It cannot listen.
            await self._task
        self.address = at.result()

    async def end(self) -> None:
        self._stop.set()
        await self._task


@asynccontextmanager
async def working(worker: Worker, folder: Path, tcp: bool = False) -> AsyncIterator[Address]:
    """Serve a worker on a socket while the body runs; nothing of any exchange is left at the end."""
    site = Site(worker, Address(host="127.0.0.1") if tcp else Address(folder / "private" / "worker.sock"))
    await site.start()
    try:
        yield site.address
        await happens(lambda: worker.exchanges == 0)
    finally:
        await site.end()


def engine_of(*addresses: Address, registry: CollectorRegistry | None = None) -> RemoteEngine:
    workers = RemoteWorkers(tuple(map(str, addresses)), KEY)
    return engine_at(workers, WorkerMetrics(registry or CollectorRegistry()))


async def whole(engine: Engine, text: str = "uno dos", **rest: Any) -> list[SpeechChunk]:
    return await chunks_of(engine, replace(segment(text), **rest))


@asynccontextmanager
async def remote(engine: ToneEngine, folder: Path) -> AsyncIterator[tuple[RemoteEngine, Address]]:
    """The engine in a worker, started; and the worker's address."""
    async with working(Worker(engine), folder) as address, started(engine_of(address)) as behind:
        yield behind, address


@asynccontextmanager
async def rogue(
    folder: Path, first: Ready | Challenge, *answers: FromWorker, accepted: list[Channel] | None = None
) -> AsyncIterator[Address]:
    """A worker by hand, which answers the first message of each server with ``answers``.

    first: its description, or a challenge, which is then all that it says; accepted: gets its connections.
    """
    tasks = []

    async def serve(channel: Channel) -> None:
        if isinstance(first, Challenge):
            await channel.read()
            channel.send_packed(msgspec.msgpack.encode(first))
            return
        await welcome(channel, KEY)
        channel.send(first)
        await channel.read()
        for answer in answers:
            channel.send(answer)
        await channel.lost.wait()

    def accept() -> Channel:
        channel = Channel()
        if accepted is not None:
            accepted.append(channel)
        tasks.append(asyncio.create_task(serve(channel)))
        return channel

    path = folder / "rogue.sock"
    server = await asyncio.get_running_loop().create_unix_server(accept, str(path))
    async with server:
        yield Address(path)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def content(chunks: list[SpeechChunk]) -> list[tuple[object, ...]]:
    return [(chunk.samples.tobytes(), chunk.sample_rate, chunk.start_s, chunk.spans) for chunk in chunks]


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("written", [False, True], ids=["whole", "word by word"])
async def test_session_yields_what_the_engine_itself_does(tmp_path: Path, tcp: bool, written: bool) -> None:
    text = "Hola, esto es una frase. Y otra más larga viene detrás de ella, con 21 palabras.\n\nFin."

    async def speak(engine: Engine) -> tuple[bytes, list[Span]]:
        """All audio and spans: the pace of the text decides where a growing one is cut."""
        async with serving(tmp_path / "voices", engine) as service:
            async with service.open(SPANISH, protocol="test") as session:
                reading = asyncio.create_task(collect(session))
                for word in text.split(" ") if written else [text]:
                    session.feed(word + " " * written)
                    await settle()
                session.finish()
                chunks = await reading
        return audio(chunks).tobytes(), spans_of(chunks)

    own, behind = ToneEngine(writes=written), ToneEngine(writes=written)
    expected = await speak(own)
    async with working(Worker(behind), tmp_path, tcp) as address:
        assert await speak(engine_of(address)) == expected
        assert behind.words == own.words
        if not tcp:
            modes = [stat.S_IMODE(path.stat().st_mode) for path in (address.path.parent, address.path)]
            assert modes == [0o700, 0o600]


async def test_errors_and_embeddings_arrive_as_the_engine_made_them(tmp_path: Path) -> None:
    engine = ToneEngine(clones=True)
    # A description that is longer than any frame of the handshake.
    voices = tuple(Voice(f"tone_{number}", "Tone", "es", "tone") for number in range(200))
    engine.info = replace(engine.info, voices=engine.info.voices + voices)
    async with remote(engine, tmp_path) as (behind, _):
        assert behind.info == engine.info
        # Longer than the buffer that is received into.
        recording = Recording(np.full(500_000, 0.25, np.float32), 1000)
        embedding = await behind.embed(recording)
        assert embedding.values.tolist() == [0.25] and embedding.similarity["es"].now == 0.6
        async with aclosing(behind.refine(recording, embedding, "es")) as better:
            assert [one.similarity["es"].now async for one in better] == [0.7, 0.8]
        with pytest.raises(InvalidRequest, match="there is no speech in the recording") as refused:
            await behind.embed(Recording(np.zeros(100, np.float32), 1000))
        assert (refused.value.field, refused.value.details) == ("reference", Reason("no_speech"))
        with pytest.raises(EngineFailed, match="the tone broke") as failed:
            await anext(behind.synthesize(segment("kaputt")))
        assert failed.value.logged


async def test_cancelled_segment_frees_its_slot_before_it_returns(tmp_path: Path) -> None:
    engine = ToneEngine(allow=1)
    async with remote(engine, tmp_path) as (behind, _):
        chunks = behind.synthesize(segment(LONG))
        await anext(chunks)
        await happens(lambda: engine.under_way == 1)
        await chunks.aclose()
        assert (engine.under_way, engine.steps) == (0, 1)


async def test_slow_reader_bounds_the_engine_and_lends_its_slot(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True)
    async with remote(engine, tmp_path) as (behind, _), aclosing(behind.synthesize(segment(LONG))) as slow:
        taken = [await anext(slow)]
        # The engine has one slot.
        assert len(await whole(behind)) == 2
        made = engine.words.count(WORD)
        assert 1 < made <= AHEAD_WORDS
        while len(taken) < made + 1:
            taken.append(await anext(slow))
        await settle()
        assert engine.words.count(WORD) <= len(taken) + AHEAD_WORDS


async def test_grant_that_never_comes_costs_no_slot_for_longer_than_a_lease(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with remote(engine, tmp_path) as (behind, _), aclosing(behind.synthesize(segment(LONG))) as slow:
        with virtual_time():
            await anext(slow)
            # The engine cannot be paused, so that its one slot is not lent.
            assert len(await whole(behind)) == 2
        with pytest.raises(EngineFailed, match=f"granted no more audio for {LEASE_S} s"):
            async for _ in slow:
                assert engine.words.count(WORD) <= AHEAD_WORDS


async def raw(address: Address) -> Channel:
    """A server's connection by hand, after the handshake."""
    channel = await connect(address)
    await greet(channel, KEY)
    await channel.read()
    return channel


async def test_silent_server_loses_its_slots_after_the_lease(tmp_path: Path) -> None:
    engine = ToneEngine(allow=1)
    async with remote(engine, tmp_path) as (behind, address):
        with virtual_time():
            channel = await raw(address)
            channel.send(Speak(1, segment(LONG), 100.0))
            await happens(lambda: engine.under_way == 1)
            started = asyncio.get_running_loop().time()
            reading = asyncio.create_task(anext(behind.synthesize(segment("uno"))))
            await channel.lost.wait()
            await happens(lambda: len(engine.segments) == 2)
            assert LEASE_S <= asyncio.get_running_loop().time() - started <= LEASE_S + 3
            await engine.permit(None)
            assert (await reading).spans


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "a message of 1195725856 bytes"),
        (b"\0\0\0\4\xff\xff\xff\xff", "the peer does not speak this protocol"),
        (b"\0\0\0\3" + msgspec.msgpack.encode([1]) * 3, "the peer does not speak this protocol"),
        (Greeting("something else", 1, b""), "the peer is no server of this protocol"),
        (Greeting(MAGIC, 99, b""), "the server has version 99 of the worker protocol, this process has"),
        ("another-key-of-16", "the server has another key: set the same KANI_ENGINE_KEY on both sides"),
        (Ready(), "a message that cannot be read"),
        (Speak(7, segment("uno"), 1.0), "a message that cannot be read"),
    ],
)
async def test_bad_server_is_refused_and_disturbs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: object, reason: str
) -> None:
    engine = ToneEngine(allow=1)
    async with remote(engine, tmp_path) as (behind, address):
        chunks = behind.synthesize(segment("uno dos tres"))
        spoken = [await anext(chunks)]
        channel = await (raw if isinstance(sent, Ready | Speak) else connect)(address)
        if isinstance(sent, str):
            with pytest.raises(Exception, match="the worker has another key"):
                await greet(channel, sent)
        elif isinstance(sent, bytes):
            channel._transport.write(sent)
        else:
            frame = msgspec.msgpack.encode(sent)
            channel.send_packed(frame[:-9] if isinstance(sent, Speak) else frame)
        if isinstance(sent, Greeting) and sent.magic == MAGIC:
            answer = msgspec.msgpack.decode(await channel.read(), type=Challenge)
            assert answer.version == PROTOCOL_VERSION and reason in answer.refusal
        await asyncio.wait_for(channel.lost.wait(), WITHIN_S)
        await happens(lambda: reason in caplog.text)
        await engine.permit(None)
        assert len([*spoken, *[chunk async for chunk in chunks]]) == 3


async def test_worker_that_hangs_fails_its_segments_after_the_lease_and_is_reached_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accepted: list[Channel] = []
    async with rogue(tmp_path, Ready(ToneEngine().info), accepted=accepted) as address:
        with virtual_time():
            async with started(engine_of(address)) as engine:
                with pytest.raises(EngineFailed, match="the tone engine was lost"):
                    await anext(engine.synthesize(segment("uno")))
                # A segment without a sound so far is tried by further workers, but not by ever more of them.
                assert len(accepted) == 3
                assert f"was lost: no sign of life for {LEASE_S} s" in caplog.text


async def test_recogniser_behind_a_worker_yields_the_same_and_pulls_no_more_than_is_read(
    tmp_path: Path,
) -> None:
    heard = LoudnessRecognizer()
    loud = np.full(HEARD_RATE // 4, 0.5, np.float32)
    pulled = 0

    async def audio() -> AsyncIterator[Samples | Mark]:
        nonlocal pulled
        for number in range(400):
            pulled += 1
            yield loud * (number % 2)
            yield Mark(number)

    async def samples() -> AsyncIterator[Samples]:
        yield loud

    expected: list[RecognitionEvent] = [event async for event in heard.recognize(audio(), "es")]
    pulled = 0
    async with working(Worker(None, heard), tmp_path) as address:
        behind = RemoteRecognizer(heard.info)
        behind.use(Link(RemoteWorker(address, KEY, behind.changed)))
        async with started(behind):
            async with aclosing(behind.recognize(audio(), "es")) as events:
                found = [await anext(events)]
                for _ in range(20):
                    await settle()
                # A quarter of a second each; three steps and a mark of it are read.
                assert pulled * 0.25 <= AUDIO_AHEAD_S * 2 + MAX_UNREAD * 0.25
                found += [event async for event in events]
            assert found == expected
            prompted = [event async for event in behind.recognize_prompted(audio(), "es", "Zandrell", "es")]
            assert prompted == expected and heard.prompts == ["Zandrell"] and heard.candidates == {"es"}
            options = TranscriptionOptions("es", translate=True, prompt="p")
            direct = [one async for one in heard.transcribe(samples(), options)]
            assert [one async for one in behind.transcribe(samples(), options)] == direct
            assert heard.options == options
