"""A worker that has the key and keeps to no contract: it ends its connection, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recognizer import RecognizedWord
from kani.core.transcriber import TranscribedSegment
from kani.core.types import Embedding, Similarity, Span
from kani.engines.remote.address import Address
from kani.engines.remote.channel import Channel
from kani.engines.remote.checks import check, log_text
from kani.engines.remote.connection import MAX_UNREAD_BYTES, Connection
from kani.engines.remote.engine import AHEAD_S
from kani.engines.remote.handshake import welcome
from kani.engines.remote.messages import (
    Chunk,
    Embedded,
    Failed,
    FromWorker,
    Grant,
    Logged,
    Ready,
    Recognized,
    Transcribed,
    Unavailable,
    Waiting,
    pack_samples,
)
from tests.engines.remote.test_remote import KEY, engine_of, segment, until
from tests.support.tone import RATE, ToneEngine

INFO = ToneEngine().info
SECOND = pack_samples(np.zeros(RATE, np.float32))
NAN, INF = math.nan, math.inf


def chunk(sample_rate: int = RATE, start_s: float = 0.0, *spans: Span) -> Chunk:
    return Chunk(1, SECOND, sample_rate, start_s, spans)


def embedded(value: float, similarity: float) -> Embedded:
    values = np.array([value], np.float32)
    return Embedded(1, Embedding("tone", "tone 1", values, {"es": Similarity(0.0, similarity, False)}))


@asynccontextmanager
async def rogue(folder: Path, ready: Ready, *answers: FromWorker) -> AsyncIterator[Address]:
    """A worker by hand, which answers the first message of each server with ``answers``."""
    tasks = []

    async def serve(channel: Channel) -> None:
        await welcome(channel, KEY)
        channel.send(ready)
        await channel.read()
        for answer in answers:
            channel.send(answer)
        await channel.lost.wait()

    def accept() -> Channel:
        channel = Channel()
        tasks.append(asyncio.create_task(serve(channel)))
        return channel

    path = folder / "rogue.sock"
    server = await asyncio.get_running_loop().create_unix_server(accept, str(path))
    async with server:
        yield Address(path)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([chunk(0)], "the sample rate of a chunk is 0 (at least 1, at most 192000)"),
        ([chunk(192_001)], "the sample rate of a chunk is 192001"),
        ([chunk(2 * RATE)], "a chunk of 2000 Hz of an engine of 1000 Hz"),
        ([chunk(RATE, NAN)], "the start of a chunk is no finite number"),
        ([chunk(RATE, 0.0, Span(0, 1, 0.0, INF))], "a time of a span is no finite number"),
        ([chunk(RATE, 0.0, Span(0, 1, 0.0, 1.0, (NAN,)))], "a time of a span is no finite number"),
        ([chunk(RATE, 0.0, Span(2, 1, 0.0, 1.0))], "a span of the characters 2 to 1"),
        ([chunk(RATE, 0.0, Span(-1, 1, 0.0, 1.0))], "a span of the characters -1 to 1"),
        ([chunk(RATE, 0.0, Span(0, 4, 0.0, 1.0))], "a span beyond the 3 characters of its text"),
        ([chunk()] * 4, f"more speech than the {AHEAD_S:g} s that were granted"),
        ([Waiting(1, -1, None)], "the characters known to a segment is -1"),
        ([Waiting(1, 1, NAN)], "the time that a segment waits is no finite number"),
        ([Grant(1, NAN)], "a grant is nan"),
        ([Ready(replace(INFO, max_concurrency=0))], "the slots of an engine is 0 (at least 1"),
        ([Logged(logging.ERROR, "server", "forged", "")], "Logged, which only a child of this process sends"),
        ([Unavailable("forged")], "Unavailable, which only a child of this process sends"),
    ],
)
async def test_wrong_value_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answers: Sequence[FromWorker], reason: str
) -> None:
    async with rogue(tmp_path, Ready(INFO), *answers) as address:
        engine = engine_of(address)
        await engine.start()
        speech = engine.synthesize(segment("uno"))
        # One chunk is taken at most, so that nothing more is granted.
        taken = asyncio.create_task(anext(speech))
        await until(lambda: reason in caplog.text)
        with pytest.raises(EngineFailed, match="the tone engine was lost"):
            await taken
            async for _ in speech:
                pass
        await engine.stop()


@pytest.mark.parametrize(
    ("ready", "reason"),
    [
        (Ready(replace(INFO, max_concurrency=0)), "the slots of an engine is 0"),
        (Ready(replace(INFO, sample_rate=0)), "the sample rate of an engine is 0"),
        (Ready(replace(INFO, speed_range=(NAN, 1.0))), "the speeds of an engine is no finite number"),
        (Ready(INFO, name="a\n2026-01-01 ERROR forged"), "a description with line breaks"),
    ],
)
async def test_wrong_description_is_refused(tmp_path: Path, ready: Ready, reason: str) -> None:
    async with rogue(tmp_path, ready) as address:
        with pytest.raises(EngineUnavailable, match=reason):
            await engine_of(address).start()


@pytest.mark.parametrize(
    "message",
    [
        embedded(NAN, 0.5),
        embedded(0.5, INF),
        Embedded(1, Embedding("tone", "tone 1", np.zeros(200_001, np.float32))),
        Recognized(1, word=RecognizedWord("uno", 0.0, NAN)),
        Recognized(1, step=(-1, (0.0, 0.0, 0.0, 0.0), (), True)),
        Recognized(1, step=(0, (0.0, 0.0, 0.0, NAN), (), True)),
        Recognized(1),
        Transcribed(1, TranscribedSegment("uno", 0.0, INF, (), (), 0.0, 0.0, 0.0, 1.0, 0.0, "es", 1.0)),
        Logged(-1, "server", "", ""),
    ],
)
def test_wrong_value_is_refused(message: FromWorker) -> None:
    with pytest.raises(Exception, match=r"no finite number|at least|without content"):
        check(message)


async def test_answers_that_nothing_asked_for_are_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    large = Embedded(1, Embedding("tone", "tone 1", np.zeros(200_000, np.float32)))
    answers = [large] * (MAX_UNREAD_BYTES // 800_000 + 1)
    async with rogue(tmp_path, Ready(replace(INFO, cloning="embedding")), *answers) as address:
        engine = engine_of(address)
        await engine.start()
        connection = (await engine._workers.connections())[0]
        async with connection.exchange(lambda number: Waiting(number, 0, None)):
            await until(lambda: "more than 64 MiB that nothing has asked for" in caplog.text)
        await engine.stop()


async def test_text_of_an_error_has_no_line_breaks(tmp_path: Path) -> None:
    async with rogue(tmp_path, Ready(INFO), Failed(1, "failed", "broken\nERROR forged")) as address:
        engine = engine_of(address)
        await engine.start()
        with pytest.raises(EngineFailed) as failed:
            await anext(engine.synthesize(segment("uno")))
        assert str(failed.value) == "broken ERROR forged"
        await engine.stop()


def test_further_lines_of_a_log_record_are_indented(caplog: pytest.LogCaptureFixture) -> None:
    assert log_text("a\r\x1b[31m\nb\u2028c") == "a  [31m\n    b c"
    connection = Connection(Channel(), lambda _: None, "the process of tone")
    connection._log(Logged(logging.ERROR, "engines\ntone", "Traceback\nERROR forged", "id\n"))
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("engines tone", "Traceback\n    ERROR forged")
