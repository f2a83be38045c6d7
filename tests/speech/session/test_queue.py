"""What a session tells while it waits for its engine, and how long its client may wait."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from speech import request_ids
from speech.errors import (
    Busy,
    EngineFailed,
    InvalidRequest,
    RateLimited,
    SpeechCancelled,
    TextTooLong,
    TimedOut,
)
from speech.observer import Observer
from speech.session.context import Prepare
from speech.session.playout_buffer import WaitTimeout
from speech.session.report import TEXT_LOG
from speech.session.session import SpeechSession
from speech.types import Recording
from tests.speech.session.test_session import SPANISH, collect, serving
from tests.support.tone import ToneEngine

IN_TIME_S = 300.0


async def positions(session: SpeechSession, seen: list[int]) -> None:
    """Follow a session's place in the queue until it has its turn."""
    async for position in session.queue_positions():
        seen.append(position)


async def until(told: list[int], value: int) -> None:
    """Return once ``value`` was told last."""
    async with asyncio.timeout(IN_TIME_S):
        while told[-1:] != [value]:
            await asyncio.sleep(0.001)


async def test_a_place_in_the_queue_is_told_as_it_changes(tmp_path: Path) -> None:
    """Each session learns where it stands, moves up as others go, and is told no more in its turn."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path) as service, AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(service.open(SPANISH, protocol="test")) for _ in range(4)]
        told: list[list[int]] = [[] for _ in sessions]
        watchers = []
        for session, seen in zip(sessions, told, strict=True):
            session.feed("uno")
            session.finish()
            watchers.append(asyncio.create_task(positions(session, seen)))
        await until(told[3], 3)
        assert told == [[], [1], [2], [3]]
        sessions[1].cancel()
        await until(told[3], 2)
        assert told[2] == [2, 1]
        await engine.permit(None)
        for session in (sessions[0], sessions[2], sessions[3]):
            assert await collect(session)
        ends = await asyncio.gather(*watchers, return_exceptions=True)
        assert [type(end) for end in ends] == [type(None), SpeechCancelled, type(None), type(None)]
        assert told[0] == [] and told[1] == [1] and told[2] == [2, 1]
        assert told[3] in ([3, 2], [3, 2, 1])


@pytest.mark.parametrize("text", ["", " ... ", "uno"])
async def test_who_has_nothing_to_wait_for_is_told_nothing(tmp_path: Path, text: str) -> None:
    """No text, nothing to say, or a free engine: the queue ends at once, and the speech follows."""
    async with serving(ToneEngine(), tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed(text)
        session.finish()
        async with asyncio.timeout(IN_TIME_S):
            assert [position async for position in session.queue_positions()] == []
        assert len(await collect(session)) >= bool(text)


async def test_what_goes_wrong_before_the_turn_ends_the_queue(tmp_path: Path) -> None:
    """A queue that is full refuses a session: both ways of waiting tell why."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path, max_waiting=0) as service:
        async with (
            service.open(SPANISH, protocol="test") as first,
            service.open(SPANISH, protocol="test") as second,
        ):
            first.feed("uno")
            first.finish()
            await asyncio.sleep(0.01)
            second.feed("dos")
            second.finish()
            async with asyncio.timeout(IN_TIME_S):
                with pytest.raises(Busy):
                    await positions(second, [])
            with pytest.raises(Busy):
                await collect(second)


