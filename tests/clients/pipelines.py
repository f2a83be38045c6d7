"""pipecat's pipelines, with one service of a server in them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from pipecat.frames.frames import ErrorFrame, Frame, TTSAudioRawFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from kani.core.types import Samples
from tests.support.patience import WITHIN_S

T = TypeVar("T")


@dataclass(frozen=True)
class Word:
    """A word, and when a client shows it, in seconds of its audio."""

    text: str
    start_s: float


@dataclass
class ReceivedSpeech:
    """Audio, words and errors of a client."""

    audio: bytearray = field(default_factory=bytearray)
    words: list[Word] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def samples(self) -> Samples:
        return np.frombuffer(bytes(self.audio), "<i2").astype(np.float32) / 32768


class Watch(FrameProcessor):
    """Shows ``see`` every frame that passes."""

    def __init__(self, see: Callable[[Frame], None]) -> None:
        super().__init__()
        self._see = see

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self._see(frame)
        await self.push_frame(frame, direction)


async def run(
    service: Any, see: Callable[[Frame], None], talk: Callable[[PipelineWorker], Awaitable[T]], **rates: int
) -> T:
    """Have ``talk`` use a service in a pipeline that runs by then; ``see`` gets what the service sends on."""
    started = asyncio.Event()
    worker = PipelineWorker(
        Pipeline([service, Watch(see)]), params=PipelineParams(**rates), cancel_on_idle_timeout=False
    )

    @worker.event_handler("on_pipeline_started")
    async def on_started(*_: Any) -> None:
        started.set()

    async def talking() -> T:
        await started.wait()
        result = await talk(worker)
        await worker.stop_when_done()
        return result

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(WITHIN_S):
        return (await asyncio.gather(runner.run(), talking()))[1]


async def speak(
    service: Any, rate: int, turns: Iterable[Sequence[Frame]], spoken: list[ReceivedSpeech]
) -> None:
    """Have a service of speech say turns, one after the other; appends what came of each to ``spoken``."""
    said = asyncio.Event()

    def see(frame: Frame) -> None:
        match frame:
            case TTSAudioRawFrame():
                assert (frame.sample_rate, frame.num_channels) == (rate, 1)
                spoken[-1].audio += frame.audio
            case TTSStoppedFrame():
                said.set()
            case ErrorFrame():
                spoken[-1].errors.append(frame.error)
                said.set()

    async def talk(worker: PipelineWorker) -> None:
        for turn in turns:
            spoken.append(ReceivedSpeech())
            said.clear()
            await worker.queue_frames(turn)
            await said.wait()

    await run(service, see, talk, audio_out_sample_rate=rate)
