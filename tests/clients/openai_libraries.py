"""Libraries that speak OpenAI's Realtime protocol, unmodified but for their address."""

import asyncio
import base64
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import openai
import soxr
from livekit import rtc
from livekit.agents.stt import RecognizeStream, SpeechEventType
from livekit.plugins import openai as livekit_openai
from pipecat.frames import frames
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.openai.stt import OpenAIRealtimeSTTService

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.clients.pipelines import run
from tests.support.patience import WITHIN_S

RATE = 24_000
PIECE_S = 0.05


@dataclass
class Recognized:
    """Results of a client: complete transcripts, text before they were complete, and errors."""

    transcripts: list[str] = field(default_factory=list)
    interim: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def pieces(samples: Samples, rate: int = RATE) -> list[bytes]:
    """Return 16-bit pieces of ``PIECE_S`` at ``rate`` of samples at ``RATE``."""
    pcm = pcm16(soxr.resample(samples, RATE, rate))
    size = 2 * round(PIECE_S * rate)
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


async def transcribe_with_sdk(http_url: str, samples: Samples, detection: Any, count: int) -> Recognized:
    """Transcribe by openai-python, up to the ``count``-th transcript."""
    heard = Recognized()
    async with openai.AsyncOpenAI(api_key="key", base_url=f"{http_url}/v1") as client:
        async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
            audio_input = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": detection}
            session: Any = {"type": "transcription", "audio": {"input": audio_input}}
            await connection.session.update(session=session)
            for piece in pieces(samples):
                await connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
            if detection is None:
                await connection.input_audio_buffer.commit()
            async with asyncio.timeout(WITHIN_S):
                async for event in connection:
                    heard.events.append(event.type)
                    if event.type == "conversation.item.input_audio_transcription.delta":
                        heard.interim.append(event.delta or "")
                    elif event.type == "conversation.item.input_audio_transcription.completed":
                        heard.transcripts.append(event.transcript)
                        if len(heard.transcripts) == count:
                            break
                    elif event.type == "error":
                        heard.errors.append(event.error.message)
    return heard


async def speak_with_sdk(http_url: str, text: str, voice: str) -> tuple[bytes, str]:
    """Read a text aloud by openai-python; returns 16-bit audio at 24 kHz, and the transcript."""
    async with openai.AsyncOpenAI(api_key="key", base_url=f"{http_url}/v1") as client:
        async with client.realtime.connect(model="gpt-realtime") as connection:
            output: Any = {"output": {"voice": voice}}
            await connection.session.update(session={"type": "realtime", "audio": output})
            content: Any = [{"type": "input_text", "text": text}]
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": content}
            )
            await connection.response.create(response={"conversation": "none"})
            audio, transcript = bytearray(), ""
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    audio += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.delta":
                    transcript += event.delta
                elif event.type == "response.done":
                    assert event.response.status == "completed"
                    return bytes(audio), transcript
                assert event.type != "error", event
    raise AssertionError("the connection ended before the response")


async def transcribe_with_livekit(
    http_url: str, samples: Samples, count: int, streams: int, **options: Any
) -> Recognized:
    """Transcribe by LiveKit's plugin: ``streams`` one after the other, which share its connection.

    options: of the plugin. With a model that ends no turns its own voice detector does, which needs the
    speech at the rate at which it is spoken.
    """
    heard = Recognized()
    async with aiohttp.ClientSession() as session:
        recognizer = livekit_openai.STT(
            **{
                "language": "en",
                "base_url": f"{http_url}/v1",
                "api_key": "key",
                "use_realtime": True,
                **options,
            }
        )
        recognizer._session = session
        for _ in range(streams):
            left = count
            async with asyncio.timeout(WITHIN_S), recognizer.stream() as stream:
                pushed = asyncio.create_task(_push(stream, samples, PIECE_S if options else 0.0))
                async for event in stream:
                    heard.events.append(event.type.value)
                    if event.type is SpeechEventType.INTERIM_TRANSCRIPT:
                        heard.interim.append(event.alternatives[0].text)
                    elif event.type is SpeechEventType.FINAL_TRANSCRIPT:
                        heard.transcripts.append(event.alternatives[0].text)
                        left -= 1
                        if not left:
                            break
                await pushed
        await recognizer.aclose()
    return heard


async def _push(stream: RecognizeStream, samples: Samples, wait_s: float) -> None:
    for piece in pieces(samples):
        stream.push_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
        await asyncio.sleep(wait_s)


async def transcribe_with_pipecat(
    url: str, samples: Samples, detection: Any, count: int, model: str = ""
) -> Recognized:
    """Transcribe by pipecat's service; without turn detection its pipeline tells that the speaker stopped."""
    heard = Recognized()
    chosen: Any = {"settings": OpenAIRealtimeSTTService.Settings(model=model)} if model else {}
    service = OpenAIRealtimeSTTService(
        api_key="key", base_url=f"{url}/v1/realtime", turn_detection=detection, sample_rate=16_000, **chosen
    )
    done = asyncio.Event()

    def see(frame: frames.Frame) -> None:
        match frame:
            case frames.TranscriptionFrame():
                heard.transcripts.append(frame.text)
                if len(heard.transcripts) == count:
                    done.set()
            case frames.InterimTranscriptionFrame():
                heard.interim.append(frame.text)
            case frames.ErrorFrame():
                heard.errors.append(str(frame.error))
                done.set()

    said: list[Any] = [frames.InputAudioRawFrame(piece, 16_000, 1) for piece in pieces(samples, 16_000)]
    if detection is False:
        said = [frames.VADUserStartedSpeakingFrame(), *said, frames.VADUserStoppedSpeakingFrame()]

    async def talk(worker: PipelineWorker) -> None:
        await worker.queue_frames(said)
        await done.wait()

    await run(service, see, talk, audio_in_sample_rate=16_000)
    return heard


def as_samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
