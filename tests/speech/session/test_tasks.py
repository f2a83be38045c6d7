"""Tasks that live and end together."""

from __future__ import annotations

import asyncio

import pytest

from protocols.shared.tasks import run_until_first


class Gone(Exception):
    """Nobody is there any more."""


async def for_ever(log: list[str], last: Exception | None = None) -> None:
    """Waits; what it does when it is stopped may fail."""
    try:
        await asyncio.Event().wait()
    finally:
        log.append("stopped")
        if last is not None:
            raise last


async def soon(error: Exception | None = None) -> None:
    """Ends at the next turn of the loop."""
    await asyncio.sleep(0)
    if error is not None:
        raise error


async def test_the_others_are_stopped_when_one_ends() -> None:
    """And nothing of them is left."""
    log: list[str] = []
    before = asyncio.all_tasks()
    await run_until_first(for_ever(log), soon(), for_ever(log), name="test")
    assert log == ["stopped", "stopped"]
    assert asyncio.all_tasks() == before


async def test_an_error_is_raised_unless_it_only_ends_things() -> None:
    """Also where another only ended them before."""
    log: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        await run_until_first(for_ever(log), soon(ValueError("broken")), name="test", ignore=Gone)
    await run_until_first(for_ever(log), soon(Gone()), name="test", ignore=Gone)
    with pytest.raises(Gone):
        await run_until_first(for_ever(log), soon(Gone()), name="test")
    with pytest.raises(ValueError, match="at the end"):
        await run_until_first(soon(Gone()), for_ever(log, ValueError("at the end")), name="test", ignore=Gone)
    assert log == ["stopped"] * 4


async def test_who_is_stopped_stops_them() -> None:
    """Before it is gone itself."""
    log: list[str] = []
    together = asyncio.create_task(run_until_first(for_ever(log), for_ever(log), name="test"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    assert log == ["stopped", "stopped"]