@pytest.mark.alone
async def test_waiting_too_long_ends_a_session(tmp_path: Path) -> None:
    """Seconds in the queue and seconds for the engine count together; then the place is given back."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path, request_timeout_s=0.2) as service:
        async with (
            service.open(SPANISH, protocol="test") as speaking,
            service.open(SPANISH, protocol="test") as waiting,
        ):
            for session in (speaking, waiting):
                session.feed("uno")
                session.finish()
            told: list[int] = []
            async with asyncio.timeout(IN_TIME_S):
                with pytest.raises(TimedOut):
                    await positions(waiting, told)
            assert told == [1]
            for session in (waiting, speaking):
                with pytest.raises(TimedOut) as timed_out:
                    await collect(session)
            assert timed_out.value.seconds == 0.2 and "at most 0.2 s" in str(timed_out.value)


@pytest.mark.alone
async def test_who_plays_slowly_is_not_late(tmp_path: Path) -> None:
    """Time in which audio lies ready, and time in which the client still writes, do not count."""
    async with serving(ToneEngine(), tmp_path, request_timeout_s=0.1, ahead_s=1.0) as service:
        async with service.open(SPANISH, protocol="test") as session:
            session.feed("uno dos tres cuatro cinco. ")
            await asyncio.sleep(0.15)
            session.feed("seis siete ocho nueve diez.")
            session.finish()
            chunks = 0
            async for _ in session:
                chunks += 1
                await asyncio.sleep(0.03)
            assert chunks > 5


@pytest.mark.alone
async def test_who_is_told_his_place_slowly_is_not_late(tmp_path: Path) -> None:
    """The time that a client takes to be told where it stands is its own."""
    engine = ToneEngine()
    engine.allow = 0
    async with serving(engine, tmp_path, request_timeout_s=0.3) as service:
        async with (
            service.open(SPANISH, protocol="test") as first,
            service.open(SPANISH, protocol="test") as second,
        ):
            for session in (first, second):
                session.feed("uno")
                session.finish()
            async for position in second.queue_positions():
                assert position == 1
                await asyncio.sleep(0.5)
                await engine.permit(None)
            assert await collect(second)


@pytest.mark.alone
async def test_what_has_to_be_done_first_is_part_of_the_wait(tmp_path: Path) -> None:
    """A recording that is fetched becomes the reference; it may fail, take too long, or be cancelled."""
    voice = Recording(np.full(8, 0.5, np.float32), 8)
    cancelled: list[str] = []

    async def fetched() -> Recording:
        await asyncio.sleep(0)
        return voice

    async def failing() -> Recording:
        raise InvalidRequest("reference", "is nowhere")

    async def endless() -> Recording:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("fetch")
            raise
        return voice

    engine = ToneEngine(clones=True)
    async with serving(engine, tmp_path, request_timeout_s=0.2, rate_per_minute=4) as service:

        async def run(prepare: Prepare, cancel: bool = False) -> None:
            async with service.open(SPANISH, protocol="test", prepare=prepare) as session:
                session.feed("uno")
                session.finish()
                await asyncio.sleep(0)
                if cancel:
                    session.cancel()
                await positions(session, [])
                await collect(session)

        await run(fetched)
        embedding = engine.segments[0].embedding
        assert embedding is not None and engine.embedded[0] is voice
        with pytest.raises(InvalidRequest):
            await run(failing)
        with pytest.raises(TimedOut):
            await run(endless)
        with pytest.raises(SpeechCancelled):
            await run(endless, cancel=True)
        assert cancelled == ["fetch", "fetch"] and len(engine.segments) == 1
        with pytest.raises(RateLimited):
            await run(fetched)


async def test_a_client_may_be_less_patient_than_the_server(tmp_path: Path) -> None:
    """A session's own limit counts where it is the shorter one, and where the server has none."""
    engine = ToneEngine()
    engine.allow = 0
    for limit in (0.0, 60.0):
        async with (
            serving(engine, tmp_path, request_timeout_s=limit) as service,
            service.open(SPANISH, protocol="test", timeout_s=0.05) as session,
        ):
            session.feed("uno")
            session.finish()
            with pytest.raises(TimedOut):
                await collect(session)


async def test_a_wait_that_began_before_the_text_was_whole_counts_from_then(tmp_path: Path) -> None:
    """Patience begins with the end of the text, also for a reader who waits already; 0 is for ever."""
    exhausted = asyncio.Event()
    for seconds, expected in ((0.1, True), (0.0, False)):
        exhausted.clear()
        timeout = WaitTimeout(seconds, exhausted.set)
        async with timeout.waiting():
            await asyncio.sleep(0.15)
            assert not exhausted.is_set()
            timeout.start()
            await asyncio.sleep(0.15)
        assert exhausted.is_set() is expected


