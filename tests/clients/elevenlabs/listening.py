"""Libraries for ElevenLabs' realtime speech to text, unmodified but for their address."""

import asyncio
import base64
from collections.abc import Iterable
from typing import Any

import aiohttp
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.realtime import AudioFormat, CommitStrategy, RealtimeEvents
from livekit import rtc
from livekit.agents.stt import SpeechEvent
from livekit.plugins import elevenlabs as livekit
from pipecat.frames import frames
from pipecat.pipeline.worker import PipelineWorker
from pipecat.services.elevenlabs import stt as pipecat

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.clients.pipelines import run
from tests.support.patience import WITHIN_S

RATE = 16_000
MODEL = "scribe_v2_realtime"


def pieces(samples: Samples) -> list[bytes]:
    """16-bit samples, a tenth of a second each."""
    return [pcm16(samples[at : at + RATE // 10]) for at in range(0, len(samples), RATE // 10)]


async def understood_by_sdk(
    http_url: str, segments: Iterable[Samples], *, vad: bool = False, **options: Any
) -> list[dict[str, Any]]:
    """Every message of a session; after each segment its transcript is waited for.

    vad: whether the server commits, else each segment is committed.
    """
    seen: list[dict[str, Any]] = []
    done: asyncio.Queue[str] = asyncio.Queue()
    last = "committed_transcript"
    if options.get("include_timestamps") or options.get("include_language_detection"):
        last = "committed_transcript_with_timestamps"

    def see(message: dict[str, Any]) -> None:
        seen.append(message)
        if "error" in message or message["message_type"] == last:
            done.put_nowait(message["message_type"])

    client = AsyncElevenLabs(api_key="k", base_url=http_url)
    asked = {"model_id": MODEL, "audio_format": AudioFormat.PCM_16000, "sample_rate": RATE, **options}
    asked["commit_strategy"] = CommitStrategy.VAD if vad else CommitStrategy.MANUAL
    connection = await client.speech_to_text.realtime.connect(asked)  # type: ignore[arg-type]
    for event in RealtimeEvents:
        if event not in (RealtimeEvents.OPEN, RealtimeEvents.CLOSE, RealtimeEvents.ERROR):
            connection.on(event, see)
    for samples in segments:
        for piece in pieces(samples):
            await connection.send({"audio_base_64": base64.b64encode(piece).decode()})
        if not vad:
            await connection.commit()
        await asyncio.wait_for(done.get(), WITHIN_S)
    await connection.close()
    return seen


async def understood_by_livekit(http_url: str, samples: Samples, **options: Any) -> list[SpeechEvent]:
    """The events of a stream, which ends after its first final transcript."""
    async with aiohttp.ClientSession() as session:
        stt = livekit.STT(
            api_key="k", base_url=f"{http_url}/v1", http_session=session, model=MODEL, **options
        )
        events = []
        async with stt.stream() as stream:
            for piece in pieces(samples):
                stream.push_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
            if "server_vad" not in options:
                stream.flush()
            async for event in stream:
                events.append(event)
                if event.type == "final_transcript":
                    return events
    return events


class _Pipecat(pipecat.ElevenLabsRealtimeSTTService):
    """Connects without TLS, which its address cannot ask for."""

    async def _websocket_connect(self, uri: str, **options: Any) -> Any:
        return await super()._websocket_connect(uri.replace("wss:", "ws:"), **options)


async def understood_by_pipecat(address: str, samples: Samples, *, vad: bool, **options: Any) -> str:
    """The first transcript of a pipeline; address: host and port."""
    strategy = pipecat.CommitStrategy.VAD if vad else pipecat.CommitStrategy.MANUAL
    service = _Pipecat(api_key="k", base_url=address, commit_strategy=strategy, **options)
    heard: asyncio.Queue[str] = asyncio.Queue()

    def see(frame: frames.Frame) -> None:
        match frame:
            case frames.TranscriptionFrame():
                heard.put_nowait(frame.text)
            case frames.ErrorFrame():
                heard.put_nowait(frame.error)

    async def talk(worker: PipelineWorker) -> str:
        await worker.queue_frames([frames.InputAudioRawFrame(piece, RATE, 1) for piece in pieces(samples)])
        if not vad:
            await worker.queue_frames([frames.VADUserStoppedSpeakingFrame()])
        return await heard.get()

    return await run(service, see, talk, audio_in_sample_rate=RATE)
