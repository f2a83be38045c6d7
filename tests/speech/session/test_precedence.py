"""Which of a connection's sessions is made first: an engine whose every step is seen, and no real time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from speech.session.playout_buffer import WaitTimeout
from speech.session.priority import LEAD_S, TEXT_PENDING_S, SessionPriorities
from speech.session.session import SpeechSession
from tests.speech.session.test_session import SPANISH, collect, serving
from tests.support.tone import ToneEngine

OLD = (
    "alfa beta gama delta zeta iota kapa lambda sigma omega tau fi. yota aleph bet gimel dalet he vav zayin."
)
NEW = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce."


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def words(text: str) -> list[str]:
    """Its words."""
    return text.replace(".", "").split()


@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize("places", [1, 2])
async def test_what_is_superseded_is_made_behind_what_is_new(
    tmp_path: Path, rests: bool, places: int
) -> None:
    """No further step of it, or no further segment where the engine cannot rest, before the new one."""
    engine, clock = ToneEngine(rests=rests, places=places), Clock()
    among = SessionPriorities(clock)
    async with serving(engine, tmp_path) as service:

        def opened() -> SpeechSession:
            return service.open(SPANISH, protocol="test", priorities=among)

        async with opened() as old, opened() as new:
            engine.allow = 0
            old.feed(OLD)
            old.finish()
            await engine.permit(2)
            begun = words(engine.segments[0].text)
            old.lower_priority()
            assert not old.superseded
            new.feed(NEW)
            new.finish()
            assert old.superseded
            reading = asyncio.create_task(collect(old)), asyncio.create_task(collect(new))
            await engine.permit(None)
            await reading[1]
            # The clock stands: what was made is still to be heard, and more of the old one is not due.
            made = [word for word in engine.words if word in words(OLD)]
            assert len(made) <= (2 + 1 if rests else len(begun)), "one step was under way"
            await new.aclose()
            await reading[0]
        assert [word for word in engine.words if word in words(OLD)] == words(OLD)
        assert [word for word in engine.words if word in words(NEW)] == words(NEW)


async def test_it_goes_on_at_the_speed_of_its_playback(tmp_path: Path) -> None:
    """Once the new one is ahead of its listener, what is superseded is made as it is heard."""
    clock = Clock()
    among = SessionPriorities(clock)
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


def test_a_text_of_which_nothing_is_made_is_waited_for_a_moment_only() -> None:
    """Words that are never to be said hold up nothing for longer."""
    clock = Clock()
    among = SessionPriorities(clock)
    old, new = among.add(), among.add()
    old.lower()
    assert not old.must_wait
    new.text_received()
    assert old.must_wait
    clock.now += TEXT_PENDING_S
    assert not old.must_wait and old.superseded


def test_of_those_that_give_way_the_later_comes_first() -> None:
    """An answer that was ended in good order is not held up by one that was interrupted before it."""
    among = SessionPriorities(Clock())
    interrupted, ended, awaited = (among.add() for _ in range(3))
    for standing in (interrupted, ended, awaited):
        standing.text_received()
        standing.lower()
    assert interrupted.superseded and ended.superseded and not awaited.superseded
    interrupted.restore()
    assert not interrupted.superseded and awaited.superseded


async def test_a_wait_ends_when_something_changes() -> None:
    """Not before, and without a look at the clock."""
    among = SessionPriorities(Clock())
    old, new = among.add(), among.add()
    old.lower()
    new.text_received()
    with new.working():
        waiting = asyncio.create_task(old.wait_for_turn())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        new.leave()
        await waiting


async def test_giving_way_is_no_waiting_of_the_reader() -> None:
    """A text that is whole is not given up because another one of its client comes first."""
    exhausted = asyncio.Event()
    timeout = WaitTimeout(0.05, exhausted.set)
    timeout.start()
    async with timeout.waiting():
        with timeout.suspended():
            await asyncio.sleep(0.2)
            assert not exhausted.is_set()
        await exhausted.wait()
