"""Order of a connection's sessions without real time."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import SpeechCancelled
from kani.core.session.context import Terms
from kani.core.session.output import PlayoutBuffer
from kani.core.session.priority import LEAD_S, TEXT_PENDING_S, SessionPriorities
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechChunk
from tests.support.event_loop import settle
from tests.support.sessions import SPANISH, collect, serving
from tests.support.tone import WORD, ToneEngine

OLD = "alfa beta gama delta zeta iota kapa lambda sigma omega tau fi. yota aleph bet gimel dalet he vav zayin"
NEW = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce."


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize("places", [1, 2])
async def test_superseded_session_follows_the_new_one(tmp_path: Path, rests: bool, places: int) -> None:
    engine, clock = ToneEngine(rests=rests, places=places), Clock()
    among = SessionPriorities(clock)
    async with serving(engine, tmp_path) as service:

        def opened() -> SpeechSession:
            return service.open(SPANISH, protocol="test", terms=Terms(priorities=among))

        async with opened() as old, opened() as new:
            engine.allow = 0
            old.feed(OLD)
            old.finish()
            await engine.permit(2)
            begun = WORD.findall(engine.segments[0].text)
            old.priority.lower()
            assert not old.priority.superseded
            new.feed(NEW)
            new.finish()
            assert old.priority.superseded
            reading = asyncio.create_task(collect(old)), asyncio.create_task(collect(new))
            await engine.permit(None)
            await reading[1]
            # The clock stands: what was made is still to be heard, and more of the old one is not due.
            made = [word for word in engine.words if word in WORD.findall(OLD)]
            assert len(made) <= (2 + 1 if rests else len(begun)), "one step was under way"
            await new.aclose()
            await reading[0]
        assert [word for word in engine.words if word in WORD.findall(OLD)] == WORD.findall(OLD)
        assert [word for word in engine.words if word in WORD.findall(NEW)] == WORD.findall(NEW)


def test_superseded_session_keeps_pace_with_its_playback() -> None:
    among = SessionPriorities(clock := Clock())
    old, new = among.add(), among.add()
    old.audio_made(5.0)
    assert not old.must_wait
    old.lower()
    new.text_received()
    assert old.must_wait
    new.audio_made(LEAD_S)
    assert old.must_wait, "it is ahead of its own listener"
    clock.now += 5.0 - LEAD_S
    new.audio_made(LEAD_S)
    clock.now += 0.5
    new.audio_made(LEAD_S)
    assert not old.must_wait
    with new.working():
        clock.now += 10.0
        assert old.must_wait, "the new one is late"
        with new.working(False):
            assert not old.must_wait, "it waits for its text"
    new.leave()
    assert not (old.must_wait or old.superseded)


def test_text_without_audio_blocks_lower_priority_briefly() -> None:
    among = SessionPriorities(clock := Clock())
    old, new = among.add(), among.add()
    old.lower()
    assert not old.must_wait
    new.text_received()
    assert old.must_wait
    clock.now += TEXT_PENDING_S
    assert not old.must_wait and old.superseded


def test_session_lowered_later_ranks_higher() -> None:
    among = SessionPriorities(Clock())
    interrupted, ended, awaited = (among.add() for _ in range(3))
    for standing in (interrupted, ended, awaited):
        standing.text_received()
        standing.lower()
    assert interrupted.superseded and ended.superseded and not awaited.superseded
    interrupted.restore()
    assert not interrupted.superseded and awaited.superseded


@pytest.mark.parametrize("end", ["leave", "restore"])
async def test_wait_ends_when_the_other_leaves_or_the_rank_rises(end: str) -> None:
    among = SessionPriorities(Clock())
    old, new = among.add(), among.add()
    old.lower()
    new.text_received()
    with new.working():
        waiting = asyncio.create_task(old.wait_for_turn())
        await settle()
        assert not waiting.done()
        new.leave() if end == "leave" else old.restore()
        await settle()
        assert waiting.done()


async def test_cancelled_buffer_takes_no_more() -> None:
    buffer = PlayoutBuffer(4.0)
    buffer.discard(SpeechCancelled())
    buffer.put(SpeechChunk(np.zeros(1000, np.float32), 1000, 0.0))
    with pytest.raises(SpeechCancelled):
        await buffer.get()
