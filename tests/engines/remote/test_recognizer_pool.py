"""A recogniser at several workers: which of them recognises, and those that drain, die or are none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from kani.core.audio.pcm import wav
from kani.core.errors import EngineLost, EngineUnavailable
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import Mark, RecognitionEvent, Recognizer
from kani.core.session.admission import Admission, Limits
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.pool_metrics import WorkerMetrics
from kani.engines.remote.address import Address
from kani.engines.remote.processes import RemoteWorkers, recognizer_at
from kani.engines.remote.recognizer import _RepeatableAudio
from kani.engines.worker.service import Worker
from tests.engines.packages.life import started
from tests.engines.remote.test_remote import KEY, working
from tests.support.loudness import RATE, STEP, HeldRecognizer, LoudnessRecognizer
from tests.support.patience import happens
from tests.support.tone import ToneEngine


class Microphone:
    """Audio that comes as it is said."""

    def __init__(self, steps: float, *, end: bool = False) -> None:
        self._pieces: asyncio.Queue[Samples | Mark | None] = asyncio.Queue()
        self.say(steps, end=end)

    def say(self, steps: float, *, end: bool = False) -> None:
        self._pieces.put_nowait(np.full(round(steps * STEP), 0.5, np.float32))
        if end:
            self._pieces.put_nowait(None)

    async def audio(self) -> AsyncIterator[Samples | Mark]:
        while (piece := await self._pieces.get()) is not None:
            yield piece


async def direct(steps: float) -> list[RecognitionEvent]:
    audio = Microphone(steps, end=True).audio()
    return [event async for event in LoudnessRecognizer().recognize(audio, "es")]


def pool_of(*addresses: Address, registry: CollectorRegistry | None = None) -> Recognizer:
    workers = RemoteWorkers(tuple(map(str, addresses)), KEY)
    return recognizer_at(workers, WorkerMetrics(registry or CollectorRegistry()))


@dataclass(frozen=True)
class Sites:
    """Two workers."""

    recognizers: list[HeldRecognizer]
    workers: list[Worker]

    def kill_busy(self) -> None:
        (worker,) = (worker for worker in self.workers if worker.exchanges)
        for server in [*worker._servers]:
            server.channel.abort("killed by the test")


@asynccontextmanager
async def pooled(
    folder: Path, *recognizers: HeldRecognizer, registry: CollectorRegistry | None = None
) -> AsyncIterator[tuple[Sites, Recognizer]]:
    """Two workers, and the recogniser of both."""
    recognizers = recognizers or (HeldRecognizer(), HeldRecognizer())
    workers = [Worker(None, one, f"w{number}") for number, one in enumerate(recognizers)]
    async with AsyncExitStack() as stack:
        serving = [working(worker, folder / str(number)) for number, worker in enumerate(workers)]
        addresses = [await stack.enter_async_context(one) for one in serving]
        async with started(pool_of(*addresses, registry=registry)) as recognizer:
            yield Sites([*recognizers], workers), recognizer


async def both_usable(registry: CollectorRegistry) -> None:
    usable = "kani_recognizer_worker_usable"
    await happens(lambda: all(registry.get_sample_value(usable, {"replica": f"w{n}"}) for n in range(2)))


async def test_each_recognition_goes_to_the_worker_with_the_fewest_and_stays_there(tmp_path: Path) -> None:
    """Workers on slower machines, and of other versions, serve as well."""
    registry, recognizers = CollectorRegistry(), [HeldRecognizer() for _ in range(2)]
    usual = recognizers[0].info
    for number, one in enumerate(recognizers):
        one.info = replace(usual, version=f"{number}", live_delay_s=0.5 + number)
    async with (
        pooled(tmp_path, *recognizers, registry=registry) as (sites, recognizer),
        AsyncExitStack() as stack,
    ):
        await both_usable(registry)
        assert recognizer.info in [one.info for one in recognizers]
        microphones = [Microphone(1) for _ in range(4)]
        streams = []
        for microphone in microphones:
            stream = await stack.enter_async_context(aclosing(recognizer.recognize(microphone.audio(), "es")))
            streams.append((stream, [await anext(stream)]))
        assert [worker.exchanges for worker in sites.workers] == [2, 2]
        for number in range(2):
            labels = {"replica": f"w{number}"}
            assert registry.get_sample_value("kani_recognizer_worker_recognitions", labels) == 2
        for microphone in microphones:
            microphone.say(3, end=True)
        for stream, events in streams:
            assert events + [event async for event in stream] == await direct(4)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "draining"])
async def test_recognition_without_events_begins_again_elsewhere(tmp_path: Path, killed: bool) -> None:
    async with pooled(tmp_path) as (sites, recognizer):
        microphone = Microphone(0.5)
        async with aclosing(recognizer.recognize(microphone.audio(), "es")) as events:
            first = asyncio.ensure_future(anext(events))
            if killed:
                await happens(lambda: any(worker.exchanges for worker in sites.workers))
                sites.kill_busy()
            else:
                # Its announcement crosses the opening.
                sites.workers[0].draining = True
            microphone.say(3.5, end=True)
            found = [await first] + [event async for event in events]
        assert found == await direct(4)
        sites.workers[0].draining = False


async def test_audio_that_is_read_again_is_kept_until_it_was_read() -> None:
    """Also where an event comes before all of it was sent to the second worker."""
    pieces = [np.full(one, 0.5, np.float32) for one in (1, 2, 3, 4)]

    async def audio() -> AsyncIterator[Samples | Mark]:
        for piece in pieces:
            yield piece

    repeatable = _RepeatableAudio(audio())
    found = [await anext(repeatable) for _ in range(3)]
    assert repeatable.rewind()
    again = [await anext(repeatable)]
    repeatable.forget()
    again += [piece async for piece in repeatable]
    assert [*map(len, found)] == [1, 2, 3] and [*map(len, again)] == [1, 2, 3, 4]
    assert not repeatable.rewind()
    await repeatable.aclose()


async def test_recording_is_transcribed_by_a_worker_and_errors_of_the_audio_reach_the_caller(
    tmp_path: Path,
) -> None:
    async with pooled(tmp_path) as (_, recognizer):

        async def recording() -> AsyncIterator[Samples]:
            for _ in range(12):
                yield np.full(RATE, 0.5, np.float32)

        async def broken() -> AsyncIterator[Samples]:
            yield np.full(100, 0.5, np.float32)
            raise ValueError("a broken recording")

        options = TranscriptionOptions("es")
        expected = [one async for one in LoudnessRecognizer().transcribe(recording(), options)]
        assert [one async for one in recognizer.transcribe(recording(), options)] == expected
        with pytest.raises(ValueError, match="a broken recording"):
            async for _ in recognizer.transcribe(broken(), options):
                pass


async def test_worker_that_speaks_or_has_another_recogniser_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The service starts that of a worker, and knows its languages."""
    other = LoudnessRecognizer()
    other.info = replace(other.info, name="other")
    async with (
        working(Worker(ToneEngine()), tmp_path / "speaks") as speaks,
        working(Worker(None, LoudnessRecognizer()), tmp_path / "first") as first,
        working(Worker(None, other), tmp_path / "second") as second,
    ):
        with pytest.raises(EngineUnavailable, match="speaks: name a worker that has a recogniser"):
            await pool_of(speaks).start()
        service = RecognitionService(pool_of(first), Observer(), Admission(Limits(), Observer()))
        await service.prepare()
        assert service.spoken("es-MX") == "es" and service.recognizer.info.name == "loudness"
        await service.stop()
        async with started(pool_of(first, second)):
            await happens(lambda: "has another recogniser than the others" in caplog.text)


