"""Three libraries for ElevenLabs' protocol, unmodified but for their address."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from livekit.plugins import elevenlabs as livekit_elevenlabs

from elevenlabs.client import ElevenLabs
from elevenlabs.types import VoiceSettings
from kani.core.types import Samples

with warnings.catch_warnings():
    # It imports audioop, which a later Python has no more.
    warnings.simplefilter("ignore", DeprecationWarning)
    from pipecat.frames.frames import (
        ErrorFrame,
        Frame,
        LLMFullResponseEndFrame,
        LLMFullResponseStartFrame,
        LLMTextFrame,
        TTSAudioRawFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineParams, PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.services.elevenlabs.tts import ElevenLabsTTSService
    from pipecat.services.tts_service import TextAggregationMode
    from pipecat.workers.runner import WorkerRunner

MODEL = "eleven_flash_v2_5"


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


def split_tokens(text: str) -> list[str]:
    first, *more = text.split(" ")
    return [first, *(f" {word}" for word in more)]


def sdk(http_url: str) -> ElevenLabs:
    client = ElevenLabs(api_key="key", base_url=http_url)
    client.text_to_speech._ws_base_url = http_url.replace("http", "ws", 1)
    return client


async def speak_with_sdk(
    http_url: str, voice: str, text: Iterable[str], output_format: Any, speed: float | None = None
) -> ReceivedSpeech:

    def speak() -> bytes:
        def written() -> Iterator[str]:
            yield from text

        asked = {} if speed is None else {"voice_settings": VoiceSettings(speed=speed)}
        return b"".join(
            sdk(http_url).text_to_speech.convert_realtime(
                voice, text=written(), model_id=MODEL, output_format=output_format, **asked
            )
        )

    return ReceivedSpeech(bytearray(await asyncio.to_thread(speak)))


async def speak_with_livekit(
    http_url: str, voice: str, texts: Iterable[str], **options: Any
) -> list[ReceivedSpeech]:
    encoding = options.pop("encoding", "pcm_22050")
    model = options.pop("model", MODEL)
    async with aiohttp.ClientSession() as session:
        speaker = livekit_elevenlabs.TTS(
            api_key="key",
            voice_id=voice,
            base_url=f"{http_url}/v1",
            encoding=encoding,
            model=model,
            http_session=session,
            **options,
        )
        heard = []
        for text in texts:
            spoken = ReceivedSpeech()
            async with speaker.stream() as stream:
                for piece in split_tokens(text):
                    stream.push_text(piece)
                stream.end_input()
                async for event in stream:
                    spoken.audio += bytes(event.frame.data)
                    timed = event.frame.userdata.get("lk.timed_transcripts", [])
                    spoken.words += [Word(str(word).strip(), word.start_time) for word in timed]
            heard.append(spoken)
        await speaker.aclose()
        return heard


class _PipecatVoice(ElevenLabsTTSService):
    """pipecat's service; records the times that it computes."""

    def __init__(self, spoken: list[ReceivedSpeech], **options: Any) -> None:
        super().__init__(**options)
        self._spoken = spoken

    async def add_word_timestamps(self, word_times: Any, *args: Any, **options: Any) -> None:
        self._spoken[-1].words += [Word(*each) for each in word_times]
        await super().add_word_timestamps(word_times, *args, **options)


class _Listener(FrameProcessor):
    """Records the pipeline's output."""

    def __init__(self, spoken: list[ReceivedSpeech], said: asyncio.Event) -> None:
        super().__init__()
        self._spoken = spoken
        self._said = said

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self._spoken[-1].audio += frame.audio
            case TTSStoppedFrame():
                self._said.set()
            case ErrorFrame():
                self._spoken[-1].errors.append(frame.error)
                self._said.set()
        await self.push_frame(frame, direction)


async def speak_with_pipecat(
    url: str, voice: str, texts: Iterable[str], rate: int = 24_000, *, tokens: bool = False
) -> list[ReceivedSpeech]:
    """Speak with pipecat's service in a pipeline: a language model's turn for each text, over one connection.

    tokens: whether it sends them as they come, instead of in sentences.
    """
    spoken: list[ReceivedSpeech] = []
    said, started = asyncio.Event(), asyncio.Event()
    mode = TextAggregationMode.TOKEN if tokens else TextAggregationMode.SENTENCE
    settings = ElevenLabsTTSService.Settings(voice=voice, model=MODEL)
    service = _PipecatVoice(
        spoken, api_key="key", url=url, sample_rate=rate, settings=settings, text_aggregation_mode=mode
    )
    worker = PipelineWorker(
        Pipeline([service, _Listener(spoken, said)]), params=PipelineParams(), cancel_on_idle_timeout=False
    )

    @worker.event_handler("on_pipeline_started")
    async def on_started(*_: Any) -> None:
        started.set()

    async def talk() -> None:
        await started.wait()
        for text in texts:
            spoken.append(ReceivedSpeech())
            said.clear()
            await worker.queue_frames(
                [
                    LLMFullResponseStartFrame(),
                    *(LLMTextFrame(piece) for piece in split_tokens(text)),
                    LLMFullResponseEndFrame(),
                ]
            )
            await said.wait()
        await worker.stop_when_done()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    async with asyncio.timeout(300):
        await asyncio.gather(runner.run(), talk())
    return spoken
