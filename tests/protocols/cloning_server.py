"""The protocols that take recordings, on a real port, over engines, one of them cloning."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from kani.core.audio.pcm import wav
from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.core.types import Embedding, Recording, Samples, Segment, SpeechChunk
from kani.core.voices.store import NewVoice
from kani.protocols.kani import protocol as kani
from kani.protocols.kyutai import protocol as kyutai
from kani.protocols.shared.protocol import Context, Protocol
from kani.protocols.voxcpm import protocol as voxcpm
from kani.protocols.voxcpm.settings import VoxCPMSettings
from tests.support.servers.asgi import served
from tests.support.sessions import build
from tests.support.tone import ToneEngine

RECORDING_RATE = 16_000
TONE_LEVEL = 0.5
NO_SPEECH = "there is no speech in the recording: record some sentences of the voice"


class EchoEngine(ToneEngine):
    """Speaks as loud, against itself, as the recording was: what it sounds like can be heard.

    While it is ``deaf`` it hears no speech in any.
    """

    def __init__(self) -> None:
        super().__init__(clones=True)
        self.deaf = False
        voices = tuple(replace(voice, id=f"echo:{voice.id}", engine="echo") for voice in self.info.voices)
        defaults = {voice.language: voice.id for voice in voices}
        self.info = replace(self.info, name="echo", voices=voices, default_voices=defaults)

    async def embed(self, recording: Recording) -> Embedding:
        if self.deaf:
            raise InvalidRequest("reference", NO_SPEECH)
        return await super().embed(recording)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        level = 1.0 if segment.embedding is None else segment.embedding.values[0]
        async with aclosing(super().synthesize(segment)) as chunks:
            async for chunk in chunks:
                yield replace(chunk, samples=np.float32(level) * chunk.samples)


@dataclass(frozen=True)
class CloningServer:
    """``plain`` comes first and does not clone, ``echo`` does; ``folder`` is VoxCPM's, of voices."""

    url: str
    http_url: str
    service: SpeechService
    plain: ToneEngine
    echo: EchoEngine
    folder: Path

    async def keep(self, name: str, level: float) -> None:
        await self.service.cloning.add(
            NewVoice(name, hum(4.0, level), consent="It is me.", origin="test", language="es")
        )


def hum(seconds: float = 4.0, level: float = 0.25) -> bytes:
    """A recording, as a file; ``level`` (0.25, 0.5 …) is what the tests' engine takes from it."""
    times = np.arange(round(seconds * RECORDING_RATE)) / RECORDING_RATE
    return wav((level * np.sin(2 * np.pi * 200 * times)).astype(np.float32), RECORDING_RATE)


def loudness(samples: Samples) -> float:
    """Loudness of the engine, rounded to quarters: the ``level`` of the ``hum`` that it imitates."""
    return round(4 * float(np.abs(samples).max()) / TONE_LEVEL) / 4


@asynccontextmanager
async def cloning_server(folder: Path, *more: Protocol) -> AsyncIterator[CloningServer]:
    """Serve Kani's, Kyutai's and VoxCPM's protocols; when it ends, nothing of any session is left.

    more: further protocols.
    """
    plain, echo = ToneEngine(), EchoEngine()
    service = build(folder / "data", plain, echo)
    voices = folder / "voices"
    voices.mkdir()
    routes = [
        route
        for protocol in (
            kani.protocol(max_text=10_000),
            kyutai.protocol(version="0"),
            voxcpm.protocol(VoxCPMSettings(5000, voices, frozenset())),
            *more,
        )
        for route in protocol.routes(Context(service, CollectorRegistry()))
    ]
    await service.start()
    async with served(Starlette(routes=routes)) as port:
        address = f"127.0.0.1:{port}"
        yield CloningServer(f"ws://{address}", f"http://{address}", service, plain, echo, voices)
    assert service.state().sessions == 0
    await service.stop()