def test_recogniser_of_workers_needs_an_address_and_a_key() -> None:
    with pytest.raises(EngineUnavailable, match="set KANI_RECOGNIZER_ADDRESS"):
        pool_of()
    with pytest.raises(EngineUnavailable, match="set KANI_ENGINE_KEY"):
        recognizer_at(RemoteWorkers(("tcp://127.0.0.1:9",), ""), WorkerMetrics(CollectorRegistry()))


async def test_recording_whose_worker_is_lost_is_begun_again_until_its_first_segment(tmp_path: Path) -> None:
    """The worker is lost once it has taken more audio than this side keeps."""
    silence, loud = np.zeros(30 * RATE, np.float32), np.full(RATE, 0.5, np.float32)
    file = BytesIO(wav(np.concatenate([silence, loud, silence, loud]), RATE))
    heard: list[float] = []

    class Observed(Observer):
        def audio_recognized(self, protocol: str, seconds: float, lag_s: float) -> None:
            heard.append(seconds)

    async with pooled(tmp_path, *(HeldRecognizer(10.0) for _ in range(2))) as (sites, recognizer):
        service = RecognitionService(recognizer, Observed(), Admission(Limits(), Observer()))
        options = TranscriptionOptions(language="es")
        session = service.open_transcription(protocol="p", options=options)
        async with session, aclosing(session.segments(file, 600)) as segments:
            first = asyncio.ensure_future(anext(segments))
            await happens(lambda: any(one.holding for one in sites.recognizers))
            sites.kill_busy()
            for one in sites.recognizers:
                one.go_on.set()
            assert (await first).start_s == 30.0
            sites.kill_busy()
            with pytest.raises(EngineLost):
                await anext(segments)
        assert sum(heard) == pytest.approx(session.duration_s)