async def test_a_session_may_have_a_longest_text_of_its_own(tmp_path: Path) -> None:
    """A protocol's limit replaces the server's, downwards and upwards."""
    async with serving(ToneEngine(), tmp_path, max_text=5) as service:
        async with service.open(SPANISH, protocol="test", max_text=3) as session:
            with pytest.raises(TextTooLong) as too_long:
                session.feed("cuatro")
            assert too_long.value.limit == 3
        async with service.open(SPANISH, protocol="test", max_text=10) as session:
            session.feed("cuatro")
            session.finish()
            assert await collect(session)


async def test_fewer_segments_at_once_than_the_engine_has_places(tmp_path: Path) -> None:
    """max_concurrent bounds what an engine speaks at once; the others wait in the queue."""
    engine = ToneEngine(places=4)
    engine.allow = 0
    async with serving(engine, tmp_path, max_concurrent=2) as service, AsyncExitStack() as stack:
        for _ in range(3):
            session = await stack.enter_async_context(service.open(SPANISH, protocol="test"))
            session.feed("uno")
            session.finish()
        await asyncio.sleep(0.01)
        assert (service.state().slots_in_use, service.state().waiting) == (2, 1)


class Ledger(Observer):
    """Keeps how each session ended."""

    def __init__(self) -> None:
        self.endings: list[tuple[str, int]] = []

    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        """Keep it."""
        self.endings.append((outcome, characters))


async def test_every_session_has_one_ending(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told to the observer, and to the log in one line that names its request and never its text."""
    engine, ledger = ToneEngine(), Ledger()
    caplog.set_level(logging.INFO, "speech")
    monkeypatch.setattr(logging.getLogger("speech.session.report"), "disabled", False)
    async with serving(engine, tmp_path, max_text=20) as service:
        service._observer = ledger

        async def run(name: str, text: str, error: type[Exception] | None, cancel: bool = False) -> None:
            with request_ids.bind(name):
                async with service.open(SPANISH, protocol="test") as session:
                    session.feed(text)
                    session.finish()
                    if cancel:
                        session.cancel()
                    if error is None:
                        await collect(session)
                    else:
                        with pytest.raises(error):
                            await collect(session)

        await run("whole", "uno dos", None)
        await run("cancelled", "uno", SpeechCancelled, cancel=True)
        await run("broken", "kaputt", EngineFailed)
        async with service.open(SPANISH, protocol="test") as left:
            left.feed("tres")
        with pytest.raises(InvalidRequest):
            async with service.open(SPANISH, protocol="test") as useless:
                useless.feed("seis")
                raise InvalidRequest("text", "its speech cannot be sent")
    expected = [("completed", 7), ("cancelled", 3), ("failed", 6), ("cancelled", 4), ("invalid", 4)]
    assert ledger.endings == expected
    facts: list[dict[str, Any]] = [
        record.__dict__["facts"] for record in caplog.records if "facts" in record.__dict__
    ]
    assert [fact["outcome"] for fact in facts] == [outcome for outcome, _ in expected]
    assert facts[0]["engine"] == "tone" and facts[0]["audio_s"] == pytest.approx(0.7, abs=0.1)
    assert [segment.request_id for segment in engine.segments] == ["whole", "broken"]
    assert not any(word in caplog.text for word in ("uno", "kaputt", "tres"))


async def test_texts_are_logged_where_they_are_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the operator wants them, each text is a line of its own."""
    caplog.set_level(logging.INFO, "speech.text")
    monkeypatch.setattr(TEXT_LOG, "disabled", False)
    async with serving(ToneEngine(), tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        session.feed("uno")
    assert "'uno'" in caplog.text
