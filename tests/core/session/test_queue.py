"""Positions of a session that waits for its engine, and limits of its wait."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from kani.core import request_ids
from kani.core.errors import (
    Busy,
    EngineFailed,
    InvalidRequest,
    RateLimited,
    SpeechCancelled,
    TextTooLong,
    TimedOut,
)
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.session.context import Prepare, Terms
from kani.core.session.output import WaitTimeout
from kani.core.session.session import SpeechSession
from kani.core.types import Recording
from tests.support.event_loop import settle, virtual_time
from tests.support.patience import WITHIN_S, happens
from tests.support.sessions import SPANISH, collect, fed, serving
from tests.support.tone import ToneEngine


@pytest.fixture(autouse=True)
async def _virtual_time() -> AsyncIterator[None]:
    with virtual_time():
        yield


async def positions(session: SpeechSession, seen: list[int]) -> list[int]:
    async with asyncio.timeout(WITHIN_S):
        async for position in session.queue_positions():
            seen.append(position)
    return seen


async def test_session_reports_queue_positions(engine: ToneEngine, service: SpeechService) -> None:
    engine.allow = 0
    async with AsyncExitStack() as stack:
        told: list[list[int]] = [[] for _ in range(4)]
        sessions, watchers = [], []
        for place, seen in enumerate(told):
            sessions.append(await stack.enter_async_context(fed(service, "uno")))
            watchers.append(asyncio.create_task(positions(sessions[-1], seen)))
            # A session queues once a thread has prepared its text: the next one could overtake it.
            await happens(lambda place=place, seen=seen: seen == [place] if place else engine.segments)
        assert told == [[], [1], [2], [3]]
        sessions[1].cancel()
        await happens(lambda: told[3][-1:] == [2])
        assert told[2] == [2, 1]
        await engine.permit(None)
        for session in (sessions[0], sessions[2], sessions[3]):
            assert await collect(session)
        ends = await asyncio.gather(*watchers, return_exceptions=True)
        assert [type(end) for end in ends] == [list, SpeechCancelled, list, list]
        assert told[0] == [] and told[1] == [1] and told[2] == [2, 1]
        assert told[3] in ([3, 2], [3, 2, 1])


@pytest.mark.parametrize("text", ["", " ... ", "uno"])
async def test_session_without_wait_reports_no_position(service: SpeechService, text: str) -> None:
    async with fed(service, text) as session:
        assert await positions(session, []) == []
        assert len(await collect(session)) >= bool(text)


async def test_full_queue_raises_from_positions_and_chunks(tmp_path: Path) -> None:
    engine = ToneEngine(allow=0)
    async with serving(engine, tmp_path, max_waiting=0) as service:
        async with fed(service, "uno") as first:
            await settle()
            async with fed(service, "dos") as second:
                for reading in (positions(second, []), collect(second)):
                    with pytest.raises(Busy):
                        await reading
            await engine.permit(None)
            assert await collect(first)


async def test_timeout_counts_queue_and_synthesis_together(tmp_path: Path) -> None:
    engine = ToneEngine(allow=0)
    async with serving(engine, tmp_path, request_timeout=0.2) as service:
        async with fed(service, "uno") as speaking, fed(service, "uno") as waiting:
            told: list[int] = []
            with pytest.raises(TimedOut):
                await positions(waiting, told)
            assert told == [1]
            for session in (waiting, speaking):
                with pytest.raises(TimedOut) as timed_out:
                    await collect(session)
            assert timed_out.value.seconds == 0.2 and "at most 0.2 s" in str(timed_out.value)


async def test_timeout_ignores_slow_readers_and_slow_text(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path, request_timeout=0.1, ahead_s=1.0) as service:
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
    engine = ToneEngine(allow=0)
    async with serving(engine, tmp_path, request_timeout=0.3) as service:
        async with fed(service, "uno"), fed(service, "uno") as second:
            async for position in second.queue_positions():
                assert position == 1
                await asyncio.sleep(0.5)
                await engine.permit(None)
            assert await collect(second)


async def test_prepare_counts_as_wait_and_ends_with_session(tmp_path: Path) -> None:
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
    async with serving(engine, tmp_path, request_timeout=0.2, rate_per_minute=4) as service:

        async def run(prepare: Prepare, cancel: bool = False) -> None:
            async with fed(service, "uno", prepare=prepare) as session:
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


async def test_limits_of_text_and_slots(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path, max_text=5) as service:
        async with service.open(SPANISH, protocol="test", terms=Terms(max_text=3)) as session:
            # All pieces count together, and of their end no more than one space is free.
            for piece in ("un", "o "):
                session.feed(piece)
            with pytest.raises(TextTooLong) as too_long:
                session.feed(" ")
            assert too_long.value.limit == 3
        async with fed(service, "cuatro", max_text=10) as session:
            assert await collect(session)
    engine = ToneEngine(places=4, allow=0)
    async with serving(engine, tmp_path, max_concurrent=2) as service, AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(fed(service, "uno"))
        await settle()
        assert (service.state().slots_in_use, service.state().waiting) == (2, 1)


class Ledger(Observer):
    def __init__(self) -> None:
        self.endings: list[tuple[str, int]] = []

    def synthesis_ended(self, protocol: str, outcome: str, seconds: float, characters: int) -> None:
        self.endings.append((outcome, characters))


async def test_every_session_is_reported_once_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, ledger = ToneEngine(), Ledger()
    caplog.set_level(logging.INFO, "speech")
    for name in ("account", "text"):  # as an application's own configuration leaves them
        monkeypatch.setattr(logging.getLogger(f"speech.{name}"), "disabled", False)
    async with serving(engine, tmp_path, ledger, max_text=20) as service:

        async def run(name: str, text: str, error: type[Exception] | None, cancel: bool = False) -> None:
            with request_ids.bind(name):
                async with fed(service, text) as session:
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
    facts = [record.__dict__["facts"] for record in caplog.records if "facts" in record.__dict__]
    assert [fact["outcome"] for fact in facts] == [outcome for outcome, _ in expected]
    assert facts[0]["engine"] == "tone" and facts[0]["audio_s"] == pytest.approx(0.7, abs=0.1)
    assert [segment.request_id for segment in engine.segments] == ["whole", "broken"]
    assert not any(word in caplog.text for word in ("uno", "kaputt", "tres"))


async def test_sessions_of_one_request_id_are_told_apart(engine: ToneEngine, service: SpeechService) -> None:
    """Segments name their session: all sessions of a multi-context socket have the socket's request id."""
    with request_ids.bind("socket"):
        for texts in (("Uno. ", "Dos."), ("Tres.",)):
            async with service.open(SPANISH, protocol="test") as session:
                for text in texts:
                    session.feed(text)
                    session.flush()
                session.finish()
                await collect(session)
    one, two, other = engine.segments
    assert one.request_id == two.request_id == other.request_id == "socket"
    assert one.session == two.session != other.session
    assert one.session and other.session


async def test_timeout_adds_up_all_waits_from_the_start_but_suspended_ones() -> None:
    exhausted = asyncio.Event()

    async def wait(limit: WaitTimeout, seconds: float) -> bool:
        with limit.waiting():
            await asyncio.sleep(seconds)
        return exhausted.is_set()

    timeout = WaitTimeout(0.25, exhausted.set)
    timeout.start()
    assert [await wait(timeout, 0.1) for _ in range(3)] == [False, False, True]
    # A wait that was under way counts from the start on; without a limit none does.
    for seconds, expected in ((0.1, True), (0.0, False)):
        exhausted.clear()
        timeout = WaitTimeout(seconds, exhausted.set)
        with timeout.waiting():
            await asyncio.sleep(0.15)
            assert not exhausted.is_set()
            timeout.start()
            await asyncio.sleep(0.15)
        assert exhausted.is_set() is expected
    timeout = WaitTimeout(0.05, exhausted.set)
    timeout.start()
    with timeout.suspended():
        assert not await wait(timeout, 0.2)
    with timeout.waiting():
        with timeout.suspended():
            await asyncio.sleep(0.2)
            assert not exhausted.is_set()
        await exhausted.wait()
