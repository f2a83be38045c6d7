"""Tasks that live and end together."""

import asyncio

import pytest

from kani.protocols.shared.tasks import run_until_first
from tests.support.event_loop import settle


class Gone(Exception):
    """Nobody is there any more."""


async def for_ever(log: list[str], last: Exception | None = None) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        log.append("stopped")
        if last is not None:
            raise last


async def soon(error: Exception | None = None) -> None:
    await asyncio.sleep(0)
    if error is not None:
        raise error


async def test_first_end_and_cancellation_stop_all_tasks() -> None:
    log: list[str] = []
    before = asyncio.all_tasks()
    await run_until_first(for_ever(log), soon(), for_ever(log))
    assert log == ["stopped", "stopped"]
    together = asyncio.create_task(run_until_first(for_ever(log), for_ever(log)))
    await settle()
    together.cancel()
    with pytest.raises(asyncio.CancelledError):
        await together
    assert log == ["stopped"] * 4
    assert asyncio.all_tasks() == before


async def test_unexpected_error_is_raised_before_quiet_one() -> None:
    log: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        await run_until_first(for_ever(log), soon(ValueError("broken")), ignore=Gone)
    await run_until_first(for_ever(log), soon(Gone()), ignore=Gone)
    with pytest.raises(Gone):
        await run_until_first(for_ever(log), soon(Gone()))
    with pytest.raises(ValueError, match="at the end"):
        await run_until_first(soon(Gone()), for_ever(log, ValueError("at the end")), ignore=Gone)
    assert log == ["stopped"] * 4
