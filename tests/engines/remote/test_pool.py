"""Several workers of one server: which of them speaks, and those that are full, drain or die."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from kani.core.engine import Cloning, LightVoices, VoiceRules
from kani.core.errors import EngineUnavailable
from kani.core.types import Embedding, Recording
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote import pool
from kani.engines.remote.address import Address
from kani.engines.remote.channel import ProtocolError
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.messages import Speak
from kani.engines.remote.processes import RemoteWorkers, engine_at
from kani.engines.worker.service import Worker
from tests.engines.packages.life import started
from tests.engines.remote import test_remote
from tests.engines.remote.test_remote import KEY, LONG, content, engine_of, segment, whole
from tests.support.patience import happens
from tests.support.tone import ToneEngine


class Site(test_remote.Site):
    """One worker of a tone engine."""

    def __init__(self, path: Path, name: str = "", **info: Any) -> None:
        self.engine = ToneEngine()
        self.engine.info = replace(self.engine.info, **info)
        super().__init__(Worker(self.engine, name=name), Address(path))


@asynccontextmanager
async def sites(folder: Path, count: int, **info: Any) -> AsyncIterator[list[Site]]:
    """Workers of one engine each, with ``info``; at the end no exchange of any is left."""
    made = [Site(folder / "private" / f"{number}.sock", f"w{number}", **info) for number in range(count)]
    for site in made:
        await site.start()
    try:
        yield made
        await happens(lambda: not any(site.worker.exchanges for site in made))
    finally:
        for site in made:
            await site.end()


@asynccontextmanager
async def pooled(
    folder: Path, count: int = 2, registry: CollectorRegistry | None = None, **info: Any
) -> AsyncIterator[tuple[list[Site], RemoteEngine]]:
    """Workers of engines with ``info``, and the engine of them all, which has reached them, and leaves no
    task when it is stopped.
    """
    async with sites(folder, count, **info) as workers:
        async with started(engine_of(*(site.address for site in workers), registry=registry)) as engine:
            await happens(lambda: engine.info.max_concurrency == count)
            yield workers, engine
        # The workers' own tasks are of this process too.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        files = [str(getattr(task.get_coro(), "cr_code", "")) for task in left]
        assert not [file for file in files if str(Path("engines", "remote")) in file]


async def test_segments_go_to_the_least_loaded_worker_and_slots_add_up(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    async with pooled(tmp_path, 3, registry) as (workers, engine), AsyncExitStack() as stack:
        for site in workers:
            site.engine.allow = 1
        for _ in workers:
            chunks = await stack.enter_async_context(aclosing(engine.synthesize(segment(LONG))))
            await anext(chunks)
        assert [site.worker.exchanges for site in workers] == [1, 1, 1]
        for gauge in ("kani_worker_slots", "kani_worker_segments"):
            assert [registry.get_sample_value(gauge, {"replica": f"w{n}"}) for n in range(3)] == [1, 1, 1]


async def test_light_segments_are_spoken_and_their_slots_add_up(tmp_path: Path) -> None:
    light = LightVoices({"tone_es": "es"}, 3, always=False)
    async with pooled(tmp_path, light=light) as (workers, engine):
        await happens(lambda: engine.info.light == replace(light, slots=6))
        assert await whole(engine, "uno", light=True)
        assert [each.light for site in workers for each in site.engine.segments] == [True]
        english = replace(segment("one"), language="en", light=True)
        for engine_here in (workers[0].engine, ToneEngine()):
            with pytest.raises(ProtocolError, match="a light network"):
                Worker(engine_here)._exchange(Speak(1, english, 1.0), None)


async def test_full_worker_refuses_and_the_segment_is_spoken_by_another(tmp_path: Path) -> None:
    """A request waits while all are full."""
    async with pooled(tmp_path) as (workers, engine), AsyncExitStack() as stack:
        first, second = workers
        first.engine.allow = 1
        # Another server has taken the first worker's slot.
        other = await stack.enter_async_context(started(engine_of(first.address)))
        await anext(await stack.enter_async_context(aclosing(other.synthesize(segment("uno dos tres")))))
        for _ in range(4):
            assert content(await whole(engine)) == content(await whole(ToneEngine()))
        assert len(first.engine.segments) == 1 and len(second.engine.segments) == 4
        second.engine.allow = second.engine.steps + 1
        await anext(await stack.enter_async_context(aclosing(engine.synthesize(segment("uno dos tres")))))
        waiting = asyncio.create_task(whole(engine))
        await happens(lambda: sum(site.worker.exchanges for site in workers) == 3)
        for site in workers:
            await site.engine.permit(None)
        assert len(await waiting) == 2


async def test_session_stays_with_its_worker_where_the_engine_keeps_voices(tmp_path: Path) -> None:
    """Until that is full or gone; the next segments then stay with the one that has gone on."""

    def spoke(site: Site) -> list[str]:
        return [each.session for each in site.engine.segments]

    async with pooled(tmp_path, voice_rules=VoiceRules(kept=True)) as (workers, engine):
        for session in "ababbaab":
            assert await whole(engine, "uno", session=session)
        first, second = workers if workers[0].engine.segments[0].session == "a" else workers[::-1]
        assert (spoke(first), spoke(second)) == (["a"] * 4, ["b"] * 4)
        second.engine.allow = second.engine.steps
        async with started(engine_of(second.address)) as other:
            taking = asyncio.create_task(whole(other, "dos"))
            await happens(lambda: second.worker.exchanges == 1)
            await whole(engine, "uno", session="b")
            await second.engine.permit(None)
            await taking
        await whole(engine, "uno", session="b")
        assert spoke(first)[4:] == ["b", "b"]
        await first.end()
        await whole(engine, "uno", session="a")
        assert spoke(second)[5:] == ["a"]


@pytest.mark.parametrize(
    ("keeps", "embedding"), [(False, None), (True, Embedding("tone", "tone 1", np.ones(1, np.float32)))]
)
async def test_sessions_share_the_workers_where_no_voice_has_to_be_kept(
    tmp_path: Path, keeps: bool, embedding: Embedding | None
) -> None:
    """The engine keeps none, or a recording determines it."""
    async with pooled(tmp_path, voice_rules=VoiceRules(kept=keeps)) as (workers, engine):
        for _ in range(4):
            assert await whole(engine, "uno", session="a", embedding=embedding)
    assert [len(site.engine.segments) for site in workers] == [2, 2]


async def test_draining_worker_finishes_its_segments_and_gets_no_others(tmp_path: Path) -> None:
    async with pooled(tmp_path) as ((first, second), engine):
        first.engine.allow = second.engine.allow = 1
        async with aclosing(engine.synthesize(segment("uno dos tres"))) as chunks:
            spoken = [await anext(chunks)]
            old, new = (first, second) if first.worker.exchanges else (second, first)
            draining = asyncio.create_task(old.worker.drain(100.0))
            await happens(lambda: engine.info.max_concurrency == 1)
            await new.engine.permit(None)
            for _ in range(3):
                assert len(await whole(engine)) == 2
            assert len(old.engine.segments) == 1 and not draining.done()
            await old.engine.permit(None)
            spoken += [chunk async for chunk in chunks]
        await draining
        assert content(spoken) == content(await whole(ToneEngine(), "uno dos tres"))


async def test_dead_worker_is_skipped_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    async with pooled(tmp_path) as (workers, engine):
        first = workers[0]
        first.engine.allow = 0
        # Nothing of it was heard, so the other worker begins it again.
        reading = [asyncio.create_task(whole(engine)) for _ in workers]
        await happens(lambda: bool(first.engine.segments))
        await first.end()
        assert [len(chunks) for chunks in await asyncio.gather(*reading)] == [2, 2]
        assert engine.info.max_concurrency == 1
        workers[0] = again = Site(first.address.path)
        await again.start()
        await happens(lambda: engine.info.max_concurrency == 2)
        for _ in range(2):
            await whole(engine, "uno")
        assert again.engine.segments


async def test_worker_that_is_away_at_the_start_joins_later(tmp_path: Path) -> None:
    late = Site(tmp_path / "private" / "late.sock")
    async with sites(tmp_path, 1) as workers:
        async with started(engine_of(late.address, workers[0].address)) as engine:
            assert engine.info.max_concurrency == 1
            await late.start()
            await happens(lambda: engine.info.max_concurrency == 2)
        await late.end()
    with pytest.raises(EngineUnavailable, match=r"worker at unix:\S+late\.sock cannot be reached"):
        await engine_of(late.address).start()


async def test_embeddings_are_computed_by_another_worker_where_one_accepts_nothing_more(
    tmp_path: Path,
) -> None:
    async with pooled(tmp_path, cloning=Cloning("nearest voice", "tone 1")) as (workers, engine):
        # Its word that it drains is still on its way.
        workers[0].worker.draining = True
        recording = Recording(np.full(1000, 0.25, np.float32), 1000)
        for _ in range(2):
            embedding = await engine.embed(recording)
            assert len([each async for each in engine.refine(recording, embedding, "es")]) == 2
        assert len(workers[1].engine.embedded) == len(workers[1].engine.refined) == 2


async def test_asked_for_addresses_come_and_go_and_a_refusal_of_all_is_reported_until_one_is_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No segment is lost; an unexpected end of the questions is told."""
    monkeypatch.setattr(pool, "DISCOVERY_S", 0.0)
    known: list[str] = []
    reported: list[bool] = []

    async def discover(all_refused: bool) -> Collection[str]:
        reported.append(all_refused)
        if len(reported) == 1:
            raise OSError("not yet")
        if not known:
            raise LookupError("no such table")
        return known

    registry = CollectorRegistry()
    engine = engine_at(RemoteWorkers((), KEY, discover), WorkerMetrics(registry))
    async with sites(tmp_path, 3) as workers:
        first, second, other = (str(site.address) for site in workers)
        workers[2].engine.info = replace(workers[2].engine.info, name="another")
        known.append(first)
        workers[0].engine.allow = 1
        async with started(engine):
            async with aclosing(engine.synthesize(segment("uno dos tres"))) as chunks:
                spoken = [await anext(chunks)]
                known[:] = [second]
                await happens(lambda: registry.get_sample_value("kani_worker_slots", {"replica": "w1"}) == 1)
                await happens(
                    lambda: registry.get_sample_value("kani_worker_slots", {"replica": "w0"}) is None
                )
                assert len(await whole(engine)) == 2
                assert len(workers[0].engine.segments) == len(workers[1].engine.segments) == 1
                await workers[0].engine.permit(None)
                spoken += [chunk async for chunk in chunks]
                assert len(spoken) == 3
            # The connection to the worker that is gone ends with its last segment.
            await happens(lambda: not workers[0].worker._servers)
            known[:] = [second, other]
            members = engine._workers._members
            await happens(lambda: len(members) == 2 and all(each.link.usable for each in members.values()))
            assert not any(reported)
            known[:] = [other]
            await happens(lambda: reported[-1])
            known[:] = [second, other]
            await happens(lambda: not reported[-1])
            known.clear()
            await happens(lambda: "asked for no more: no such table" in caplog.text)
            assert await whole(engine, "uno")
